package trust

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

var maker = synthetic.New([32]byte{1})

func roots() []byte {
	device, rim := maker.Roots()
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: device.Raw}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rim.Raw})...)
}

func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLoad: what a folder has is what evidence is judged by, and no folder is NVIDIA's
// roots alone.
func TestLoad(t *testing.T) {
	card := maker.Card(synthetic.CardConfig{})
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	files := map[string][]byte{"z-roots.pem": roots(), ".hidden": []byte("left out")} // roots need not come first
	for i, m := range maker.RIMs(card) {
		files[fmt.Sprintf("manifest-%d", i)] = m
	}
	answers := maker.OCSP(card, at, attest.OCSPGood)
	for i, a := range answers {
		files[fmt.Sprintf("answer-%d", i)] = a
	}
	trusted, err := Load(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	if !trusted.Simulated() || len(trusted.Reference.RIMs) != 2 || len(trusted.Reference.OCSP) != len(answers) {
		t.Errorf("%d manifests, %d answers", len(trusted.Reference.RIMs), len(trusted.Reference.OCSP))
	}
	trusted.Reference.At = at
	e := card.Sign([32]byte{5})
	if r := attest.Verify(e, trusted.Roots, trusted.Reference); r.Grade != attest.GradeMeasured || r.OCSP != attest.OCSPGood || !r.Simulated {
		t.Errorf("%+v", r)
	}
	none, err := Load("")
	if err != nil || none.Simulated() || len(none.Reference.RIMs) > 0 {
		t.Errorf("no folder: %+v, %v", none, err)
	}
	if r := attest.Verify(e, none.Roots, none.Reference); r.Grade != attest.GradeNone {
		t.Errorf("by NVIDIA's roots: %+v", r)
	}
}

func TestLoadRefuses(t *testing.T) {
	manifest := maker.RIMs(maker.Card(synthetic.CardConfig{}))[0]
	for _, tt := range []struct {
		name  string
		files map[string][]byte
		says  string
	}{
		{"a manifest of a root that nobody trusts", map[string][]byte{"m.xml": manifest}, "m.xml"},
		{"a manifest that was changed", map[string][]byte{"r.pem": roots(), "m.xml": []byte(strings.Replace(string(manifest), `active="True"`, `active="False"`, 1))}, "m.xml"},
		{"text", map[string][]byte{"notes.txt": []byte("to do: fetch the manifests")}, "notes.txt"},
		{"an empty file", map[string][]byte{"empty": {}}, "empty"},
		{"a key", map[string][]byte{"key.pem": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte{1}})}, "key.pem"},
		{"a certificate that is none", map[string][]byte{"c.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})}, "c.pem"},
		{"a root, then something else", map[string][]byte{"r.pem": append(roots(), "and so on"...)}, "r.pem"},
		{"a file without end", map[string][]byte{"big": make([]byte, maxFile+1)}, "big"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Load(folder(t, tt.files)); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one that names %s", err, tt.says)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there")
	}
	if _, err := Roots([]byte(" \n")); err == nil {
		t.Error("no certificate")
	}
}
