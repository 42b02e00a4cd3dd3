package prover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// cramped is a device that has room for so many rounds that are not opened, and
// that may hang.
type cramped struct {
	gpu.Device
	room       int // 0: for all
	next, open int // the round in whose Next or Open it hangs; -1: none
}

func (d cramped) run(r gpu.Run, err error) (gpu.Run, error) {
	if err != nil {
		return nil, err
	}
	if d.room == 0 {
		d.room = 1 << 10
	}
	return &crampedRun{Run: r, device: d, held: make(chan struct{}, d.room)}, nil
}

func (d cramped) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	return d.run(d.Device.Start(ctx, job))
}

func (d cramped) Fill(ctx context.Context, job gpu.MemoryJob) (gpu.Memory, error) {
	m, err := d.Device.Fill(ctx, job)
	return crampedMemory{m, d}, err
}

type crampedMemory struct {
	gpu.Memory
	device cramped
}

func (m crampedMemory) Walk(ctx context.Context, nonce challenges.Hash) (gpu.Run, error) {
	return m.device.run(m.Memory.Walk(ctx, nonce))
}

type crampedRun struct {
	gpu.Run
	device cramped
	round  int
	held   chan struct{}
}

func (r *crampedRun) Next(ctx context.Context) (gpu.Root, error) {
	if r.round == r.device.next {
		<-ctx.Done()
		return gpu.Root{}, context.Cause(ctx)
	}
	select {
	case <-ctx.Done():
		return gpu.Root{}, context.Cause(ctx)
	case r.held <- struct{}{}:
	}
	r.round++
	return r.Run.Next(ctx)
}

func (r *crampedRun) Open(ctx context.Context, round int, at []uint32) ([]byte, error) {
	if round == r.device.open {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	opening, err := r.Run.Open(ctx, round, at)
	<-r.held
	return opening, err
}

// silent is a checker that reads so many roots, asks of so many rounds, and says
// nothing more.
type silent struct {
	roots, asks int
	deaf        bool          // it takes no openings
	late        func(*script) // what it says after all; nil: nothing
}

func (c silent) play(w *watched, change func(*ask), samples int) error {
	w.t.Helper()
	s := w.begin(change)
	if !c.deaf {
		bulk := w.attach(checkerKey, s.ask.seal().ID())
		defer func() { <-bulk }()
	}
	if s.ask.Kind == challenges.Memory {
		s.filled()
		s.nonce()
	}
	for r := range c.roots {
		s.root(r)
		if r < c.asks {
			s.positions(uint32(r), make([]uint32, samples)...)
		}
	}
	if c.late != nil {
		c.late(s)
	}
	return <-s.done
}

// A device is at fault for the time that ran out only if it owes something and
// waits for nothing: it may wait for the checker's positions where no key needs
// them.
func TestWhoseTimeRanOut(t *testing.T) {
	judged := func(w *watched, change func(*ask), _ int) error {
		_, err := w.judge(w.ask(change))
		return err
	}
	const devnet = 1
	row, err := challenges.LookupProfile(devnet)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []struct {
		name            string
		ask             func(*ask)
		rounds, samples int
	}{
		// Keys need the positions of rounds further back than there is room for.
		{"compute", func(a *ask) { of(devnet)(a); a.params.Window = 4 }, row.Rounds, row.Samples},
		{"memory", ofMemory(nil), testDataset().Rounds, testDataset().Samples},
	} {
		last := kind.rounds - 1
		silence := context.DeadlineExceeded
		for _, tt := range []struct {
			name   string
			device cramped
			play   func(*watched, func(*ask), int) error
			result string
			err    error // nil: any
		}{
			{"all is well", cramped{room: 3, next: -1, open: -1}, judged, resultAnswered, nil},
			{"room for all, no word", cramped{next: -1, open: -1}, silent{roots: 3}.play, resultLeft, silence},
			{"room for 3, no word", cramped{room: 3, next: -1, open: -1}, silent{roots: 3}.play, resultLeft, silence},
			{"room for 3, silence after 2", cramped{room: 3, next: -1, open: -1}, silent{roots: 5, asks: 2}.play, resultLeft, silence},
			{"room for 1, silence after 2", cramped{room: 1, next: -1, open: -1}, silent{roots: 3, asks: 2}.play, resultLeft, silence},
			{"no word of the last round", cramped{next: -1, open: -1}, silent{roots: last + 1, asks: last}.play, resultLeft, silence},
			{"all was opened, no opening is taken", cramped{next: -1, open: -1}, silent{roots: last + 1, asks: last + 1, deaf: true}.play, resultLeft, silence},
			{"hangs at once", cramped{room: 3, next: 0, open: -1}, judged, resultFailed, nil},
			{"hangs, all was opened", cramped{room: 3, next: 3, open: -1}, judged, resultFailed, nil},
			{"hangs, all was opened, then no word", cramped{room: 3, next: 3, open: -1}, silent{roots: 3, asks: 3}.play, resultFailed, nil},
			{"hangs in the last round", cramped{room: 3, next: last, open: -1}, judged, resultFailed, nil},
			// Nobody reads the positions of the rounds that are computed behind one.
			{"hangs in an opening", cramped{room: 3, next: -1, open: 2}, judged, resultFailed, nil},
			{"hangs in an opening with room for all", cramped{next: -1, open: 2}, judged, resultFailed, nil},
			{"hangs in the first opening", cramped{room: 1, next: -1, open: 0}, judged, resultFailed, nil},
			{"hangs in the last opening", cramped{room: 3, next: -1, open: last}, judged, resultFailed, nil},
			// What is not in order asks for nothing.
			{"hangs, checker breaks the protocol late", cramped{room: 3, next: 2, open: -1}, silent{roots: 2, asks: 1, late: func(s *script) {
				time.Sleep(s.ask.Deadline * 95 / 100)
				s.positions(1)
			}}.play, resultLeft, nil},
		} {
			t.Run(kind.name+"/"+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := watch(t, func(c *Config) {
						tt.device.Device = simDevice(t, nil)
						c.Devices = []gpu.Device{tt.device}
					})
					err := tt.play(w, kind.ask, kind.samples)
					if (err == nil) != (tt.result == resultAnswered) || tt.err != nil && !errors.Is(err, tt.err) {
						t.Errorf("error %v", err)
					}
					if n := w.value("challenges_total", tt.result); n != 1 {
						t.Errorf("%v of %s (%v)", n, tt.result, err)
					}
					var bad []string
					if tt.result == resultFailed {
						bad = []string{"device"}
					}
					if got := w.failing(); !slices.Equal(got, bad) {
						t.Errorf("checks that fail: %v, want %v", got, bad)
					}
					for _, c := range w.agent.Health() {
						if c.Name == "device" && strings.Contains(c.Detail, "gpu0") != (bad != nil) {
							t.Errorf("check %+v", c)
						}
					}
					if l := w.log.find(t, "ERROR"); len(l) != len(bad) {
						t.Errorf("errors in the log: %v", l)
					}
					if w.gate.Busy() {
						t.Error("the device is still taken")
					}
				})
			})
		}
	}
}
