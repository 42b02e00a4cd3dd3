package prover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/gpu"
)

// errEnded says that the checker ended the challenge and gave its receipt.
var errEnded = errors.New("checker ended the challenge")

// receiptWithin is how long an agent waits for a receipt: a checker may have none,
// and it judges before it gives one.
const receiptWithin = 5 * time.Second

// recorder writes down what is said in one challenge, for the agent's own copy. Its
// methods may be called by several goroutines.
type recorder struct {
	start time.Time // when the challenge was read
	env   []byte    // the challenge, as it came
	id    challenges.Hash

	mu         sync.Mutex
	events     []challenges.Event
	signatures [][]byte // of our frames among them
	bytes      int      // of all frames
	full       bool     // a limit was reached: nothing more is written down
	receipt    []byte   // as it came; nil: none did
}

func newRecorder(start time.Time, env []byte, id challenges.Hash) *recorder {
	return &recorder{start: start, env: env, id: id}
}

// control records the control stream. Its Recv gives [errEnded] in place of a
// receipt, which can come at any time and is no frame of the challenge's.
func (r *recorder) control(conn challenges.Conn) challenges.Conn {
	return &recorded{Conn: conn, recorder: r, stream: challenges.StreamControl}
}

// bulk records the bulk stream, from when the agent takes it on; the frame that
// attached it was read before, and is written down first.
func (r *recorder) bulk(conn challenges.Conn) challenges.Conn {
	r.add(challenges.StreamBulk, true, challenges.NewAttach(r.id), nil)
	return &recorded{Conn: conn, recorder: r, stream: challenges.StreamBulk}
}

// recorded is a stream that a recorder listens to.
type recorded struct {
	challenges.Conn
	recorder *recorder
	stream   uint8
}

// Send writes the frame down, then sends it: so no answer stands before it. What a
// stream did not take is in the copy too; the agent made it.
func (c *recorded) Send(ctx context.Context, frame []byte) error {
	body := max(0, len(frame)-signatureBytes)
	c.recorder.add(c.stream, false, frame[:body:body], frame[body:])
	return c.Conn.Send(ctx, frame)
}

const signatureBytes = 64

// Recv is part of challenges.Conn.
func (c *recorded) Recv(ctx context.Context) ([]byte, error) {
	frame, err := c.Conn.Recv(ctx)
	if err != nil {
		return nil, err
	}
	if c.stream == challenges.StreamControl && isReceipt(frame) {
		c.recorder.took(frame)
		return nil, errEnded
	}
	c.recorder.add(c.stream, true, frame, nil)
	return frame, nil
}

func (r *recorder) add(stream uint8, out bool, frame, signature []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full || len(frame) == 0 { // a stream takes no empty frame either
		return
	}
	e := challenges.Event{At: max(0, time.Since(r.start)), Stream: stream, Out: out, Frame: frame}
	// The last place is for the word that this is not all.
	if len(r.events) == challenges.MaxEvents-1 || r.bytes+len(frame) > receipt.MaxBytes {
		r.full = true
		e = challenges.Event{At: e.At, Stream: stream, End: challenges.EndInternal}
	} else if !out {
		r.signatures = append(r.signatures, signature)
	}
	r.bytes += len(e.Frame)
	r.events = append(r.events, e)
}

// close ends the writing down: the challenge is over.
func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = true
}

// took keeps the first receipt.
func (r *recorder) took(frame []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.receipt == nil {
		r.receipt = frame
	}
}

func (r *recorder) held() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.receipt
}

// isReceipt reports whether a frame is a receipt, or passes for one.
func isReceipt(frame []byte) bool {
	e, err := challenges.DecodeEnvelope(frame)
	return err == nil && e.Kind == receipt.Kind
}

// awaitReceipt waits for the checker's receipt on a control stream that the recorder
// listens to, a few seconds at most. It may have come before: then there is no
// waiting. What else comes was on its way when the challenge ended.
func (r *recorder) awaitReceipt(ctx context.Context, control challenges.Conn, network challenges.Hash, checker challenges.NodeID) ([]byte, receipt.Receipt, error) {
	r.close() // nobody judges what comes now, and a checker could send much of it
	// A context that ends would reset the stream, and with it what the checker has not
	// read yet.
	timer := time.AfterFunc(receiptWithin, func() { _ = control.Close() })
	defer timer.Stop()
	for end := time.Now().Add(receiptWithin); r.held() == nil; {
		if _, err := control.Recv(ctx); err != nil && !errors.Is(err, errEnded) {
			if !time.Now().Before(end) {
				err = context.DeadlineExceeded
			}
			return nil, receipt.Receipt{}, fmt.Errorf("read receipt: %w", err)
		}
	}
	frame := r.held()
	env, err := challenges.DecodeEnvelope(frame)
	if err != nil {
		return nil, receipt.Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	word, err := receipt.Open(env, network, checker, r.id)
	if err != nil {
		return nil, receipt.Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	return frame, word, nil
}

// outcome is how a challenge ended.
type outcome struct {
	result    string
	err       error  // of the run; nil: none
	receipt   []byte // authentic; nil: none came
	passed    bool   // the receipt says pass
	telemetry []byte // encoded; nil: none
}

// copy is what is kept. Of a pass the frames are not, nor of an answer without a receipt.
func (r *recorder) copy(e outcome) receipt.Copy {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.start.UnixNano()
	c := receipt.Copy{
		Challenge: r.env, Receipt: e.receipt, At: at, Ended: at + int64(max(0, time.Since(r.start))),
		Result: e.result, Reason: r.reason(), Telemetry: e.telemetry,
	}
	// Without a receipt nobody can judge the frames; those of a failure are its record.
	if !e.passed && (e.receipt != nil || e.result != resultAnswered) {
		c.Events, c.Signatures = slices.Clone(r.events), slices.Clone(r.signatures)
	}
	if e.err != nil {
		c.Detail = e.err.Error()
	}
	if f, ok := errors.AsType[*gpu.Fault](e.err); ok {
		c.Fault, c.Xid, c.Detail = f.Class, f.Xid, f.Detail
	}
	c.Detail = printable(c.Detail, receipt.MaxDetail)
	return c
}

// reason is that of the refusal or abort that was sent, empty without one. The
// caller holds mu.
func (r *recorder) reason() string {
	for _, e := range slices.Backward(r.events) {
		if e.Out || e.Stream != challenges.StreamControl {
			continue
		}
		var refusal challenges.RefusalFrame
		if challenges.Unmarshal(e.Frame, &refusal) == nil {
			return refusal.Reason
		}
		var abort challenges.AbortFrame
		if challenges.Unmarshal(e.Frame, &abort) == nil {
			return abort.Reason
		}
		return "" // nothing of ours comes after either
	}
	return ""
}
