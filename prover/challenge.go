package prover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

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
	w := &work{
		agent: a, request: r, start: start, control: conn, bulk: bulk,
		sign: challenges.NewFrameSigner(a.cfg.Key, a.network, r.ID, challenges.StreamControl),
	}
	if err := w.read(); err != nil {
		return err
	}
	device, refusal := w.check()
	if refusal != nil {
		return w.refuse(ctx, refusal)
	}
	release, refusal := a.cfg.Admission.Admit(r)
	if refusal != nil {
		return w.refuse(ctx, refusal)
	}
	defer release()
	err = a.cfg.Ledger.Use(r.ID, challenges.Use{
		Checker: peer, Device: r.Challenge.Device, Epoch: r.Challenge.Epoch, At: start.UnixNano(),
	})
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
	a.ended(ctx, r, w.result(err), err)
	how := "answered"
	if err != nil {
		how = err.Error()
	}
	a.wrote(ctx, opEnded, r, a.cfg.Ledger.Ended(r.ID, time.Now().UnixNano(), how))
	return err
}

// result says how a run ended, and by that whose doing it was.
func (w *work) result(err error) string {
	var device *deviceError
	switch {
	case err == nil:
		return resultAnswered
	case errors.Is(err, gpu.ErrOverrun):
		return resultAborted
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
	if time.Since(w.start) <= w.request.Challenge.Deadline*9/10 || w.awaits.Load() {
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
	sign    *challenges.FrameSigner // of the control stream
	overrun error                   // why the run was aborted; commit's, read after the run

	rounds, samples int
	entries         uint64 // a round
	begin           func(ctx context.Context, d gpu.Device) (gpu.Run, func(), error)
	fits            func(d gpu.Device) bool

	computed, asked, opened atomic.Int64 // rounds; asked: by positions that are in order
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
	w.begin = func(ctx context.Context, d gpu.Device) (gpu.Run, func(), error) {
		run, err := d.Start(ctx, gpu.Job{ID: w.request.ID, Device: c.Device, Profile: row, Window: int(p.Window)})
		if err != nil {
			err = deviceFault(ctx, "start", err)
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

func (w *work) refuse(ctx context.Context, r *Refusal) error {
	w.agent.ended(ctx, w.request, refused(r.Reason), nil)
	err := w.control.Send(ctx, w.sign.Sign(challenges.NewRefusal(r.Reason, r.Until, r.IDs...)))
	if err != nil {
		return fmt.Errorf("refuse: %w", err)
	}
	return nil
}

// opened is an opening on its way to the bulk stream.
type opened struct {
	round   int
	request challenges.Hash
	opening []byte
}

// errGone says that the checker left before the end.
var errGone = errors.New("checker left")

// run computes, commits and opens. Roots never queue behind openings: they have
// the control stream to themselves.
func (w *work) run(ctx context.Context, device gpu.Device) error {
	// The checker's patience bounds ours: a checker that says nothing must not hold
	// the device.
	ctx, cancel := context.WithTimeout(ctx, w.request.Challenge.Deadline+time.Second)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	run, free, err := w.begin(ctx, device)
	if errors.Is(err, gpu.ErrOverrun) {
		// Nobody reads the control stream yet, and only the checker's end ends this.
		g.Go(func() error {
			_, err := w.control.Recv(ctx)
			return errors.Join(errGone, err)
		})
		return w.abort(ctx, err)
	}
	if err != nil {
		return err
	}
	defer free()
	defer run.Close()

	roots := make(chan challenges.Hash, w.rounds) // committed, not yet asked for
	queue := make(chan opened, w.rounds)          // bounded: one opening a round
	sent := make(chan struct{})                   // every opening is on the wire
	g.Go(func() error { return w.commit(ctx, run, roots, sent) })
	g.Go(func() error { return w.listen(ctx, run, roots, queue) })
	g.Go(func() error {
		if err := w.open(ctx, queue); err != nil {
			return err
		}
		close(sent)
		return nil
	})
	err = g.Wait()
	if w.overrun != nil {
		return w.overrun // what came after it is the checker leaving
	}
	return err
}

// commit sends the roots as they come, and the result after the last opening.
func (w *work) commit(ctx context.Context, run gpu.Run, roots chan<- challenges.Hash, sent <-chan struct{}) error {
	core := challenges.Core{Challenge: w.request.ID, Device: w.request.Challenge.Device, Boot: w.agent.cfg.Boot}
	for {
		asked := time.Now()
		root, err := run.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, gpu.ErrOverrun) {
			return w.abort(ctx, err)
		}
		if err != nil {
			return deviceFault(ctx, "compute", err)
		}
		w.agent.metrics.round.Observe(time.Since(asked).Seconds())
		w.computed.Add(1) // before its root is sent: a stream that takes none is no device's fault
		core.Roots = append(core.Roots, root.Root)
		roots <- root.Root
		frame := w.sign.Sign(challenges.NewRoot(root.Round, root.Root, root.Key, time.Since(w.start)))
		if err := w.control.Send(ctx, frame); err != nil {
			return fmt.Errorf("send root %d: %w", root.Round, err)
		}
	}
	close(roots)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-sent:
	}
	return w.control.Send(ctx, w.sign.Sign(challenges.NewResult(core)))
}

// abort says that the machine under a simulated device was too slow.
func (w *work) abort(ctx context.Context, why error) error {
	if err := w.control.Send(ctx, w.sign.Sign(challenges.NewAbort(challenges.AbortOverrun))); err != nil {
		return err
	}
	w.overrun = why
	// The checker closes when it has read the abort: a reset could overtake it.
	<-ctx.Done()
	return why
}

// listen answers each request for positions: it must name the round whose turn
// it is, after its root was sent, and entries inside the matrix.
func (w *work) listen(ctx context.Context, run gpu.Run, roots <-chan challenges.Hash, queue chan<- opened) error {
	defer close(queue)
	for round := range w.rounds {
		frame, err := w.control.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return errGone
		}
		if err != nil {
			return fmt.Errorf("read positions: %w", err)
		}
		var f challenges.PositionsFrame
		if err := challenges.Unmarshal(frame, &f); err != nil {
			return err
		}
		if int64(f.Round) != int64(round) || len(f.Positions) != 4*w.samples {
			return fmt.Errorf("positions of round %d, %d bytes; want round %d, %d bytes", f.Round, len(f.Positions), round, 4*w.samples)
		}
		select {
		case <-roots:
		default:
			return fmt.Errorf("positions of round %d before its root", round)
		}
		at := challenges.UnpackPositions(f.Positions)
		for _, e := range at {
			if uint64(e) >= w.entries {
				return fmt.Errorf("positions of round %d: entry %d is outside the matrix", f.Round, e)
			}
		}
		w.asked.Add(1)
		opening, err := run.Open(ctx, round, at)
		if err != nil {
			return deviceFault(ctx, "open", err)
		}
		w.opened.Add(1)
		queue <- opened{round, challenges.FrameHash(frame), opening}
	}
	return nil
}

// open sends the openings, in round order, on the bulk stream.
func (w *work) open(ctx context.Context, queue <-chan opened) error {
	timer := time.NewTimer(attachWait)
	defer timer.Stop()
	var conn challenges.Conn
	select {
	case conn = <-w.bulk.conns:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return errors.New("no bulk stream")
	}
	sign := challenges.NewFrameSigner(w.agent.cfg.Key, w.agent.network, w.request.ID, challenges.StreamBulk)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case o, ok := <-queue:
			if !ok {
				return nil
			}
			for _, body := range challenges.NewOpening(o.round, o.request, o.opening) {
				if err := conn.Send(ctx, sign.Sign(body)); err != nil {
					return fmt.Errorf("send opening %d: %w", o.round, err)
				}
			}
			w.agent.metrics.openings.Add(float64(len(o.opening)))
		}
	}
}
