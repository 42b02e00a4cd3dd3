package worker

import (
	"context"
	"time"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Monitor reads all cards through one child. A call returns as soon as its context
// ends, and is a fault of class absent while no child is ready.
type Monitor struct{ s *supervisor }

// NewMonitor makes a monitor. Nothing is started before Run.
func NewMonitor(cfg Config) *Monitor { return &Monitor{newSupervisor(cfg, RoleMonitor)} }

// Run starts the child, again when it is gone, until ctx ends. Then it ends and
// reaps the child, and returns nil.
func (m *Monitor) Run(ctx context.Context) error { return m.s.run(ctx) }

// Status is how the child does.
func (m *Monitor) Status() Status { return m.s.read() }

// Changed is closed at the next change of the status.
func (m *Monitor) Changed() <-chan struct{} { return m.s.changes() }

// Cards lists what the library shows.
func (m *Monitor) Cards(ctx context.Context) ([]telemetry.Inventory, error) {
	a, err := read[cardsMessage](ctx, m.s, opCards, &cardMessage{})
	if err != nil {
		return nil, err
	}
	return a.Cards, nil
}

// Card reads the card with a UUID. Whether there is one shows in its calls.
func (m *Monitor) Card(uuid string) gpu.Monitor { return &reader{m.s, uuid} }

// read asks the child for something.
func read[T any](ctx context.Context, s *supervisor, op uint8, message *cardMessage) (*T, error) {
	if err := message.Check(); err != nil {
		return nil, err
	}
	p, f := s.take()
	if f != nil {
		return nil, f
	}
	payload, err := p.ask(ctx, op, message, false)
	return answer[T](p, payload, err)
}

// reader is one card.
type reader struct {
	s    *supervisor
	uuid string
}

// Inventory is what the card says it is.
func (r *reader) Inventory(ctx context.Context) (telemetry.Inventory, error) {
	a, err := read[inventoryMessage](ctx, r.s, opInventory, &cardMessage{UUID: r.uuid})
	if err != nil {
		return telemetry.Inventory{}, err
	}
	return a.Inventory, nil
}

// Sample reads the card.
func (r *reader) Sample(ctx context.Context) (telemetry.Snapshot, error) {
	a, err := read[telemetry.Snapshot](ctx, r.s, opSample, &cardMessage{UUID: r.uuid})
	if err != nil {
		return telemetry.Snapshot{}, err
	}
	return *a, nil
}

// Processes lists the compute processes on the card.
func (r *reader) Processes(ctx context.Context) ([]telemetry.Process, error) {
	a, err := read[processesMessage](ctx, r.s, opProcesses, &cardMessage{UUID: r.uuid})
	if err != nil {
		return nil, err
	}
	return a.Processes, nil
}

// Attest has the card sign a nonce.
func (r *reader) Attest(ctx context.Context, nonce [32]byte) (gpu.Evidence, error) {
	a, err := read[evidenceMessage](ctx, r.s, opAttest, &cardMessage{UUID: r.uuid, Nonce: nonce})
	if err != nil {
		return gpu.Evidence{}, err
	}
	return gpu.Evidence{Report: a.Report, Certificates: a.Certificates}, nil
}

// Xid is the number of the latest error that the card reported within a time.
func (r *reader) Xid(ctx context.Context, within time.Duration) (uint32, error) {
	a, err := read[xidMessage](ctx, r.s, opXid, &cardMessage{UUID: r.uuid, Within: within})
	if err != nil {
		return 0, err
	}
	return a.Xid, nil
}
