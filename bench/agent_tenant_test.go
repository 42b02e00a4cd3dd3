package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/gpu/nvml/fakenvml"
	"github.com/assaynet/assay/store"
)

// rented is a provider's daemon with a card, as assay provider run is.
type rented struct {
	t        *testing.T
	dir      string
	registry committee.Registry
	addr     string
	tasks    []task
	nvml     *fakenvml.Library
}

// rentedYAML is its configuration.
const rentedYAML = `kind: provider
name: rented
network: network.yaml
listen: [%q]
worker: %q
driver: %q
nvml: %q
cublaslt: none
devices:
  - {id: gpu0, model: h100-sxm, card: %s, memory: %d, int8: %d, bf16: %d, fp64: %d}
budget: {gpu_per_day: %v}
log: warn
`

func newRented(t *testing.T, programs *cardPrograms) *rented {
	t.Helper()
	r := &rented{t: t, dir: t.TempDir(), nvml: fakenvml.New(t, "")}
	t.Setenv(programs.driver.env())
	var claims [3]uint64
	for i, number := range []uint16{10, 5, 6} {
		var k task
		k, claims[i] = computeTask(t, number, time.Second)
		r.tasks = append(r.tasks, k)
	}
	r.tasks = append(r.tasks, memoryTask(502, fakeMemory))
	network := filepath.Join(r.dir, "network.yaml")
	if err := node.WriteNetwork(network, node.Network{Registry: crowdRegistry(16, committee.Devnet())}, "devnet"); err != nil {
		t.Fatal(err)
	}
	n, err := node.ReadNetwork(network)
	if err != nil {
		t.Fatal(err)
	}
	r.registry = n.Registry
	if err := file.WriteKey(filepath.Join(r.dir, "key"), simKey(200)); err != nil {
		t.Fatal(err)
	}
	r.addr = fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", freePort(t, "udp", "127.0.0.1"))
	yaml := fmt.Sprintf(rentedYAML, r.addr, programs.worker, programs.driver.path, r.nvml.Path, fakeCard, fakeMemory, claims[0], claims[1], claims[2], 24*time.Hour)
	if err := os.WriteFile(filepath.Join(r.dir, node.ConfigName), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// start runs the daemon until stop, which may be called twice.
func (r *rented) start() (agent *node.Agent, stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- node.RunProvider(ctx, node.DaemonConfig{
			Dir: r.dir, Getenv: func(string) string { return "" }, Stderr: r.t.Output(), Ready: func(string) { close(ready) },
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(stop)
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		r.t.Fatalf("the provider did not start: %v", err)
	}
	agent, err := node.DialAgent(r.t.Context(), r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	return agent, stop
}

// device is what the agent says of its device.
func (r *rented) device(agent *node.Agent) node.AgentDevice {
	r.t.Helper()
	s, err := agent.Status(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return s.Devices[0]
}

// visit is a tenant's.
type visit struct {
	pid           int       // of our process, when he came
	came          time.Time // before anybody could see him
	gone          time.Time // no process of ours is on the card
	freed         float64   // ms: what the agent says it took
	left          time.Time // he is
	again         *sent     // the next pass
	meets         []*sent   // under way when he came, or sent before the card was free
	during, after []*sent   // sent while he was there; sent after he had left, that did not pass
	lagged        bool
}

// TestTenantComesAndGoes has somebody else's process come to a card and go, at random
// moments of a stream of challenges. He has the card, wholly, in a second, and no
// challenge runs while he is there; then the provider goes on. What challenges used of the
// card is counted, over a restart, and bounded.
func TestTenantComesAndGoes(t *testing.T) {
	programs := newCardPrograms(t)
	dice := dice(t)
	visits := 10
	if testing.Short() {
		visits = 2
	}
	r := newRented(t, programs)
	began := time.Now()
	agent, end := r.start()
	l, unwatch := watchLags()
	defer unwatch()
	c := newCrowd(t, &r.registry, challenges.IDOf(simKey(200)), []string{r.addr}, r.tasks, l)
	ctx, stop := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	halt := sync.OnceFunc(func() {
		stop()
		loops.Wait()
	})
	defer halt()
	picks := rand.New(rand.NewPCG(dice.Uint64(), 2))
	// More than half of them are those that run longest: so most tenants meet one that runs.
	loops.Go(func() { c.stream(ctx, func(n int) int { return max(0, picks.IntN(2*n)-n) }) })
	loops.Go(func() { c.probing(ctx) })
	soon(t, time.Minute, "a pass", func() bool { return c.passAfter(began) != nil })
	var all []*visit
	for i := range visits {
		all = append(all, r.visit(c, agent, dice, i))
	}
	soon(t, time.Minute, "more than a second's use of the card", func() bool { return r.device(agent).Budget.Used > 1.5 })
	halt()
	unwatch()
	// The last one's end is counted when it has closed what it held.
	soon(t, 10*time.Second, "the device is idle", func() bool { return r.device(agent).BusyWith == nil })
	used := r.device(agent).Budget
	end()
	r.judge(c, all)
	c.requireProbes()
	uses := r.requireUsed(c, used.Used)
	r.requireQuota(c, used.Used, uses)
	if alive, zombies := children(t); len(alive)+len(zombies) > 0 {
		t.Errorf("after the end: processes %v, zombies %v", alive, zombies)
	}
	t.Logf("%d challenges in %v: %s", len(c.all()), time.Since(began).Round(time.Second), endings(c.all()))
}

// visit has a tenant come at a random moment, and go.
func (r *rented) visit(c *crowd, agent *node.Agent, dice *rand.Rand, i int) *visit {
	r.t.Helper()
	time.Sleep(upTo(dice, 200*time.Millisecond))
	v := &visit{pid: r.device(agent).PID}
	if v.pid == 0 || !there(v.pid) {
		r.t.Fatalf("no process of ours, %d, before the tenant", v.pid)
	}
	v.came = time.Now()
	r.nvml.Configure(fmt.Sprintf("processes=%d:/opt/train-%d:5000000000", 40_000_000+i, i)) // no machine has such a number
	soon(r.t, 30*time.Second, "the card is free", func() bool { return !there(v.pid) })
	v.gone = time.Now()
	for end := v.gone.Add(150*time.Millisecond + upTo(dice, 350*time.Millisecond)); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		d := r.device(agent)
		if alive, _ := children(r.t); d.PID != 0 || len(alive) != 1 {
			r.t.Errorf("with the tenant there is process %d of the card, and of all %v; want only the one that watches", d.PID, alive)
		}
		if d.Tenant.Present && d.Tenant.Freed != nil {
			v.freed = *d.Tenant.Freed
		}
	}
	v.left = time.Now()
	r.nvml.Configure("processes=")
	soon(r.t, time.Minute, "a pass after the tenant", func() bool {
		v.again = c.passAfter(v.left)
		return v.again != nil
	})
	return v
}

// judge holds each visit against what the challenges saw, and prints it.
func (r *rented) judge(c *crowd, all []*visit) {
	r.t.Helper()
	db := r.open()
	defer db.Close()
	known := make(map[*sent]bool)
	bad := func(s *sent, want string) {
		r.t.Helper()
		_, own, err := db.Copy(s.id.String())
		r.t.Errorf("%v, %s of %s, end %v, clause %s, after %v: want %s; copy: %s %q, %q, %v", s.id, s.word(), s.task, s.end, s.verdict.Clause, s.ran,
			want, own.Result, own.Reason, own.Detail, err)
	}
	tenant := func(s *sent) bool {
		return s.reason == challenges.ReasonTenant && (s.verdict.Outcome == challenges.Refused || s.verdict.Outcome == challenges.Withheld && s.verdict.Clause == challenges.ClauseAbort)
	}
	for _, v := range all {
		v.lagged = c.lags.during(span{v.came, v.gone})
		if d := v.gone.Sub(v.came); d > time.Second && !v.lagged {
			r.t.Errorf("the card was free %v after the tenant had come", d)
		}
		for _, s := range c.within(span{v.came, v.again.when.from}) {
			switch {
			case s.when.from.Before(v.gone):
				v.meets, known[s] = append(v.meets, s), true
				if !s.good() && !tenant(s) && s.reason != challenges.ReasonCollision {
					bad(s, "a pass from before he was seen, or the reason tenant")
				}
			case s.when.from.Before(v.left):
				v.during, known[s] = append(v.during, s), true
				if s.verdict.Outcome != challenges.Refused || s.reason != challenges.ReasonTenant {
					if s.when.to.Before(v.left) {
						bad(s, "a refusal: tenant")
					}
				}
			case !s.good():
				v.after, known[s] = append(v.after, s), true
				if s.verdict.Outcome != challenges.Refused || s.reason != challenges.ReasonTenant {
					bad(s, "a refusal: still tenant, until the card is open again")
				}
			}
		}
		if len(v.during) == 0 {
			r.t.Error("no challenge came while a tenant was there")
		}
	}
	for _, s := range c.all() {
		if s.replays != nil {
			bad(s, s.replays.Error())
		}
		if !known[s] && !s.good() && s.reason != challenges.ReasonCollision {
			bad(s, "a pass: there was no tenant")
		}
		// Of refusals only so many are kept of each checker.
		_, own, err := db.Copy(s.id.String())
		kept := !errors.Is(err, store.ErrNotFound) || s.verdict.Outcome != challenges.Refused
		if kept && (err != nil || own.Reason != s.reason) {
			bad(s, "a copy with the same reason")
		}
	}
	r.table(c, all)
}

func (r *rented) table(c *crowd, all []*visit) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "came at s\tfree after ms\tby the agent ms\tunder way\tuntil the card was free\twhile he was there\tstayed s\tafter he left\tnext pass s")
	var free, passes []time.Duration
	start := c.all()[0].when.from
	for _, v := range all {
		running := "none"
		for _, s := range v.meets {
			if s.when.from.Before(v.came) {
				running = fmt.Sprintf("%s after %d roots, %s", s.word(), s.roots, s.task)
			}
		}
		free, passes = append(free, v.gone.Sub(v.came)), append(passes, v.again.when.to.Sub(v.left))
		fmt.Fprintf(w, "%.2f\t%.1f\t%.1f\t%s\t%s\t%s\t%.2f\t%s\t%.2f\n", v.came.Sub(start).Seconds(), ms(free[len(free)-1]), v.freed, running,
			endings(v.meets), endings(v.during), v.left.Sub(v.gone).Seconds(), cmp.Or(endings(v.after), "-"), passes[len(passes)-1].Seconds())
	}
	_ = w.Flush()
	m, most := middleAndMost(free)
	pm, pmost := middleAndMost(passes)
	r.t.Logf("\n%sfree after: median %.1f ms, at most %.1f ms; next pass: median %.2f s, at most %.2f s", b.String(), ms(m), ms(most), pm.Seconds(), pmost.Seconds())
}

// open reads the store of the daemon, which has ended.
func (r *rented) open() *store.DB {
	r.t.Helper()
	db, err := store.OpenReadOnly(filepath.Join(r.dir, "db"), store.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	return db
}

// requireUsed holds what the agent said that challenges used of the card against what it
// wrote down of each, and against what the checkers saw.
func (r *rented) requireUsed(c *crowd, used float64) map[challenges.Hash]bool {
	r.t.Helper()
	db := r.open()
	defer db.Close()
	rows, err := db.Uses(1 << 16)
	if err != nil {
		r.t.Fatal(err)
	}
	uses := make(map[challenges.Hash]bool)
	var written, seen time.Duration
	for _, u := range rows {
		uses[u.ID] = true
		written += time.Duration(u.Ended - u.At)
	}
	n := 0
	for _, s := range c.all() {
		if uses[s.id] {
			n++
			seen += s.ran
		}
	}
	r.t.Logf("used of the card: %.3f s by the agent's status, %.3f s by its %d records, %.3f s by the clocks of the checkers", used, written.Seconds(), len(rows), seen.Seconds())
	if n != len(rows) {
		r.t.Errorf("%d uses, of which the checkers know %d", len(rows), n)
	}
	for name, d := range map[string]time.Duration{"the records": written, "the checkers": seen} {
		// Between a result and the device's end, and between a challenge and its start, are
		// some ms on an idle machine.
		if off := used - d.Seconds(); off > 0.25*used+0.02*float64(n) || off < -0.25*used-0.02*float64(n) {
			r.t.Errorf("the status says %.3f s, %s %.3f s", used, name, d.Seconds())
		}
	}
	return uses
}

// requireQuota starts the daemon with a budget that is used up: a restart frees none.
func (r *rented) requireQuota(c *crowd, used float64, uses map[challenges.Hash]bool) {
	r.t.Helper()
	path := filepath.Join(r.dir, node.ConfigName)
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	limit := time.Duration(max(1, 0.9*used) * float64(time.Second)).Round(time.Millisecond)
	was := fmt.Sprintf("gpu_per_day: %v}", 24*time.Hour)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(b), was, fmt.Sprintf("gpu_per_day: %v}", limit))), 0o600); err != nil {
		r.t.Fatal(err)
	}
	agent, end := r.start()
	defer end()
	again := newCrowd(r.t, &r.registry, c.provider, []string{r.addr}, r.tasks, c.lags)
	soon(r.t, time.Minute, "the device is ready", func() bool { return r.device(agent).State == "ready" })
	s := again.challenge(0, r.registry.Clock().Epoch(time.Now()), r.tasks[0])
	d := r.device(agent)
	of := 0.0
	if d.Budget.Of != nil {
		of = *d.Budget.Of
	}
	r.t.Logf("after a restart with a budget of %v: status says %.3f s of %.3f s; %s, until %v, names %d challenges", limit, d.Budget.Used, of, s.word(), s.until, len(s.ids))
	if s.verdict.Outcome != challenges.Refused || s.reason != challenges.ReasonQuota || s.until <= 23*time.Hour || s.until > 24*time.Hour || len(s.ids) == 0 {
		text, _ := json.Marshal(d)
		r.t.Errorf("%s, until %v, ids %v; want a refusal: quota; %s", s.word(), s.until, s.ids, text)
	}
	if slices.ContainsFunc(s.ids, func(id challenges.Hash) bool { return !uses[id] }) {
		r.t.Errorf("the refusal names %v, of which not all had run", s.ids)
	}
	if diff := d.Budget.Used - used; of != limit.Seconds() || diff > 0.1*used || diff < -0.1*used {
		r.t.Errorf("status says %.3f s of %.3f s, before the restart %.3f s", d.Budget.Used, of, used)
	}
}
