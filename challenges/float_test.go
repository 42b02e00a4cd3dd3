package challenges

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/assaynet/assay/challenges/simd"
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

// TestStepsKeepInformation: a step is no permutation of the values in [1, 2), but
// it loses little. Nothing met among random values; of neighbours, a few per cent,
// in the steps whose last coefficient outweighs the rest.
func TestStepsKeepInformation(t *testing.T) {
	s := Shape{FP64, 1, 128, 4096}
	rng := rand.New(rand.NewPCG(8, 9))
	const lanes, steps = 1 << 12, 128
	coef := make([]float64, stepFMAs*steps)
	s.Coefficients(&Hash{77}, 0, coef)
	lane := make([]uint64, lanes)
	random, near, worst := 0, 0, lanes
	for step := range steps {
		c := coef[stepFMAs*step:][:stepFMAs]
		x := make([]uint64, lanes)
		for i := range x {
			x[i] = one | rng.Uint64()&mantissa
		}
		simd.FMA(x, lane, c)
		random += distinct(x)
		from := one | rng.Uint64()&(mantissa>>1)
		for i := range x {
			x[i] = from + uint64(i)
		}
		simd.FMA(x, lane, c)
		d := distinct(x)
		near, worst = near+d, min(worst, d)
	}
	const all = lanes * steps
	t.Logf("distinct after one step: %.6f of random values, %.4f of neighbours, worst step %.4f",
		float64(random)/all, float64(near)/all, float64(worst)/lanes)
	if random != all || near < all*9/10 {
		t.Errorf("%d and %d of %d", random, near, all)
	}
}

// TestLanesDoNotMeet: lanes that share constant and coefficients, and differ in
// nothing but the start, walk all 4,096 steps apart. So nobody can skip the first
// steps of a lane: where it is after them depends on where it began. (No two
// lanes of a round share a constant anyway.)
func TestLanesDoNotMeet(t *testing.T) {
	s := Shape{FP64, 1, 128, 4096}
	rng := rand.New(rand.NewPCG(10, 11))
	const random, each = 4096, 256
	gaps := []uint64{1, 2, 3, 4, 16, 1 << 10, 1 << 20, 1 << 40}
	x := make([]uint64, random, random+2*each*len(gaps))
	for i := range x {
		x[i] = one | rng.Uint64()&mantissa
	}
	for _, gap := range gaps {
		for range each {
			from := one | rng.Uint64()&(mantissa>>1)
			x = append(x, from, from+gap)
		}
	}
	lane := make([]uint64, len(x))
	for i := range lane {
		lane[i] = 0x9e3779b97f4a7
	}
	coef := make([]float64, stepFMAs*s.K)
	s.Coefficients(&Hash{78}, 0, coef)
	met := map[int]int{} // pairs of neighbours that are one after so many steps
	done := 0
	for _, step := range []int{1, 2, 64, s.K} {
		simd.FMA(x, lane, coef[stepFMAs*done:stepFMAs*step])
		done = step
		for i := random; i < len(x); i += 2 {
			if x[i] == x[i+1] {
				met[step]++
			}
		}
	}
	if d := distinct(x[:random]); d != random {
		t.Errorf("%d of %d random lanes are left", d, random)
	}
	pairs := each * len(gaps)
	t.Logf("%d pairs of random lanes: none met; %d pairs of neighbours met after 1, 2, 64, %d steps: %d, %d, %d, %d",
		random*(random-1)/2, pairs, s.K, met[1], met[2], met[64], met[s.K])
	if met[s.K] > pairs/100 || met[s.K] != met[2] {
		t.Errorf("%d of %d pairs of neighbours met: %v", met[s.K], pairs, met)
	}
}

func distinct(x []uint64) int {
	seen := make(map[uint64]bool, len(x))
	for _, v := range x {
		seen[v] = true
	}
	return len(seen)
}
