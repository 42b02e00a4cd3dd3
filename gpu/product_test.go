package gpu

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
)

// compute makes the whole matrix of a round.
func compute(t interface {
	Helper()
	Fatal(args ...any)
}, key challenges.Hash, s challenges.Shape,
) []byte {
	t.Helper()
	c := make([]byte, s.Bytes())
	if err := (Exact{}).Compute(context.Background(), key, s, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// entry reads an entry out of the committed bytes.
func entry(c []byte, s challenges.Shape, at uint32) uint64 {
	if s.Flavour == challenges.FP64 {
		return binary.LittleEndian.Uint64(c[8*int(at):])
	}
	return uint64(binary.LittleEndian.Uint32(c[4*int(at):]))
}

// all lists every step-th entry of a shape, and the last one.
func all(s challenges.Shape, step int) []uint32 {
	var at []uint32
	for e := 0; e < int(s.Entries()); e += step {
		at = append(at, uint32(e))
	}
	return append(at, uint32(s.Entries())-1)
}

// The engine against the protocol's own definition of an entry, over the whole of
// small matrices.
func TestExactAgainstValues(t *testing.T) {
	for _, s := range []challenges.Shape{
		{M: 1, N: 256, K: 64},
		{M: 2, N: 256, K: 64},
		{M: 3, N: 512, K: 128},
		{M: 7, N: 256, K: 192},
		{Flavour: challenges.BF16, M: 1, N: 256, K: 64},
		{Flavour: challenges.BF16, M: 3, N: 512, K: 128},
		{Flavour: challenges.BF16, M: 7, N: 256, K: 192},
		{Flavour: challenges.FP64, M: 1, N: 128, K: 1},
		{Flavour: challenges.FP64, M: 3, N: 256, K: 65},
		{Flavour: challenges.FP64, M: 5, N: 384, K: 8},
	} {
		t.Run(s.String(), func(t *testing.T) {
			key := challenges.Hash{byte(s.M), byte(s.K)}
			c, at := compute(t, key, s), all(s, 1)
			want := make([]uint64, len(at))
			s.Values(&key, at, want)
			for i, e := range at {
				if got := entry(c, s, e); got != want[i] {
					t.Fatalf("entry %d is %#x, want %#x", e, got, want[i])
				}
			}
		})
	}
}

// The same at sampled places, over any shape.
func TestExactAtSampledPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := challenges.Shape{
			Flavour: rapid.SampledFrom(challenges.Flavours()).Draw(t, "flavour"),
			M:       rapid.IntRange(1, 9).Draw(t, "M"), N: 256 * rapid.IntRange(1, 2).Draw(t, "N"), K: 64 * rapid.IntRange(1, 6).Draw(t, "K"),
		}
		if s.Flavour == challenges.FP64 {
			s.N /= 2
			s.K -= rapid.IntRange(0, 63).Draw(t, "less K")
		}
		var key challenges.Hash
		copy(key[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		c := compute(t, key, s)
		at := rapid.SliceOfN(rapid.Uint32Range(0, uint32(s.Entries())-1), 20, 20).Draw(t, "entries")
		want := make([]uint64, len(at))
		s.Values(&key, at, want)
		for i, e := range at {
			if got := entry(c, s, e); got != want[i] {
				t.Fatalf("%v: entry %d is %#x, want %#x", s, e, got, want[i])
			}
		}
	})
}

// The longest K of each flavour: the last row alone, and the last of a pair.
func TestExactLongestRows(t *testing.T) {
	for _, longest := range []challenges.Shape{
		{N: 256, K: 65536},
		{Flavour: challenges.BF16, N: 256, K: 8192},
		{Flavour: challenges.FP64, N: 128, K: 4096},
	} {
		for _, m := range []int{1, 2} {
			s := longest
			s.M = m
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			key := challenges.Hash{9}
			c, at := compute(t, key, s), all(s, 17)
			want := make([]uint64, len(at))
			s.Values(&key, at, want)
			for i, e := range at {
				if got := entry(c, s, e); got != want[i] {
					t.Fatalf("%v: entry %d is %#x, want %#x", s, e, got, want[i])
				}
			}
		}
	}
}

func TestExactStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f := range challenges.Flavours() {
		s := challenges.Shape{Flavour: f, M: 4, N: 256, K: 64}
		if err := (Exact{}).Compute(ctx, challenges.Hash{}, s, make([]byte, s.Bytes())); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: error %v, want %v", f, err, context.Canceled)
		}
	}
}
