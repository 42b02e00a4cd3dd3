package prover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/gpu"
)

var recordNetwork = challenges.Hash{7}

// noted is a challenge that a recorder listens to, with the checker's ends of its
// streams.
type noted struct {
	t             *testing.T
	rec           *recorder
	secret        challenges.Secret
	control, bulk challenges.Conn // the agent's, recorded
	checker       [2]*pipeEnd
	sign          [2]*challenges.FrameSigner
}

func newNoted(t *testing.T) *noted {
	t.Helper()
	n := &noted{t: t, secret: challenges.Secret{3}}
	p := challenges.ComputeParams{Profile: vector, Window: 1, Claim: 95e6}
	row, err := challenges.LookupProfile(p.Profile)
	if err != nil {
		t.Fatal(err)
	}
	c := challenges.Challenge{
		Network: recordNetwork, Epoch: 1, Provider: challenges.IDOf(providerKey), Device: "gpu0", Kind: challenges.Matmul,
		Commit: n.secret.Commit(), Deadline: row.Deadline(p.Claim, 0), Params: challenges.Marshal(&p),
	}
	e := challenges.Seal(recordNetwork, challenges.KindChallenge, challenges.Marshal(&c), checkerKey)
	n.rec = newRecorder(time.Now(), challenges.Marshal(&e), e.ID())
	var ends [2]*pipeEnd
	for i := range ends {
		n.checker[i], ends[i] = newPipe()
		n.sign[i] = challenges.NewFrameSigner(providerKey, recordNetwork, e.ID(), uint8(i))
	}
	n.control, n.bulk = n.rec.control(ends[0]), n.rec.bulk(ends[1])
	return n
}

// says is a frame of the checker's on the control stream.
func (n *noted) says(frame []byte) {
	n.t.Helper()
	if err := n.checker[0].Send(n.t.Context(), frame); err != nil {
		n.t.Fatal(err)
	}
}

// sends is a frame of ours.
func (n *noted) sends(stream uint8, body []byte) {
	n.t.Helper()
	conn := []challenges.Conn{n.control, n.bulk}[stream]
	if err := conn.Send(n.t.Context(), n.sign[stream].Sign(body)); err != nil {
		n.t.Fatal(err)
	}
}

func (n *noted) receipt(o challenges.Outcome, by byte) []byte {
	r := receipt.Receipt{Challenge: n.rec.id, Outcome: o, Roots: receipt.RootsHash(nil), Secret: n.secret}
	e := receipt.Seal(r, recordNetwork, testKey(by))
	return challenges.Marshal(&e)
}

func (n *noted) await() ([]byte, receipt.Receipt, error) {
	return n.rec.awaitReceipt(n.t.Context(), n.control, recordNetwork, challenges.IDOf(checkerKey))
}

func TestRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNoted(t)
		positions := challenges.Marshal(&challenges.PositionsFrame{Type: 2, Positions: []byte{1, 0, 0, 0}})
		root := challenges.NewRoot(0, challenges.Hash{1}, challenges.Hash{2}, 3)
		time.Sleep(time.Millisecond)
		n.sends(0, root)
		n.says(positions)
		time.Sleep(time.Millisecond)
		if f, err := n.control.Recv(t.Context()); err != nil || string(f) != string(positions) {
			t.Fatal(f, err)
		}
		n.sends(1, []byte("opening"))
		word := n.receipt(challenges.Late, 1)
		n.says(word)
		if _, err := n.control.Recv(t.Context()); !errors.Is(err, errEnded) {
			t.Fatalf("a receipt reads as %v", err)
		}
		got, r, err := n.await() // no waiting: the stream has nothing more
		if err != nil || string(got) != string(word) || r.Outcome != challenges.Late {
			t.Fatal(r, err)
		}
		n.says(n.receipt(challenges.Wrong, 1)) // the first word stands
		if _, err := n.control.Recv(t.Context()); !errors.Is(err, errEnded) {
			t.Fatal(err)
		}
		if _, r, err = n.await(); err != nil || r.Outcome != challenges.Late {
			t.Fatal(r, err)
		}
		time.Sleep(time.Second)
		c := n.rec.copy(outcome{result: resultLeft, receipt: got, err: errors.New("it\nwent"), telemetry: []byte{1}})
		want := []challenges.Event{
			{Stream: 1, Out: true, Frame: challenges.NewAttach(n.rec.id)},
			{At: time.Millisecond, Frame: root},
			{At: 2 * time.Millisecond, Out: true, Frame: positions},
			{At: 2 * time.Millisecond, Stream: 1, Frame: []byte("opening")},
		}
		if fmt.Sprint(c.Events) != fmt.Sprint(want) {
			t.Errorf("events %v\nwant   %v", c.Events, want)
		}
		var frame [2][]byte
		for i, end := range n.checker {
			frame[i], _ = end.Recv(t.Context())
		}
		for i, body := range [][]byte{root, []byte("opening")} {
			if string(frame[i]) != string(slices.Concat(body, c.Signatures[i])) {
				t.Errorf("stream %d: another frame was sent than is in the copy", i)
			}
		}
		if err := c.Check(); err != nil {
			t.Error(err)
		}
		if c.Ended-c.At != int64(time.Second+2*time.Millisecond) || c.Result != "left" || c.Detail != "it?went" || c.Reason != "" || len(c.Telemetry) != 1 {
			t.Errorf("copy %+v", c)
		}
		if f, err := c.Open(recordNetwork); err != nil || f.ID != n.rec.id || f.Receipt.Outcome != challenges.Late {
			t.Errorf("%+v, %v", f, err)
		}
		if c = n.rec.copy(outcome{result: resultAnswered, receipt: got, passed: true}); len(c.Events)+len(c.Signatures) > 0 || c.Check() != nil {
			t.Errorf("a pass keeps %d frames: %v", len(c.Events), c.Check())
		}
	})
}

// TestRecorderKeepsWhatAStreamDidNotTake: it was made and signed.
func TestRecorderKeepsWhatAStreamDidNotTake(t *testing.T) {
	n := newNoted(t)
	n.checker[0].mine.end(true)
	if n.control.Send(t.Context(), n.sign[0].Sign([]byte("root"))) == nil {
		t.Fatal("sent")
	}
	if _, err := n.control.Recv(t.Context()); !errors.Is(err, challenges.ErrReset) {
		t.Fatal(err)
	}
	if c := n.rec.copy(outcome{result: resultLeft}); len(c.Events) != 2 || c.Check() != nil {
		t.Errorf("%d events, %v", len(c.Events), c.Check())
	}
}

func TestRecordedReasonAndFault(t *testing.T) {
	device := func(err error) error { return fmt.Errorf("run: %w", &deviceError{"compute", err}) }
	for _, c := range []struct {
		name                  string
		frames                [][]byte
		err                   error
		reason, fault, detail string
		xid                   uint32
	}{
		{"answered", [][]byte{challenges.NewRoot(0, challenges.Hash{}, challenges.Hash{}, 0), challenges.NewResult(challenges.Core{}, nil)}, nil, "", "", "", 0},
		{"refused", [][]byte{challenges.NewRefusal(challenges.ReasonQuota, 0)}, nil, "quota", "", "", 0},
		{"aborted", [][]byte{challenges.NewRoot(0, challenges.Hash{}, challenges.Hash{}, 0), challenges.NewAbort(challenges.AbortTenant)}, errTenant, "tenant", "", "a tenant came", 0},
		{
			"a fault",
			[][]byte{challenges.NewAbort(challenges.AbortFault)},
			device(&gpu.Fault{Class: gpu.FaultLost, Detail: "gone\x00", Xid: 79}),
			"fault", "lost", "gone?", 79,
		},
		{"another error", nil, device(errors.New(strings.Repeat("e", 600))), "", "", strings.Repeat("e", 498), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNoted(t)
			for _, f := range c.frames {
				n.sends(0, f)
			}
			got := n.rec.copy(outcome{result: resultFailed, err: c.err})
			if c.name == "another error" {
				got.Detail = strings.TrimPrefix(got.Detail, "run: compute: ")
			}
			if got.Reason != c.reason || got.Fault != c.fault || got.Detail != c.detail || got.Xid != c.xid {
				t.Errorf("reason %q, fault %q, Xid %d, detail %q", got.Reason, got.Fault, got.Xid, got.Detail)
			}
		})
	}
}

func TestRecorderIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ size, frames, kept int }{
		"events": {1, challenges.MaxEvents + 50, challenges.MaxEvents},
		"bytes":  {challenges.MaxFrame - signatureBytes, 600, 516},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNoted(t)
			for range c.frames {
				n.rec.add(1, false, make([]byte, c.size), make([]byte, 64))
			}
			n.rec.add(0, true, []byte{1}, nil) // would fit
			got := n.rec.copy(outcome{result: resultLeft})
			if !got.Cut() || len(got.Events) != c.kept || got.Check() != nil {
				t.Errorf("%d events, cut %v, %v", len(got.Events), got.Cut(), got.Check())
			}
		})
	}
}

// TestRecorderOfManyGoroutines: one sends and one receives on the control stream,
// one sends on the other, and the copy is read meanwhile.
func TestRecorderOfManyGoroutines(t *testing.T) {
	n := newNoted(t)
	var wg sync.WaitGroup
	for range 500 {
		n.says([]byte("positions"))
	}
	for _, do := range []func(){
		func() { n.sends(0, []byte("root")) },
		func() { n.sends(1, []byte("opening")) },
		func() {
			if _, err := n.control.Recv(t.Context()); err != nil {
				t.Error(err)
			}
		},
		func() {
			if c := n.rec.copy(outcome{result: resultLeft}); c.Check() != nil {
				t.Error(c.Check())
			}
		},
	} {
		wg.Go(func() {
			for range 500 {
				do()
			}
		})
	}
	wg.Wait()
	if c := n.rec.copy(outcome{result: resultLeft}); len(c.Events) != 1501 || len(c.Signatures) != 1000 {
		t.Errorf("%d events, %d signatures", len(c.Events), len(c.Signatures))
	}
}

func TestAwaitReceipt(t *testing.T) {
	for _, c := range []struct {
		name string
		does func(n *noted)
		want string // of the error; empty: there is a receipt
		took time.Duration
	}{
		{"at once", func(n *noted) { n.says(n.receipt(challenges.Pass, 1)) }, "", 0},
		{"after what was on its way", func(n *noted) {
			n.says([]byte("positions"))
			time.Sleep(time.Second)
			n.says(n.receipt(challenges.Pass, 1))
			n.says(n.receipt(challenges.Late, 1))
		}, "", time.Second},
		{"late", func(*noted) {}, "deadline exceeded", receiptWithin},
		{"a checker that goes on", func(n *noted) {
			for range 9 { // then the stream is closed
				n.says([]byte("positions"))
				time.Sleep(time.Second / 2)
			}
		}, "deadline exceeded", receiptWithin},
		{"a checker that leaves", func(n *noted) { _ = n.checker[0].Close() }, "EOF", 0},
		{"another's", func(n *noted) { n.says(n.receipt(challenges.Pass, 2)) }, "signed by", 0},
		{"of another challenge", func(n *noted) {
			e := receipt.Seal(receipt.Receipt{Outcome: challenges.Pass}, recordNetwork, checkerKey)
			n.says(challenges.Marshal(&e))
		}, "of challenge", 0},
		{"garbage of its kind", func(n *noted) {
			e := challenges.Seal(recordNetwork, receipt.Kind, []byte{1}, checkerKey)
			n.says(challenges.Marshal(&e))
		}, "canonical", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNoted(t)
				start := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() { c.does(n) })
				env, r, err := n.await()
				if took := time.Since(start); took != c.took {
					t.Errorf("after %v, want %v", took, c.took)
				}
				switch {
				case c.want == "" && (err != nil || r.Outcome != challenges.Pass || len(env) == 0):
					t.Errorf("%+v, %v", r, err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || env != nil):
					t.Errorf("error %v, want %q", err, c.want)
				}
				wg.Wait()
			})
		})
	}
	t.Run("the agent stops", func(t *testing.T) {
		n := newNoted(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := n.rec.awaitReceipt(ctx, n.control, recordNetwork, challenges.IDOf(checkerKey)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
