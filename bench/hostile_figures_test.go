package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/gpu/models"
)

// phase is what honest work saw for a while, and what the process took for it.
type phase struct {
	delays, pings   []time.Duration
	matmuls, probes map[string]int
	top             figures
	cores           float64
}

// phase lets the checkers work for whole epochs.
func (w *world) phase(t *testing.T, length time.Duration) phase {
	t.Helper()
	clock := w.registry.Clock()
	first := clock.Epoch(time.Now()) + 1
	time.Sleep(time.Until(clock.Start(first)))
	p := phase{matmuls: make(map[string]int), probes: make(map[string]int)}
	watch := &pings{}
	began, cpu := time.Now(), cpuTime()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			p.top = p.top.max(figuresOf(w))
			select {
			case <-stop:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
	w.run(int(first)+int(length/w.registry.Params.Epoch), func(n checker.Network) checker.Network {
		return timed{n, watch}
	})
	p.cores = (cpuTime() - cpu).Seconds() / time.Since(began).Seconds()
	close(stop)
	<-done
	p.pings = watch.all
	w.collect(t, first, &p)
	return p
}

// collect reads what the checkers stored since an epoch.
func (w *world) collect(t *testing.T, first uint64, p *phase) {
	t.Helper()
	for _, s := range w.checkers {
		var infos []report.TranscriptInfo
		for _, kind := range []challenges.Kind{challenges.Matmul, challenges.FMA} {
			of, err := s.db.Transcripts(report.Query{Kind: kind, Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			infos = append(infos, of...)
		}
		for _, i := range infos {
			if i.Epoch < first {
				continue
			}
			p.matmuls[i.Outcome.String()]++
			b, err := s.db.Transcript(i.Hash)
			if err != nil {
				t.Fatal(err)
			}
			env, err := challenges.DecodeEnvelope(b)
			if err != nil {
				t.Fatal(err)
			}
			tr, c, err := challenges.OpenTranscript(env)
			if err != nil {
				t.Fatal(err)
			}
			if i.Outcome == challenges.Pass || i.Outcome == challenges.Late {
				p.delays = append(p.delays, tr.Verdict.Elapsed-modelled(t, c))
			}
		}
		envs, err := s.db.Observations(first, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, env := range envs {
			o, err := report.OpenObservation(env, w.registry.Hash())
			if err != nil {
				t.Fatal(err)
			}
			for _, outcome := range o.Slices {
				if outcome != 0 {
					p.probes[challenges.Outcome(outcome).String()]++
				}
			}
		}
	}
	slices.Sort(p.delays)
	slices.Sort(p.pings)
}

// modelled is how long a challenge takes on the providers' model.
func modelled(t *testing.T, c challenges.Challenge) time.Duration {
	t.Helper()
	p, err := c.ComputeParams()
	if err != nil {
		t.Fatal(err)
	}
	row, err := challenges.LookupProfile(p.Profile)
	if err != nil {
		t.Fatal(err)
	}
	model, err := models.Lookup("sim-100")
	if err != nil {
		t.Fatal(err)
	}
	rates := map[challenges.Flavour]uint64{challenges.Int8: model.Int8Ops, challenges.BF16: model.BF16Ops, challenges.FP64: model.FP64Ops}
	return row.Expected(rates[row.Shape.Flavour])
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// timed measures the round trips of probes.
type timed struct {
	checker.Network
	pings *pings
}

type pings struct {
	mu  sync.Mutex
	all []time.Duration
}

func (n timed) Open(ctx context.Context, to challenges.NodeID, proto string) (challenges.Conn, error) {
	conn, err := n.Network.Open(ctx, to, proto)
	if err != nil || proto != challenges.ProtoProbe {
		return conn, err
	}
	return &timedConn{Conn: conn, pings: n.pings}, nil
}

type timedConn struct {
	challenges.Conn
	pings *pings
	sent  atomic.Int64 // Unix time, ns
}

func (c *timedConn) Send(ctx context.Context, frame []byte) error {
	c.sent.Store(time.Now().UnixNano())
	return c.Conn.Send(ctx, frame)
}

func (c *timedConn) Recv(ctx context.Context) ([]byte, error) {
	frame, err := c.Conn.Recv(ctx)
	if err == nil {
		c.pings.mu.Lock()
		defer c.pings.mu.Unlock()
		c.pings.all = append(c.pings.all, time.Duration(time.Now().UnixNano()-c.sent.Load()))
	}
	return frame, err
}

// figures are of this process.
type figures struct {
	heap, rss                                  float64 // MiB
	fds, goroutines, conns, strangers, streams int
}

func figuresOf(w *world) figures {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := figures{heap: float64(m.HeapInuse) / (1 << 20), goroutines: runtime.NumGoroutine()}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int
		_, _ = fmt.Sscan(string(b), &size, &resident)
		f.rss = float64(resident*os.Getpagesize()) / (1 << 20)
	}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		f.fds = len(entries)
	}
	for _, s := range []*seat{w.checkers[0], w.provider[0]} {
		got := s.host.Stats()
		f.conns, f.strangers, f.streams = f.conns+got.Conns, f.strangers+got.Strangers, f.streams+got.Streams
	}
	return f
}

func (f figures) max(g figures) figures {
	return figures{
		max(f.heap, g.heap), max(f.rss, g.rss),
		max(f.fds, g.fds), max(f.goroutines, g.goroutines), max(f.conns, g.conns), max(f.strangers, g.strangers), max(f.streams, g.streams),
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
