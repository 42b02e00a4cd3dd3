package bench

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/p2p"
	"github.com/assaynet/assay/store"
)

// newGuarded is newWorld with hosts that trust the seats, and the network to
// attack them over.
func newGuarded(t *testing.T, checkers, providers int, change func(*p2p.Config)) (*world, *simnet.Simnet) {
	t.Helper()
	w := &world{t: t, delay: 5 * time.Millisecond}
	w.registry = hostileRegistry(checkers)
	net := &simnet.Simnet{
		LatencyFunc: func(*simnet.Packet) time.Duration { return w.delay },
		Logger:      slog.New(slog.DiscardHandler),
	}
	var seats []*seat
	for i := range checkers + providers {
		s := &seat{key: simKey(i), raw: simHost(t, net, i)}
		cfg := p2p.Config{Key: s.key, Limits: challenges.Protocols(), Trusted: members(checkers + providers)}
		change(&cfg)
		var err error
		if s.host, err = p2p.Wrap(s.raw, cfg); err != nil {
			t.Fatal(err)
		}
		s.db = memoryStore(t, &w.registry, s.host.ID(), i < checkers)
		seats = append(seats, s)
	}
	t.Cleanup(func() {
		for _, s := range seats {
			_ = s.host.Close()
			_ = s.raw.Close()
			_ = s.db.Close()
		}
		net.Close()
	})
	introduce(t, seats)
	w.checkers, w.provider = seats[:checkers], seats[checkers:]
	net.Start()
	return w, net
}

func hostileRegistry(checkers int) committee.Registry {
	r := committee.Registry{
		Name: "sim", Genesis: uint64(time.Now().Add(2 * time.Second).UnixNano()), Simulated: true, Params: committee.Devnet(),
	}
	for i := range checkers {
		r.Checkers = append(r.Checkers, committee.Member{ID: challenges.IDOf(simKey(i)), Name: fmt.Sprint(i), Operator: fmt.Sprint(i)})
	}
	slices.SortFunc(r.Checkers, func(a, b committee.Member) int { return a.ID.Compare(b.ID) })
	return r
}

// members trusts the first n keys.
func members(n int) func(challenges.NodeID) bool {
	in := make(map[challenges.NodeID]bool)
	for i := range n {
		in[challenges.IDOf(simKey(i))] = true
	}
	return func(id challenges.NodeID) bool { return in[id] }
}

func memoryStore(t *testing.T, r *committee.Registry, id challenges.NodeID, checker bool) *store.DB {
	t.Helper()
	kind := store.KindProvider
	if checker {
		kind = store.KindChecker
	}
	db, err := store.Create("db", store.Meta{Kind: kind, Network: r.Hash(), Node: id}, store.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func introduce(t *testing.T, seats []*seat) {
	t.Helper()
	for _, a := range seats {
		for _, b := range seats {
			if err := a.host.AddPeer(b.host.ID(), b.host.Addrs()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// recruiter makes the enemies of a simulated world. Those of identity churn
// share one address, the others have one each.
func recruiter(t *testing.T, w *world, sim *simnet.Simnet, counts *tally) func(i int) *hostile {
	var mu sync.Mutex // Simnet adds endpoints for one caller at a time
	port := 20000
	link := simnet.LinkSettings{BitsPerSecond: 20 * simlibp2p.OneMbps}
	return func(i int) *hostile {
		key, err := crypto.UnmarshalEd25519PrivateKey(simKey(100 + i))
		if err != nil {
			t.Fatal(err)
		}
		victim := w.provider[0]
		if i/len(kinds)%2 == 1 {
			victim = w.checkers[0]
		}
		ip := net.IPv4(1, 0, 1, byte(i+1))
		if kinds[i%len(kinds)].name == "identity churn" {
			ip = net.IPv4(1, 0, 2, 1)
		}
		return &hostile{
			key: key, pace: 500 * time.Millisecond, flood: 250 * time.Millisecond, redial: 500 * time.Millisecond, tally: counts,
			target:  target{ID: victim.raw.ID(), QUIC: victim.host.Addrs()[0]},
			entropy: rand.NewChaCha8([32]byte{byte(i)}),
			socket: func() (net.PacketConn, error) {
				mu.Lock()
				defer mu.Unlock()
				port++
				return sim.NewEndpoint(&net.UDPAddr{IP: ip, Port: port}, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}), nil
			},
		}
	}
}

// TestHostilePeers has sixty enemies against a checker and a provider for
// minutes: honest work must not notice, and nothing may stay behind.
func TestHostilePeers(t *testing.T) {
	enemies, epochs := 60, 24
	if testing.Short() {
		enemies, epochs = 24, 4
	}
	synctest.Test(t, func(t *testing.T) {
		w, sim := newGuarded(t, 3, 1, func(c *p2p.Config) {
			// Small enough for sixty to be too many.
			c.Strangers = p2p.Share{Conns: enemies / 3, Streams: 4}
			c.Rates = make(map[string]p2p.Rate)
			for proto := range c.Limits {
				c.Rates[proto] = p2p.Rate{PerPeer: 3, PerAddr: 6, Burst: 8}
			}
		})
		w.agent(0, nil, nil)
		w.run(2, nil)
		time.Sleep(time.Minute)
		before := goroutines()

		var counts tally
		ctx, cancel := context.WithCancel(t.Context())
		var war sync.WaitGroup
		war.Go(func() { attack(ctx, enemies, recruiter(t, w, sim, &counts)) })
		now := int(time.Since(w.registry.Clock().Genesis) / w.registry.Params.Epoch)
		w.run(now+epochs, nil)
		busiest := [2]p2p.Stats{w.checkers[0].host.Stats(), w.provider[0].host.Stats()}
		cancel()
		war.Wait()
		time.Sleep(6 * time.Minute) // the longest life of a stream

		passes := requireHonest(t, w.matmuls())
		if passes < epochs {
			t.Errorf("%d challenges passed in %d epochs", passes, epochs)
		}
		requireProbes(t, w, 8*epochs)
		for i, s := range []*seat{w.checkers[0], w.provider[0]} {
			if got := busiest[i]; got.Strangers == 0 || got.Strangers > enemies/3 || got.Cut == 0 {
				t.Errorf("victim %d: strangers %+v", i, got)
			}
			if got := s.host.Stats(); got.Streams != 0 || got.Strangers != 0 {
				t.Errorf("victim %d: left behind %+v", i, got)
			}
		}
		// A short run may be over before the strangers fill their share of handlers,
		// which package p2p tests by itself.
		if got := busiest[1]; got.Limited == 0 || (got.Busy == 0 && !testing.Short()) {
			t.Errorf("provider refused nothing: %+v", got)
		}
		if after := goroutines(); after > before+2 {
			t.Errorf("%d goroutines before, %d after", before, after)
		}
		t.Logf("%d passes; enemies: %v; checker %+v; provider %+v", passes, &counts, busiest[0], busiest[1])
	})
}

// requireHonest wants every challenge passed that was not cut off by the end of
// a run, and counts them.
func requireHonest(t *testing.T, found []client.Finding) (passes int) {
	t.Helper()
	for _, f := range found {
		switch {
		case f.OK && *f.Outcome == challenges.Pass:
			passes++
		case f.OK && *f.Outcome == challenges.Unknown && f.Reasons[0].Code == challenges.ClauseEnd:
		default:
			t.Errorf("honest challenge: %v %v", *f.Recorded, f.Reasons)
		}
	}
	return passes
}

// requireProbes wants every probe of every checker answered, in all epochs that
// it has sealed.
func requireProbes(t *testing.T, w *world, want int) {
	t.Helper()
	for i, s := range w.checkers {
		envs, err := s.db.Observations(0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		answered := 0
		for _, env := range envs {
			o, err := report.OpenObservation(env, w.registry.Hash())
			if err != nil {
				t.Fatal(err)
			}
			for _, outcome := range o.Slices {
				switch challenges.Outcome(outcome) {
				case challenges.Pass:
					answered++
				case 0, challenges.Unknown: // the checker was not there
				default:
					t.Errorf("checker %d: probe %v in epoch %d", i, challenges.Outcome(outcome), o.Epoch)
				}
			}
		}
		if answered < want {
			t.Errorf("checker %d: %d probes answered, want %d", i, answered, want)
		}
	}
}

// goroutines counts those that are not the simulated network's, whose links
// last as long as it does.
func goroutines() (n int) {
	stacks := make([]byte, 32<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if !bytes.Contains(stack, []byte("marcopolo/simnet.")) {
			n++
		}
	}
	return n
}
