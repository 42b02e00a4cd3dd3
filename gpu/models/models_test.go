package models

import "testing"

func TestTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range Table() {
		if s.Name == "" || seen[s.Name] || s.Memory == 0 || s.Int8Ops == 0 || s.BF16Ops == 0 || s.FP64Ops == 0 || s.Source == "" {
			t.Errorf("row %+v: empty or twice", s)
		}
		seen[s.Name] = true
		got, err := Lookup(s.Name)
		if err != nil || got != s {
			t.Errorf("lookup of %q: %+v, %v", s.Name, got, err)
		}
	}
	for _, name := range []string{"", "sim-1", "SIM-100"} {
		if got, err := Lookup(name); err == nil {
			t.Errorf("lookup of %q: %+v", name, got)
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
