package gpu

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
)

// The engine against the protocol's own definition of an entry, at sampled
// places and over the whole of small matrices.
func TestExactAgainstEntry(t *testing.T) {
	shapes := []challenges.Shape{
		{M: 1, N: 256, K: 64}, {M: 2, N: 256, K: 64}, {M: 3, N: 512, K: 128}, {M: 7, N: 256, K: 192},
	}
	for _, s := range shapes {
		key := challenges.Hash{byte(s.M), byte(s.K)}
		c := make([]int32, s.Entries())
		if err := (Exact{}).Multiply(t.Context(), key, s, c); err != nil {
			t.Fatal(err)
		}
		row, col := make([]byte, s.K), make([]byte, s.K)
		for at := range c {
			if want := s.Entry(&key, uint32(at), row, col); c[at] != want {
				t.Fatalf("%v: entry %d is %d, want %d", s, at, c[at], want)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := challenges.Shape{
			M: rapid.IntRange(1, 9).Draw(t, "M"), N: 256 * rapid.IntRange(1, 2).Draw(t, "N"), K: 64 * rapid.IntRange(1, 6).Draw(t, "K"),
		}
		var key challenges.Hash
		copy(key[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		c := make([]int32, s.Entries())
		if err := (Exact{}).Multiply(context.Background(), key, s, c); err != nil {
			t.Fatal(err)
		}
		row, col := make([]byte, s.K), make([]byte, s.K)
		for range 20 {
			at := uint32(rapid.IntRange(0, len(c)-1).Draw(t, "entry"))
			if want := s.Entry(&key, at, row, col); c[at] != want {
				t.Fatalf("%v: entry %d is %d, want %d", s, at, c[at], want)
			}
		}
	})
}

// The longest K: the last row alone, and the last of a pair.
func TestExactLongestRows(t *testing.T) {
	for _, m := range []int{1, 2} {
		s := challenges.Shape{M: m, N: 256, K: 65536}
		key := challenges.Hash{9}
		c := make([]int32, s.Entries())
		if err := (Exact{}).Multiply(t.Context(), key, s, c); err != nil {
			t.Fatal(err)
		}
		row, col := make([]byte, s.K), make([]byte, s.K)
		for at := 0; at < len(c); at += 17 {
			if want := s.Entry(&key, uint32(at), row, col); c[at] != want {
				t.Fatalf("%v: entry %d is %d, want %d", s, at, c[at], want)
			}
		}
	}
}

// Two sums ride in one word: at the largest K and the largest entries, of every
// sign, neither may spill into the other.
func TestPairedSumsAtTheExtremes(t *testing.T) {
	const k = 65536
	extremes := []int8{-128, -1, 0, 1, 127}
	pair, col := make([]int64, k), make([]int8, k)
	for _, low := range extremes {
		for _, high := range extremes {
			for _, b := range extremes {
				for i := range k {
					pair[i], col[i] = int64(low)+int64(high)<<32, b
				}
				sum := dotPair(pair, col)
				gotLow := int32(sum)
				gotHigh := int32((sum - int64(gotLow)) >> 32)
				if wantLow, wantHigh := k*int32(low)*int32(b), k*int32(high)*int32(b); gotLow != wantLow || gotHigh != wantHigh {
					t.Errorf("%d and %d times %d: %d and %d, want %d and %d", low, high, b, gotLow, gotHigh, wantLow, wantHigh)
				}
			}
		}
	}
}

func TestExactStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := challenges.Shape{M: 4, N: 256, K: 64}
	if err := (Exact{}).Multiply(ctx, challenges.Hash{}, s, make([]int32, s.Entries())); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}
