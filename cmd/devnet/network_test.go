package devnet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKey(t *testing.T) {
	if !key(1, "checker-1").Equal(key(1, "checker-1")) {
		t.Error("the same seed and name give two keys")
	}
	seen := make(map[string]string)
	for _, seed := range []uint64{0, 1, 2, 1 << 56, 1<<64 - 1} {
		for _, name := range []string{"checker-1", "checker-2", "checker-11", "provider-1", ""} {
			at := fmt.Sprint(seed, name)
			k := string(key(seed, name).Seed())
			if other, taken := seen[k]; taken {
				t.Errorf("%s and %s share a key", at, other)
			}
			seen[k] = at
		}
	}
}

func TestPrepare(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	cfg := Config{}
	if _, err := prepare(&cfg); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(cfg.Dir); err != nil || !info.IsDir() || !strings.HasPrefix(cfg.Dir, os.TempDir()) {
		t.Errorf("temporary folder %q, %v", cfg.Dir, err)
	}
	second := Config{}
	if _, err := prepare(&second); err != nil || second.Dir == cfg.Dir {
		t.Errorf("two devnets in %q, %v", second.Dir, err)
	}

	fresh := Config{Dir: filepath.Join(t.TempDir(), "a", "b")}
	if _, err := prepare(&fresh); err != nil {
		t.Fatal(err)
	}
	notes := filepath.Join(fresh.Dir, "notes")
	if err := os.WriteFile(notes, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare(&fresh); err != nil {
		t.Errorf("a folder with other files: %v", err)
	}
	if b, err := os.ReadFile(notes); err != nil || string(b) != "mine" {
		t.Errorf("other files: %q, %v", b, err)
	}
	if _, err := prepare(&Config{Dir: notes}); err == nil {
		t.Error("a file in place of a folder: no error")
	}
	for _, name := range []string{"devnet.json", "registry.cbor", "checker-1", "provider-2"} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := prepare(&Config{Dir: dir, Checkers: []string{Honest}, Providers: []string{Honest, Liar}})
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "--dir") || !strings.Contains(err.Error(), name) {
			t.Errorf("beside %s: error %v", name, err)
		}
	}
}

func TestHint(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	dir := t.TempDir()
	var out bytes.Buffer
	r, err := Run(t.Context(), Config{
		Checkers: []string{Honest}, Providers: []string{Honest}, Dir: dir, Listen: taken, JSON: true, Out: &out,
	})
	if err == nil || r != nil {
		t.Fatalf("port taken: report %v, error %v", r, err)
	}
	for _, want := range []string{"start devnet: checker-1:", "--listen 127.0.0.1:0", taken} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if out.Len() > 0 {
		t.Errorf("printed %q", out.String())
	}
	// Other errors are left as they are.
	if err := errors.New("x"); hint(err, taken) != err { //nolint:errorlint // the very error
		t.Errorf("hint changed %v", err)
	}
}

func TestRunRefusesFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "devnet.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Run(t.Context(), Config{Checkers: []string{Honest}, Providers: []string{Honest}, Dir: dir, Out: &bytes.Buffer{}})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v, want %v", err, fs.ErrExist)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%d entries beside the devnet, %v", len(entries), err)
	}
}
