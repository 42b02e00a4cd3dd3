package models

import (
	"math"
	"strings"
	"testing"
)

// cut are cards whose tensor cores do less in a clock than their generation's, by
// what is published of them.
func cut(name string) float64 {
	switch name {
	case "a10g", "l40":
		return 0.5
	case "h20", "h20-3e":
		return 0.25
	}
	return 1
}

// off is how far a is from b, as a share of b.
func off(a, b float64) float64 { return math.Abs(a/b - 1) }

// Every peak is SMs x ops of an SM x clock, within a percent and a half: datasheets
// round, and print three digits.
func TestPeaks(t *testing.T) {
	for _, s := range rows(t) {
		each := perSM(s.Major, s.Minor)
		clock := s.ClockHz
		if s.TensorHz != 0 {
			clock = s.TensorHz
		}
		sum := 1.0
		if s.halved() {
			sum = 0.5
		}
		tensor := float64(s.SMs) * float64(clock) * cut(s.Name)
		for _, c := range []struct {
			flavour   string
			has, each uint64
			share     float64
		}{
			{"int8", s.Peak.Int8, each.Int8, 1}, {"bf16", s.Peak.BF16, each.BF16, sum}, {"fp16", s.Peak.FP16, each.FP16, sum},
		} {
			most := 0.015
			if c.flavour == "int8" && s.Major == 10 && s.Minor == 3 {
				most = 0.07 // 0.15 and 0.165 POPS: hardly used, and rounded
			}
			if c.each == 0 {
				if c.has != 0 {
					t.Errorf("%s: %s %d, without units", s.Name, c.flavour, c.has)
				}
				continue
			}
			if want := tensor * float64(c.each) * c.share; off(float64(c.has), want) > most {
				t.Errorf("%s: %s %.4g, %d SMs at %d Hz make %.4g", s.Name, c.flavour, float64(c.has), s.SMs, clock, want)
			}
		}
	}
}

// halved is whether fp32 sums run at half rate, which is how NVIDIA sells GeForce.
func (s Spec) halved() bool { return strings.HasPrefix(s.Title, "NVIDIA GeForce ") }

// What datasheets and whitepapers print of fp64 and of the derived peaks, in T/s.
func TestPublishedPeaks(t *testing.T) {
	for name, want := range map[string]Rates{ // in G/s
		"t4":           {FP64: 254},
		"a100-sxm-80":  {FP64: 9_700},
		"a30":          {FP64: 5_200},
		"h100-pcie":    {FP64: 26_000},
		"h100-sxm":     {FP64: 34_000},
		"h100-nvl":     {FP64: 30_000},
		"h200-sxm":     {FP64: 34_000},
		"h20":          {FP64: 1_000},
		"b200":         {FP64: 37_000},
		"gb200":        {FP64: 40_000},
		"b300":         {FP64: 1_200},
		"rtx-3070":     {Int8: 162_600, BF16: 40_600},
		"rtx-3080-10":  {Int8: 238_000, BF16: 59_500},
		"rtx-3090":     {Int8: 284_000, BF16: 71_000},
		"rtx-4080":     {Int8: 390_000, BF16: 97_500, FP64: 760},
		"rtx-4090":     {Int8: 660_600, BF16: 165_200, FP64: 1_290},
		"rtx-5080":     {BF16: 112_600, FP64: 880},
		"rtx-5090":     {Int8: 838_000, BF16: 209_500, FP64: 1_640},
		"l40s":         {FP64: 1_430},
		"rtx-3060-12":  {FP64: 199},
		"rtx-a6000":    {FP64: 605},
		"rtx-6000-ada": {FP64: 1_420},
	} {
		s, err := Lookup(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, c := range []struct {
			flavour   string
			got, want uint64
		}{{"int8", s.Peak.Int8, want.Int8}, {"bf16", s.Peak.BF16, want.BF16}, {"fp64", s.Peak.FP64, want.FP64}} {
			if c.want != 0 && off(float64(c.got)/1e9, float64(c.want)) > 0.02 {
				t.Errorf("%s: %s %d G/s, published %d", name, c.flavour, c.got/1e9, c.want)
			}
		}
	}
}

func TestBandwidth(t *testing.T) {
	for _, s := range rows(t) {
		if want := 2 * float64(s.MemoryHz) * float64(s.BusBits) / 8; off(float64(s.Bandwidth), want) > 0.005 {
			t.Errorf("%s: %.4g B/s, clock and width make %.4g", s.Name, float64(s.Bandwidth), want)
		}
	}
}

// The ratios of a card's rates are its fingerprint: each kind of card has its own.
func TestRatios(t *testing.T) {
	for _, s := range rows(t) {
		half := max(s.Peak.BF16, s.Peak.FP16)
		int8, fp64 := float64(s.Peak.Int8)/float64(half), float64(half)/float64(s.Peak.FP64)
		want := 2.0
		switch {
		case s.halved():
			want = 4
		case s.Major == 10 && s.Minor == 3:
			want = 1.0 / 15
		}
		if off(int8, want) > 0.02 {
			t.Errorf("%s: int8 is %.3g of bf16, not %.3g", s.Name, int8, want)
		}
		full := s.Major == 8 && s.Minor == 0 || s.Major == 9 && cut(s.Name) == 1 || s.Major == 10 && s.Minor == 0
		if full && (fp64 < 25 || fp64 > 70) || !full && fp64 < 100 {
			t.Errorf("%s: bf16 is %.3g of fp64", s.Name, fp64)
		}
		// Ops of 16-bit entries for each byte of memory.
		if perByte := float64(half) / float64(s.Bandwidth); perByte < 30 || perByte > 600 {
			t.Errorf("%s: %.3g ops a byte", s.Name, perByte)
		}
	}
}
