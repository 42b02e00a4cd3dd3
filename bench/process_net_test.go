package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/cmd/node"
)

// stopLimit is how long a daemon that is told to stop may take: the program's promise.
const stopLimit = 5 * time.Second

// cluster is a whole network of operating-system processes on this machine, each
// a real assay binary with a folder and an address of its own.
type cluster struct {
	t         *testing.T
	bin, file string // the binary, network.yaml
	network   node.Network
	checkers  []*process
	providers []*process
}

// process is one node. Its methods must not be called concurrently.
type process struct {
	t               *testing.T
	name, kind, dir string
	bin, log        string
	id              challenges.NodeID
	addr            string   // multiaddr
	page            string   // http://host:port of the API, or of the provider's metrics
	env             []string // configuration
	cmd             *exec.Cmd
	done            chan struct{} // closed when the process has ended, with err
	err             error
	kills           []time.Time
	from            int // where this life's log begins
}

// newCluster makes the folders and the network's file with the program itself.
// The first listed of the providers are in the file. members are checkers that
// the test plays.
func newCluster(t *testing.T, checkers, providers, listed int, members ...challenges.NodeID) *cluster {
	t.Helper()
	dir := t.TempDir()
	c := &cluster{t: t, bin: filepath.Join(dir, "assay"), file: filepath.Join(dir, "network.yaml")}
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", c.bin, "../cmd/assay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	args := []string{"network", "init", "--simulated", "--params", "devnet", "--out", c.file}
	for i := range checkers {
		p := c.init(dir, node.KindChecker, i)
		c.checkers = append(c.checkers, p)
		args = append(args, "--checker", p.name+"="+p.id.String())
	}
	for i := range providers {
		p := c.init(dir, node.KindProvider, i)
		c.providers = append(c.providers, p)
		if i < listed {
			args = append(args, "--provider", p.id.String()+"="+p.addr)
		}
	}
	for i, id := range members {
		args = append(args, "--checker", fmt.Sprintf("member-%d=%v", i+1, id))
	}
	c.assay(args...)
	var err error
	if c.network, err = node.ReadNetwork(c.file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range c.all() {
			p.end()
			if t.Failed() {
				t.Logf("%s said last:\n%s", p.name, p.tail(15))
			}
		}
	})
	return c
}

func (c *cluster) all() []*process { return slices.Concat(c.checkers, c.providers) }

// assay runs the program to its end.
func (c *cluster) assay(args ...string) string {
	c.t.Helper()
	out, err := exec.CommandContext(c.t.Context(), c.bin, args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("assay %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (c *cluster) init(dir, kind string, i int) *process {
	c.t.Helper()
	ip := map[string]string{node.KindChecker: "127.1.0.", node.KindProvider: "127.1.1."}[kind] + fmt.Sprint(i+1)
	if runtime.GOOS != "linux" {
		ip = "127.0.0.1" // elsewhere the rest of 127/8 has to be set up first
	}
	p := &process{t: c.t, name: fmt.Sprintf("%s-%d", kind, i+1), kind: kind, bin: c.bin}
	p.dir, p.log = filepath.Join(dir, p.name), filepath.Join(dir, p.name+".log")
	out := c.assay(kind, "init", "--dir", p.dir, "--name", p.name)
	id := regexp.MustCompile(`(?m)^` + kind + ` ([0-9a-f]{64})$`).FindStringSubmatch(out)
	if id == nil {
		c.t.Fatalf("assay %s init printed no id:\n%s", kind, out)
	}
	if err := p.id.UnmarshalText([]byte(id[1])); err != nil {
		c.t.Fatal(err)
	}
	p.addr = fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", ip, freePort(c.t, "udp", ip))
	page := fmt.Sprintf("%s:%d", ip, freePort(c.t, "tcp", ip))
	p.page = "http://" + page
	prefix := "ASSAY_" + strings.ToUpper(kind) + "_"
	p.env = []string{prefix + "LISTEN=" + p.addr, prefix + "NETWORK=" + c.file}
	if kind == node.KindChecker {
		p.env = append(p.env, prefix+"API="+page)
	} else {
		p.env = append(p.env, prefix+"METRICS="+page)
	}
	return p
}

// freePort finds a port that nobody has now.
func freePort(t *testing.T, network, ip string) int {
	t.Helper()
	if network == "udp" {
		l, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", ip+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.LocalAddr().(*net.UDPAddr).Port
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start starts a process that does not run.
func (p *process) start() error {
	p.from = len(p.said())
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	// Not CommandContext: a process outlives the test's context until its cleanup.
	cmd := exec.Command(p.bin, p.kind, "run", "--dir", p.dir)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), p.env...), log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		p.err = cmd.Wait()
		close(done)
	}()
	return nil
}

// startAll starts processes, and fails the test if one cannot be started.
func (c *cluster) startAll(list ...*process) {
	c.t.Helper()
	for _, p := range list {
		if err := p.start(); err != nil {
			c.t.Fatalf("start %s: %v", p.name, err)
		}
	}
}

// ended reports that the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the process at once, and waits until it is gone. It must have lived.
func (p *process) kill() error {
	if p.ended() {
		return fmt.Errorf("%s had ended by itself: %v", p.name, p.err)
	}
	err := p.cmd.Process.Kill()
	<-p.done
	p.kills = append(p.kills, time.Now())
	return err
}

// end is what is left to do at the end of a test.
func (p *process) end() {
	if p.cmd != nil && !p.ended() {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("signal %s: %v", p.name, err)
	}
}

// stop tells the process to end and holds it to its promise.
func (p *process) stop() time.Duration {
	p.t.Helper()
	start := time.Now()
	p.signal(syscall.SIGTERM)
	p.await(start)
	return time.Since(start)
}

func (p *process) await(since time.Time) {
	p.t.Helper()
	select {
	case <-p.done:
		if p.err != nil {
			p.t.Errorf("%s after SIGTERM: %v, want exit code 0", p.name, p.err)
		}
	case <-time.After(time.Until(since.Add(stopLimit))):
		p.t.Errorf("%s still runs %v after SIGTERM", p.name, stopLimit)
		p.end()
	}
	if !strings.Contains(p.said()[p.from:], "shutting down") {
		p.t.Errorf("%s did not say that it shuts down", p.name)
	}
}

// stopAll stops all processes at once and says how long the slowest took.
func (c *cluster) stopAll() time.Duration {
	c.t.Helper()
	start := time.Now()
	for _, p := range c.all() {
		p.signal(syscall.SIGTERM)
	}
	for _, p := range c.all() {
		p.await(start)
	}
	return time.Since(start)
}

func (p *process) said() string {
	b, err := os.ReadFile(p.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Error(err)
	}
	return string(b)
}

func (p *process) tail(lines int) string {
	all := strings.Split(strings.TrimRight(p.said(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// until waits for something that must come true.
func (c *cluster) until(limit time.Duration, what string, ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(100 * time.Millisecond) {
		for _, p := range c.all() {
			if p.cmd != nil && p.ended() && p.err != nil {
				c.t.Fatalf("%s: %s has ended: %v", what, p.name, p.err)
			}
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// passes reports that each of some checkers has seen each of some providers pass
// a challenge since then.
func (c *cluster) passes(since time.Time, checkers, providers []*process) func() bool {
	return func() bool {
		for _, k := range checkers {
			for _, p := range providers {
				if !k.sawPass(p.id, since) {
					return false
				}
			}
		}
		return true
	}
}

// next is the first challenge that a checker plans for a provider from a moment
// on, and when.
func (c *cluster) next(checker, provider *process, from time.Time) (committee.Assignment, time.Time) {
	clock, target := c.network.Registry.Clock(), committee.Target{Provider: provider.id, Device: "gpu0"}
	for epoch := clock.Epoch(from); ; epoch++ {
		for _, a := range committee.Plan(&c.network.Registry, checker.id, epoch, []committee.Target{target}) {
			if at := clock.Start(epoch).Add(a.At); at.After(from) {
				return a, at
			}
		}
	}
}

// sealings watches through the APIs what checkers seal: what was sealed once
// must stay as it is, over any crash.
type sealings struct {
	c    *cluster
	next []uint64 // by checker
	seen []map[uint64][]byte
	stop context.CancelFunc
	wg   sync.WaitGroup
}

func (c *cluster) watch() *sealings {
	ctx, cancel := context.WithCancel(context.Background())
	s := &sealings{c: c, stop: cancel}
	for i, k := range c.checkers {
		s.next = append(s.next, 0)
		s.seen = append(s.seen, make(map[uint64][]byte))
		s.wg.Go(func() {
			for ctx.Err() == nil {
				if err := s.look(ctx, i, k.page); err != nil {
					c.t.Errorf("%s: %v", k.name, err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(500 * time.Millisecond):
				}
			}
		})
	}
	return s
}

// look takes in what a checker has sealed; one that does not answer is no error.
func (s *sealings) look(ctx context.Context, i int, page string) error {
	api, err := client.New(page)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	status, err := api.Status(ctx)
	if err != nil {
		return nil
	}
	if status.Sealed < s.next[i] {
		return fmt.Errorf("sealed up to %d, and later up to %d", s.next[i], status.Sealed)
	}
	for ; s.next[i] < status.Sealed; s.next[i]++ {
		list, err := api.Observations(ctx, s.next[i])
		if err != nil && !errors.Is(err, report.ErrNotFound) {
			return nil
		}
		s.seen[i][s.next[i]] = envelopes(list)
	}
	return nil
}

func envelopes(list []challenges.Envelope) []byte {
	var b bytes.Buffer
	for i := range list {
		b.Write(challenges.Marshal(&list[i]))
	}
	return b.Bytes()
}

// close ends the watch; then its fields may be read.
func (s *sealings) close() {
	s.stop()
	s.wg.Wait()
}
