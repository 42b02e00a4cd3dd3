package devnet

import (
	"slices"
	"strings"
	"testing"
)

func TestParseNodes(t *testing.T) {
	kinds := []string{Honest, Liar, Busy}
	for _, c := range []struct {
		name, spec string
		want       []string
		err        string // in the error; empty: none
	}{
		{"number", "3", []string{Honest, Honest, Honest}, ""},
		{"one kind", "liar=2", []string{Liar, Liar}, ""},
		{"kinds in their order", "busy=1,honest=1,liar=2", []string{Busy, Honest, Liar, Liar}, ""},
		{"number among kinds", "liar=1,2", []string{Liar, Honest, Honest}, ""},
		{"kind twice", "liar=1,busy=1,liar=1", []string{Liar, Busy, Liar}, ""},
		{"blanks between parts", " honest=1 , liar=1 ", []string{Honest, Liar}, ""},
		{"zero of a kind", "honest=1,liar=0", []string{Honest}, ""},
		{"as many as allowed", "honest=2,liar=3", []string{Honest, Honest, Liar, Liar, Liar}, ""},
		{"too many together", "honest=3,liar=3", nil, "6 nodes, want 1 to 5"},
		{"too many of one", "6", nil, "from 0 to 5"},
		{"far too many", "99999999999999999999", nil, "from 0 to 5"},
		{"none", "0", nil, "0 nodes, want 1 to 5"},
		{"none of any kind", "honest=0,liar=0", nil, "0 nodes"},
		{"negative", "honest=-1", nil, "from 0 to 5"},
		{"empty", "", nil, `"": want a number`},
		{"empty part", "honest=1,", nil, `"": want a number`},
		{"no number", "honest", nil, `"honest": want a number`},
		{"empty number", "honest=", nil, `"": want a number`},
		{"fraction", "1.5", nil, "want a number"},
		{"two equal signs", "honest=1=2", nil, `"1=2": want a number`},
		{"unknown kind", "saint=1", nil, `kind "saint": want one of honest, liar, busy`},
		{"unknown kind, none of it", "saint=0", nil, `kind "saint"`},
		{"kind in capitals", "Liar=1", nil, `kind "Liar"`},
		{"empty kind", "=1", nil, `kind ""`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseNodes(c.spec, kinds, 5)
			switch {
			case c.err == "" && err != nil:
				t.Error(err)
			case c.err != "" && (err == nil || got != nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("%v, error %v; want %q", got, err, c.err)
			case !slices.Equal(got, c.want):
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestParseLimits(t *testing.T) {
	if got, err := ParseCheckers("31"); err != nil || len(got) != 31 {
		t.Errorf("31 checkers: %d, %v", len(got), err)
	}
	if _, err := ParseCheckers("32"); err == nil {
		t.Error("32 checkers: no error")
	}
	if _, err := ParseCheckers("liar=1"); err == nil {
		t.Error("a checker that lies: no error")
	}
	if got, err := ParseProviders("200"); err != nil || len(got) != 200 {
		t.Errorf("200 providers: %d, %v", len(got), err)
	}
	if _, err := ParseProviders("201"); err == nil {
		t.Error("201 providers: no error")
	}
	// Of sharers there are two or none; every other kind may be alone.
	every := strings.Replace(strings.Join(ProviderKinds(), "=1,")+"=1", "sharer=1", "sharer=2", 1)
	want := slices.Clone(ProviderKinds())
	want = slices.Insert(want, slices.Index(want, Sharer), Sharer)
	if got, err := ParseProviders(every); err != nil || !slices.Equal(got, want) {
		t.Errorf("every kind: %v, %v", got, err)
	}
}

func TestParseSharers(t *testing.T) {
	for _, c := range []struct {
		spec string
		want int    // sharers
		err  string // empty: none
	}{
		{"honest=1,sharer=0", 0, ""},
		{"sharer=2", 2, ""},
		{"sharer=1,honest=2,sharer=1", 2, ""},
		{"sharer=200", 200, ""},
		{"sharer=1", 0, "sharer=1: want an even number, two providers share one device"},
		{"honest=2,sharer=3", 0, "sharer=3: want an even number"},
		{"sharer=2,liar=1,sharer=1", 0, "sharer=3: want an even number"},
		// What is wrong otherwise is said, not that.
		{"sharer=201", 0, "want a number from 0 to 200"},
		{"sharer=1,saint=1", 0, `kind "saint": want one of honest, slow, liar, flaky, busy, coward, smallmem, sharer, oversold`},
	} {
		got, err := ParseProviders(c.spec)
		sharers := 0
		for _, k := range got {
			if k == Sharer {
				sharers++
			}
		}
		switch {
		case c.err == "" && (err != nil || sharers != c.want):
			t.Errorf("%s: %v, error %v; want %d sharers", c.spec, got, err, c.want)
		case c.err != "" && (err == nil || got != nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v, error %v; want %q", c.spec, got, err, c.err)
		}
	}
}
