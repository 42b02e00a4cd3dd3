package file

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestKeyRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	check(t, WriteKey(path, testKey(1)))
	info, err := os.Stat(path)
	check(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	b, err := os.ReadFile(path)
	check(t, err)
	if string(b) != strings.Repeat("01", 32)+"\n" {
		t.Errorf("file %q, want the seed in hex", b)
	}
	key, err := ReadKey(path)
	check(t, err)
	if !key.Equal(testKey(1)) {
		t.Error("another key came back")
	}
}

func TestWriteKeyKeepsExisting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	check(t, WriteKey(path, testKey(1)))
	if err := WriteKey(path, testKey(2)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v, want %v", err, fs.ErrExist)
	}
	if key, err := ReadKey(path); err != nil || !key.Equal(testKey(1)) {
		t.Errorf("the first key is lost: %v", err)
	}
	if err := WriteKey(filepath.Join(t.TempDir(), "no", "key"), testKey(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its folder: error %v", err)
	}
}

func TestReadKeyModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	check(t, WriteKey(path, testKey(1)))
	for _, c := range []struct {
		mode fs.FileMode
		ok   bool
	}{{0o600, true}, {0o400, true}, {0o700, true}, {0o640, false}, {0o604, false}, {0o620, false}, {0o602, false}, {0o601, false}, {0o644, false}, {0o777, false}} {
		check(t, os.Chmod(path, c.mode))
		key, err := ReadKey(path)
		switch {
		case c.ok && err != nil:
			t.Errorf("mode %#o: %v", c.mode, err)
		case !c.ok && (err == nil || key != nil || !strings.Contains(err.Error(), "chmod 600")):
			t.Errorf("mode %#o: error %v, want one that says what to do", c.mode, err)
		}
	}
}

func TestReadKeyGarbage(t *testing.T) {
	seed := strings.Repeat("01", 32)
	for _, c := range []struct {
		name, file string
		ok         bool
	}{
		{"no newline", seed, true},
		{"blank around", "\n " + seed + "\r\n\n", true},
		{"capitals", strings.Repeat("AB", 32), true},
		{"empty", "", false},
		{"no hex", "zz" + seed[2:], false},
		{"a digit short", seed[1:], false},
		{"a byte short", seed[2:], false},
		{"a byte long", seed + "01", false},
		{"whole private key", seed + seed, false},
		{"two lines", seed[:32] + "\n" + seed[32:], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			check(t, os.WriteFile(path, []byte(c.file), 0o600))
			key, err := ReadKey(path)
			if (err == nil) != c.ok {
				t.Fatalf("error %v", err)
			}
			if err != nil && (key != nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), seed[2:20])) {
				t.Errorf("error %v: names the file, and none of what is in it", err)
			}
		})
	}
	if _, err := ReadKey(filepath.Join(t.TempDir(), "key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: error %v", err)
	}
	if _, err := ReadKey(t.TempDir()); err == nil {
		t.Error("a folder: no error")
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	check(t, Write(path, []byte("old")))
	// Another name of the old file keeps the old content: whoever is reading it
	// sees all of the old or all of the new.
	reader := filepath.Join(dir, "reader")
	check(t, os.Link(path, reader))
	check(t, Write(path, []byte("new content")))
	for name, want := range map[string]string{path: "new content", reader: "old"} {
		b, err := os.ReadFile(name)
		check(t, err)
		if string(b) != want {
			t.Errorf("%s: %q, want %q", name, b, want)
		}
	}
	info, err := os.Stat(path)
	check(t, err)
	if info.Mode() != 0o644 {
		t.Errorf("mode %v, want 0644", info.Mode())
	}
	if got := names(t, dir); !slices.Equal(got, []string{"file", "reader"}) {
		t.Errorf("left behind: %v", got)
	}
}

func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	check(t, os.Mkdir(taken, 0o755))
	check(t, os.WriteFile(filepath.Join(taken, "inside"), []byte("old"), 0o644))
	for name, path := range map[string]string{
		"a folder is there": taken,
		"name too long":     filepath.Join(dir, strings.Repeat("x", 300)),
		"no folder":         filepath.Join(dir, "no", "file"),
	} {
		if err := Write(path, []byte("new")); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if got := append(names(t, dir), names(t, taken)...); !slices.Equal(got, []string{"taken", "inside"}) {
		t.Errorf("left behind: %v", got)
	}
	// The folder cannot be written, the old file in it can: it must not be touched.
	if os.Geteuid() == 0 {
		t.Log("root writes everywhere: the rest is not tested")
		return
	}
	check(t, os.Chmod(taken, 0o555))
	defer os.Chmod(taken, 0o755) //nolint:errcheck // the test's own folder
	if err := Write(filepath.Join(taken, "inside"), []byte("new")); err == nil {
		t.Error("no error in a folder that cannot be written")
	}
	if b, err := os.ReadFile(filepath.Join(taken, "inside")); err != nil || string(b) != "old" {
		t.Errorf("old content %q, %v", b, err)
	}
}

func TestExists(t *testing.T) {
	dir := t.TempDir()
	dangling := filepath.Join(dir, "link")
	check(t, os.Symlink(filepath.Join(dir, "nothing"), dangling))
	for path, want := range map[string]bool{dir: true, dangling: true, filepath.Join(dir, "nothing"): false} {
		if Exists(path) != want {
			t.Errorf("exists(%s) = %v", path, !want)
		}
	}
}
