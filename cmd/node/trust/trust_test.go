package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	rims := maker.RIMs(card)
	files["manifest-1"] = []byte(base64.StdEncoding.EncodeToString(rims[0]))
	files["manifest-2"] = fmt.Appendf(nil, `{"id": "x", "rim": %q}`, base64.StdEncoding.EncodeToString(rims[1]))
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
		{"text", map[string][]byte{"notes.txt": []byte("to do: fetch the manifests")}, "notes.txt: neither a manifest, an OCSP answer nor a root: move it away"},
		{"an empty file", map[string][]byte{"empty": {}}, "empty: neither "},
		{"JSON without a manifest", map[string][]byte{"x.json": []byte(`{"rim": "bm8="}`)}, "x.json: neither "},
		{"an answer that is cut", map[string][]byte{"a.der": maker.OCSP(maker.Card(synthetic.CardConfig{}), time.Now(), attest.OCSPGood)[0][:90]}, "a.der: ocsp-"},
		{"a manifest in base64 of a root that nobody trusts", map[string][]byte{"m.b64": []byte(base64.StdEncoding.EncodeToString(manifest))}, "m.b64: rim-chain"},
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
	many := map[string][]byte{}
	for i := range maxFiles {
		many[fmt.Sprintf(".%d", i)] = nil
	}
	full := folder(t, many)
	if _, err := Load(full); err != nil {
		t.Errorf("%d files: %v", maxFiles, err)
	}
	if err := os.WriteFile(filepath.Join(full, ".more"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(full); err == nil || !strings.Contains(err.Error(), "4097 files, at most 4096") {
		t.Errorf("over %d files: %v", maxFiles, err)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there")
	}
	if _, err := Roots([]byte(" \n")); err == nil {
		t.Error("no certificate")
	}
}

// TestManifest: every form of the service comes to the same XML; all else stays.
func TestManifest(t *testing.T) {
	xml := "<?xml version='1.0'?>\n<SoftwareIdentity/>"
	text := base64.StdEncoding.EncodeToString([]byte(xml))
	for _, tt := range []struct{ name, in, want string }{
		{"XML", " " + xml, " " + xml},
		{"XML after a mark", "\xef\xbb\xbf" + xml, "\xef\xbb\xbf" + xml},
		{"base64", text, xml},
		{"base64 in lines", text[:8] + "\r\n" + text[8:] + "\n", xml},
		{"JSON", "\n" + `{"id": "NV_X", "rim": "` + text + `", "sha256": "00", "n": 7}`, xml},
		{"nothing", "", ""},
		{"JSON without it", `{"id": "NV_X"}`, `{"id": "NV_X"}`},
		{"JSON with something else in it", `{"rim": 7}`, `{"rim": 7}`},
		{"JSON with the XML itself", `{"rim": "<a/>"}`, `{"rim": "<a/>"}`},
		{"JSON that is cut", `{"rim": "` + text, `{"rim": "` + text},
		{"base64 of something else", "AAAA", "AAAA"},
		{"base64 of base64", base64.StdEncoding.EncodeToString([]byte(text)), base64.StdEncoding.EncodeToString([]byte(text))},
	} {
		if got := Manifest([]byte(tt.in)); string(got) != tt.want {
			t.Errorf("%s: %.80q, want %.80q", tt.name, got, tt.want)
		}
	}
	long := []byte(base64.StdEncoding.EncodeToString(slices.Concat([]byte("<"), make([]byte, 2*attest.MaxRIM))))
	if got := Manifest(long); !bytes.Equal(got, long) {
		t.Errorf("%d bytes of base64 were decoded", len(long))
	}
}
