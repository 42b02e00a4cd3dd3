package checker_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

// outcomes counts the items of all sealed epochs, and checks that each epoch has
// one observation at most.
func (b *bed) outcomes() map[challenges.Outcome]int {
	b.t.Helper()
	out := make(map[challenges.Outcome]int)
	seen := make(map[uint64]bool)
	envelopes, err := b.db.Observations(0, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range envelopes {
		o, err := report.OpenObservation(e, b.registry.Hash())
		if err != nil {
			b.t.Fatal(err)
		}
		if seen[o.Epoch] {
			b.t.Errorf("two observations of epoch %d", o.Epoch)
		}
		seen[o.Epoch] = true
		for _, it := range o.Items {
			out[it.Outcome]++
		}
	}
	return out
}

func TestHonestProviderPassesOnceAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		b.runFor(20 * time.Second)
		if got := b.outcomes(); len(got) != 1 || got[challenges.Pass] != 4 {
			t.Errorf("outcomes %v, want 4 passes", got)
		}
		s, err := b.db.Standing(b.provider)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.Count(challenges.Probe, challenges.Pass); n != 40 {
			t.Errorf("%d probes answered, want one in each of 40 slices", n)
		}
	})
}

// TestResultOvertakesOpenings: the streams are independent, so the result and
// the end of the control stream may come before the last openings.
func TestResultOvertakesOpenings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.wire.lag[challenges.ProtoBulk] = 300 * time.Millisecond
		b.honest()
		b.runFor(10 * time.Second)
		if got := b.outcomes(); len(got) != 1 || got[challenges.Pass] != 2 {
			t.Errorf("outcomes %v, want 2 passes", got)
		}
	})
}

func TestEndsOfAStream(t *testing.T) {
	// silent waits until the checker gives up.
	silent := func(ctx context.Context, _ challenges.NodeID, _ challenges.Conn) error { <-ctx.Done(); return nil }
	tests := []struct {
		name    string
		control func(context.Context, challenges.NodeID, challenges.Conn) error
		want    challenges.Outcome
		end     challenges.Cause
	}{
		{"silence", silent, challenges.Unreachable, challenges.EndTimeout},
		{"reset", func(context.Context, challenges.NodeID, challenges.Conn) error { return challenges.ErrReset }, challenges.Unreachable, challenges.EndReset},
		{"frame without a signature", func(ctx context.Context, p challenges.NodeID, c challenges.Conn) error {
			_ = c.Send(ctx, []byte("hello"))
			return silent(ctx, p, c)
		}, challenges.Unreachable, challenges.EndMalformed},
		{"frame with a bad signature, then silence", func(ctx context.Context, p challenges.NodeID, c challenges.Conn) error {
			_ = c.Send(ctx, append(challenges.NewRefusal(challenges.ReasonBusy, 0), make([]byte, 64)...))
			return silent(ctx, p, c)
		}, challenges.Unreachable, challenges.EndSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.honest()
				b.wire.handlers[challenges.ProtoControl] = tt.control
				b.wire.handlers[challenges.ProtoBulk] = silent
				b.runFor(10 * time.Second)
				infos, err := b.db.Transcripts(report.Query{Kind: challenges.Matmul})
				if err != nil || len(infos) == 0 {
					t.Fatalf("%d transcripts, %v", len(infos), err)
				}
				first := infos[len(infos)-1]
				file, err := b.db.Transcript(first.Hash)
				if err != nil {
					t.Fatal(err)
				}
				env, err := challenges.DecodeEnvelope(file)
				if err != nil {
					t.Fatal(err)
				}
				tr, _, err := challenges.OpenTranscript(env)
				if err != nil {
					t.Fatal(err)
				}
				if end := tr.Events[len(tr.Events)-1].End; first.Outcome != tt.want || end != tt.end {
					t.Errorf("%v by %v, want %v by %v", first.Outcome, end, tt.want, tt.end)
				}
				if v, err := challenges.Replay(tr); err != nil || v != tr.Verdict {
					t.Errorf("replays as %+v, %v", v, err)
				}
			})
		})
	}
}

func TestUnreachableProviderIsSeenByProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.wire.dial = challenges.ErrDial
		b.runFor(5 * time.Second)
		s, err := b.db.Standing(b.provider)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.Count(challenges.Probe, challenges.Unreachable); n != 10 {
			t.Errorf("%d unreachable probes, want 10", n)
		}
	})
}

// TestStopInAChallenge: the checker's own end is nobody's fault, and the epoch
// that it cuts is sealed once, with it.
func TestStopInAChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		b.runFor(600 * time.Millisecond) // the challenge of epoch 0 takes 0.84 s
		if got := b.outcomes(); len(got) != 1 || got[challenges.Unknown] != 1 {
			t.Errorf("outcomes %v, want one unknown", got)
		}
		// Started again in the same epoch it leaves that one alone.
		b.runFor(9 * time.Second)
		if got := b.outcomes(); got[challenges.Unknown] != 1 || got[challenges.Pass] != 1 {
			t.Errorf("outcomes %v, want one unknown and one pass", got)
		}
	})
}

// TestAbandonedAfterACrash: what was begun and has no end is given up at the
// next start, and its epoch sealed with it as unknown.
func TestAbandonedAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		id := challenges.Hash{1, 2, 3}
		err := b.db.Begin(id, report.Begun{Epoch: 0, Kind: challenges.Matmul, Provider: b.provider, Device: "gpu0", At: time.Now().UnixNano(), Profile: 1, Claim: 5})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Second) // the process was away for the rest of epoch 0
		b.runFor(9 * time.Second)
		left, err := b.db.Abandoned()
		if err != nil || len(left) != 1 || left[0].ID != id {
			t.Fatalf("abandoned %v, %v", left, err)
		}
		if pending, err := b.db.Pending(); err != nil || len(pending) != 0 {
			t.Errorf("pending %v, %v", pending, err)
		}
		if got := b.outcomes(); got[challenges.Unknown] != 1 {
			t.Errorf("outcomes %v, want the abandoned one as unknown", got)
		}
	})
}

func TestCheckerMustBeInTheRegistry(t *testing.T) {
	r := committee.Registry{Name: "n", Genesis: 1, Params: committee.Devnet()}
	if _, err := checker.New(checker.Config{Key: testKey(3), Registry: &r}); err == nil {
		t.Error("a stranger may check")
	}
}

// TestOffersAreNotBelievedBlindly: an offer of another provider, or of another
// network, makes no target.
func TestOffersAreNotBelievedBlindly(t *testing.T) {
	offer := challenges.Offer{Seq: 1, Issued: 1, Expires: 1 << 40, Devices: []challenges.OfferDevice{{ID: "gpu0", Model: "m", Int8Ops: 95e6}}}
	for _, tt := range []struct {
		name    string
		key     byte
		network func(b *bed) challenges.Hash
	}{
		{"of another provider", 9, func(b *bed) challenges.Hash { return b.registry.Hash() }},
		{"of another network", 2, func(*bed) challenges.Hash { return challenges.Hash{1} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				env := challenges.Seal(tt.network(b), challenges.KindOffer, challenges.Marshal(&offer), testKey(tt.key))
				b.wire.handlers[challenges.ProtoOffer] = func(ctx context.Context, _ challenges.NodeID, c challenges.Conn) error {
					return c.Send(ctx, challenges.Marshal(&env))
				}
				b.runFor(10 * time.Second)
				offers, err := b.db.Offers()
				if err != nil || len(offers) != 0 {
					t.Errorf("%d offers kept, %v", len(offers), err)
				}
			})
		})
	}
}

// TestRestartTakesTheEpochUp: a process that dies and comes back in an epoch goes
// on with it. Its probes stay counted, and a challenge that was asked for is not
// asked for again: the provider would refuse it, and that would count.
func TestRestartTakesTheEpochUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		id := challenges.Hash{9}
		err := b.db.Begin(id, report.Begun{Epoch: 0, Kind: challenges.Matmul, Provider: b.provider, Device: "gpu0", At: time.Now().UnixNano(), Profile: 1, Claim: 5})
		if err != nil {
			t.Fatal(err)
		}
		row := make([]byte, b.registry.Params.Slices())
		row[0], row[1] = byte(challenges.Pass), byte(challenges.Unreachable)
		if err := b.db.PutSlices(0, []report.Slices{{Provider: b.provider, Simulated: true, Slices: row}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1200 * time.Millisecond)
		b.runFor(10 * time.Second)
		got := b.outcomes()
		if got[challenges.Refused] != 0 || got[challenges.Unknown] != 1 || got[challenges.Pass] != 1 {
			t.Errorf("outcomes %v, want the abandoned one, and one pass in the next epoch", got)
		}
		s, err := b.db.Standing(b.provider)
		if err != nil {
			t.Fatal(err)
		}
		if down, up := s.Count(challenges.Probe, challenges.Unreachable), s.Count(challenges.Probe, challenges.Pass); down != 1 || up < 17 {
			t.Errorf("%d probes failed and %d passed: those from before are lost", down, up)
		}
	})
}

// TestSilentAfterARestore: a checker with a restored store says nothing for the
// rest of the epoch and the whole one after it, and then goes on.
func TestSilentAfterARestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		r := &restored{at: time.Now()}
		b.restored = r
		time.Sleep(2 * time.Second)
		b.runFor(9 * time.Second)
		if got := b.outcomes(); len(got) != 0 {
			t.Errorf("outcomes %v in the silence", got)
		}
		b.runFor(25 * time.Second) // restarted in it: silent for another full epoch
		if got := b.outcomes(); len(got) != 1 || got[challenges.Pass] != 2 {
			t.Errorf("outcomes %v, want passes of epochs 3 and 4", got)
		}
		if !r.at.IsZero() {
			t.Error("still marked as restored")
		}
	})
}

// puts counts, by epoch, how often slices were written.
type puts struct {
	checker.Epochs
	mu sync.Mutex
	n  map[uint64]int
}

func (p *puts) PutSlices(epoch uint64, s []report.Slices) error {
	p.mu.Lock()
	p.n[epoch]++
	p.mu.Unlock()
	return p.Epochs.PutSlices(epoch, s)
}

// TestRestartLeavesASealedEpochAlone: an epoch that a stopped process sealed is
// not taken up, or its slices would be written again each second, for ever.
func TestRestartLeavesASealedEpochAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		b.runFor(1500 * time.Millisecond)
		p := &puts{Epochs: b.db, n: make(map[uint64]int)}
		b.epochs = p
		b.runFor(20 * time.Second)
		if p.n[0] != 0 || p.n[2] == 0 {
			t.Errorf("slices written %v, want none of the sealed epoch 0", p.n)
		}
	})
}
