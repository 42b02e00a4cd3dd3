package bench

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	judged "github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/prover/cheat"
)

// byFlavour computes each flavour in its own way; exactly where none is given.
type byFlavour map[challenges.Flavour]gpu.Product

func (b byFlavour) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	if p := b[s.Flavour]; p != nil {
		return p.Compute(ctx, key, s, c)
	}
	return gpu.Exact{}.Compute(ctx, key, s, c)
}

// zeros is a random source whose secrets are known to everybody.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// flavourEpochs is how many epochs bring a device through all flavours.
const flavourEpochs = 3

// TestCheatersOnTheNetwork plays each cheat of this file's neighbours once through
// real hosts, streams, checkers and stores, in all flavours.
func TestCheatersOnTheNetwork(t *testing.T) {
	liar := func(p cheat.Pattern) gpu.Product { return cheat.Liar{Inner: gpu.Exact{}, Share: 0.75, Pattern: p} }
	grind := func(share float64, secret challenges.Secret) gpu.Product {
		return cheat.Grind{Liar: cheat.Liar{Inner: gpu.Exact{}, Share: share}, Secret: secret, Tries: 20}
	}
	sim := func(p gpu.Product) gpu.Device { return simDevice(t, "sim-100", "sim-100", p) }
	pipeline := func(invent bool) gpu.Device {
		return cheat.Pipeline{Device: sim(nil), Product: gpu.Exact{}, Every: 13 * time.Millisecond, Invent: invent}
	}
	const pass, wrong, withheld = challenges.Pass, challenges.Wrong, challenges.Withheld
	tests := []struct {
		name   string
		device gpu.Device
		leaked bool // the checkers' secrets are zeros
		want   challenges.Outcome
		clause string
	}{
		{"three quarters of the columns", sim(liar(cheat.Columns)), false, wrong, challenges.ClauseValue},
		{"three quarters of the tiles", sim(liar(cheat.Tiles)), false, wrong, challenges.ClauseValue},
		{"three quarters of the rounds", sim(liar(cheat.Rounds)), false, wrong, challenges.ClauseValue},
		{"lower precision", sim(byFlavour{
			challenges.Int8: cheat.Narrow{Drop: 4}, challenges.BF16: cheat.Narrow{Sums: 11}, challenges.FP64: cheat.Polynomial(cheat.DoubleFloat),
		}), false, wrong, challenges.ClauseValue},
		{"other roundings", sim(byFlavour{
			challenges.Int8: cheat.Narrow{Drop: 1}, challenges.BF16: cheat.Narrow{Drop: 1}, challenges.FP64: cheat.Polynomial(cheat.Apart),
		}), false, wrong, challenges.ClauseValue},
		{"residues, exact", sim(byFlavour{challenges.BF16: cheat.Residue{}}), false, pass, ""},
		{"roots ground for a guessed secret", cheat.Grinder{Device: sim(grind(0.1, challenges.Secret{1}))}, false, wrong, challenges.ClauseValue},
		{"roots ground for a leaked secret", cheat.Grinder{Device: sim(grind(0.02, challenges.Secret{}))}, true, pass, ""},
		{"rounds in a pipeline, invented matrices", pipeline(true), false, wrong, challenges.ClauseValue},
		{"rounds in a pipeline, invented roots", pipeline(false), false, withheld, challenges.ClauseAuthentic},
		{"four cards as one", simDevice(t, "sim-400", "sim-400", cheat.Cards(4)), false, pass, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 1, 2*time.Millisecond)
				if tt.leaked {
					w.random = zeros{}
				}
				w.agent(0, tt.device, nil)
				w.run(flavourEpochs, nil)
				if len(w.findings(challenges.FMA)) == 0 || len(w.matmuls()) < 2 {
					t.Fatal("not all flavours were asked for")
				}
				requireAll(t, w.computes(), tt.want, false, tt.clause)
			})
		})
	}
}

// boundsOf are the bounds that a finding's checker testifies to.
func boundsOf(f client.Finding) (out []uint64) {
	for _, s := range f.Testimony {
		if ops, ok := s.Value.(uint64); ok {
			out = append(out, ops)
		}
	}
	return out
}

// TestComputingAheadOfTheClock: a device runs through the warm-up and as far ahead
// as it can before it lets a root go. Neither bound is above its rate.
func TestComputingAheadOfTheClock(t *testing.T) {
	params := single(committee.Devnet())
	params.Epoch, params.MinSlot, params.Purpose = 15*time.Second, 15*time.Second, challenges.Capacity
	for _, hold := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorldOf(t, params, 1, 1, 2*time.Millisecond)
			device := simDevice(t, "sim-100", "sim-100", nil)
			if hold {
				device = cheat.Hold{Device: device, Pace: time.Millisecond}
			}
			w.agent(0, device, nil)
			w.run(1, nil)
			found := w.matmuls()
			if len(found) != 1 {
				t.Fatalf("%d challenges", len(found))
			}
			for _, f := range found {
				if *f.Outcome != challenges.Pass && *f.Outcome != challenges.Late || len(boundsOf(f)) != 2 {
					t.Errorf("outcome %v, figures %v", *f.Outcome, boundsOf(f))
				}
				for _, ops := range boundsOf(f) {
					if ops > 100e6 {
						t.Errorf("held back %v: %d of a device of 1e8 ops/s", hold, ops)
					}
				}
			}
		})
	}
}

// TestDelayedPongs: who answers every ping late has no figure, and the claim stays
// unknown; who answers late only around challenges has shown his distance before.
func TestDelayedPongs(t *testing.T) {
	tests := []struct {
		name string
		by   time.Duration
		near time.Duration
		want judged.Shown
	}{
		{"never", 0, 0, judged.IsShown},
		{"always, by a tenth of the measured time", 84 * time.Millisecond, 0, judged.IsUnknown},
		{"near a challenge, by a tenth", 84 * time.Millisecond, time.Second, judged.IsShown},
	}
	var honest []uint64
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 1, 2*time.Millisecond)
				w.agent(0, nil, func(n prover.Network) prover.Network {
					return &cheat.Delay{Network: n, By: tt.by, Near: tt.near}
				})
				w.run(flavourEpochs, nil)
				found := w.computes()
				requireAll(t, found, challenges.Pass, false, "")
				for i, f := range found {
					if f.Claims.Throughput != tt.want {
						t.Errorf("throughput %v, want %v", f.Claims.Throughput, tt.want)
					}
					switch got := boundsOf(f); {
					case tt.by == 0:
						honest = append(honest, got...)
					case tt.want == judged.IsShown && (got[0] > honest[2*i]/100*101 || got[1] > honest[2*i+1]/100*101):
						t.Errorf("figures %v, honest %v", got, honest[2*i:2*i+2])
					}
				}
			})
		})
	}
}

// TestCowardsRank: a provider that falls silent whenever a sample hits a lie ends
// below every honest one, in its score and so in the ranking, whatever it skips.
// Its silence lasts to the deadline; slots are longer, as outside a devnet, so that
// it is not in the way of the next checker.
func TestCowardsRank(t *testing.T) {
	params := single(committee.Devnet())
	params.Epoch, params.MinSlot, params.ProbeEvery = 20*time.Second, 10*time.Second, 5*time.Second
	for _, share := range []float64{0.02, 0.1, 0.5} {
		if testing.Short() && share != 0.1 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			const honest = 2
			w := newWorldOf(t, params, 2, honest+1, 2*time.Millisecond)
			for i := range honest {
				w.agent(i, nil, nil)
			}
			l := cheat.Liar{Inner: gpu.Exact{}, Share: share}
			w.agent(honest, cheat.Coward{Device: simDevice(t, "sim-100", "sim-100", l), Liar: l}, nil)
			w.run(2*flavourEpochs, nil)
			for _, s := range w.checkers {
				var scores []float64
				for _, p := range w.provider {
					standing, err := s.db.Standing(p.host.ID())
					if err != nil {
						t.Fatal(err)
					}
					scores = append(scores, reputation.Score(&standing, &w.registry.Params))
				}
				// Five passes of six, with 2 % skipped, come once in 70,000 runs.
				for _, score := range scores[:honest] {
					if score < 0.99 || scores[honest] > 0.8*score {
						t.Errorf("%v skipped: scores %v, the last is the coward's", share, scores)
					}
				}
			}
		})
	}
}

// TestTwoNamesOnTheNetwork: a checker asks for both names of one card in the same
// slot, and neither has the rate that it claims.
func TestTwoNamesOnTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 1, 2*time.Millisecond)
		w.agentOf(0, nil, cardDevices(t, 1, 2)...)
		w.run(flavourEpochs, nil)
		found := w.computes()
		if len(found) < 4 {
			t.Fatalf("%d challenges, want 2 of each name at least", len(found))
		}
		requireAll(t, found, challenges.Late, false, challenges.ClauseLate)
	})
}
