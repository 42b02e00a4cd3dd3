package challenges

import "testing"

// TestAnyExactMethodPasses: exact products certify no unit, and walks no memory.
// What counts is the value, however it was had, and for a figure the time.
func TestAnyExactMethodPasses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		profile uint16
		fill    func(*Hash, Shape) []uint64
	}{
		{"int8 by residues", 2, products(func(_ Shape, a, b []int64) int64 { return residues(a, b) })},
		{"bf16 by three int8 products", 5, products(func(_ Shape, a, b []int64) int64 { return threeProducts(a, b) })},
		{"fp64fma in big numbers", 6, func(key *Hash, s Shape) []uint64 {
			out := make([]uint64, s.Entries())
			for e := range out {
				out[e] = paperEntry(s, *key, e)
			}
			return out
		}},
		{"walks without a dataset", 502, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, p := pair(t, tt.profile)
			if p.fill = tt.fill; p.walker != nil {
				p.fill = p.walker.light
			}
			if v := play(t, s, p).Verdict(); v.Outcome != Pass || v.OpsLower == 0 {
				t.Errorf("got %+v", v)
			}
		})
	}
}

// residues is a product from products of residues that fit int8, modulo 256, 255
// and 253: together they tell integers of 23 bits.
func residues(a, b []int64) int64 {
	moduli := []int64{256, 255, 253}
	all := moduli[0] * moduli[1] * moduli[2]
	var sum int64
	for _, m := range moduli {
		narrow := func(x int64) int64 { return (x%m+m+m/2)%m - m/2 }
		r := dot(changed(a, narrow), changed(b, narrow)) % m
		others, inverse := all/m, int64(0)
		for others*inverse%m != 1 {
			inverse++
		}
		sum += (r + m) % m * inverse % m * others
	}
	return (sum+all/2)%all - all/2
}

// threeProducts is a product of entries of nine bits from three of int8 entries:
// x = 2h + l, with l of x's sign, and xy = 6hh' + 3ll' - 2(h-l)(h'-l').
func threeProducts(a, b []int64) int64 {
	high := func(x int64) int64 { return x / 2 }
	low := func(x int64) int64 { return x % 2 }
	diff := func(x int64) int64 { return x/2 - x%2 }
	for _, v := range append(changed(a, diff), changed(b, high)...) {
		if v < -128 || v > 127 {
			panic("not an int8")
		}
	}
	by := func(f func(int64) int64) int64 { return dot(changed(a, f), changed(b, f)) }
	return 6*by(high) + 3*by(low) - 2*by(diff)
}
