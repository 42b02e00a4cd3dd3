package prover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
)

// meeting brings a challenge's two streams together, whichever comes first.
type meeting struct {
	mu     sync.Mutex
	tables map[challenges.Hash]*table
	guests int // bound of one peer's bulk streams that wait for their challenge
}

type table struct {
	peer    challenges.NodeID
	claimed bool
	guests  int
	conns   chan challenges.Conn
	done    chan struct{} // closed when the challenge is over
}

// attachWait is how long either stream waits for the other.
const attachWait = 10 * time.Second

// maxGuests is that bound, unless the provider has more devices: a checker may ask
// of all of them at once.
const maxGuests = 8

func (m *meeting) host(id challenges.Hash, peer challenges.NodeID) (*table, func(), error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tables[id]
	if t == nil {
		t = &table{peer: peer, conns: make(chan challenges.Conn, 1), done: make(chan struct{})}
		m.tables[id] = t
	}
	if t.claimed || t.peer != peer {
		return nil, nil, errors.New("challenge is already running")
	}
	t.claimed = true
	return t, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		close(t.done)
		delete(m.tables, id)
	}, nil
}

func (m *meeting) visit(id challenges.Hash, peer challenges.NodeID) (*table, func(), error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tables[id]
	if t == nil {
		waiting := 0
		for _, other := range m.tables {
			if other.peer == peer && !other.claimed {
				waiting++
			}
		}
		if waiting >= m.guests {
			return nil, nil, errors.New("too many bulk streams without a challenge")
		}
		t = &table{peer: peer, conns: make(chan challenges.Conn, 1), done: make(chan struct{})}
		m.tables[id] = t
	}
	if t.peer != peer || t.guests > 0 {
		return nil, nil, errors.New("bulk stream of another's challenge, or a second one")
	}
	t.guests++
	return t, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !t.claimed {
			delete(m.tables, id)
		}
	}, nil
}

func (a *Agent) bulk(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error {
	frame, err := conn.Recv(ctx)
	if err != nil {
		return fmt.Errorf("read attach: %w", err)
	}
	var attach challenges.AttachFrame
	if err := challenges.Unmarshal(frame, &attach); err != nil {
		return err
	}
	t, leave, err := a.meet.visit(attach.Challenge, peer)
	if err != nil {
		return err
	}
	defer leave()
	t.conns <- conn // one place, one guest
	timer := time.NewTimer(attachWait)
	defer timer.Stop()
	for {
		select {
		case <-t.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			a.meet.mu.Lock()
			claimed := t.claimed
			a.meet.mu.Unlock()
			if !claimed {
				return errors.New("bulk stream without a challenge")
			}
		}
	}
}
