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
	}
	for i, s := range Table() {
		if i < len(want) && s != want[i] || s.Simulated != (i < len(want)) {
			t.Errorf("row %d: %+v", i, s)
		}
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
