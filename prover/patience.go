package prover

import (
	"context"
	"time"
)

// asker asks one question at a time of what may hang: who asks waits no longer than
// he wants to, and a question that nobody answered is not asked again on top of it.
type asker[T any] struct {
	open chan answer[T] // nil: the last question was answered
}

type answer[T any] struct {
	value T
	err   error
}

// ask gives up when the time is over or ctx ends, also where f does not.
func (a *asker[T]) ask(ctx context.Context, within time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var none T
	if a.open != nil {
		select {
		case <-a.open: // too late to count
			a.open = nil
		case <-ctx.Done():
			return none, context.Cause(ctx)
		}
	}
	out := make(chan answer[T], 1)
	go func() {
		v, err := f(ctx)
		out <- answer[T]{v, err}
	}()
	select {
	case r := <-out:
		return r.value, r.err
	case <-ctx.Done():
		a.open = out
		return none, context.Cause(ctx)
	}
}
