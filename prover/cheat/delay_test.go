package cheat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
)

// Probes and offers wait, challenges and openings do not.
func TestDelay(t *testing.T) {
	const by = 300 * time.Millisecond
	for proto, want := range map[string]time.Duration{
		challenges.ProtoProbe: by, challenges.ProtoOffer: by, challenges.ProtoControl: 0, challenges.ProtoBulk: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			net := fakeNetwork{}
			d := &Delay{Network: net, By: by}
			d.Handle(proto, answer)
			conn, begun := &fakeConn{}, time.Now()
			if err := net[proto](t.Context(), challenges.NodeID{}, conn); err != nil || len(conn.out) != 1 || time.Since(begun) != want {
				t.Errorf("%s: %d frames after %v, %v; want one after %v", proto, len(conn.out), time.Since(begun), err, want)
			}
		})
	}
}

func answer(ctx context.Context, _ challenges.NodeID, conn challenges.Conn) error {
	return conn.Send(ctx, []byte("pong"))
}

// Near a challenge only: while one runs, and for a while after the last one.
func TestDelayNearAChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const by, near, runs = 300 * time.Millisecond, 2 * time.Second, 10 * time.Second
		net := fakeNetwork{}
		d := &Delay{Network: net, By: by, Near: near}
		d.Handle(challenges.ProtoProbe, answer)
		d.Handle(challenges.ProtoControl, func(context.Context, challenges.NodeID, challenges.Conn) error {
			time.Sleep(runs)
			return nil
		})
		ping := func() time.Duration {
			begun := time.Now()
			if err := net[challenges.ProtoProbe](t.Context(), challenges.NodeID{}, &fakeConn{}); err != nil {
				t.Error(err)
			}
			return time.Since(begun)
		}
		if took := ping(); took != 0 {
			t.Errorf("before the first challenge: %v", took)
		}
		done := make(chan error)
		go func() { done <- net[challenges.ProtoControl](t.Context(), challenges.NodeID{}, &fakeConn{}) }()
		time.Sleep(runs / 2)
		if took := ping(); took != by {
			t.Errorf("in a challenge: %v", took)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := ping(); took != by {
			t.Errorf("just after it: %v", took)
		}
		time.Sleep(near)
		if took := ping(); took != 0 {
			t.Errorf("long after it: %v", took)
		}
	})
}

func TestDelayStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := fakeNetwork{}
		(&Delay{Network: net, By: time.Hour}).Handle(challenges.ProtoProbe, answer)
		why := errors.New("peer left")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		conn := &fakeConn{}
		if err := net[challenges.ProtoProbe](ctx, challenges.NodeID{}, conn); !errors.Is(err, why) || len(conn.out) > 0 {
			t.Errorf("%d frames, %v", len(conn.out), err)
		}
	})
}
