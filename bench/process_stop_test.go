package bench

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/p2p"
	"github.com/assaynet/assay/store"
)

// inside is how long after a challenge's planned start a test acts to meet it
// under way: a run takes 0.8 s. A machine may be too slow for it; then the test
// tries the next one.
const (
	inside = 300 * time.Millisecond
	tries  = 4
)

// TestProcessStop stops a provider and a checker in the middle of a challenge.
func TestProcessStop(t *testing.T) {
	if testing.Short() {
		t.Skip("runs processes for 20 s")
	}
	t.Parallel()
	// The test is a checker itself, to ask the provider that drains.
	key := simKey(40)
	c := newCluster(t, 1, 2, 2, challenges.IDOf(key))
	host, err := p2p.New(p2p.Config{Key: key, Limits: challenges.Protocols()})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	began := time.Now()
	c.startAll(c.all()...)
	c.until(40*time.Second, "both providers pass", c.passes(began, c.checkers, c.providers))

	met := false
	for range tries {
		if met = c.drain(host); met {
			break
		}
		began := time.Now()
		c.startAll(c.providers[0])
		c.until(40*time.Second, "the provider is back", c.passes(began, c.checkers, c.providers[:1]))
	}
	if !met {
		t.Errorf("in %d tries no job of %s was under way at SIGTERM", tries, c.providers[0].name)
	}
	c.startAll(c.providers[0])
	for range tries {
		if met = c.unknown(); met {
			break
		}
		began := time.Now()
		c.startAll(c.checkers[0])
		c.until(40*time.Second, "the checker is back", c.passes(began, c.checkers, c.providers[1:]))
	}
	if !met {
		t.Errorf("in %d tries no challenge of %s was unknown after SIGTERM", tries, c.checkers[0].name)
	}
	for _, p := range c.providers {
		p.stop()
	}
	t.Logf("\n%v", c.audit(nil))
}

// drain stops the first provider over a job: the job must end well, and what
// comes meanwhile be refused. It reports whether a job was under way.
func (c *cluster) drain(host *p2p.Host) bool {
	t, p := c.t, c.providers[0]
	t.Helper()
	if err := host.AddPeer(p.id, []string{p.addr}); err != nil {
		t.Fatal(err)
	}
	conn, err := host.Open(t.Context(), p.id, challenges.ProtoControl)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	a, at := c.next(c.checkers[0], p, time.Now())
	time.Sleep(time.Until(at.Add(inside)))
	stopped := time.Now()
	p.signal(syscall.SIGTERM)
	c.until(stopLimit, "the provider drains", func() bool { return strings.Contains(p.said()[p.from:], "msg=draining") })

	secret := challenges.Secret{byte(a.Epoch)}
	row, _ := challenges.LookupProfile(1)
	m := challenges.ComputeParams{Profile: 1, Window: 4, Claim: 95e6}
	network := c.network.Registry.Hash()
	ask := challenges.Challenge{
		Network: network, Epoch: a.Epoch, Provider: p.id, Device: "gpu0", Kind: challenges.Matmul,
		Commit: secret.Commit(), Deadline: row.Deadline(m.Claim, 0), Params: challenges.Marshal(&m),
	}
	env := challenges.Seal(network, challenges.KindChallenge, challenges.Marshal(&ask), simKey(40))
	var refusal challenges.RefusalFrame
	frame, err := []byte(nil), conn.Send(t.Context(), challenges.Marshal(&env))
	if err == nil {
		frame, err = conn.Recv(t.Context())
	}
	if err == nil {
		err = challenges.Unmarshal(frame[:max(0, len(frame)-64)], &refusal)
	}
	p.await(stopped)

	db, err2 := store.OpenReadOnly(filepath.Join(p.dir, "db"), store.Options{})
	if err2 != nil {
		t.Fatal(err2)
	}
	uses := must(db.Uses(1))(t)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if len(uses) == 0 || uses[0].At > stopped.UnixNano() || uses[0].Ended != 0 && uses[0].Ended < stopped.UnixNano() {
		t.Logf("no job was under way at SIGTERM: %+v", uses)
		return false
	}
	if strings.Contains(uses[0].Outcome, gpu.ErrOverrun.Error()) {
		t.Logf("the machine was too slow for the job: %+v", uses)
		return false
	}
	if uses[0].Ended == 0 || uses[0].Outcome != "answered" {
		t.Errorf("the job that ran at SIGTERM ended so: %+v", uses[0])
	}
	if err != nil || refusal.Reason != challenges.ReasonDrain {
		t.Errorf("a challenge while draining: refusal %+v, error %v; want reason drain", refusal, err)
	}
	c.until(10*time.Second, "the checker judges the job that ran at SIGTERM", func() bool {
		list, _ := c.checkers[0].transcripts(report.Query{Provider: p.id, Limit: 100})
		for _, row := range list {
			if row.Challenge == uses[0].ID {
				if row.Outcome != challenges.Pass && row.Outcome != challenges.Late {
					t.Errorf("the job that ran at SIGTERM: %v", row.Outcome)
				}
				return true
			}
		}
		return false
	})
	return true
}

// unknown stops the checker over a challenge of the second provider; it reports
// whether one was under way.
func (c *cluster) unknown() bool {
	t, k := c.t, c.checkers[0]
	t.Helper()
	a, at := c.next(k, c.providers[1], time.Now())
	time.Sleep(time.Until(at.Add(inside)))
	stopped := time.Now()
	k.stop()
	db, err := store.OpenReadOnly(filepath.Join(k.dir, "db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, info := range must(db.Transcripts(report.Query{Outcome: challenges.Unknown, Limit: math.MaxInt}))(t) {
		if info.Kind != challenges.Probe && info.Epoch == a.Epoch && info.Provider == a.Provider && info.At >= stopped.UnixNano() {
			return true
		}
	}
	t.Logf("no challenge became unknown at SIGTERM")
	return false
}

// TestProcessReload changes files under a running checker.
func TestProcessReload(t *testing.T) {
	if testing.Short() {
		t.Skip("runs processes for 20 s")
	}
	t.Parallel()
	c := newCluster(t, 1, 2, 1)
	k, added := c.checkers[0], c.providers[1]
	began := time.Now()
	c.startAll(c.all()...)
	c.until(40*time.Second, "the first provider passes", c.passes(began, c.checkers, c.providers[:1]))
	clock := c.network.Registry.Clock()
	next, _ := c.next(k, c.providers[0], time.Now()) // from here on each epoch has its challenge

	network, config := read(t, c.file), filepath.Join(k.dir, node.ConfigName)
	settings := read(t, config)
	network += "  - id: \"" + added.id.String() + "\"\n    addrs:\n      - \"" + added.addr + "\"\n"
	write(t, c.file, network)
	began = time.Now()
	c.reload(k, "msg=reloaded providers=2")
	c.until(40*time.Second, "the new provider passes, and the old", c.passes(began, c.checkers, c.providers))

	debug := strings.Replace(settings, "\nlog: info\n", "\nlog: debug\n", 1)
	for _, bad := range []struct{ network, config, says string }{
		{network + "nonsense: true\n", debug, "field nonsense not found"},
		{"{", debug, c.file},
		{strings.Replace(network, `name: "assay"`, `name: "other"`, 1), debug, "another network"},
		{strings.Replace(network, "simulated: true", "simulated: false", 1), debug, "another network"},
		{network, strings.Replace(debug, "log_format: text", "log_format: prose", 1), "log_format"},
		{network, strings.Replace(debug, "kind: checker", "kind: provider", 1), "a provider has none"},
	} {
		write(t, c.file, bad.network)
		write(t, config, bad.config)
		line := c.reload(k, "level=ERROR msg=\"reload refused\"")
		if !strings.Contains(line, bad.says) {
			t.Errorf("refused with %s\nwant %s", line, bad.says)
		}
	}
	// The last refusals left everything as it was: both are checked, nothing is at
	// debug.
	began = time.Now()
	c.until(40*time.Second, "both pass after the refusals", c.passes(began, c.checkers, c.providers))
	if strings.Contains(k.said(), "level=DEBUG") {
		t.Error("a refused file has changed the log's level")
	}
	write(t, c.file, network)
	write(t, config, debug)
	c.reload(k, "msg=reloaded providers=2 log=debug")
	c.until(20*time.Second, "debug lines", func() bool { return strings.Contains(k.said(), "level=DEBUG msg=verdict") })

	time.Sleep(time.Until(clock.Start(next.Epoch + 2)))
	stopped := time.Now()
	c.stopAll()
	t.Logf("\n%v", c.audit(nil))
	// Nothing was lost over it: no challenge was cut short, and each epoch has its own.
	db := openStopped(t, k)
	for _, info := range must(db.Transcripts(report.Query{Outcome: challenges.Unknown, Limit: math.MaxInt}))(t) {
		env := must(challenges.DecodeEnvelope(must(db.Transcript(info.Hash))(t)))(t)
		script, _, err := challenges.OpenTranscript(env)
		if err != nil {
			t.Fatal(err)
		}
		if last := script.Events[len(script.Events)-1]; info.At < stopped.UnixNano() && last.End == challenges.EndStopped {
			t.Errorf("reloading cut a challenge short: %+v", info)
		}
	}
	for epoch := next.Epoch; epoch+1 < must(db.SealedEpoch())(t); epoch++ {
		had := 0
		for _, r := range must(db.EpochRecords(epoch))(t) {
			if r.Provider == c.providers[0].id {
				for _, it := range r.Items {
					if it.Slot == 0 && it.Fleet == (report.FleetPart{}) { // slots draw who is in them, and fleets come by turns
						had++
					}
				}
			}
		}
		if had != 1 {
			t.Errorf("epoch %d: %d challenges of %s, want 1", epoch, had, c.providers[0].name)
		}
	}
}

// reload sends SIGHUP and returns the line that answers it, which must hold what
// is wanted.
func (c *cluster) reload(p *process, want string) (line string) {
	c.t.Helper()
	from := len(p.said())
	p.signal(syscall.SIGHUP)
	c.until(5*time.Second, p.name+" says "+want, func() bool {
		for line = range strings.SplitSeq(p.said()[from:], "\n") {
			if strings.Contains(line, want) {
				return true
			}
		}
		return false
	})
	return line
}

func read(t *testing.T, path string) string {
	t.Helper()
	return string(must(os.ReadFile(path))(t))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := file.Write(path, []byte(text)); err != nil {
		t.Fatal(err)
	}
}
