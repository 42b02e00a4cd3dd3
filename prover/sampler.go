package prover

import (
	"context"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

const (
	sampleEvery  = 100 * time.Millisecond // at first
	sampleWithin = 500 * time.Millisecond // each call, and the wait for the last
	maxSamples   = 64                     // in memory; then every second goes, and as many come
	maxRecord    = 4096                   // bytes in a result (M8)
)

// sampler reads a card while a challenge runs on it: before, every moment, and
// after. What reads the card may fail or hang: the challenge does not wait for it,
// and the record has less.
type sampler struct {
	over   chan struct{} // closed by stop
	done   chan struct{} // closed when nothing is read any more
	cancel context.CancelFunc
	once   sync.Once

	// Owned by run, until done is closed.
	inventory *telemetry.Inventory
	snapshots []telemetry.Snapshot

	record []byte // stop's
}

// startSampler begins to read a card; times in the record are since start. With no
// monitor there will be no record.
func startSampler(ctx context.Context, m gpu.Monitor, start time.Time) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{over: make(chan struct{}), done: make(chan struct{}), cancel: cancel}
	if m == nil {
		close(s.done)
		return s
	}
	go s.run(ctx, m, start)
	return s
}

func (s *sampler) run(ctx context.Context, m gpu.Monitor, start time.Time) {
	defer close(s.done)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if i, err := new(asker[telemetry.Inventory]).ask(ctx, sampleWithin, m.Inventory); err == nil {
			s.inventory = &i
		}
	})
	var asks asker[telemetry.Snapshot]
	take := func() {
		at := time.Since(start)
		snapshot, err := asks.ask(ctx, sampleWithin, m.Sample)
		if snapshot.At = at; err != nil || snapshot.Check() != nil {
			return
		}
		s.snapshots = append(s.snapshots, snapshot)
	}
	take()
	every := sampleEvery
	tick := time.NewTicker(every)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			return
		case <-s.over:
		case <-tick.C:
		case <-asks.open: // too late to count
			asks.open = nil
			continue
		}
		select {
		case <-s.over: // also where it was time for another
			over = true
		default:
		}
		if asks.open == nil { // else it hangs
			take()
		}
		if len(s.snapshots) == maxSamples {
			s.snapshots = telemetry.Trim(s.snapshots, maxSamples/2)
			every *= 2
			tick.Reset(every)
		}
	}
}

// stop reads the card once more, for which it waits at most half a second, and
// returns the record for a result, nil where the card did not say what it is. A later
// call returns the same.
func (s *sampler) stop() []byte {
	s.once.Do(func() {
		close(s.over)
		timer := time.AfterFunc(sampleWithin, s.cancel)
		<-s.done
		timer.Stop()
		s.cancel()
		s.record = s.seal()
	})
	return s.record
}

// seal makes the largest record that fits a result.
func (s *sampler) seal() []byte {
	if s.inventory == nil {
		return nil
	}
	r := telemetry.Record{Inventory: *s.inventory, Snapshots: s.snapshots}
	if !r.Fit(maxRecord, func(r *telemetry.Record) int { return len(challenges.Marshal(r)) }) {
		return nil
	}
	b := challenges.Marshal(&r)
	// What a reader would not take is no record: the card's own texts are in it.
	if challenges.Unmarshal(b, new(telemetry.Record)) != nil {
		return nil
	}
	return b
}
