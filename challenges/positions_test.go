package challenges

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
)

// paperPositions draws positions as the specification says, a second time: all
// words at once, then filtered.
func paperPositions(s Secret, id Hash, round uint64, root Hash, n uint64, k int) []uint32 {
	r := binary.LittleEndian.AppendUint64(nil, round)
	stream := paperKeyed(s[:], framed([]byte("pos"), id[:], r, root[:]), 8*(64+16*k))
	var out []uint32
	for ; len(out) < k; stream = stream[8:] {
		w := binary.LittleEndian.Uint64(stream)
		// q full multiples of n fit into 2^64; words of the partial last one are
		// skipped. For n a power of two q*n wraps to zero and nothing is.
		if rest := (1<<64 - 1) % n; rest != n-1 && w >= 1<<64-1-rest {
			continue
		}
		out = append(out, uint32(w%n))
	}
	return out
}

func TestPositionsAgainstASecondDerivation(t *testing.T) {
	// Sizes over 2^32 never occur; they are here because only they make the
	// rejection likely enough to be seen.
	for _, n := range []uint64{1, 2, 3, 768, 8192, 1e6 + 3, 1<<32 - 5, 1 << 32, 1<<63 + 1, 3 << 62} {
		for round := range 4 {
			s, id, root := Secret{byte(n), 1}, Hash{2, byte(round)}, Hash{3}
			got := s.Positions(id, round, root, n, 32)
			if want := paperPositions(s, id, uint64(round), root, n, 32); !slices.Equal(got, want) {
				t.Errorf("n %d round %d: got %v, want %v", n, round, got, want)
			}
			for _, p := range got {
				if n <= 1<<32 && uint64(p) >= n {
					t.Errorf("n %d: position %d", n, p)
				}
			}
		}
	}
}

func TestPositionsDependOnEverything(t *testing.T) {
	base := Secret{1}.Positions(Hash{2}, 3, Hash{4}, 1<<32, 8)
	for name, other := range map[string][]uint32{
		"secret":    Secret{9}.Positions(Hash{2}, 3, Hash{4}, 1<<32, 8),
		"challenge": Secret{1}.Positions(Hash{9}, 3, Hash{4}, 1<<32, 8),
		"round":     Secret{1}.Positions(Hash{2}, 9, Hash{4}, 1<<32, 8),
		"root":      Secret{1}.Positions(Hash{2}, 3, Hash{9}, 1<<32, 8),
	} {
		if slices.Equal(base, other) {
			t.Errorf("another %s, the same positions", name)
		}
	}
	if more := (Secret{1}).Positions(Hash{2}, 3, Hash{4}, 1<<32, 20); !slices.Equal(base, more[:8]) {
		t.Error("the first positions depend on how many are drawn")
	}
}

func TestPositionsAreUniform(t *testing.T) {
	const draws = 60000
	for _, n := range []uint64{7, 16, 48, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			counts := make([]float64, n)
			for _, p := range (Secret{byte(n)}).Positions(Hash{1}, 0, Hash{2}, n, draws) {
				counts[p]++
			}
			expected, chi := draws/float64(n), 0.0
			for _, c := range counts {
				chi += (c - expected) * (c - expected) / expected
			}
			// Mean df, variance 2 df: five standard deviations.
			if df := float64(n - 1); chi > df+5*math.Sqrt(2*df) {
				t.Errorf("chi squared %.1f of %v degrees of freedom", chi, df)
			}
		})
	}
}

func TestSecretCommitAndNonce(t *testing.T) {
	s, id := Secret{5, 6}, Hash{7}
	if want := paperDerive("assay/secret-commit/v1", framed(s[:])); s.Commit() != want {
		t.Errorf("commit %v, want %v", s.Commit(), want)
	}
	for i := range 8 {
		seq := binary.LittleEndian.AppendUint64(nil, uint64(i))
		want := paperKeyed(s[:], framed([]byte("nonce"), id[:], seq), 16)
		if got := s.Nonce(id, i); !bytes.Equal(got[:], want) {
			t.Errorf("nonce %d: got %x, want %x", i, got, want)
		}
	}
}

func TestKeyChainAgainstASecondDerivation(t *testing.T) {
	id, root := Hash{1}, Hash{2}
	first := FirstKey(id, "gpu0")
	if want := paperDerive("assay/matmul/key0/v1", framed(id[:], []byte("gpu0"))); first != want {
		t.Errorf("key 0: got %v, want %v", first, want)
	}
	for _, packed := range [][]byte{nil, {5, 0, 0, 0, 6, 0, 0, 0}} {
		want := paperDerive("assay/matmul/key/v1", framed(first[:], root[:], packed))
		if got := NextKey(first, root, packed); got != want {
			t.Errorf("next key: got %v, want %v", got, want)
		}
	}
}
