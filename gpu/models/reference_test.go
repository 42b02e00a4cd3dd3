package models

import (
	"strings"
	"testing"
)

// A reference is never over what the units can do by the best method, always says
// where it is from, and a measured one says whose it is.
func TestReference(t *testing.T) {
	for _, s := range rows(t) {
		exact := s.Peak.Exact()
		for _, c := range []struct {
			flavour  string
			ops, top uint64
			basis    Basis
		}{
			{"int8", s.Int8Ops, exact.Int8, s.Reference.Int8}, {"bf16", s.BF16Ops, exact.BF16, s.Reference.BF16}, {"fp64", s.FP64Ops, exact.FP64, s.Reference.FP64},
		} {
			if c.ops == 0 || c.ops > c.top || c.ops < c.top/2 {
				t.Errorf("%s: %s reference %.4g of at most %.4g", s.Name, c.flavour, float64(c.ops), float64(c.top))
			}
			if c.basis.Measured == strings.HasPrefix(c.basis.From, "estimate: ") || c.basis.From == "" {
				t.Errorf("%s: %s reference: %+v", s.Name, c.flavour, c.basis)
			}
		}
	}
}

func TestReferenceRoutes(t *testing.T) {
	for _, c := range []struct {
		name       string
		int8, bf16 uint64
		reference  Reference
	}{
		{
			"rtx-a6000", 232.275 * tera, 123.84 * tera, // native, guessed
			Reference{Int8: Basis{From: fromInt8}, BF16: Basis{From: fromHalf}, FP64: Basis{From: fromFP64}},
		},
		{
			"h100-sxm", 1484.25 * tera, 794.5 * tera, // native, one measured
			Reference{Int8: Basis{From: fromInt8}, BF16: Basis{Measured: true, From: mamf}, FP64: Basis{From: fromFP64}},
		},
		{
			"b300", 1769 * tera, 1769 * tera, // int8 through bf16
			Reference{Int8: Basis{Measured: true, From: mamf + viaHalf}, BF16: Basis{Measured: true, From: mamf}, FP64: Basis{From: fromFP64}},
		},
		{
			"gb300", 2000 * tera, 2000 * tera,
			Reference{Int8: Basis{From: fromHalf + viaHalf}, BF16: Basis{From: fromHalf}, FP64: Basis{From: fromFP64}},
		},
		{
			"t4", 97.5 * tera, 52 * tera, // fp16, for want of bf16
			Reference{Int8: Basis{From: fromInt8}, BF16: Basis{From: fromHalf}, FP64: Basis{From: fromFP64}},
		},
	} {
		s, err := Lookup(c.name)
		if err != nil || s.Int8Ops != c.int8 || s.BF16Ops != c.bf16 || s.Reference != c.reference {
			t.Errorf("%s: int8 %d, bf16 %d, %+v, %v", c.name, s.Int8Ops, s.BF16Ops, s.Reference, err)
		}
	}
}

// A22: on GeForce, and nowhere else, products of 9-bit entries are fastest through
// int8, a third over the units for them.
func TestDigits(t *testing.T) {
	for _, s := range rows(t) {
		exact, half := s.Peak.Exact().BF16, max(s.Peak.BF16, s.Peak.FP16)
		if s.halved() && off(float64(exact)/float64(half), 4.0/3) > 0.001 || !s.halved() && exact != half {
			t.Errorf("%s: %d through int8, %d by its units", s.Name, exact, half)
		}
		if via := strings.HasSuffix(s.Reference.BF16.From, viaDigits); via != s.halved() {
			t.Errorf("%s: %s", s.Name, s.Reference.BF16.From)
		}
	}
}

func TestExact(t *testing.T) {
	for _, c := range []struct {
		name       string
		have, want Rates
	}{
		{"data centre", Rates{Int8: 20, BF16: 10, FP16: 10, FP64: 1}, Rates{Int8: 20, BF16: 10, FP16: 10, FP64: 1}},
		{"GeForce", Rates{Int8: 40, BF16: 10, FP16: 10}, Rates{Int8: 40, BF16: 13, FP16: 13}},
		{"B300", Rates{Int8: 1, BF16: 15, FP16: 15}, Rates{Int8: 15, BF16: 15, FP16: 15}},
		{"Turing", Rates{Int8: 20, FP16: 10}, Rates{Int8: 20, BF16: 10, FP16: 10}},
		{"nothing", Rates{}, Rates{}},
	} {
		if got := c.have.Exact(); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
