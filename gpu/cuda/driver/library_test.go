package driver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadWithoutDriver(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "libcuda.so.1")
	if err := os.WriteFile(empty, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, path string }{
		{"no such file", filepath.Join(t.TempDir(), "libcuda.so.1")},
		{"no library", empty},
		{"another library", "libc.so.6"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := Load(test.path)
			if !errors.Is(err, ErrNoDriver) || l != nil {
				t.Fatalf("got %v, %v", l, err)
			}
			if !strings.Contains(err.Error(), test.path) {
				t.Errorf("the error doesn't name the library: %v", err)
			}
		})
	}
}

// Machines with a driver have it in one of the places; others must say where it was looked for.
func TestLoadSearches(t *testing.T) {
	l, err := Load("")
	if err == nil {
		if v, err := l.Version(); err != nil || v < 11000 {
			t.Errorf("version %d, %v", v, err)
		}
		return
	}
	if !errors.Is(err, ErrNoDriver) {
		t.Fatal(err)
	}
	for _, place := range places() {
		if !strings.Contains(err.Error(), place) {
			t.Errorf("%s is missing in %v", place, err)
		}
	}
}

// A library that has some of the functions only.
func TestLoadOldDriver(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	source, lib := filepath.Join(dir, "old.c"), filepath.Join(dir, "libcuda.so.1")
	const text = "int cuInit(unsigned f) { return (int)f; }\nint cuDriverGetVersion(int *v) { *v = 6050; return 0; }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "gcc", "-shared", "-fPIC", "-o", lib, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, err := Load(lib)
	if !errors.Is(err, ErrNoDriver) {
		t.Fatal(err)
	}
	for _, part := range []string{lib, "CUDA 6.5", "cuMemAlloc_v2", "cuLaunchKernel"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %v", part, err)
		}
	}
	for _, part := range []string{"cuInit", "cuGetErrorName"} {
		if strings.Contains(err.Error(), part) {
			t.Errorf("%q, which is there or may be missing, is in %v", part, err)
		}
	}
}

func TestCards(t *testing.T) {
	f := newFake(t, "devices=2,cc=8.6,memory=123456789")
	if v, err := f.Version(); v != 12040 || err != nil {
		t.Errorf("version %d, %v", v, err)
	}
	cards, err := f.Cards()
	if err != nil {
		t.Fatal(err)
	}
	want := []Card{
		{0, "Fake 0", "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadae00", "0000:01:00.0", 123456789, 8, 6, 2, 1 << 20, 1000000, 2000000, 64, 99 << 10},
		{1, "Fake 1", "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadae01", "0000:02:00.0", 123456789, 8, 6, 2, 1 << 20, 1000000, 2000000, 64, 99 << 10},
	}
	if len(cards) != 2 || cards[0] != want[0] || cards[1] != want[1] {
		t.Errorf("got %+v", cards)
	}
}

// The fake driver takes its settings from the environment too, for programs that
// nobody can call into.
func TestFakeEnvironment(t *testing.T) {
	t.Setenv("ASSAY_FAKE_CUDA", "devices=3,cc=7.5")
	cards, err := newFake(t, "memory=5").Cards()
	if err != nil || len(cards) != 3 || cards[2].Major != 7 || cards[2].Minor != 5 || cards[2].Memory != 5 {
		t.Errorf("got %+v, %v", cards, err)
	}
}

func TestCardsFail(t *testing.T) {
	for _, test := range []struct {
		name, settings string
		want           error
		call           string
		code           int
	}{
		{"no card", "devices=0", ErrLost, "cuInit", 100},
		{"another kernel module", "fail=cuInit:803", ErrNoDriver, "cuInit", 803},
		{"stub", "fail=cuInit:34", ErrNoDriver, "cuInit", 34},
		{"gone at counting", "fail=cuDeviceGetCount:999", ErrSticky, "cuDeviceGetCount", 999},
		{"gone at naming", "fail=cuDeviceGetName:46", ErrLost, "cuDeviceGetName", 46},
		{"gone at the identity", "fail=cuDeviceGetUuid_v2:46", ErrLost, "cuDeviceGetUuid_v2", 46},
		{"no capability", "fail=cuDeviceGetAttribute:1", nil, "cuDeviceGetAttribute", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, test.settings)
			_, err := f.Cards()
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Call != test.call || e.Code != test.code || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What a card needn't tell may fail.
func TestCardsTellLess(t *testing.T) {
	f := newFake(t, "fail=cuDeviceGetUuid_v2:801")
	cards, err := f.Cards()
	if err != nil || cards[0].UUID != "" || cards[0].PCI == "" {
		t.Errorf("got %+v, %v", cards, err)
	}
	f = newFake(t, "fail=cuDeviceGetAttribute:1:4") // L2 is the fifth
	cards, err = f.Cards()
	if err != nil || cards[0].L2 != 0 || cards[0].SMs == 0 {
		t.Errorf("got %+v, %v", cards, err)
	}
}
