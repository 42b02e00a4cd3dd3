package simd

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The level is the one that the kernel's own list of features allows.
func TestDetect(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip(err)
	}
	_, line, _ := strings.Cut(string(info), "\nflags")
	line, _, _ = strings.Cut(line, "\n")
	flags := strings.Fields(line)
	want := plain
	for _, step := range [][]string{
		{"avx2", "fma"},
		{"avx512f", "avx512bw", "avx512dq", "avx512vl"},
		{"avx512_vnni"},
	} {
		if slices.ContainsFunc(step, func(f string) bool { return !slices.Contains(flags, f) }) {
			break
		}
		want++
	}
	if machine != want {
		t.Errorf("level %v, but the kernel's flags say %v", machine, want)
	}
}

// Two mistakes give right results at half the speed: an instruction in the old
// encoding among wide ones, and a return that leaves the upper halves in use.
func TestAssemblyTransitions(t *testing.T) {
	files, err := filepath.Glob("*_amd64.[sh]")
	if err != nil || len(files) == 0 {
		t.Fatal("no assembly", err)
	}
	old := regexp.MustCompile(`^\s+[A-UW-Z]\w*\s.*\bX\d+\b`)
	wide := regexp.MustCompile(`\b[YZ]\d+\b`)
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before := ""
		for i, line := range strings.Split(string(src), "\n") {
			if old.MatchString(line) {
				t.Errorf("%s:%d: not a VEX instruction: %s", name, i+1, line)
			}
			if line == "\tRET" && before != "\tVZEROUPPER" && wide.Match(src) {
				t.Errorf("%s:%d: no VZEROUPPER before RET", name, i+1)
			}
			before = line
		}
	}
}
