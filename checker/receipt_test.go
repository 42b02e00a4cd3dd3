package checker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/prover"
)

// handler serves a stream on a provider's side.
type handler = func(context.Context, challenges.NodeID, challenges.Conn) error

// received is a receipt, and when it came.
type received struct {
	receipt.Receipt
	challenge challenges.Challenge
	at        time.Duration
	last      bool // nothing came after it
}

// mailbox is what the providers of a hall got on their control streams.
type mailbox struct {
	hall *hall
	mu   sync.Mutex
	got  []*received
	bad  []error
}

// collect puts a mailbox before a provider's control stream: it reads on for 5 s when
// the provider's own handler has returned.
func (h *hall) collect(p challenges.NodeID, m *mailbox) {
	m.hall = h
	own := h.farm[p].handlers[challenges.ProtoControl]
	h.farm[p].handlers[challenges.ProtoControl] = func(ctx context.Context, from challenges.NodeID, c challenges.Conn) error {
		in := &opened{Conn: c, box: m}
		err := own(ctx, from, in)
		wait, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for {
			if _, rerr := in.Recv(wait); rerr != nil {
				return err
			}
		}
	}
}

// opened is a provider's end of a control stream, which reads what comes.
type opened struct {
	challenges.Conn
	box       *mailbox
	envelope  challenges.Envelope
	challenge challenges.Challenge
	got       *received
}

func (c *opened) Recv(ctx context.Context) ([]byte, error) {
	frame, err := c.Conn.Recv(ctx)
	if err != nil {
		return nil, err
	}
	c.box.mu.Lock()
	defer c.box.mu.Unlock()
	if c.got != nil {
		c.got.last = false
	}
	env, err := challenges.DecodeEnvelope(frame)
	switch {
	case err != nil:
	case env.Kind == challenges.KindChallenge:
		c.envelope = env
		c.challenge, err = challenges.OpenChallenge(env, c.box.hall.registry.Hash())
	default:
		got := &received{challenge: c.challenge, at: c.box.hall.now(), last: true}
		got.Receipt, err = receipt.Open(env, c.box.hall.registry.Hash(), c.envelope.Signer, c.envelope.ID())
		c.got = got
		c.box.got = append(c.box.got, got)
	}
	if err != nil && env.Kind != "" {
		c.box.bad = append(c.box.bad, err)
	}
	return frame, nil
}

// of lists the receipts of an epoch's challenges of one number.
func (m *mailbox) of(epoch uint64, seq uint32) (out []*received) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.got {
		if r.challenge.Epoch == epoch && r.challenge.Seq == seq {
			out = append(out, r)
		}
	}
	return out
}

// check holds every receipt against the store: the sealed transcript, its replay, and
// the item in the observation.
func (m *mailbox) check(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, err := range m.bad {
		t.Errorf("a frame that does not open: %v", err)
	}
	seen := make(map[challenges.Hash]bool)
	for _, r := range m.got {
		name := fmt.Sprintf("%s of %s in epoch %d, number %d", r.challenge.Kind, r.challenge.Device, r.challenge.Epoch, r.challenge.Seq)
		if seen[r.Challenge] || !r.last {
			t.Errorf("%s: two receipts, or something came after it", name)
		}
		seen[r.Challenge] = true
		file, err := m.hall.db.Transcript(r.Transcript)
		if err != nil {
			t.Errorf("%s: transcript: %v", name, err)
			continue
		}
		env, err := challenges.DecodeEnvelope(file)
		if err != nil {
			t.Fatal(err)
		}
		tr, c, err := challenges.OpenTranscript(env)
		if err != nil {
			t.Fatal(err)
		}
		h := blake3.New(32, nil)
		for _, e := range tr.Events {
			var f challenges.RootFrame
			if !e.Out && e.Stream == challenges.StreamControl && challenges.Unmarshal(e.Frame, &f) == nil {
				h.Write(f.Root[:])
			}
		}
		want := receipt.Receipt{
			Challenge: r.Challenge, Outcome: tr.Verdict.Outcome, Clause: tr.Verdict.Clause, Elapsed: tr.Verdict.Elapsed, Lower: tr.Verdict.OpsLower,
			Roots: challenges.Hash(h.Sum(nil)), Transcript: env.ID(), Secret: tr.Secret,
		}
		if r.Receipt != want || r.Secret.Commit() != c.Commit {
			t.Errorf("%s: receipt %+v, want %+v", name, r.Receipt, want)
		}
		if v, err := challenges.Replay(tr); err != nil || v.Outcome != r.Outcome || v.Clause != r.Clause {
			t.Errorf("%s: replays as %+v, %v; the receipt says %v", name, v, err, r.Outcome)
		}
		items := m.hall.of(r.challenge.Provider, r.challenge.Epoch)
		i := slices.IndexFunc(items, func(it report.Item) bool { return it.Challenge == r.Challenge })
		if i < 0 || items[i].Outcome != r.Outcome || items[i].OpsLower != r.Lower || items[i].Transcript != r.Transcript {
			t.Errorf("%s: the receipt says %+v, of the items %+v", name, r.Receipt, items)
		}
	}
}

// TestReceiptOfEveryChallenge: alone, in global slots and in fleets, of compute and of
// memory, each challenge ends with one receipt, and no probe does.
func TestReceiptOfEveryChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, func(p *committee.Params) { p.FleetEvery = 2 })
		box := &mailbox{}
		for i := range byte(3) {
			h.collect(h.host(2+i, fmt.Sprint(i%2), prover.NewGate(prover.GateConfig{PerEpoch: 8}), "sim-100"), box)
		}
		probes := 0
		for _, w := range h.farm {
			own := w.handlers[challenges.ProtoProbe]
			w.handlers[challenges.ProtoProbe] = func(ctx context.Context, from challenges.NodeID, c challenges.Conn) error {
				err := own(ctx, from, c)
				wait, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				if frame, rerr := c.Recv(wait); rerr == nil {
					t.Errorf("after a probe: %x", frame)
				}
				h.mu.Lock()
				defer h.mu.Unlock()
				probes++
				return err
			}
		}
		h.run(40 * time.Second)
		for _, w := range h.farm {
			w.running.Wait()
		}
		box.check(t)
		sent := make(map[challenges.Hash]bool)
		kinds := make(map[string]int)
		for _, f := range h.said {
			if f.what == challenges.KindChallenge {
				sent[f.id] = true
				seq := map[uint32]string{0: "alone", 1: "fleet"}[f.challenge.Seq]
				kinds[string(f.challenge.Kind)+" "+seq]++
			}
		}
		if len(box.got) != len(sent) || probes == 0 {
			t.Errorf("%d receipts of %d challenges, %d probes", len(box.got), len(sent), probes)
		}
		for _, kind := range []string{"matmul alone", "memory alone", "matmul fleet", "memory fleet", "matmul "} {
			if kinds[kind] == 0 {
				t.Errorf("none was %q, of %v", kind, kinds)
			}
		}
		passes := 0
		for _, r := range box.got {
			if r.Outcome == challenges.Pass && r.Clause == "" && r.Lower > 0 && r.Elapsed > 0 {
				passes++
			}
		}
		if passes != len(sent) {
			t.Errorf("%d passes of %d", passes, len(sent))
		}
	})
}

// says answers a challenge by itself: with the bodies that say returns, and then
// reads until the stream ends.
func (h *hall) says(key byte, say func(c challenges.Challenge, id challenges.Hash) [][]byte) handler {
	return func(ctx context.Context, _ challenges.NodeID, c challenges.Conn) error {
		frame, err := c.Recv(ctx)
		if err != nil {
			return err
		}
		env, err := challenges.DecodeEnvelope(frame)
		if err != nil {
			return err
		}
		ch, err := challenges.OpenChallenge(env, h.registry.Hash())
		if err != nil {
			return err
		}
		sign := challenges.NewFrameSigner(testKey(key), h.registry.Hash(), env.ID(), challenges.StreamControl)
		for _, body := range say(ch, env.ID()) {
			if err := c.Send(ctx, sign.Sign(body)); err != nil {
				return err
			}
		}
		for {
			if _, err := c.Recv(ctx); err != nil {
				return nil
			}
		}
	}
}

// TestReceiptOfEveryEnd: whatever a provider says, it hears what came of it, at once
// or at the deadline.
func TestReceiptOfEveryEnd(t *testing.T) {
	root := func(c challenges.Challenge, id challenges.Hash) []byte {
		return challenges.NewRoot(0, challenges.Hash{7}, challenges.FirstKey(id, c.Device), 0)
	}
	for _, tt := range []struct {
		name    string
		say     func(challenges.Challenge, challenges.Hash) [][]byte
		outcome challenges.Outcome
		clause  string
		roots   int
		waits   bool // until the deadline
	}{
		{"refusal over a fault", func(challenges.Challenge, challenges.Hash) [][]byte {
			return [][]byte{challenges.NewRefusal(challenges.ReasonFault, time.Minute)}
		}, challenges.Refused, challenges.ClauseRefusal, 0, false},
		{"abort for a tenant", func(c challenges.Challenge, id challenges.Hash) [][]byte {
			return [][]byte{root(c, id), challenges.NewAbort(challenges.AbortTenant)}
		}, challenges.Withheld, challenges.ClauseAbort, 1, false},
		{"abort over a fault", func(c challenges.Challenge, id challenges.Hash) [][]byte {
			return [][]byte{root(c, id), challenges.NewAbort(challenges.AbortFault)}
		}, challenges.Withheld, challenges.ClauseAbort, 1, false},
		{"overrun", func(c challenges.Challenge, id challenges.Hash) [][]byte {
			return [][]byte{root(c, id), challenges.NewAbort(challenges.AbortOverrun)}
		}, challenges.Unknown, challenges.ClauseAbort, 1, false},
		{"a frame out of order", func(c challenges.Challenge, id challenges.Hash) [][]byte {
			return [][]byte{challenges.NewAttach(id)}
		}, challenges.Unreachable, challenges.ClauseSequence, 0, false},
		{"silence", func(challenges.Challenge, challenges.Hash) [][]byte { return nil }, challenges.Unreachable, challenges.ClauseSilence, 0, true},
		{"silence over an opening", func(c challenges.Challenge, id challenges.Hash) [][]byte {
			return [][]byte{root(c, id)}
		}, challenges.Withheld, challenges.ClauseSilence, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, alone)
				p := h.host(2, "", nil, "sim-100")
				h.farm[p].handlers[challenges.ProtoControl] = h.says(2, tt.say)
				box := &mailbox{}
				h.collect(p, box)
				h.run(10 * time.Second)
				h.farm[p].running.Wait()
				box.check(t)
				sent, got := h.heard(challenges.KindChallenge, 0, 0), box.of(0, 0)
				if len(sent) != 1 || len(got) != 1 {
					t.Fatalf("%d receipts of %d challenges", len(got), len(sent))
				}
				r := got[0]
				none := r.Roots == receipt.RootsHash(nil)
				if r.Outcome != tt.outcome || r.Clause != tt.clause || r.Lower != 0 || none != (tt.roots == 0) {
					t.Errorf("got %+v", r.Receipt)
				}
				by := sent[0].at
				if tt.waits {
					by += sent[0].challenge.Deadline
				}
				if r.at != by {
					t.Errorf("the receipt came at %v, want %v", r.at, by)
				}
			})
		})
	}
}
