package bench

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/assaynet/assay/gpu"
)

// honestStalls are times in which something stands still: 30 s apart on average,
// 0.2 to 3 s long, each order of magnitude as likely.
type honestStalls struct {
	mu     sync.Mutex
	random *rand.Rand
	next   [2]time.Time
	drop   bool // this one loses what it meets
}

// hold is how much longer a thing that happens now takes.
func (s *honestStalls) hold(now time.Time) (wait time.Duration, drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next[1].IsZero() {
		s.next[1] = now
	}
	for !now.Before(s.next[1]) {
		from := s.next[1].Add(time.Duration(s.random.ExpFloat64() * float64(30*time.Second)))
		long := time.Duration(float64(200*time.Millisecond) * math.Pow(15, s.random.Float64()))
		s.next, s.drop = [2]time.Time{from, from.Add(long)}, s.random.IntN(2) == 0
	}
	if now.Before(s.next[0]) {
		return 0, false
	}
	return s.next[1].Sub(now), s.drop
}

// stallRun is the run of a simulated device that stands still now and then, which
// [gpu.Sim] would call an overrun of its machine.
type stallRun struct {
	gpu.Run
	job    gpu.Job
	round  time.Duration
	stalls *honestStalls
	due    time.Time

	mu     sync.Mutex
	opened []time.Time
}

func newStallRun(ctx context.Context, info gpu.Info, job gpu.Job, rate uint64, stalls *honestStalls) (gpu.Run, error) {
	run, err := gpu.NewCPU(gpu.CPUConfig{Info: info}).Start(ctx, job)
	if err != nil {
		return nil, err
	}
	return &stallRun{
		Run: run, job: job, round: time.Duration(float64(job.Profile.Shape.Ops()) / float64(rate) * 1e9), stalls: stalls,
		due: time.Now(), opened: make([]time.Time, job.Profile.Rounds),
	}, nil
}

func (r *stallRun) Next(ctx context.Context) (gpu.Root, error) {
	root, err := r.Run.Next(ctx)
	if err != nil {
		return root, err
	}
	if old := r.job.Profile.Feeds(root.Round, r.job.Window); old >= 0 {
		r.mu.Lock()
		if at := r.opened[old]; at.After(r.due) {
			r.due = at
		}
		r.mu.Unlock()
	}
	r.due = r.due.Add(r.round)
	for {
		select {
		case <-ctx.Done():
			return gpu.Root{}, context.Cause(ctx)
		case <-time.After(time.Until(r.due)):
		}
		wait, _ := r.stalls.hold(time.Now())
		if wait == 0 {
			return root, nil
		}
		r.due = r.due.Add(wait)
	}
}

func (r *stallRun) Open(ctx context.Context, round int, at []uint32) ([]byte, error) {
	opening, err := r.Run.Open(ctx, round, at)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened[round] = time.Now()
	return opening, err
}
