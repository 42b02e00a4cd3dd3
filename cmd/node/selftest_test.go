package node

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/gpu/exam"
	"github.com/assaynet/assay/prover/selftest"
)

// lineOf is a line of a report.
func lineOf(t *testing.T, r SelftestReport, check string) SelftestLine {
	t.Helper()
	for _, l := range r.Lines {
		if l.Check == check {
			return l
		}
	}
	t.Fatalf("no line %s in %+v", check, r.Lines)
	return SelftestLine{}
}

// few are the cheapest cases of a comparison.
func few(c *selftest.Config) {
	seen := map[any]bool{}
	for _, one := range exam.Cases() {
		if kind := any(one.Shape.Flavour); one.Set.Items > 0 && !seen["memory"] || one.Set.Items == 0 && !seen[kind] {
			seen[kind] = true
			if one.Set.Items > 0 {
				seen["memory"] = true
			}
			c.Cases = append(c.Cases, one)
		}
	}
}

// TestSelftestOfCard runs a card's test through real processes, up to its throughput:
// no capacity row is for the processor that computes there.
func TestSelftestOfCard(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := cardDir(t, "tenancy:\n  file: tenant-of-{device}\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := Selftest(ctx, SelftestConfig{
		Dir: dir, Getenv: noEnv, tune: few,
		Progress: func(_, _ int, what string) {
			if strings.Contains(what, "throughput") {
				cancel()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range [][3]string{
		{"worker", SelftestOK, "version 1 of the protocol"},
		{"driver", SelftestOK, "a card of the tests"},
		{"card", SelftestFail, "configured is GPU-5c1b2d3e"}, // the fake has no UUID
		{"exactness int8", SelftestOK, "1 case"},
		{"exactness bf16", SelftestOK, "1 case"},
		{"exactness fp64", SelftestOK, "1 case"},
		{"exactness memory", SelftestOK, "1 case"},
		{"throughput int8", SelftestSkip, "interrupted"},
		{"hook", SelftestOK, "file tenant-of-{device}: gpu0 is free"},
		{"key", SelftestOK, "mode 0600"},
	} {
		if l := lineOf(t, r, w[0]); l.Verdict != w[1] || !strings.Contains(l.Says, w[2]) {
			t.Errorf("%+v, want %v", l, w)
		}
	}
	if r.Complete {
		t.Error("an interrupted test is complete")
	}
}

// TestSelftestOfNoCard has the line of what is missing fail, and none of the others.
func TestSelftestOfNoCard(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, tt := range []struct {
		name, more, worker string
		want               map[string][3]string // verdict, says, remedy
	}{
		{"no driver", "driver: " + noLibrary + "\n", "", map[string][3]string{
			"worker": {SelftestOK, "version 1", ""}, "driver": {SelftestFail, "absent: no NVIDIA driver: " + noLibrary, "is it installed?"},
			"exactness int8": {SelftestSkip, "needs driver", ""},
		}},
		{"a card that computes wrong", "driver: " + wrongDriver + "\n", "", map[string][3]string{
			"worker": {SelftestOK, "version 1", ""}, "driver": {SelftestFail, "miscomputes: 2 of 9 entries differ", "do not offer"},
		}},
		{"no NVML", "nvml: " + noLibrary + "\ndriver: " + noLibrary + "\n", "", map[string][3]string{
			"worker": {SelftestOK, "version 1", ""}, "card": {SelftestFail, "no NVML", "NVIDIA's driver"}, "processes": {SelftestSkip, "needs card", ""},
		}},
		{"no worker", "", "worker: nowhere", map[string][3]string{
			"worker": {SelftestFail, "nowhere", "install assay-gpu"}, "driver": {SelftestSkip, "needs worker", ""},
		}},
		{"no worker at all", "", "worker: /bin/true", map[string][3]string{
			"worker": {SelftestFail, "", "assay-gpu"}, "driver": {SelftestSkip, "needs worker", ""},
		}},
		{"a hook that fails", "driver: " + noLibrary + "\ntenancy:\n  command: [/nowhere/hook]\n", "", map[string][3]string{
			"hook": {SelftestFail, "command hook: ", "tenancy:"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := cardDir(t, tt.more)
			if tt.worker != "" {
				self, err := os.Executable()
				check(t, err)
				edit(t, filepath.Join(dir, ConfigName), "worker: "+self, tt.worker)
			}
			begun := time.Now()
			r, err := Selftest(t.Context(), SelftestConfig{Dir: dir, Getenv: noEnv, tune: few})
			if err != nil || r.Verdict != SelftestFail {
				t.Fatal(r.Verdict, err)
			}
			for name, w := range tt.want {
				if l := lineOf(t, r, name); l.Verdict != w[0] || !strings.Contains(l.Says, w[1]) || !strings.Contains(l.Remedy, w[2]) {
					t.Errorf("%+v, want %q", l, w)
				}
			}
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestSelftestBundle builds a bundle in a folder with a real key, beside everything
// that has it, and looks for it in every form.
func TestSelftestBundle(t *testing.T) {
	dir := cardDir(t, "")
	key, err := file.ReadKey(filepath.Join(dir, "key"))
	check(t, err)
	seed := key.Seed()
	// Somebody has pasted it, and an environment has it too.
	edit(t, filepath.Join(dir, ConfigName), "name: two", "name: two # "+hex.EncodeToString(seed))
	network, err := os.ReadFile(filepath.Join(dir, "network.yaml"))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "network.yaml"), append(network, "# "+base64.StdEncoding.EncodeToString(seed)+"\n"...), 0o600))
	t.Setenv("ASSAY_TEST_SECRET", hex.EncodeToString(seed))
	edit(t, filepath.Join(dir, ConfigName), "worker: ", "worker: nowhere #")
	path := filepath.Join(t.TempDir(), "b.zip")
	r, err := Selftest(t.Context(), SelftestConfig{Dir: dir, Getenv: os.Getenv, Bundle: path, tune: few})
	if err != nil || len(r.Lines) == 0 {
		t.Fatal(r, err)
	}
	z, err := zip.OpenReader(path)
	check(t, err)
	defer z.Close()
	names := map[string]bool{}
	for _, f := range z.File {
		names[f.Name] = true
		in, err := f.Open()
		check(t, err)
		data, err := io.ReadAll(in)
		check(t, errors.Join(err, in.Close()))
		for _, secret := range [][]byte{seed, key} {
			for _, form := range []string{
				string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
				base64.RawStdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret),
			} {
				if bytes.Contains(data, []byte(form)) {
					t.Errorf("%s has the key", f.Name)
				}
			}
		}
		if bytes.Contains(data, []byte("ASSAY_TEST_SECRET")) {
			t.Errorf("%s has the environment", f.Name)
		}
	}
	for _, name := range []string{"report.json", "versions.json", "inventory.json", "telemetry.csv", "assay.yaml", "network.yaml"} {
		if !names[name] {
			t.Errorf("no %s in %v", name, names)
		}
	}
	if len(key) != ed25519.PrivateKeySize {
		t.Error("no key to look for")
	}
}

func TestSelftestInput(t *testing.T) {
	dir := cardDir(t, "")
	taken := filepath.Join(t.TempDir(), "taken.zip")
	check(t, os.WriteFile(taken, nil, 0o600))
	for _, tt := range []struct {
		name string
		cfg  SelftestConfig
		want string
	}{
		{"no folder", SelftestConfig{Dir: filepath.Join(dir, "none")}, "no such file"},
		{"no such device", SelftestConfig{Dir: dir, Devices: []string{"gpu0", "gpu9"}}, `device "gpu9": not in`},
		{"a bundle that is there", SelftestConfig{Dir: dir, Bundle: taken}, "file already exists"},
		{"a bundle in no folder", SelftestConfig{Dir: dir, Bundle: filepath.Join(dir, "no", "b.zip")}, "no such file"},
		{"no URL", SelftestConfig{Dir: dir, Checker: "localhost:8420"}, "want http://HOST:PORT"},
		{"no URL of the web", SelftestConfig{Dir: dir, Checker: "ftp://localhost"}, "want http://HOST:PORT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Getenv = noEnv
			_, err := Selftest(t.Context(), tt.cfg)
			if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
