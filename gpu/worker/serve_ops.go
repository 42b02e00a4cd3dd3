package worker

import (
	"context"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// do is one call.
func (s *server) do(ctx context.Context, r request) ([]byte, error) {
	if r.Op == opSetup {
		return s.prepare(ctx, r.Payload)
	}
	s.mu.Lock()
	card, library := s.card, s.library
	s.mu.Unlock()
	switch {
	case card != nil && r.Op >= opStart && r.Op <= opFree:
		return s.device(ctx, card, r)
	case library != nil && r.Op == opCards:
		cards, err := library.Cards()
		if err != nil {
			return nil, err
		}
		return encode(&cardsMessage{Cards: cards})
	case library != nil && r.Op >= opInventory && r.Op <= opXid:
		return s.monitor(ctx, library, r)
	default:
		return nil, wrong("op %d: not in this role, or too early", r.Op)
	}
}

// encode holds a message of the host's against what the parent takes.
func encode(m interface{ Check() error }) ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	return challenges.Marshal(m), nil
}

// device is a call of a card.
func (s *server) device(ctx context.Context, card Card, r request) ([]byte, error) {
	switch r.Op {
	case opStart:
		m, err := decode[jobMessage](r.Payload)
		if err != nil {
			return nil, &callerError{err}
		}
		return nil, s.start(ctx, m.Run, func(ctx context.Context) (gpu.Run, error) { return card.Start(ctx, m.job()) })
	case opFill:
		return nil, s.fill(ctx, card, r.Payload)
	case opWalk:
		m, err := decode[walkMessage](r.Payload)
		if err != nil {
			return nil, &callerError{err}
		}
		s.mu.Lock()
		filled := s.memories[m.Memory]
		s.mu.Unlock()
		if filled == nil {
			return nil, wrong("no memory %d", m.Memory)
		}
		return nil, s.start(ctx, m.Run, func(ctx context.Context) (gpu.Run, error) { return filled.Walk(ctx, m.Nonce) })
	case opNext:
		run, err := s.run(r.Payload, false)
		if err != nil {
			return nil, err
		}
		root, err := run.Next(ctx)
		if err != nil {
			return nil, err
		}
		return challenges.Marshal(newRoot(root)), nil
	case opOpen:
		return s.open(ctx, r.Payload)
	case opClose:
		run, err := s.run(r.Payload, true)
		if err != nil {
			return nil, err
		}
		defer run.cancel()
		return nil, run.Close()
	default:
		return nil, s.free(r.Payload)
	}
}

// start begins a run, which outlives the call.
func (s *server) start(ctx context.Context, number uint64, begin func(context.Context) (gpu.Run, error)) error {
	s.mu.Lock()
	bad := s.runs[number] != nil || len(s.runs) >= maxHandles
	s.mu.Unlock()
	if bad {
		return wrong("run %d is open, or one of more than %d", number, maxHandles)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	// Until it has begun, the run ends with the call.
	stop := context.AfterFunc(ctx, cancel)
	run, err := begin(life)
	stop()
	if err != nil {
		cancel()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[number] = &heldRun{run, cancel}
	return nil
}

// run finds a run, and forgets it if it is to be closed.
func (s *server) run(payload []byte, forget bool) (*heldRun, error) {
	m, err := decode[handleMessage](payload)
	if err != nil {
		return nil, &callerError{err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.runs[m.Number]
	if run == nil {
		return nil, wrong("no run %d", m.Number)
	}
	if forget {
		delete(s.runs, m.Number)
	}
	return run, nil
}

func (s *server) open(ctx context.Context, payload []byte) ([]byte, error) {
	m, err := decode[openMessage](payload)
	if err != nil {
		return nil, &callerError{err}
	}
	s.mu.Lock()
	run := s.runs[m.Run]
	s.mu.Unlock()
	if run == nil {
		return nil, wrong("no run %d", m.Run)
	}
	return run.Open(ctx, int(m.Round), challenges.UnpackPositions(m.Positions))
}

func (s *server) fill(ctx context.Context, card Card, payload []byte) error {
	m, err := decode[fillMessage](payload)
	if err != nil {
		return &callerError{err}
	}
	s.mu.Lock()
	bad := s.memories[m.Memory] != nil || len(s.memories) >= maxHandles
	s.mu.Unlock()
	if bad {
		return wrong("memory %d is open, or one of more than %d", m.Memory, maxHandles)
	}
	filled, err := card.Fill(ctx, m.job())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memories[m.Memory] = filled
	return nil
}

func (s *server) free(payload []byte) error {
	m, err := decode[handleMessage](payload)
	if err != nil {
		return &callerError{err}
	}
	s.mu.Lock()
	filled := s.memories[m.Number]
	delete(s.memories, m.Number)
	s.mu.Unlock()
	if filled == nil {
		return wrong("no memory %d", m.Number)
	}
	return filled.Close()
}

// monitor is a call of the library.
func (s *server) monitor(ctx context.Context, library Library, r request) ([]byte, error) {
	m, err := decode[cardMessage](r.Payload)
	if err != nil {
		return nil, &callerError{err}
	}
	card, err := s.reader(library, m.UUID)
	if err != nil {
		return nil, err
	}
	switch r.Op {
	case opInventory:
		i, err := card.Inventory(ctx)
		if err != nil {
			return nil, err
		}
		return encode(&inventoryMessage{Inventory: i})
	case opSample:
		sample, err := card.Sample(ctx)
		if err != nil {
			return nil, err
		}
		return encode(&sample)
	case opProcesses:
		all, err := card.Processes(ctx)
		if err != nil {
			return nil, err
		}
		return encode(&processesMessage{Processes: all})
	case opAttest:
		e, err := card.Attest(ctx, m.Nonce)
		if err != nil {
			return nil, err
		}
		return encode(&evidenceMessage{Report: e.Report, Certificates: e.Certificates})
	default:
		xid, err := card.Xid(ctx, m.Within)
		if err != nil {
			return nil, err
		}
		return challenges.Marshal(&xidMessage{Xid: xid}), nil
	}
}

// reader is what reads a card.
func (s *server) reader(library Library, uuid string) (gpu.Monitor, error) {
	s.mu.Lock()
	m := s.monitors[uuid]
	s.mu.Unlock()
	if m != nil {
		return m, nil
	}
	m, err := library.Monitor(uuid)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Of two that came at once, the first is kept.
	if first := s.monitors[uuid]; first != nil {
		return first, nil
	}
	if len(s.monitors) < maxHandles {
		s.monitors[uuid] = m
	}
	return m, nil
}
