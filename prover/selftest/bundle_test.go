package selftest

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/telemetry"
)

// unzip reads a bundle's files.
func unzip(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		out[f.Name] = string(data)
	}
	return out
}

func testReport() Report {
	s := telemetry.Snapshot{}
	s.Set(telemetry.Temperature, 61)
	return Report{
		Verdict: OK, Complete: true, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Lines: []Line{{Check: "key", Verdict: OK, Says: "fine"}},
		Figures: []Figures{{Device: "gpu0", Inventory: &Inventory{Name: "NVIDIA H100 80GB HBM3"}}, {Device: "sim0"}},
		Samples: []Snapshot{{"gpu0", time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC), s}},
	}
}

func TestBundle(t *testing.T) {
	const network = "name: mine\ncheckers:\n  - {id: 7671b13e7671b13e7671b13e7671b13e7671b13e7671b13e7671b13e7671b13e, name: a}\n"
	config := "kind: provider\nname: p\ndevices:\n  - id: gpu0\n    card: " + testUUID + "\n    int8: 1234000000000000\n"
	path := filepath.Join(t.TempDir(), "b.zip")
	if err := WriteBundleFile(path, Bundle{Report: testReport(), Config: []byte(config + "token: hello\n"), Network: []byte(network)}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := unzip(t, data)
	if len(files) != 6 || files["assay.yaml"] != config+"token: REDACTED\n" || files["network.yaml"] != network {
		t.Errorf("files %q", files)
	}
	var r Report
	if err := json.Unmarshal([]byte(files["report.json"]), &r); err != nil || r.Lines[0].Says != "fine" {
		t.Errorf("report %+v, %v", r, err)
	}
	if !strings.Contains(files["inventory.json"], "H100") || !strings.Contains(files["versions.json"], `"go"`) {
		t.Error(files["inventory.json"], files["versions.json"])
	}
	rows, err := csv.NewReader(strings.NewReader(files["telemetry.csv"])).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%q, %v", rows, err)
	}
	for i, name := range rows[0] {
		want := map[string]string{"device": "gpu0", "time": "2026-01-02T03:04:06Z", "temperature_c": "61"}[name]
		if rows[1][i] != want {
			t.Errorf("%s: %q, want %q", name, rows[1][i], want)
		}
	}
	// A second one replaces nothing, and leaves nothing.
	if err := WriteBundleFile(path, Bundle{Report: testReport()}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second one: %v", err)
	}
	again, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(again, data) {
		t.Error("the file has changed", err)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if err := WriteBundleFile(filepath.Join(path, "in", "b.zip"), Bundle{}); err == nil {
		t.Error("written into a file")
	}
}

// TestBundleHasNoKey pastes a key everywhere, in every form.
func TestBundleHasNoKey(t *testing.T) {
	seed := []byte("0123456789abcdefABCDEF?>=<;:9876")
	forms := []string{
		string(seed), hex.EncodeToString(seed), strings.ToUpper(hex.EncodeToString(seed)), base64.StdEncoding.EncodeToString(seed),
		base64.RawStdEncoding.EncodeToString(seed), base64.URLEncoding.EncodeToString(seed), base64.RawURLEncoding.EncodeToString(seed),
	}
	for _, form := range forms {
		r := testReport()
		r.Lines[0].Says = "x " + form + " y"
		var b bytes.Buffer
		err := WriteBundle(&b, Bundle{
			Report: r, Config: []byte("kind: provider\nname: " + form + "\n"), Network: []byte("# " + form + "\nname: n\n"), Never: seed,
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range unzip(t, b.Bytes()) {
			for _, f := range forms {
				if strings.Contains(text, strings.TrimRight(f, "=")) {
					t.Errorf("%s has %q", name, f)
				}
			}
		}
	}
}

func TestRedact(t *testing.T) {
	x := strings.Repeat("ab", 32)
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "kind: provider\ncard: " + testUUID + "\n", "kind: provider\ncard: " + testUUID + "\n"},
		{"a seed", "name: " + x + "\nlog: info\n", "name: REDACTED\nlog: info\n"},
		{"in a comment", "# " + x, "# REDACTED"},
		{"a private key", "name: " + x + x, "name: REDACTED"},
		{"base64", "name: " + strings.Repeat("Ab9/", 10) + "Ab9=", "name: REDACTED"},
		{"by its name", "api_key: hello\nx: 1\n", "api_key: REDACTED\nx: 1\n"},
		{"a token in a list", "  - token: t\n", "  - token: REDACTED\n"},
		{"PEM", "x: |\n-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\ny: 1", "x: |\nREDACTED\ny: 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(redact([]byte(tt.in))); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
