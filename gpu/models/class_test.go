package models

import (
	"testing"

	"github.com/assaynet/assay/challenges/memory"
)

// The classes are the real rows of challenges/memory, and their limits follow from
// its rates.
func TestClasses(t *testing.T) {
	known := make(map[uint16]bool)
	for _, c := range classes() {
		known[c.number] = true
		p, err := memory.Lookup(c.number)
		if err != nil || p.Name != c.name || p.Simulated {
			t.Errorf("class %d %q: %+v, %v", c.number, c.name, p, err)
			continue
		}
		if want := float64(p.ReadRate) * 64 / 0.55; off(float64(c.most), want) > 0.002 {
			t.Errorf("class %s: at most %d B/s, its reads cover %.4g", c.name, c.most, want)
		}
	}
	for _, p := range memory.Profiles() {
		if !p.Simulated && p.Name != "cpu" && !known[p.Number] {
			t.Errorf("memory row %d %q: no class of it", p.Number, p.Name)
		}
	}
	for _, s := range Classes() {
		if s.Int8Ops+s.BF16Ops+s.FP64Ops != 0 || s.Simulated || s.Reference != (Reference{}) {
			t.Errorf("%s: has a reference", s.Name)
		}
	}
}

// A row's class is the one that its figures lead to, and its rates fit the card.
func TestClassOfRows(t *testing.T) {
	for _, s := range rows(t) {
		switch s.Name {
		case "gb200", "gb300":
			if s.Memories != 5010 {
				t.Errorf("%s: class %d", s.Name, s.Memories)
			}
		case "gh200-96", "gh200-144":
			if s.Memories != 5008 {
				t.Errorf("%s: class %d", s.Name, s.Memories)
			}
		default:
			if c, ok := Class(s.Major, s.Minor, s.Bandwidth); !ok || c.Memories != s.Memories {
				t.Errorf("%s: class %d, its figures lead to %s", s.Name, s.Memories, c.Name)
			}
		}
		p, err := memory.Lookup(s.Memories)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		// Slower than 0.55 of the class's best, a walk would take up most of the patience.
		if share := float64(s.Bandwidth) / (float64(p.ReadRate) * 64); share < 0.55 || share > 1/0.55 {
			t.Errorf("%s: its memory is %.2f of what class %s reads", s.Name, share, p.Name)
		}
	}
}

func TestClass(t *testing.T) {
	for _, c := range []struct {
		name         string
		major, minor int
		bandwidth    uint64
		want         string
	}{
		{"V100", 7, 0, 900 * gb, ""},
		{"Xavier", 7, 2, 137 * gb, ""},
		{"no card", 0, 0, 0, ""},
		{"negative", -1, 9, 1, ""},
		{"RTX 2060", 7, 5, 336 * gb, "other-gddr6-4m"},
		{"RTX 2080 Ti", 7, 5, 616 * gb, "other-gddr6-6m"},
		{"A800", 8, 0, 2039 * gb, "other-a100"},
		{"A2", 8, 6, 200 * gb, "other-gddr6-4m"},
		{"Orin", 8, 7, 204 * gb, "other"},
		{"RTX 4060", 8, 9, 272 * gb, "other-l4"},
		{"RTX 4090 D", 8, 9, 1008 * gb, "other-ada"},
		{"H800", 9, 0, 3350 * gb, "other-h100"},
		{"H100 96GB", 9, 0, 4000 * gb, "other-h200"},
		{"faster than all", 9, 0, 9000 * gb, "other-h200"},
		{"B100", 10, 0, 8000 * gb, "other-b200"},
		{"Thor", 11, 0, 273 * gb, "other"},
		{"RTX 5060", 12, 0, 448 * gb, "other-gddr7"},
		{"RTX PRO 5000", 12, 0, 1344 * gb, "other-gddr7-512"},
		{"GB10", 12, 1, 273 * gb, "other"},
		{"of a later generation", 13, 0, 20_000 * gb, "other-b200"},
		{"bandwidth not known", 9, 0, 0, "other"},
	} {
		got, ok := Class(c.major, c.minor, c.bandwidth)
		if ok != (c.want != "") || got.Name != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got.Name, ok, c.want)
		}
	}
}
