package selftest

import (
	"context"
	"sync"
	"time"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Snapshot is one sample of a card.
type Snapshot struct {
	Device string
	At     time.Time
	Of     telemetry.Snapshot
}

// mostKept bounds the samples that are kept of a card.
const mostKept = 4096

// watch samples a card while it works. Its goroutine ends with stop.
type watch struct {
	kept  []Snapshot // evenly over the whole time
	every int        // one of so many samples is kept
	load  Load
	sums  sums

	end  context.CancelFunc
	done sync.WaitGroup
}

// start begins to sample; without a monitor it does nothing.
func (w *watch) start(ctx context.Context, m gpu.Monitor, device string, each time.Duration) {
	w.every, w.load = 1, newLoad()
	ctx, w.end = context.WithCancel(ctx)
	if m == nil {
		return
	}
	w.done.Go(func() {
		tick := time.NewTicker(each)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			s, err := w.sample(ctx, m)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				w.load.Failed++
				w.load.Error = err.Error()
			default:
				w.take(Snapshot{Device: device, At: time.Now().UTC(), Of: s})
			}
		}
	})
}

// sampleTime is how long a sample may take.
const sampleTime = 5 * time.Second

func (w *watch) sample(ctx context.Context, m gpu.Monitor) (telemetry.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	return m.Sample(ctx)
}

// stop ends the samples and makes the figures.
func (w *watch) stop() {
	if w.end == nil {
		return
	}
	w.end()
	w.done.Wait()
	w.load.finish(w.sums)
}

// take counts a sample, and keeps it if it is its turn.
func (w *watch) take(s Snapshot) {
	w.load.take(&w.sums, &s.Of)
	if (w.load.Samples-1)%w.every == 0 {
		w.kept = append(w.kept, s)
	}
	if len(w.kept) > mostKept {
		for i := range len(w.kept) / 2 {
			w.kept[i] = w.kept[2*i]
		}
		w.kept, w.every = w.kept[:len(w.kept)/2], 2*w.every
	}
}
