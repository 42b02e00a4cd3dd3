package kernels_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/kernels"
	"github.com/assaynet/assay/gpu/kernels/source"
)

// TestModulesAreOfTheseSources fails when a source was changed and the modules were
// not made again: run go generate ./gpu/kernels.
func TestModulesAreOfTheseSources(t *testing.T) {
	said, err := source.Read(".")
	if err != nil {
		t.Fatal(err)
	}
	is, err := source.Describe(".", said.Compiler, said.Ptxas)
	if err != nil {
		t.Fatal(err)
	}
	for name := range maps.Keys(said.Hashes) {
		if is.Hashes[name] == "" {
			t.Errorf("%s is recorded, but is no more", name)
		}
	}
	for name, hash := range is.Hashes {
		if said.Hashes[name] != hash {
			t.Errorf("%s is not what is recorded", name)
		}
	}
	if !maps.Equal(is.Flags, said.Flags) {
		t.Errorf("flags are %v, recorded are %v", is.Flags, said.Flags)
	}
	if text, _ := os.ReadFile(source.Manifest); !bytes.Equal(text, is.Text()) {
		t.Errorf("%s is not as it would be written", source.Manifest)
	}
}

// TestModulesAreMadeAgain compiles the sources, where the very same compiler is there.
func TestModulesAreMadeAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles everything")
	}
	said, err := source.Read(".")
	if err != nil {
		t.Fatal(err)
	}
	if version, err := source.Version(t.Context()); err != nil || version != said.Compiler {
		t.Skipf("needs %s, found %q, %v", said.Compiler, version, err)
	}
	for _, target := range source.Targets() {
		t.Run(target.Name, func(t *testing.T) {
			t.Parallel()
			made, err := source.Compile(t.Context(), ".", target)
			if err != nil {
				t.Fatal(err)
			}
			if kept, err := os.ReadFile(target.File()); err != nil || !bytes.Equal(made, kept) {
				t.Errorf("%s differs from what the sources give (%v)", target.File(), err)
			}
		})
	}
}

// ptxas is NVIDIA's assembler, where it is there.
func ptxas(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("PTXAS"); path != "" {
		return path
	}
	path, err := exec.LookPath("ptxas")
	if err != nil {
		t.Skip("needs ptxas in PATH or $PTXAS")
	}
	return path
}

// TestCubinsAreMadeAgain assembles the modules, where the very same assembler is there.
func TestCubinsAreMadeAgain(t *testing.T) {
	said, err := source.Read(".")
	if err != nil {
		t.Fatal(err)
	}
	path := ptxas(t)
	if release, err := source.AssemblerVersion(t.Context(), path); err != nil || release != said.Ptxas {
		t.Skipf("needs %s, found %q, %v", said.Ptxas, release, err)
	}
	for _, m := range modules() {
		made, err := source.Assemble(t.Context(), ".", path, source.Target{Name: m.Target})
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := m.Cubin(); err != nil || !bytes.Equal(made, kept) {
			t.Errorf("the machine code of %s is not that of its PTX (%v)", m.Target, err)
		}
	}
}

// TestCubins: all modules have machine code, or none.
func TestCubins(t *testing.T) {
	said, err := source.Read(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules() {
		code, err := m.Cubin()
		switch {
		case said.Ptxas == "" && !errors.Is(err, kernels.ErrNoCubin):
			t.Errorf("%s: machine code of no assembler, %v", m.Target, err)
		case said.Ptxas != "" && (err != nil || !bytes.HasPrefix(code, []byte("\x7fELF"))):
			t.Errorf("%s: machine code of %d bytes, %v", m.Target, len(code), err)
		}
	}
}

// TestCubinRuns: machine code does not outlive its major version.
func TestCubinRuns(t *testing.T) {
	for _, tt := range []struct {
		major, minor int
		want         string
	}{
		{7, 5, "sm_75"},
		{8, 0, "sm_80"},
		{8, 9, "sm_80"},
		{9, 0, "sm_90a"},
		{10, 0, ""},
		{12, 0, ""},
	} {
		var got []string
		for _, m := range kernels.Modules(tt.major, tt.minor) {
			if m.CubinRuns(tt.major, tt.minor) {
				got = append(got, m.Target)
			}
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("compute capability %d.%d runs the machine code %q, want %q", tt.major, tt.minor, s, tt.want)
		}
	}
}

// TestModulesAssemble asks NVIDIA's assembler, also for later cards of the same module.
// Nothing may spill.
func TestModulesAssemble(t *testing.T) {
	path := ptxas(t)
	for _, tt := range []struct{ module, card string }{
		{"sm_75", "sm_75"}, {"sm_80", "sm_80"}, {"sm_80", "sm_86"}, {"sm_80", "sm_89"}, {"sm_80", "sm_90"}, {"sm_90a", "sm_90a"},
	} {
		t.Run(tt.module+" on "+tt.card, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), path, "-v", "-arch="+tt.card, tt.module+".ptx",
				"-o", filepath.Join(t.TempDir(), "cubin")).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "spill") && !strings.Contains(line, "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads") {
					t.Errorf("%s", line)
				}
			}
		})
	}
}

// TestModules is what a card's compute capability is given.
func TestModules(t *testing.T) {
	for _, tt := range []struct {
		major, minor int
		want         string
	}{
		{3, 5, ""},
		{7, 0, ""},
		{7, 4, ""},
		{7, 5, "sm_75"},
		{8, 0, "sm_80 sm_75"},
		{8, 9, "sm_80 sm_75"},
		{9, 0, "sm_90a sm_80 sm_75"},
		{9, 1, "sm_80 sm_75"},
		{10, 0, "sm_80 sm_75"},
		{12, 1, "sm_80 sm_75"},
	} {
		var got []string
		for _, m := range kernels.Modules(tt.major, tt.minor) {
			got = append(got, m.Target)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("compute capability %d.%d gets %q, want %q", tt.major, tt.minor, s, tt.want)
		}
	}
}

// TestTextOfModules: every module has the same kernels, says its target and a version
// that drivers of its time know, and uses no local memory, which is slow.
func TestTextOfModules(t *testing.T) {
	versions := map[string]string{"sm_75": "6.5", "sm_80": "7.0", "sm_90a": "8.0"}
	for _, m := range modules() {
		if want := ".version " + versions[m.Target] + "\n.target " + m.Target + "\n"; !strings.Contains(m.PTX, want) {
			t.Errorf("%s lacks %q", m.Target, want)
		}
		if strings.Contains(m.PTX, ".local") {
			t.Errorf("%s uses local memory", m.Target)
		}
		if strings.Contains(m.PTX, "\x00") {
			t.Errorf("%s has a NUL", m.Target)
		}
		if got, want := fmt.Sprint(entries(m.PTX)), fmt.Sprint(entries(modules()[0].PTX)); got != want {
			t.Errorf("%s has kernels %s, want %s", m.Target, got, want)
		}
	}
}

// TestGeometryIsThatOfTheSources reads the macros that the products are compiled with.
func TestGeometryIsThatOfTheSources(t *testing.T) {
	text, err := os.ReadFile("c/matmul.h")
	if err != nil {
		t.Fatal(err)
	}
	macro := regexp.MustCompile(`^#define MATMUL_(INT8|SHORT)_(THREADS|SHARED|ROWS|COLS) (\d+)$`)
	branch := regexp.MustCompile(`^#(?:el)?if SM == (\d+)$`)
	defined := map[string]int{} // by SM, flavour and field
	sm := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if m := branch.FindStringSubmatch(line); m != nil {
			sm = m[1]
		}
		if m := macro.FindStringSubmatch(line); m != nil {
			name := sm + " " + m[1] + " " + m[2]
			if _, twice := defined[name]; twice {
				t.Errorf("%s is defined twice", name)
			}
			defined[name], _ = strconv.Atoi(m[3])
		}
	}
	table := map[string]int{}
	for _, m := range modules() {
		sm := strings.TrimSuffix(strings.TrimPrefix(m.Target, "sm_"), "a")
		for i, flavour := range []string{"INT8", "SHORT"} {
			g := m.Products[i]
			for field, v := range map[string]int{"THREADS": g.Threads, "SHARED": g.Shared, "ROWS": g.Rows, "COLS": g.Cols} {
				table[sm+" "+flavour+" "+field] = v
			}
		}
	}
	if !maps.Equal(defined, table) {
		t.Errorf("macros are %v, the table %v", defined, table)
	}
}

// TestGeometryFits: a product's tiles divide what the layout has, and its shared
// memory is there on every card of the module.
func TestGeometryFits(t *testing.T) {
	// The most that a block may opt in to, in bytes (CUDA C++ Programming Guide, table
	// of technical specifications): the least of all cards that run the module.
	most := map[string]int{"sm_75": 64 << 10, "sm_80": 99 << 10, "sm_90a": 227 << 10}
	for _, m := range modules() {
		for i, g := range m.Products {
			if g.Rows%kernels.TileLines != 0 || 256%g.Cols != 0 || g.Threads%32 != 0 || g.Threads > 1024 || g.Shared > most[m.Target] {
				t.Errorf("%s, product %d: %+v", m.Target, i, g)
			}
		}
		for name, bytes := range map[string]int{"fma_lanes": kernels.FMAShared, "b3_chunks": kernels.ChunkShared} {
			if bytes > 48<<10 {
				t.Errorf("%s wants %d bytes of shared memory: needs an attribute", name, bytes)
			}
		}
	}
}
