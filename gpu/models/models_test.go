package models

import (
	"strings"
	"testing"
)

// rows are the table's real models.
func rows(t *testing.T) []Spec {
	t.Helper()
	var out []Spec
	for _, s := range Table() {
		if !s.Simulated {
			out = append(out, s)
		}
	}
	if len(out) < 50 {
		t.Fatalf("%d real models", len(out))
	}
	return out
}

func TestTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range append(Table(), Classes()...) {
		if s.Name == "" || len(s.Name) > 32 || seen[s.Name] || s.Source == "" || s.Name != strings.ToLower(s.Name) || strings.ContainsAny(s.Name, " _/") {
			t.Errorf("row %+v: name or source empty, odd or twice", s)
		}
		seen[s.Name] = true
		got, err := Lookup(s.Name)
		if err != nil || got != s {
			t.Errorf("lookup of %q: %+v, %v", s.Name, got, err)
		}
	}
	for _, name := range []string{"", "sim-1", "SIM-100", "h100", "other-", "NVIDIA H100 PCIe"} {
		if got, err := Lookup(name); err == nil {
			t.Errorf("lookup of %q: %+v", name, got)
		}
	}
}

// The simulated rows are part of every test network: they stay as they are.
func TestSimulated(t *testing.T) {
	const made = "made up for simulated networks"
	want := []Spec{
		{Name: "sim-100", Simulated: true, Memory: 2 << 20, Int8Ops: 100e6, BF16Ops: 100e6, FP64Ops: 40e6, Memories: 501, Source: made},
		{Name: "sim-200", Simulated: true, Memory: 3 << 20, Int8Ops: 200e6, BF16Ops: 200e6, FP64Ops: 80e6, Memories: 501, Source: made},
		{Name: "sim-400", Simulated: true, Memory: 4 << 20, Int8Ops: 400e6, BF16Ops: 400e6, FP64Ops: 160e6, Memories: 501, Source: made},
		{
			Name: "sim-h100", Simulated: true, Memory: 4 << 20, Int8Ops: 90e6, BF16Ops: 80e6, FP64Ops: 100e6, Memories: 501, Source: made,
			Names: [2]string{"NVIDIA H100 80GB HBM3 (simulated)"}, PCI: [6]uint16{0xff10}, Major: 9, SMs: 132, ClockHz: 1980e6, MemoryHz: 2619e6, BusBits: 5120,
			Bandwidth: 670e6, Watts: 700, Peak: Rates{Int8: 99e6, BF16: 88e6, FP16: 88e6, FP64: 110e6},
		},
		{
			Name: "sim-4090", Simulated: true, Memory: 3 << 20, Int8Ops: 200e6, BF16Ops: 80e6, FP64Ops: 31e6, Memories: 501, Source: made,
			Names: [2]string{"NVIDIA GeForce RTX 4090 (simulated)"}, PCI: [6]uint16{0xff40}, Major: 8, Minor: 9, SMs: 128, ClockHz: 2520e6, MemoryHz: 10501e6, BusBits: 384,
			Bandwidth: 600e6, Watts: 450, Peak: Rates{Int8: 220e6, BF16: 88e6, FP16: 88e6, FP64: 34.1e6},
		},
	}
	for i, s := range Table() {
		if i < len(want) && s != want[i] || s.Simulated != (i < len(want)) {
			t.Errorf("row %d: %+v", i, s)
		}
	}
}

// A simulated model that says what it is keeps what holds of real ones: claims are
// held against it in the same way.
func TestSimulatedNames(t *testing.T) {
	named := 0
	for _, s := range simulated() {
		if s.Names[0] == "" {
			continue
		}
		named++
		exact := s.Peak.Exact()
		for _, c := range [][2]uint64{{s.Int8Ops, exact.Int8}, {s.BF16Ops, exact.BF16}, {s.FP64Ops, exact.FP64}} {
			if c[0] > c[1] || c[0] < c[1]/2 {
				t.Errorf("%s: a reference of %d, at most %d", s.Name, c[0], c[1])
			}
		}
		for _, other := range rows(t) {
			if other.hasPCI(s.PCI[0]) || other.Names == s.Names {
				t.Errorf("%s: is %s too", s.Name, other.Name)
			}
		}
		if got, ok := Match(s.Names[0], uint32(s.PCI[0])<<16|nvidia, s.Memory, s.SMs); !ok || got != s {
			t.Errorf("%s by %q: %q, %v", s.Name, s.Names[0], got.Name, ok)
		}
	}
	if named != 2 {
		t.Errorf("%d simulated models have names", named)
	}
}

// A caller that alters what it was given must not alter the table.
func TestTableIsACopy(t *testing.T) {
	Table()[0].Int8Ops = 1
	if Table()[0].Int8Ops == 1 {
		t.Error("the table changed")
	}
}

func TestColumns(t *testing.T) {
	titles, owners := make(map[string]bool), make(map[uint16]string)
	for _, s := range rows(t) {
		if !strings.HasPrefix(s.Title, "NVIDIA ") || titles[s.Title] {
			t.Errorf("%s: title %q", s.Name, s.Title)
		}
		titles[s.Title] = true
		if s.Names[0] == "" || s.PCI[0] == 0 || s.SMs == 0 || s.Memory == 0 || s.Bandwidth == 0 || s.MemoryHz == 0 || s.BusBits == 0 || s.ClockHz+s.TensorHz == 0 {
			t.Errorf("%s: an empty column: %+v", s.Name, s)
		}
		if !Supported(s.Major, s.Minor) {
			t.Errorf("%s: compute capability %d.%d", s.Name, s.Major, s.Minor)
		}
		for _, id := range s.PCI {
			if id == 0 {
				continue
			}
			if other, twice := owners[id]; twice {
				t.Errorf("%s and %s: device id %04x", s.Name, other, id)
			}
			owners[id] = s.Name
		}
	}
}

// What no two columns of a card's documents may contradict.
func TestPlausible(t *testing.T) {
	for _, s := range rows(t) {
		if s.ClockHz != 0 && s.ClockHz < s.TensorHz {
			t.Errorf("%s: tensor clock %d over boost %d", s.Name, s.TensorHz, s.ClockHz)
		}
		if least := uint64(s.SMs) * 10_000; s.L2 != 0 && (s.L2 < least || s.L2 > 512*mib) {
			t.Errorf("%s: L2 of %d bytes for %d SMs", s.Name, s.L2, s.SMs)
		}
		if s.Watts != 0 && (s.Watts < 60 || s.Watts > 1400) {
			t.Errorf("%s: %d W", s.Name, s.Watts)
		}
		if s.Memory < 8*gib || s.Memory > 288*gib {
			t.Errorf("%s: %d bytes", s.Name, s.Memory)
		}
		// A card's memory is read in 4 to 100 ms.
		if ms := s.Memory * 1000 / s.Bandwidth; ms < 4 || ms > 100 {
			t.Errorf("%s: its memory takes %d ms", s.Name, ms)
		}
	}
}

func TestSupported(t *testing.T) {
	for _, c := range []struct {
		major, minor int
		want         bool
	}{{7, 0, false}, {7, 2, false}, {7, 5, true}, {8, 0, true}, {6, 1, false}, {10, 3, true}, {0, 0, false}, {12, 1, true}} {
		if got := Supported(c.major, c.minor); got != c.want {
			t.Errorf("%d.%d: %v", c.major, c.minor, got)
		}
	}
}
