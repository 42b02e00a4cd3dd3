package node

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/attest/synthetic"
)

// TestEvidenceFolder: a checker's folder of evidence is relative to its own, its roots
// are a simulation's, and so no checker of real cards takes any.
func TestEvidenceFolder(t *testing.T) {
	device, _ := synthetic.New([32]byte{1}).Roots()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: device.Raw})
	for _, tt := range []struct {
		name      string
		simulated bool
		file      []byte
		says      string // empty: it is taken
	}{
		{"nothing in it", false, nil, ""},
		{"a root, simulated network", true, root, ""},
		{"a root, real network", false, root, "not simulated"},
		{"something else", true, []byte("a note"), "file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := daemonDir(t, checkerYAML+"evidence: rims\n", 1)
			check(t, os.Mkdir(filepath.Join(dir, "rims"), 0o755))
			if tt.file != nil {
				check(t, os.WriteFile(filepath.Join(dir, "rims", "file"), tt.file, 0o644))
			}
			d := DaemonConfig{Dir: dir, Getenv: noEnv}
			path := filepath.Join(dir, "network.yaml")
			b, err := os.ReadFile(path)
			check(t, err)
			if is := strings.Contains(string(b), "simulated: true"); is != tt.simulated {
				old, by := "simulated: true", "simulated: false"
				if tt.simulated {
					old, by = by, old
				}
				check(t, os.WriteFile(path, []byte(strings.Replace(string(b), old, by, 1)), 0o644))
			}
			f, err := d.read()
			switch {
			case tt.says == "":
				check(t, err)
				if f.trust.Simulated() != (tt.file != nil) {
					t.Errorf("simulated %v", f.trust.Simulated())
				}
				var out strings.Builder
				check(t, Check(d, &out))
				if !strings.Contains(out.String(), "evidence  "+filepath.Join(dir, "rims")+": 0 manifests") {
					t.Errorf("check prints\n%s", out.String())
				}
			case err == nil || !strings.Contains(err.Error(), tt.says):
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
		})
	}
}
