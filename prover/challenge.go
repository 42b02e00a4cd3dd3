package prover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// challenge answers one proof of compute or of memory.
func (a *Agent) challenge(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error {
	start := time.Now()
	r, err := a.receive(ctx, peer, conn)
	if err != nil {
		return err
	}
	a.contact(peer, false)
	// The control stream's host must be known before the bulk stream gives up.
	bulk, leave, err := a.meet.host(r.ID, peer)
	if err != nil {
		return err
	}
	defer leave()
	record := newRecorder(start, r.envelope, r.ID)
	record.full = a.cfg.Copies == nil // nobody keeps it
	w := &work{
		agent: a, request: r, start: start, control: record.control(conn), bulk: bulk, record: record,
		sign: challenges.NewFrameSigner(a.cfg.Key, a.network, r.ID, challenges.StreamControl),
	}
	if err := w.read(); err != nil {
		return err
	}
	device, refusal := w.check()
	if refusal == nil {
		refusal = w.free(device)
	}
	if refusal != nil {
		return w.refuse(ctx, refusal)
	}
	release, refusal := a.cfg.Admission.Admit(r)
	if refusal != nil {
		return w.refuse(ctx, refusal)
	}
	release = sync.OnceFunc(release)
	defer release()
	err = a.cfg.Ledger.Use(r.ID, challenges.Use{
		Checker: peer, Device: r.Challenge.Device, Epoch: r.Challenge.Epoch, At: start.UnixNano(),
	})
	if err != nil {
		release() // a refusal waits for its receipt
	}
	switch {
	case errors.Is(err, challenges.ErrUsed):
		// A challenge id is used once: answering again would let a checker compare two
		// runs of one chain.
		return w.refuse(ctx, &Refusal{Reason: challenges.ReasonReplay})
	case err != nil:
		a.wrote(ctx, opUse, r, err)
		return w.refuse(ctx, &Refusal{Reason: challenges.ReasonBusy})
	}
	a.wrote(ctx, opUse, r, nil)
	a.metrics.running.Inc()
	err = w.run(ctx, device)
	a.metrics.running.Dec()
	release() // what comes now needs no device
	if _, given := errors.AsType[*deviceError](err); !given && w.given() == nil && w.stuck() {
		err = &deviceError{"run", gpu.NewFault(gpu.FaultHang, "no answer before the challenge's deadline: %v", err)}
	}
	result := w.result(err)
	a.ended(ctx, r, result, err)
	how := "answered"
	if err != nil {
		how = err.Error()
	}
	a.wrote(ctx, opEnded, r, a.cfg.Ledger.Ended(r.ID, time.Now().UnixNano(), how))
	w.keep(ctx, outcome{result: result, err: err, telemetry: w.sampler.stop()})
	return err
}

// keep waits for the checker's receipt, and keeps the agent's copy.
func (w *work) keep(ctx context.Context, o outcome) {
	a := w.agent
	if a.cfg.Copies == nil {
		return
	}
	if env, word, err := w.record.awaitReceipt(ctx, w.control, a.network, w.request.Checker); err == nil {
		o.receipt, o.passed = env, word.Outcome == challenges.Pass
	} else {
		a.log.DebugContext(ctx, "no receipt", "peer", w.request.Checker, "challenge", w.request.ID, "err", peerError{err})
	}
	a.wrote(ctx, opCopy, w.request, a.cfg.Copies.PutCopy(w.request.ID, w.record.copy(o)))
}

// result says how a run ended, and by that whose doing it was.
func (w *work) result(err error) string {
	var device *deviceError
	switch {
	case err == nil:
		return resultAnswered
	case errors.Is(err, gpu.ErrOverrun):
		return resultAborted
	case errors.Is(err, errTenant):
		return resultYielded
	case errors.As(err, &device), w.stuck():
		return resultFailed
	}
	return resultLeft
}

// stuck reports that time ran out over the device: a device that hangs looks else
// like a checker that leaves, as it does at its deadline. It owes an opening that
// was asked for, or a round while the checker owes it nothing: as long as positions
// of a round are missing it may wait for them, be it for a key or for room.
func (w *work) stuck() bool {
	deadline, age := w.request.Challenge.Deadline, time.Since(w.start)
	// Who asks at the last moment and leaves is not owed anything yet.
	if age <= deadline*9/10 || w.awaits.Load() || age-time.Duration(w.moved.Load()) <= deadline/10 {
		return false
	}
	computed, asked := w.computed.Load(), w.asked.Load()
	return w.opened.Load() < asked || computed < int64(w.rounds) && asked == computed
}

// work is one challenge in progress.
type work struct {
	agent   *Agent
	request Request
	start   time.Time
	control challenges.Conn
	bulk    *table
	record  *recorder
	sampler *sampler        // of the card, while the challenge has it
	arrived <-chan struct{} // closed when a tenant comes; nil: none can

	sending sync.Mutex              // of the control stream
	sign    *challenges.FrameSigner // of the control stream
	bound   bool                    // by a frame that a refusal cannot follow
	gave    error                   // why the run was given up; nil: it was not

	rounds, samples int
	entries         uint64                                                                 // a round
	begin           func(ctx, busy context.Context, d gpu.Device) (gpu.Run, func(), error) // busy is the device's
	fits            func(d gpu.Device) bool

	computed, asked, opened atomic.Int64 // rounds; asked: by positions that are in order
	moved                   atomic.Int64 // ns since start, when the checker last asked for something
	awaits                  atomic.Bool  // the checker's nonce
}

// read reads the request's parameters: what its kind asks of a device.
func (w *work) read() error {
	c := &w.request.Challenge
	if c.Kind == challenges.Memory {
		p, err := c.MemoryParams()
		if err == nil {
			w.memory(p)
		}
		return err
	}
	p, err := c.ComputeParams()
	if err != nil {
		return err
	}
	row, err := challenges.LookupProfile(p.Profile)
	if err != nil {
		return err
	}
	w.rounds, w.samples, w.entries = row.Rounds, row.Samples, row.Shape.Entries()
	w.fits = func(d gpu.Device) bool {
		// A checker that judges against another claim than the offered one could make
		// anybody late. The network's checkers agreed on how much of a device one
		// challenge may take.
		return (!row.Simulated || w.agent.cfg.Registry.Simulated) && p.Claim == claimed(d, row.Shape.Flavour) &&
			row.Expected(p.Claim) <= w.agent.cfg.Registry.Params.MinSlot
	}
	w.begin = func(_, busy context.Context, d gpu.Device) (gpu.Run, func(), error) {
		run, err := d.Start(busy, gpu.Job{ID: w.request.ID, Device: c.Device, Profile: row, Window: int(p.Window)})
		if err != nil {
			err = w.fault(busy, "start", err)
		}
		return run, func() {}, err
	}
	return nil
}

// check holds a request against what the agent offers.
func (w *work) check() (gpu.Device, *Refusal) {
	a, r := w.agent, w.request
	if a.cfg.Registry.Index(r.Checker) < 0 {
		return nil, &Refusal{Reason: challenges.ReasonNotMember}
	}
	device := a.devices[r.Challenge.Device]
	now := a.clock.Epoch(time.Now())
	if device == nil || r.Challenge.Epoch+1 < now || r.Challenge.Epoch > now+1 || !w.fits(device) {
		return nil, &Refusal{Reason: challenges.ReasonUnsupported}
	}
	return device, nil
}

func claimed(d gpu.Device, f challenges.Flavour) uint64 { return d.Info().Offer().Claim(f) }

// free says whether a device is there to be used: no tenant has it, and what runs it
// is up. It takes no part of anybody's quota.
func (w *work) free(device gpu.Device) *Refusal {
	if tenants := w.agent.cfg.Tenants; tenants != nil {
		id := device.Info().ID
		w.arrived = tenants.Arrived(id) // before the question: who comes after it is seen
		if r := tenants.Refuse(id); r != nil {
			return r
		}
	}
	if d, ok := device.(interface{ Ready() (bool, *gpu.Fault) }); ok {
		if ready, fault := d.Ready(); !ready {
			r := &Refusal{Reason: challenges.ReasonFault}
			if fault != nil {
				r.Why = fault
			}
			return r
		}
	}
	return nil
}

func (w *work) refuse(ctx context.Context, r *Refusal) error {
	w.agent.ended(ctx, w.request, refused(r.Reason), nil)
	if err := w.send(ctx, challenges.NewRefusal(r.Reason, r.Until, r.IDs...)); err != nil {
		return fmt.Errorf("refuse: %w", err)
	}
	// Strangers could fill the disk, and a replay's copy would take the first one's
	// place.
	if r.Reason != challenges.ReasonNotMember && r.Reason != challenges.ReasonReplay && w.agent.keepsRefusal(w.request.Checker) {
		w.keep(ctx, outcome{result: refused(r.Reason), err: r.Why})
	}
	return nil
}

// send signs a frame of the control stream and sends it. Frames are sent in the order
// in which they are signed.
func (w *work) send(ctx context.Context, body []byte) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	w.bound = true
	return w.control.Send(ctx, w.sign.Sign(body))
}
