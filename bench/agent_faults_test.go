package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/nvml/fakenvml"
	"github.com/assaynet/assay/gpu/worker"
	"github.com/assaynet/assay/p2p"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/store"
)

// cardNode is a provider with a card, wired as cmd/node does it, but for its patience: a
// card hangs after 0.8 s, and its process is started again at once.
type cardNode struct {
	t       *testing.T
	driver  *remoteDriver
	nvml    *fakenvml.Library
	host    *p2p.Host
	db      *store.DB
	device  *worker.Device
	monitor *worker.Monitor
	gate    *prover.Gate
}

// fakeMemory is what the fake card offers: its dataset is filled in a moment.
const fakeMemory = 1 << 18

func newCardNode(t *testing.T, programs *cardPrograms, registry *committee.Registry, claims [3]uint64) *cardNode {
	t.Helper()
	n := &cardNode{t: t, driver: programs.driver, nvml: fakenvml.New(t, "")}
	t.Setenv(programs.driver.env())
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if os.Getenv("ASSAY_BENCH_LOG") != "" {
		log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	config := func(role string) worker.Config {
		return worker.Config{
			Path: programs.worker, Args: []string{"worker"}, Log: log.With("worker", role), Backoff: 40 * time.Millisecond, MaxBackoff: 40 * time.Millisecond,
			Setup: worker.Setup{Role: role, Driver: programs.driver.path, NVML: n.nvml.Path, CUBLASLt: "none"},
		}
	}
	n.monitor = worker.NewMonitor(config(worker.RoleMonitor))
	card := n.monitor.Card(fakeCard)
	c := config(worker.RoleDevice)
	c.Setup.ID, c.Setup.Model, c.Setup.Card, c.Setup.Memory, c.Setup.Patience = "gpu0", "other-a100", fakeCard, fakeMemory, 800*time.Millisecond
	c.Setup.Int8Ops, c.Setup.BF16Ops, c.Setup.FP64Ops = claims[0], claims[1], claims[2]
	c.Xid = func(ctx context.Context) uint32 {
		xid, _ := card.Xid(ctx, 30*time.Second)
		return xid
	}
	n.device = worker.NewDevice(c)
	tenancy, err := prover.NewTenancy(prover.TenancyConfig{Log: log, Cards: []prover.TenancyCard{
		{Device: "gpu0", Card: fakeCard, Monitor: card, Holder: n.device},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []func(context.Context) error{n.monitor.Run, n.device.Run, tenancy.Run} {
		aside(t, run)
	}
	key := simKey(200)
	n.host, err = p2p.New(p2p.Config{
		Key: key, Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}, Limits: challenges.Protocols(), Log: log,
		Trusted: func(id challenges.NodeID) bool { return registry.Index(id) >= 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	n.db, err = store.Create(filepath.Join(t.TempDir(), "db"), store.Meta{Kind: store.KindProvider, Network: registry.Hash(), Node: n.host.ID()}, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(n.host.Close(), n.db.Close()); err != nil {
			t.Error(err)
		}
	})
	n.gate = prover.NewGate(prover.GateConfig{PerEpoch: registry.Params.PerEpoch})
	if _, err = prover.New(prover.Config{
		Key: key, Registry: registry, Devices: []gpu.Device{n.device}, Network: n.host, Ledger: n.db, Copies: n.db, Admission: n.gate,
		Tenants: tenancy, Monitors: map[string]gpu.Monitor{"gpu0": card}, Version: "assay/test", Addrs: n.host.Addrs(), Log: log,
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// aside runs something beside the test, and waits for it after the test.
func aside(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// reports has the card report an error, and waits until it is known.
func (n *cardNode) reports(xid uint32, serial int) {
	n.t.Helper()
	n.nvml.Configure(fmt.Sprintf("xid=%d:%d", xid, serial))
	card := n.monitor.Card(fakeCard)
	soon(n.t, 20*time.Second, "the card's error is known", func() bool {
		got, err := card.Xid(n.t.Context(), 30*time.Second)
		return err == nil && got == xid
	})
}

// blow is something that is done to a card.
type blow struct {
	name  string // as in the table
	class string // of the fault
	xid   uint32 // that the card reports with it
	do    func(n *cardNode, r *rand.Rand) string
}

// blows are all. What hangs, hangs at the next use, which the stream of challenges brings
// soon.
func blows() []blow {
	return []blow{
		{"kill", gpu.FaultCrash, 31, func(n *cardNode, _ *rand.Rand) string {
			pid := n.device.Status().PID
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				n.t.Errorf("kill %d: %v", pid, err)
			}
			return fmt.Sprint("SIGKILL of ", pid)
		}},
		{"hang", gpu.FaultHang, 119, func(n *cardNode, r *rand.Rand) string {
			calls := []string{"cuLaunchKernel", "cuEventQuery"} // which do not return then
			all := []string{"hang=derive_key", "hang=b3_chunks", "hang=b3_top", "hang=gather", "hang=mem_walk", "stuck=" + calls[r.IntN(2)]}
			s := all[r.IntN(len(all))]
			n.driver.set(s)
			return s
		}},
		{"lost", gpu.FaultLost, 79, func(n *cardNode, r *rand.Rand) string {
			s := fmt.Sprint("lost_after=", r.IntN(60))
			n.driver.set(s)
			return s
		}},
	}
}

// healthy are the settings after a blow, for the next process.
const healthy = "hang=,stuck=,lost_after=-1"

// TestWorkerFaults has a card's process killed, the card hang and be lost, at random
// moments of a stream of challenges. Whatever happens to the card, the provider answers
// every probe at once, says of every challenge that it could not answer that and why it
// could not, and goes on.
func TestWorkerFaults(t *testing.T) {
	programs := newCardPrograms(t)
	dice := dice(t)
	moments := 10
	if testing.Short() {
		moments = 2
	}
	params := committee.Devnet()
	params.PerEpoch = 32
	registry := crowdRegistry(8, params)
	var tasks []task
	var claims [3]uint64
	for i, number := range []uint16{2, 5, 6} {
		var k task
		k, claims[i] = computeTask(t, number, time.Second/2)
		tasks = append(tasks, k)
	}
	tasks = append(tasks, memoryTask(502, fakeMemory))

	began := time.Now()
	n := newCardNode(t, programs, &registry, claims)
	soon(t, time.Minute, "the card is ready", func() bool { ok, _ := n.device.Ready(); return ok })
	soon(t, time.Minute, "the monitor is ready", func() bool { return n.monitor.Status().State == worker.StateReady })
	t.Logf("ready after %v: %s", time.Since(began), n.device.Status().About)
	l, unwatch := watchLags()
	defer unwatch()
	c := newCrowd(t, &registry, n.host.ID(), n.host.Addrs(), tasks, l)
	ctx, stop := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	halt := sync.OnceFunc(func() {
		stop()
		loops.Wait()
	})
	defer halt()
	defer func() {
		if t.Failed() {
			for _, s := range c.all() {
				if os.Getenv("ASSAY_BENCH_LOG") == "" {
					break
				}
				t.Logf("%s: %s %s, end %v, %d roots, ran %v of %v", s.task, s.word(), s.verdict.Clause, s.end, s.roots, s.ran, s.when.length())
			}
		}
	}()
	picks := rand.New(rand.NewPCG(dice.Uint64(), 2))
	loops.Go(func() { c.stream(ctx, picks.IntN) })
	loops.Go(func() { c.probing(ctx) })
	for _, k := range tasks {
		soon(t, time.Minute, "a pass of "+k.name, func() bool {
			return slices.ContainsFunc(c.all(), func(s *sent) bool { return s.task == k.name && s.good() })
		})
	}
	files := openFiles(t)

	var plan []blow
	for _, b := range blows() {
		for range moments {
			plan = append(plan, b)
		}
	}
	dice.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	var done []struck
	for i, b := range plan {
		done = append(done, n.strike(c, dice, i, b))
	}
	halt()
	unwatch()
	n.table(c, done)
	c.requireProbes()
	n.requireTyped(c, done)

	alive, zombies := children(t)
	if len(zombies) > 0 || len(alive) != 2 {
		t.Errorf("children %v, zombies %v; want one process of the card and one that watches it", alive, zombies)
	}
	if now := openFiles(t); now > files+8 {
		t.Errorf("%d open files, %d before", now, files)
	}
	t.Logf("%d challenges in %v: %s; %d starts of the card's process", len(c.all()), time.Since(began).Round(time.Second), endings(c.all()), n.device.Status().Starts)
}

// struck is a blow that was dealt.
type struck struct {
	blow
	how   string
	at    time.Time
	noted time.Time  // when the fault was
	fault *gpu.Fault // that was noted
	again *sent      // the next pass
	hit   []*sent    // what did not pass, until then
}

// strike deals a blow at a random moment, and waits until challenges pass again.
func (n *cardNode) strike(c *crowd, r *rand.Rand, i int, b blow) struck {
	n.t.Helper()
	if b.xid != 0 {
		n.reports(b.xid, i)
	}
	time.Sleep(upTo(r, 120*time.Millisecond))
	before := n.device.Status()
	s := struck{blow: b, at: time.Now()}
	s.how = b.do(n, r)
	noted := func() bool {
		now := n.device.Status()
		s.fault, s.noted = now.Fault, now.FaultAt
		return now.Fault != nil && now.FaultAt.After(before.FaultAt) && now.FaultAt.After(s.at)
	}
	soon(n.t, 30*time.Second, s.how+" is a fault", noted)
	n.driver.set(healthy)
	soon(n.t, 30*time.Second, "a pass after "+s.how, func() bool {
		s.again = c.passAfter(s.noted)
		return s.again != nil
	})
	s.hit = slices.DeleteFunc(c.within(span{s.at, s.again.when.from}), func(x *sent) bool { return x.good() })
	if s.fault.Class != b.class || s.fault.Xid != b.xid {
		n.t.Errorf("after %s: fault %v, Xid %d; want %s, Xid %d", s.how, s.fault, s.fault.Xid, b.class, b.xid)
	}
	return s
}

// copyOf is the provider's own copy of a challenge. Of refusals it keeps only so many of
// each checker; one that has none is told by its signed frame alone, and has no result.
func (n *cardNode) copyOf(s *sent) (out receipt.Copy) {
	n.t.Helper()
	soon(n.t, 10*time.Second, fmt.Sprintf("the copy of %v, %s", s.id, s.word()), func() bool {
		_, copied, err := n.db.Copy(s.id.String())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			n.t.Fatal(err)
		}
		out = copied
		return err == nil || s.verdict.Outcome == challenges.Refused
	})
	return out
}

// requireTyped holds that whatever did not pass says why.
func (n *cardNode) requireTyped(c *crowd, done []struck) {
	n.t.Helper()
	blamed := func(s *sent) (by struck) {
		for _, d := range done {
			if slices.Contains(d.hit, s) {
				by = d
			}
		}
		return by
	}
	for _, s := range c.all() {
		if n.t.Failed() && os.Getenv("ASSAY_BENCH_LOG") == "" {
			return // one is enough to read
		}
		if s.replays != nil {
			n.t.Errorf("%v, %s: %v", s.id, s.word(), s.replays)
		}
		if s.good() {
			continue
		}
		blow := blamed(s)
		by, own := blow.class, n.copyOf(s)
		none := own.Result == "" && s.verdict.Outcome == challenges.Refused
		if s.verdict.Outcome == challenges.Refused && s.reason == challenges.ReasonCollision && (none || own.Reason == s.reason) && len(s.ids) == 1 {
			continue // the challenge before it has not given the device back yet
		}
		bad := func(format string, args ...any) {
			n.t.Helper()
			n.t.Errorf("%v, %s of %s, end %v, clause %s, after %v: %s; copy: %s %q, fault %q, Xid %d, %q", s.id, s.word(), s.task, s.end, s.verdict.Clause, s.ran,
				fmt.Sprintf(format, args...), own.Result, own.Reason, own.Fault, own.Xid, own.Detail)
		}
		if by == "" {
			bad("nothing was done to the card")
			continue
		}
		switch o := s.verdict.Outcome; {
		case o == challenges.Refused && s.reason == challenges.ReasonFault, o == challenges.Withheld && s.reason == challenges.AbortFault:
			switch {
			case none:
			case own.Reason != s.reason:
				bad("the copy has another reason")
			case own.Fault != by && (o == challenges.Withheld || own.Fault != gpu.FaultAbsent):
				bad("the copy has another fault than %s", by)
			case own.Fault == gpu.FaultAbsent && !strings.Contains(own.Detail, ": device "+by):
				bad("the copy does not say that the card's process had ended by %s", by)
			case own.Fault == by && own.Xid != blow.xid:
				bad("the copy has not the Xid %d that the card reported", blow.xid)
			case own.Detail == "":
				bad("the copy does not say what")
			}
		case by == gpu.FaultHang && s.end == challenges.EndTimeout && own.Fault == by:
			// The checker's patience was over before the card's.
		default:
			bad("want a pass, a refusal or an abort with its reason")
		}
	}
}

// table prints what was done and what came of it.
func (n *cardNode) table(c *crowd, done []struck) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "at s\tdone\tfirst that it hit\treason\tcopy's fault\tnoted\tXid\tall until the next pass\tnext pass s")
	var times []time.Duration
	start := c.all()[0].when.from
	for _, d := range done {
		outcome, reason, fault := "none", "-", "-"
		hit := slices.DeleteFunc(slices.Clone(d.hit), func(s *sent) bool { return s.reason == challenges.ReasonCollision })
		if len(hit) > 0 {
			own := n.copyOf(hit[0])
			outcome, reason, fault = fmt.Sprintf("%v after %d roots, %s", hit[0].verdict.Outcome, hit[0].roots, hit[0].task), cmp.Or(hit[0].reason, "none"), cmp.Or(own.Fault, "no copy")
		}
		times = append(times, d.again.when.to.Sub(d.at))
		fmt.Fprintf(w, "%.2f\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%.2f\n", d.at.Sub(start).Seconds(), d.how, outcome, reason, fault, d.fault.Class, d.fault.Xid,
			endings(d.hit), times[len(times)-1].Seconds())
	}
	_ = w.Flush()
	median, most := middleAndMost(times)
	n.t.Logf("\n%snext pass after: median %.2f s, at most %.2f s", b.String(), median.Seconds(), most.Seconds())
}
