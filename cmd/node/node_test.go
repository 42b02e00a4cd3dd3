package node

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/store"
)

var (
	checkerKey  = testKey(1)
	providerKey = testKey(2)
)

// testRegistry has one checker, and an epoch 0 that begins now.
func testRegistry() *committee.Registry {
	return &committee.Registry{
		Name: "test", Genesis: uint64(time.Now().UnixNano()), Simulated: true, Params: committee.Devnet(),
		Checkers: []committee.Member{{ID: challenges.IDOf(checkerKey), Name: "checker"}},
	}
}

func loopback() []string {
	return []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"}
}

func checkerConfig(dir string, r *committee.Registry) CheckerConfig {
	return CheckerConfig{Dir: dir, Name: "checker", Key: checkerKey, Registry: r, Listen: loopback(), API: "127.0.0.1:0"}
}

func providerConfig(t *testing.T, dir string, r *committee.Registry) ProviderConfig {
	t.Helper()
	model, err := models.Lookup("sim-100")
	check(t, err)
	device, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: model, Runs: model})
	check(t, err)
	return ProviderConfig{Dir: dir, Key: providerKey, Registry: r, Listen: loopback(), Devices: []gpu.Device{device}, Operator: "me"}
}

// TestCreateTwice has a folder that serves one node and its one life: whatever
// there is of it is never overwritten.
func TestCreateTwice(t *testing.T) {
	dir, r := t.TempDir(), testRegistry()
	c, err := CreateChecker(checkerConfig(dir, r))
	check(t, err)
	if c.ID() != challenges.IDOf(checkerKey) || !strings.HasPrefix(c.API(), "http://127.0.0.1:") || strings.HasSuffix(c.API(), ":0") {
		t.Errorf("id %v, API %s", c.ID(), c.API())
	}
	wantExists := func(when string) {
		t.Helper()
		if c, err := CreateChecker(checkerConfig(dir, r)); !errors.Is(err, store.ErrExists) || c != nil {
			t.Errorf("checker, %s: error %v", when, err)
		}
		if p, err := CreateProvider(providerConfig(t, dir, r)); !errors.Is(err, store.ErrExists) || p != nil {
			t.Errorf("provider, %s: error %v", when, err)
		}
	}
	wantExists("while the first runs")
	if s, err := OpenFolder(dir); err == nil || s != nil {
		t.Errorf("a running node's folder was opened: %v", err)
	}
	check(t, c.Close())
	wantExists("after it")
	check(t, open(t, dir).Close())
}

// TestCreateFails checks that a failure gives everything back: the folder of a
// checker whose port is taken is locked by nobody.
func TestCreateFails(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	r := testRegistry()
	cfg := checkerConfig(t.TempDir(), r)
	cfg.API = l.Addr().String()
	c, err := CreateChecker(cfg)
	var op *net.OpError
	if c != nil || !errors.As(err, &op) || !strings.Contains(err.Error(), cfg.API) {
		t.Errorf("port taken: %v", err)
	}
	check(t, open(t, cfg.Dir).Close())

	cfg = checkerConfig(t.TempDir(), r)
	cfg.Listen = []string{"nonsense"}
	if c, err := CreateChecker(cfg); err == nil || c != nil {
		t.Errorf("checker at address %q: no error", cfg.Listen)
	}
	check(t, open(t, cfg.Dir).Close())

	pc := providerConfig(t, t.TempDir(), r)
	pc.Listen = []string{"nonsense"}
	if p, err := CreateProvider(pc); err == nil || p != nil {
		t.Errorf("provider at address %q: no error", pc.Listen)
	}
	check(t, open(t, pc.Dir).Close())

	stranger := checkerConfig(t.TempDir(), r)
	stranger.Key = testKey(3)
	s, err := CreateChecker(stranger)
	check(t, err)
	if err := s.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "not in the registry") {
		t.Errorf("a checker outside the registry ran: %v", err)
	}
	check(t, s.Close())
}

// counting is a network that notes which protocols were opened.
type counting struct {
	checker.Network
	mu     sync.Mutex
	opened map[string]int
}

func (n *counting) Open(ctx context.Context, to challenges.NodeID, proto string) (challenges.Conn, error) {
	n.mu.Lock()
	n.opened[proto]++
	n.mu.Unlock()
	return n.Network.Open(ctx, to, proto)
}

// TestExchange runs a checker and a provider over real sockets for as long as an
// offer and a few probes take.
func TestExchange(t *testing.T) {
	if testing.Short() {
		t.Skip("runs nodes for 1.5 s")
	}
	r := testRegistry()
	p, err := CreateProvider(providerConfig(t, t.TempDir(), r))
	check(t, err)
	defer p.Close()
	if p.Peer().ID != challenges.IDOf(providerKey) || len(p.Peer().Addrs) != 2 {
		t.Errorf("peer %+v", p.Peer())
	}
	seen := &counting{opened: make(map[string]int)}
	cfg := checkerConfig(t.TempDir(), r)
	cfg.Network = func(n checker.Network) checker.Network {
		seen.Network = n
		return seen
	}
	c, err := CreateChecker(cfg)
	check(t, err)
	defer c.Close()
	reader, err := client.New(c.API())
	check(t, err)
	before, err := reader.Status(t.Context())
	check(t, err)
	if before.ID != c.ID() || before.NetworkID != r.Hash() || before.Sealed != 0 {
		t.Errorf("status before: %+v", before)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	check(t, c.Run(ctx, []Peer{p.Peer()}))

	offers, err := c.db.Offers()
	check(t, err)
	env, err := challenges.DecodeEnvelope(offers[p.Peer().ID])
	check(t, err)
	offer, err := challenges.OpenOffer(env, r.Hash())
	check(t, err)
	if _, ok := offer.Device("gpu0"); !ok || env.Signer != p.Peer().ID || offer.Operator != "me" || offer.Agent != Version {
		t.Errorf("offer %+v by %v", offer, env.Signer)
	}
	if seen.opened[challenges.ProtoOffer] < 1 || seen.opened[challenges.ProtoProbe] < 1 {
		t.Errorf("opened %v through the decorated network", seen.opened)
	}
	// The checker has stopped; what it knows is served until Close.
	observations, err := reader.Observations(t.Context(), 0)
	check(t, err)
	if len(observations) != 1 {
		t.Fatalf("%d observations, want 1", len(observations))
	}
	o, err := report.OpenObservation(observations[0], r.Hash())
	check(t, err)
	passes := bytes.Count(o.Slices, []byte{byte(challenges.Pass)})
	if o.Provider != p.Peer().ID || passes < 1 || o.RTT <= 0 || !o.Simulated {
		t.Errorf("observation %+v: %d probes passed", o, passes)
	}
	after, err := reader.Status(t.Context())
	check(t, err)
	if after.Sealed != 1 || after.Verdicts < uint64(passes) {
		t.Errorf("status after: %+v", after)
	}
	check(t, c.Close())
	check(t, p.Close())
	if _, err := reader.Status(t.Context()); err == nil {
		t.Error("the API is still served after Close")
	}
	check(t, open(t, cfg.Dir).Close())
}

func TestBootID(t *testing.T) {
	a, b := challenges.IDOf(checkerKey), challenges.IDOf(providerKey)
	seen := map[[16]byte]bool{}
	for range 2 { // the same start gives the same id
		for _, id := range []challenges.NodeID{a, b} {
			for boots := range uint64(3) {
				seen[bootID(id, boots)] = true
			}
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d boot ids of 6 starts", len(seen))
	}
}
