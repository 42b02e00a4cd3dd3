package prover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

var (
	// errTenant says that a device was given up for a tenant.
	errTenant = errors.New("a tenant came")
	// errBlind says that a device was given up since nobody could say whether a tenant
	// had come. That is our own failure.
	errBlind = &deviceError{"tenancy", errors.New("it is not known whether a tenant has the device")}
)

// heardWithin bounds the wait for a checker that was told that a run is given up.
const heardWithin = 5 * time.Second

// deviceError is a device's failure: ours, whatever a checker did.
type deviceError struct {
	op  string
	err error
}

func (e *deviceError) Error() string { return e.op + ": " + e.err.Error() }

func (e *deviceError) Unwrap() error { return e.err }

// fault is what a device's error is: a tenant's doing, a failure of its own, or only
// that it gave up what nobody waits for any more. busy is the context that the
// device was given.
func (w *work) fault(busy context.Context, op string, err error) error {
	select {
	case <-w.arrived: // what held the device was ended for him, and that may be seen first
		return fmt.Errorf("%s: %w", op, w.arrival())
	default:
	}
	if errors.Is(err, gpu.ErrOverrun) {
		return err
	}
	if busy.Err() != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return &deviceError{op, err}
}

// arrival is why the device had to be given up.
func (w *work) arrival() error {
	if r := w.agent.cfg.Tenants.Refuse(w.request.Challenge.Device); r != nil && r.Reason != challenges.ReasonTenant {
		return errBlind
	}
	return errTenant
}

// ours reports that a run has to be given up by our doing, and said to be.
func ours(err error) bool {
	var device *deviceError
	return errors.Is(err, errTenant) || errors.Is(err, gpu.ErrOverrun) || errors.As(err, &device)
}

// say tells the checker that the run is given up, once, and why. Before the first
// root it is a refusal; later a way out without a mark would make a wrong answer
// avoidable.
func (w *work) say(ctx context.Context, why error) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	if w.gave != nil {
		return nil
	}
	w.gave = why
	var body []byte
	switch tenant := errors.Is(why, errTenant); {
	case errors.Is(why, gpu.ErrOverrun):
		body = challenges.NewAbort(challenges.AbortOverrun)
	case tenant && w.bound:
		body = challenges.NewAbort(challenges.AbortTenant)
	case tenant:
		body = challenges.NewRefusal(challenges.ReasonTenant, 0)
	case w.bound:
		body = challenges.NewAbort(challenges.AbortFault)
	default:
		body = challenges.NewRefusal(challenges.ReasonFault, 0)
	}
	return w.control.Send(ctx, w.sign.Sign(body))
}

// given is why the run was given up; nil: it was not.
func (w *work) given() error {
	w.sending.Lock()
	defer w.sending.Unlock()
	return w.gave
}

// giveUp tells the checker, and waits until it has ended the challenge: a reset could
// overtake the word.
func (w *work) giveUp(ctx context.Context, why error) error {
	if err := w.say(ctx, why); err != nil {
		return err
	}
	timer := time.NewTimer(heardWithin)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return why
}

// hear reads the control stream to its end, which is near: the checker was told that
// nothing more will come.
func (w *work) hear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heardWithin)
	defer cancel()
	for {
		if _, err := w.control.Recv(ctx); err != nil {
			return errors.Join(errGone, err)
		}
	}
}
