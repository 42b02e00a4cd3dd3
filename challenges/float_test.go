package challenges

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestBF16SumsAreExactInFP32 sums sampled entries in index order as a bf16 unit
// with binary32 sums does. The standard deviation of a sum at K = 8192 is 2^20.9;
// binary32 holds every integer up to 2^24.
func TestBF16SumsAreExactInFP32(t *testing.T) {
	s := Shape{BF16, 512, 256, 8192}
	rng := rand.New(rand.NewPCG(16, 24))
	row, col := make([]byte, s.Line()), make([]byte, s.Line())
	entry := func(line []byte, k int) float32 {
		w := binary.LittleEndian.Uint16(line[2*k:])
		if w>>8&1 == 1 {
			return -float32(w & 0xff)
		}
		return float32(w & 0xff)
	}
	const entries = 400
	var largest float32
	for range entries {
		key := Hash{byte(rng.Uint32()), byte(rng.Uint32()), 1}
		e := uint32(rng.Uint64N(s.Entries()))
		s.RowA(&key, int(e)/s.N, row)
		s.ColB(&key, int(e)%s.N, col)
		var sum float32
		for k := range s.K {
			sum += float32(entry(row, k) * entry(col, k)) // the product has 16 bits
			largest = max(largest, sum, -sum)
		}
		want := make([]uint64, 1)
		s.Values(&key, []uint32{e}, want)
		if float32(int32(want[0])) != sum || int32(sum) != int32(want[0]) {
			t.Fatalf("entry %d: %v in fp32, exactly %d", e, sum, int32(want[0]))
		}
	}
	t.Logf("largest running sum of %d entries: %.0f, %.2f of 2^24", entries, largest, largest/(1<<24))
	if largest >= 1<<24 {
		t.Errorf("a running sum of %.0f", largest)
	}
}
