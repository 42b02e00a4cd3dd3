package memory

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestItemsOfAnOffer(t *testing.T) {
	for _, tt := range []struct{ offered, want uint64 }{
		{0, 0},
		{99, 0},
		{100, 1},
		{2 << 20, 29490},
		{24 << 30, 362387864},
		{80_000_000_000, 1_125_000_000},
		{80 << 30, 1207959551},
		{math.MaxUint64, 259407338536540569},
	} {
		if got := Items(tt.offered); got != tt.want {
			t.Errorf("%d bytes: %d items, want %d", tt.offered, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64().Draw(t, "offered")
		want := new(big.Int).Div(new(big.Int).SetUint64(n), big.NewInt(100))
		want.Div(want.Mul(want, big.NewInt(90)), big.NewInt(64))
		if got := Items(n); got != want.Uint64() {
			t.Fatalf("%d bytes: %d items, want %v", n, got, want)
		}
	})
}

func TestParamsCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    Params
		ok   bool
	}{
		{"as small as can be", Params{Profile: 502, Items: 1 << 11}, true},
		{"a card of 80 GB", Params{Profile: 5005, Items: Items(80e9), RTT: 10 * time.Second}, true},
		{"simulated", Params{Profile: 501, Items: Items(4 << 20), RTT: time.Millisecond}, true},

		{"no row", Params{Items: 1 << 20}, false},
		{"a row of compute", Params{Profile: 1, Items: 1 << 20}, false},
		{"a row past the last", Params{Profile: 5013, Items: 1 << 20}, false},
		{"too few items", Params{Profile: 502, Items: 1<<11 - 1}, false},
		{"no items", Params{Profile: 502}, false},
		{"too many items", Params{Profile: 5009, Items: 1<<36 + 1}, false},
		{"more items than 64 bits of bytes", Params{Profile: 5009, Items: 1<<64 - 1}, false},
		{"negative RTT", Params{Profile: 5005, Items: 1 << 30, RTT: -1}, false},
		{"RTT over 10 s", Params{Profile: 5005, Items: 1 << 30, RTT: 10*time.Second + 1}, false},
		{"too much for the class to fill within the deadline", Params{Profile: 5000, Items: 1 << 30}, false},
		{"as much as the class fills", Params{Profile: 5000, Items: 1 << 25}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.p.Check()
			if (err == nil) != tt.ok {
				t.Fatalf("got %v", err)
			}
			if d := tt.p.Dataset(); tt.ok && (d.Number != tt.p.Profile || d.Items != tt.p.Items) {
				t.Errorf("dataset %+v", d)
			}
		})
	}
}

// TestDeadlineBound finds the most items of a row: the deadline is 4 minutes.
func TestDeadlineBound(t *testing.T) {
	for _, p := range Profiles() {
		ok := func(items uint64) bool { return (&Params{Profile: p.Number, Items: items}).Check() == nil }
		lo, hi := uint64(1<<11), uint64(1<<36)
		for lo+1 < hi {
			if mid := (lo + hi) / 2; ok(mid) {
				lo = mid
			} else {
				hi = mid
			}
		}
		d, more := Dataset{p, lo}, Dataset{p, lo + 1}
		if d.Deadline(0) > 4*time.Minute || more.Deadline(0) <= 4*time.Minute && lo+1 < 1<<36 {
			t.Errorf("%s: %d items, deadline %v; one more, %v", p.Name, lo, d.Deadline(0), more.Deadline(0))
		}
		t.Logf("%-14s at most %6.1f GB", p.Name, float64(d.Bytes())/1e9)
	}
}

// bigTook is floor(n x 10^9 / rate), at most an hour.
func bigTook(n, rate uint64) time.Duration {
	q := new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(1e9))
	q.Div(q, new(big.Int).SetUint64(rate))
	if q.Cmp(big.NewInt(int64(time.Hour))) > 0 {
		return time.Hour
	}
	return time.Duration(q.Int64())
}

// drawRates draws a row with rates of any size, and a dataset.
func drawRates(t *rapid.T) Dataset {
	p := small(1, 0, 1<<13, 1<<8, rapid.IntRange(1, 64).Draw(t, "steps"))
	p.Rounds = rapid.IntRange(1, 64).Draw(t, "rounds")
	p.MakeRate = rapid.Uint64Range(1, 1<<40).Draw(t, "make")
	p.LinkRate = rapid.Uint64Range(0, 1<<40).Draw(t, "link")
	p.ReadRate = rapid.Uint64Range(1, 1<<44).Draw(t, "read")
	p.Patience = rapid.IntRange(1, 8).Draw(t, "patience")
	p.Grace = time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "grace"))
	return Dataset{p, rapid.Uint64Range(1<<11, 1<<36).Draw(t, "items")}
}

func TestTimesAgainstBigNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawRates(t)
		rtt := time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "rtt"))
		fill, walk := bigTook(d.Items, d.MakeRate), bigTook(d.Reads(), d.ReadRate)
		if d.FillTime() != fill || d.WalkTime() != walk || d.Expected() != fill+walk {
			t.Fatalf("fill %v, walk %v, expected %v; want %v, %v", d.FillTime(), d.WalkTime(), d.Expected(), fill, walk)
		}
		by := 3*fill + 2*rtt + d.Grace
		if d.FillBy(rtt) != by || d.Deadline(rtt) != by+time.Duration(d.Patience)*walk+4*rtt+d.Grace {
			t.Fatalf("fill by %v, deadline %v", d.FillBy(rtt), d.Deadline(rtt))
		}
	})
}

func TestRateAgainstBigNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawRates(t)
		rounds, took := rapid.IntRange(0, d.Rounds).Draw(t, "of"), rapid.Int64Range(-5, 1e12).Draw(t, "took")
		want := new(big.Int)
		if took > 0 {
			for _, n := range []uint64{uint64(rounds), d.Walks(), uint64(d.Steps), 1e9} {
				if want.Sign() == 0 {
					want.SetInt64(1)
				}
				want.Mul(want, new(big.Int).SetUint64(n))
				if n == 0 {
					break
				}
			}
			want.Div(want, big.NewInt(took))
			if !want.IsUint64() {
				want.SetUint64(math.MaxUint64)
			}
		}
		if got := d.Rate(rounds, time.Duration(took)); got != want.Uint64() {
			t.Fatalf("%d rounds in %d ns: %d, want %v", rounds, took, got, want)
		}
	})
}

// bigProven is D x (1 - other / rate), rounded down.
func bigProven(d Dataset, rate uint64) *big.Int {
	other := new(big.Int).SetUint64((d.MakeRate + d.LinkRate) / 4 * 5)
	left := new(big.Int).Sub(new(big.Int).SetUint64(rate), other)
	if left.Sign() <= 0 {
		return new(big.Int)
	}
	left.Mul(left, new(big.Int).SetUint64(d.Bytes()))
	return left.Div(left, new(big.Int).SetUint64(rate))
}

func TestProvenAgainstBigNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawRates(t)
		other := (d.MakeRate + d.LinkRate) / 4 * 5
		for _, rate := range []uint64{0, 1, other - 1, other, other + 1, 2 * other, d.ReadRate, rapid.Uint64().Draw(t, "rate"), math.MaxUint64} {
			if got, want := d.Proven(rate), bigProven(d, rate); got != want.Uint64() || got > d.Bytes() {
				t.Fatalf("%d a second: %d bytes, want %v", rate, got, want)
			}
		}
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		if lo, hi := min(a, b), max(a, b); d.Proven(lo) > d.Proven(hi) {
			t.Fatalf("%d a second shows %d bytes, %d shows %d", lo, d.Proven(lo), hi, d.Proven(hi))
		}
	})
}

// TestProvenNeverExceedsWhatIsHeld: a responder that holds a part, makes the rest
// again and brings it from elsewhere, all at once and at the best of its class,
// shows no more than it holds. What it lacks is in one window, and it leads the
// batches out of step, so that all walks that ever come there wait at the same
// time: an item that it makes then serves all that are at it.
func TestProvenNeverExceedsWhatIsHeld(t *testing.T) {
	for _, p := range Profiles() {
		for _, gb := range []float64{0.001, 0.002, 0.003, 0.004, 1, 16, 24, 40, 64, 80, 96, 141, 180} {
			d := Dataset{p, Items(uint64(gb * 1e9))}
			if (&Params{Profile: p.Number, Items: d.Items}).Check() != nil {
				continue
			}
			hops := min(float64(d.Windows()), float64(p.Steps/hop))
			density := hops * float64(d.Walks()) / float64(d.Items)
			shared := density / (1 - math.Exp(-density))
			if shared > 5.0/4 {
				t.Fatalf("%s of %v GB: an item that is made serves %.4f walks", p.Name, gb, shared)
			}
			for missing := 0.0; missing < 1; missing += 0.005 {
				reads := float64(d.Reads())
				made := missing * reads / (float64(p.MakeRate+p.LinkRate) * shared)
				took := max(made, (1-missing)*reads/float64(p.ReadRate))
				rate := d.Rate(d.Rounds, time.Duration(math.Ceil(took*1e9)))
				held := (1 - missing) * float64(d.Bytes())
				if got := float64(d.Proven(rate)); got > held {
					t.Fatalf("%s of %v GB: without %.1f %% it shows %.4f of the dataset", p.Name, gb, 100*missing, got/float64(d.Bytes()))
				}
			}
		}
	}
}
