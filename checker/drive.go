package checker

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
)

// arrival is what a reader saw on a stream.
type arrival struct {
	stream uint8
	at     time.Time
	frame  []byte
	err    error
}

// pace says when a challenge goes on that does not run alone. The zero value is
// for one that does.
type pace struct {
	start  func(ctx context.Context) // returns at the instant at which the challenge is to leave
	filled func(ctx context.Context) // the same for the nonce of a proof of memory
}

// way is how a challenge went out.
type way struct {
	left    time.Time // by the checker's clock
	relayed bool      // the path goes through a relay
	line    *line     // what is left of the control stream, for the caller to end; nil: nothing
}

// drive runs one challenge over real streams: it stamps what happens, steps the
// session, and sends what it asks for. It returns when the session is done. It
// never fails: whatever goes wrong is an event that the session judges.
func drive(ctx context.Context, net Network, s *challenges.Session, challenge []byte, p pace, protos ...string) (w way) {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, s.Challenge().Deadline)
	defer cancel()
	d := driver{parent: parent, session: s, start: time.Now(), pace: p}
	to := s.Challenge().Provider
	defer func() {
		for i, conn := range d.conns {
			if i != challenges.StreamControl || w.line == nil {
				conn.Close()
			}
		}
	}()
	for _, proto := range protos {
		conn, err := net.Open(ctx, to, proto)
		if err != nil {
			d.end(0, d.cause(err))
			return w
		}
		d.conns = append(d.conns, conn)
		w.relayed = w.relayed || conn.Relayed()
	}
	if p.start != nil {
		if p.start(parent); parent.Err() != nil {
			d.end(0, challenges.EndStopped) // before the instant: nothing leaves
			return w
		}
	}
	// The deadline counts from the challenge, not from the dial.
	d.start = time.Now()
	w.left = d.start
	ctx, cancel = context.WithDeadline(parent, d.start.Add(s.Challenge().Deadline))
	defer cancel()

	// What waits here is at most 7 frames of 16 KiB with those in the readers' hands,
	// and a peer that sends more waits itself.
	control, bulk := make(chan arrival, 4), make(chan arrival, 1)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel() // ends the readers before the wait for them
	if err := d.conns[0].Send(ctx, challenge); err != nil {
		d.end(0, d.cause(err))
		return w
	}
	// The control stream outlives the session. A Recv whose context ends would reset
	// it, so its reader has one that lasts.
	w.line = newLine(parent, d.conns[challenges.StreamControl])
	w.line.reader.Go(func() { read(ctx, w.line.life, challenges.StreamControl, w.line.conn, control) })
	for i, conn := range d.conns[1:] {
		readers.Go(func() { read(ctx, ctx, uint8(i+1), conn, bulk) })
	}
	if d.send(ctx, s.Start()) {
		return w
	}
	closed := 0
	for {
		a, ok := await(ctx, control, bulk)
		if !ok {
			d.end(0, d.cause(ctx.Err()))
			return w
		}
		switch {
		case errors.Is(a.err, io.EOF):
			// A stream may close when it has said all while the other still talks.
			if closed++; closed < len(d.conns) {
				continue
			}
			d.end(a.stream, challenges.EndClosed)
			return w
		case a.err != nil:
			d.end(a.stream, d.cause(a.err))
			return w
		}
		w.line.last = w.line.last || a.stream == challenges.StreamControl && challenges.IsLast(a.frame)
		send, done := s.Step(challenges.Event{At: d.at(a.at), Stream: a.stream, Frame: a.frame})
		if done || d.send(ctx, send) {
			return w
		}
	}
}

// await takes the next arrival. A root goes before openings that came earlier: its
// answer is timed.
func await(ctx context.Context, control, bulk <-chan arrival) (a arrival, ok bool) {
	select {
	case a = <-control:
		return a, true
	default:
	}
	select {
	case <-ctx.Done():
		return a, false
	case a = <-control:
	case a = <-bulk:
	}
	return a, true
}

// read stamps frames the moment they are whole, until ctx ends. life is that of the
// stream.
func read(ctx, life context.Context, stream uint8, conn challenges.Conn, arrivals chan<- arrival) {
	for {
		frame, err := conn.Recv(life)
		select {
		case arrivals <- arrival{stream, time.Now(), frame, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

type driver struct {
	parent  context.Context
	session *challenges.Session
	conns   []challenges.Conn
	start   time.Time
	pace    pace
	last    time.Duration
}

// at is a time since the start. Two readers may stamp out of order by a hair;
// the session's times never fall.
func (d *driver) at(t time.Time) time.Duration {
	d.last = max(d.last, t.Sub(d.start))
	return d.last
}

// send stamps each frame before it leaves, so that an interval that starts with
// it is never too short; done if the session ended over it.
func (d *driver) send(ctx context.Context, out []challenges.Out) (done bool) {
	for _, o := range out {
		if d.pace.filled != nil && challenges.StartsWalks(o.Frame) {
			d.pace.filled(ctx)
		}
		_, done := d.session.Step(challenges.Event{At: d.at(time.Now()), Stream: o.Stream, Out: true, Frame: o.Frame})
		if done {
			return true
		}
		if err := d.conns[o.Stream].Send(ctx, o.Frame); err != nil {
			d.end(o.Stream, d.cause(err))
			return true
		}
	}
	return false
}

func (d *driver) end(stream uint8, cause challenges.Cause) {
	d.session.Step(challenges.Event{At: d.at(time.Now()), Stream: stream, End: cause})
}

// cause maps what a transport says to the protocol's causes of an end.
func (d *driver) cause(err error) challenges.Cause {
	switch {
	case d.parent.Err() != nil:
		return challenges.EndStopped
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, challenges.ErrIdle):
		return challenges.EndTimeout
	case errors.Is(err, challenges.ErrDial):
		return challenges.EndDial
	case errors.Is(err, challenges.ErrTooLarge), errors.Is(err, challenges.ErrLimit):
		return challenges.EndOversize
	case errors.Is(err, io.EOF):
		return challenges.EndClosed
	case errors.Is(err, challenges.ErrReset):
		return challenges.EndReset
	}
	return challenges.EndInternal
}
