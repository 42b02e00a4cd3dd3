package bench

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/prover/cheat"
)

// alter is what a forging provider does to its own frames.
type alter = func(id challenges.Hash, stream uint8, body []byte) [][]byte

// onRoot alters root frames only; on is the round, -1 for all.
func onRoot(on int, f func(r *challenges.RootFrame) [][]byte) alter {
	return func(_ challenges.Hash, stream uint8, body []byte) [][]byte {
		var r challenges.RootFrame
		if stream != challenges.StreamControl || challenges.Unmarshal(body, &r) != nil || (on >= 0 && int(r.Round) != on) {
			return [][]byte{body}
		}
		return f(&r)
	}
}

// onOpening alters opening frames only.
func onOpening(f func(o *challenges.OpeningFrame) [][]byte) alter {
	return func(_ challenges.Hash, stream uint8, body []byte) [][]byte {
		var o challenges.OpeningFrame
		if stream != challenges.StreamBulk || challenges.Unmarshal(body, &o) != nil {
			return [][]byte{body}
		}
		return f(&o)
	}
}

func one(v any) [][]byte { return [][]byte{challenges.Marshal(v)} }

// silentAfter drops every frame of a stream after the first n.
func silentAfter(on uint8, n int) func() alter {
	return func() alter {
		var mu sync.Mutex
		sent := make(map[challenges.Hash]int)
		return func(id challenges.Hash, stream uint8, body []byte) [][]byte {
			mu.Lock()
			defer mu.Unlock()
			if stream != on {
				return [][]byte{body}
			}
			if sent[id]++; sent[id] > n {
				return nil
			}
			return [][]byte{body}
		}
	}
}

// oneRow invents the whole first row of every product.
type oneRow struct{ gpu.Product }

func (o oneRow) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	err := o.Product.Compute(ctx, key, s, c)
	for i := range s.N {
		c[i*s.Width()]++
	}
	return err
}

func TestCheatingProviders(t *testing.T) {
	const wrong, withheld, unreachable = challenges.Wrong, challenges.Withheld, challenges.Unreachable
	tests := []struct {
		name    string
		product gpu.Product
		device  func(gpu.Device) gpu.Device
		alter   func() alter
		epochs  int
		want    challenges.Outcome // of every challenge; of at least one if some is true
		some    bool
		clause  string
	}{
		{name: "1 % of the entries wrong", product: cheat.Liar{Inner: gpu.Exact{}, Share: 0.01}, epochs: 10, want: wrong, some: true, clause: challenges.ClauseValue},
		{name: "10 % of the entries wrong", product: cheat.Liar{Inner: gpu.Exact{}, Share: 0.1}, want: wrong, clause: challenges.ClauseValue},
		{name: "one row wrong", product: oneRow{gpu.Exact{}}, epochs: 3, want: wrong, some: true, clause: challenges.ClauseValue},
		{name: "silent whenever a sample hits", device: func(d gpu.Device) gpu.Device {
			return cheat.Coward{Device: d, Liar: cheat.Liar{Inner: gpu.Exact{}, Share: 0.1}}
		}, product: cheat.Liar{Inner: gpu.Exact{}, Share: 0.1}, want: withheld, clause: challenges.ClauseSilence},
		{name: "invented roots", alter: func() alter {
			return onRoot(-1, func(r *challenges.RootFrame) [][]byte { r.Root[5] ^= 1; return one(r) })
		}, want: withheld, clause: challenges.ClauseAuthentic},
		{name: "a second root for a round", alter: func() alter {
			return onRoot(2, func(r *challenges.RootFrame) [][]byte {
				first := challenges.Marshal(r)
				r.Root[0] ^= 1
				return [][]byte{first, challenges.Marshal(r)}
			})
		}, want: withheld, clause: challenges.ClauseRootOrder},
		{name: "a round left out", alter: func() alter {
			return onRoot(1, func(*challenges.RootFrame) [][]byte { return nil })
		}, want: withheld, clause: challenges.ClauseRootOrder},
		{name: "opening of another round", alter: func() alter {
			var last []byte
			return onOpening(func(o *challenges.OpeningFrame) [][]byte {
				mine := o.Data
				if last != nil && o.Round > 0 {
					o.Data = last
				}
				last = mine
				return one(o)
			})
		}, want: withheld},
		{name: "empty opening", alter: func() alter {
			return onOpening(func(o *challenges.OpeningFrame) [][]byte { o.Data = nil; return one(o) })
		}, want: withheld, clause: challenges.ClauseSequence},
		{name: "short opening", alter: func() alter {
			return onOpening(func(o *challenges.OpeningFrame) [][]byte { o.Data = o.Data[:len(o.Data)-32]; return one(o) })
		}, want: withheld, clause: challenges.ClauseShape},
		{name: "long opening", alter: func() alter {
			return onOpening(func(o *challenges.OpeningFrame) [][]byte { o.Data = append(o.Data, o.Data[:32]...); return one(o) })
		}, want: withheld, clause: challenges.ClauseShape},
		{name: "duplicate openings", alter: func() alter {
			return onOpening(func(o *challenges.OpeningFrame) [][]byte { return append(one(o), one(o)...) })
		}, want: withheld, clause: challenges.ClauseShape},
		{name: "openings in another order", alter: func() alter {
			var held []byte
			return onOpening(func(o *challenges.OpeningFrame) [][]byte {
				switch {
				case o.Round == 1:
					held = challenges.Marshal(o)
					return nil
				case o.Round == 2:
					return [][]byte{challenges.Marshal(o), held}
				}
				return one(o)
			})
		}, want: withheld, clause: challenges.ClauseShape},
		{name: "an answer to a request that was not made", alter: func() alter {
			return onOpening(func(o *challenges.OpeningFrame) [][]byte { o.Request[0] ^= 1; return one(o) })
		}, want: withheld, clause: challenges.ClauseEcho},
		{name: "another key than the chain's", alter: func() alter {
			return onRoot(3, func(r *challenges.RootFrame) [][]byte { r.Key[0] ^= 1; return one(r) })
		}, want: withheld, clause: challenges.ClauseKeyChain},
		{name: "silent before the first root", alter: silentAfter(challenges.StreamControl, 0), want: unreachable, clause: challenges.ClauseSilence},
		{name: "silent after the first root", alter: silentAfter(challenges.StreamControl, 1), want: withheld, clause: challenges.ClauseSilence},
		{name: "silent after nine roots", alter: silentAfter(challenges.StreamControl, 9), want: withheld, clause: challenges.ClauseSilence},
		{name: "silent instead of the result", alter: silentAfter(challenges.StreamControl, 16), want: withheld, clause: challenges.ClauseSilence},
		{name: "no opening", alter: silentAfter(challenges.StreamBulk, 0), want: withheld, clause: challenges.ClauseSilence},
		{name: "silent after nine openings", alter: silentAfter(challenges.StreamBulk, 9), want: withheld, clause: challenges.ClauseSilence},
		{name: "no last opening", alter: silentAfter(challenges.StreamBulk, 15), want: withheld, clause: challenges.ClauseSilence},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 1, 5*time.Millisecond)
				device := simDevice(t, "sim-100", "sim-100", tt.product)
				if tt.device != nil {
					device = tt.device(device)
				}
				w.agent(0, device, func(n prover.Network) prover.Network {
					if tt.alter == nil {
						return n
					}
					return cheat.Forge{Network: n, Key: w.provider[0].key, ID: w.registry.Hash(), Alter: tt.alter()}
				})
				w.run(max(2, tt.epochs), nil)
				found := w.computes()
				requireAll(t, found, tt.want, tt.some, tt.clause)
			})
		})
	}
}

// requireAll wants an outcome of all findings, or of some while the others pass.
func requireAll(t *testing.T, found []client.Finding, want challenges.Outcome, some bool, clause string) {
	t.Helper()
	hits := 0
	for _, f := range found {
		if !f.OK {
			t.Errorf("transcript does not prove what it states: %+v", f.Reasons)
			continue
		}
		switch {
		case *f.Outcome == want:
			hits++
			if clause != "" && f.Reasons[0].Code != clause {
				t.Errorf("clause %s, want %s", f.Reasons[0].Code, clause)
			}
		case some && *f.Outcome == challenges.Pass:
		case *f.Outcome == challenges.Refused && f.Reasons[0].Code == challenges.ClauseRefusal:
			// The job that the cheat holds open is in the way of the next one.
		case *f.Outcome == challenges.Unknown && f.Reasons[0].Code == challenges.ClauseEnd:
			// The world ended first.
		default:
			t.Errorf("outcome %v, want %v (%v)", *f.Outcome, want, f.Reasons)
		}
	}
	if hits == 0 {
		t.Errorf("%d challenges, none %v", len(found), want)
	}
}

func TestFramesOfAnotherChallengeOrProvider(t *testing.T) {
	t.Run("signed by another provider", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, 1, 5*time.Millisecond)
			w.agent(0, nil, func(n prover.Network) prover.Network {
				return cheat.Forge{Network: n, Key: simKey(77), ID: w.registry.Hash(), Alter: func(_ challenges.Hash, _ uint8, b []byte) [][]byte { return [][]byte{b} }}
			})
			w.run(1, nil)
			requireAll(t, w.computes(), challenges.Unreachable, false, "")
		})
	})
	t.Run("of an earlier challenge", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, 1, 5*time.Millisecond)
			var mu sync.Mutex
			first := challenges.Hash{}
			kept := make(map[uint8][][]byte)
			again := make(map[challenges.Hash]int)
			w.agent(0, nil, func(n prover.Network) prover.Network {
				return cheat.Forge{Network: n, Key: w.provider[0].key, ID: w.registry.Hash(), Alter: func(id challenges.Hash, stream uint8, b []byte) [][]byte {
					mu.Lock()
					defer mu.Unlock()
					if first == (challenges.Hash{}) {
						first = id
					}
					if id == first {
						kept[stream] = append(kept[stream], slices.Clone(b))
						return [][]byte{b}
					}
					n := again[id]
					again[id]++
					if stream == challenges.StreamBulk || n >= len(kept[stream]) {
						return nil
					}
					return [][]byte{kept[stream][n]}
				}}
			})
			w.run(3, nil)
			found := w.computes()
			if len(found) < 2 || *found[0].Outcome != challenges.Pass {
				t.Fatalf("%d challenges, the first %v", len(found), found)
			}
			// Old matrices are not this challenge's: the very first root shows another key.
			requireAll(t, found[1:], challenges.Unreachable, false, challenges.ClauseKeyChain)
		})
	})
}

// TestRootsHeldBack: a provider that computes ahead and sends its roots in
// bursts gains nothing in either bound.
func TestRootsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 1, 5*time.Millisecond)
		var held [][]byte
		sent := 0
		w.agent(0, nil, func(n prover.Network) prover.Network {
			return cheat.Forge{Network: n, Key: w.provider[0].key, ID: w.registry.Hash(), Alter: func(_ challenges.Hash, stream uint8, b []byte) [][]byte {
				if stream != challenges.StreamControl {
					return [][]byte{b}
				}
				// W is 4: three roots can be held back before the chain starves. The result
				// is the 17th frame.
				held = append(held, b)
				if sent++; len(held) < 4 && sent%17 != 0 {
					return nil
				}
				out := held
				held = nil
				return out
			}}
		})
		w.run(1, nil)
		for _, f := range w.computes() {
			if *f.Outcome != challenges.Pass && *f.Outcome != challenges.Late {
				t.Fatalf("outcome %v", *f.Outcome)
			}
			for _, s := range f.Testimony {
				if ops, ok := s.Value.(uint64); ok && ops > 100e6 {
					t.Errorf("%s = %d of a device of 1e8 ops/s", s.Name, ops)
				}
			}
		}
	})
}
