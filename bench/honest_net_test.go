package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/p2p"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/store"
)

// honestPath is what lies between honest providers and their checkers.
type honestPath struct {
	name    string
	oneWay  time.Duration
	jitter  float64 // median of a lognormal delay of each packet, in ms, sigma 1: they overtake each other
	loss    float64 // share of packets
	stalls  bool    // the path stops at times
	device  bool    // the device does
	uplink  float64 // in what the openings need at the claimed rate; 0: 100 Mbit/s
	nominal uint64  // ops/s of the provider's model; 0: 100e6
	clean   bool    // an honest provider has no excuse for silence
}

// honestNet is a network of honest providers in a synctest bubble.
type honestNet struct {
	t        *testing.T
	path     honestPath
	registry committee.Registry
	checkers []*honestSeat
	provider []*honestSeat
	log      honestLog
}

type honestSeat struct {
	key    ed25519.PrivateKey
	host   *p2p.Host
	db     *store.DB
	device *honestDevice
	stalls *honestStalls
}

// honestLog keeps what the checkers' store was given.
type honestLog struct {
	mu       sync.Mutex
	finished []report.Finished
}

// honestStore is a checker's store that tells the log.
type honestStore struct {
	*store.DB
	log *honestLog
}

func (s honestStore) Finish(f report.Finished) error {
	s.log.mu.Lock()
	s.log.finished = append(s.log.finished, f)
	s.log.mu.Unlock()
	return s.DB.Finish(f)
}

// honestParams are a network's for a purpose: the devnet's, or the standard ones
// with an epoch of a slot a checker.
func honestParams(purpose challenges.Purpose, checkers int) committee.Params {
	if purpose == challenges.Devnet {
		p := committee.Devnet()
		p.ProbeEvery = 2500 * time.Millisecond
		return p
	}
	p := committee.Standard()
	p.Purpose = purpose
	p.Epoch = time.Duration(checkers) * p.MinSlot
	return p
}

// newHonestNet starts hosts, stores and agents. Call it inside synctest.Test.
func newHonestNet(t *testing.T, path honestPath, purpose challenges.Purpose, checkers, providers int, seed uint64) *honestNet {
	t.Helper()
	n := &honestNet{t: t, path: path}
	n.registry = committee.Registry{
		Name: "honest", Genesis: uint64(time.Now().Add(3 * time.Second).UnixNano()), Simulated: true, Params: honestParams(purpose, checkers),
	}
	random := rand.New(rand.NewPCG(seed, 1))
	var seats []*honestSeat
	for i := range checkers + providers {
		s := &honestSeat{key: honestKey(seed, i)}
		if i < checkers {
			n.registry.Checkers = append(n.registry.Checkers, committee.Member{ID: challenges.IDOf(s.key), Name: fmt.Sprint(i), Operator: fmt.Sprint(i)})
			n.checkers = append(n.checkers, s)
		} else {
			n.provider = append(n.provider, s)
		}
		seats = append(seats, s)
	}
	slices.SortFunc(n.registry.Checkers, func(a, b committee.Member) int { return a.ID.Compare(b.ID) })
	sim := &simnet.Simnet{LatencyFunc: n.latency(rand.New(rand.NewPCG(seed, 2))), Logger: slog.New(slog.DiscardHandler)}
	t.Cleanup(sim.Close)
	for i, s := range seats {
		uplink := 100 * simlibp2p.OneMbps
		if i >= checkers {
			nominal := path.nominal
			if nominal == 0 {
				nominal = 100e6
			}
			var stops *honestStalls
			if path.device {
				stops = &honestStalls{random: rand.New(rand.NewPCG(seed, uint64(2000+i)))}
			}
			if path.stalls {
				s.stalls = &honestStalls{random: rand.New(rand.NewPCG(seed, uint64(1000+i)))}
			}
			s.device = newHonestDevice(t, random, nominal, stops)
			if path.uplink > 0 {
				uplink = int(path.uplink * honestNeed(nearRow(t, purpose, s.device), s.device.Info().Int8Ops))
			}
		}
		s.open(t, sim, &n.registry, i, uplink, i < checkers)
	}
	for _, a := range seats {
		for _, b := range seats {
			if err := a.host.AddPeer(b.host.ID(), b.host.Addrs()); err != nil {
				t.Fatal(err)
			}
		}
	}
	sim.Start()
	for _, s := range n.provider {
		_, err := prover.New(prover.Config{Key: s.key, Registry: &n.registry, Devices: []gpu.Device{s.device}, Network: s.host, Ledger: s.db})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func honestKey(seed uint64, i int) ed25519.PrivateKey {
	b := bytes.Repeat([]byte{7}, ed25519.SeedSize)
	binary.LittleEndian.PutUint64(b, seed)
	b[8] = byte(i + 1)
	return ed25519.NewKeyFromSeed(b)
}

// nearRow is the row that a purpose has for a device at no distance.
func nearRow(t *testing.T, purpose challenges.Purpose, d gpu.Device) challenges.Profile {
	t.Helper()
	c, err := committee.Choose(committee.Want{Purpose: purpose, Simulated: true, Claim: d.Info().Int8Ops})
	if err != nil {
		t.Fatal(err)
	}
	return c.Profile
}

// honestNeed is the rate, in bits a second, of the openings of a device that keeps
// its claim: frames with their signatures, without the transport's own bytes.
func honestNeed(row challenges.Profile, claim uint64) float64 {
	const rounds = 20
	sum := 0
	for r := range rounds {
		at := challenges.Secret{1}.Positions(challenges.Hash{}, r, challenges.Hash{}, row.Shape.Entries(), row.Samples)
		n := row.Shape.Layout().OpeningBytes(at)
		for _, part := range challenges.NewOpening(r, challenges.Hash{}, make([]byte, n)) {
			sum += len(part) + 64
		}
	}
	return 8 * float64(sum) / rounds * float64(row.Rounds) / row.Expected(claim).Seconds()
}

func (s *honestSeat) open(t *testing.T, sim *simnet.Simnet, r *committee.Registry, i, uplink int, checks bool) {
	t.Helper()
	key, err := crypto.UnmarshalEd25519PrivateKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/1.0.0.%d/udp/8000/quic-v1", i+1)),
		libp2p.Transport(libp2pquic.NewTransport),
		simlibp2p.QUICSimnet(sim, simnet.NodeBiDiLinkSettings{
			Downlink: simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps}, Uplink: simnet.LinkSettings{BitsPerSecond: uplink},
		}),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableIdentifyAddressDiscovery(), // it stalls a bubble
		libp2p.ForceReachabilityPublic(),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	if s.host, err = p2p.Wrap(raw, p2p.Config{Key: s.key, Limits: challenges.Protocols()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.host.Close() })
	kind := store.KindProvider
	if checks {
		kind = store.KindChecker
	}
	s.db, err = store.Create("db", store.Meta{Kind: kind, Network: r.Hash(), Node: s.host.ID()}, store.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
}

// latency is the way of one packet. A packet that is lost is sent to nobody.
func (n *honestNet) latency(random *rand.Rand) func(*simnet.Packet) time.Duration {
	return func(p *simnet.Packet) time.Duration {
		d := n.path.oneWay
		if n.path.jitter > 0 {
			d += time.Duration(n.path.jitter * math.Exp(random.NormFloat64()) * float64(time.Millisecond))
		}
		lost := random.Float64() < n.path.loss
		for _, a := range []net.Addr{p.From, p.To} {
			i := int(a.(*net.UDPAddr).IP.To4()[3]) - 1 - len(n.checkers)
			if i >= 0 && n.provider[i].stalls != nil {
				wait, drop := n.provider[i].stalls.hold(time.Now())
				d, lost = d+wait, lost || wait > 0 && drop
			}
		}
		if lost {
			p.To = &net.UDPAddr{IP: net.IPv4(1, 9, 9, 9), Port: 9}
		}
		return d
	}
}

// run lets the checkers check for whole epochs, and returns what they found.
func (n *honestNet) run(epochs int) []honestRun {
	n.t.Helper()
	ctx, cancel := context.WithDeadline(n.t.Context(), n.registry.Clock().Start(uint64(epochs)).Add(-time.Millisecond))
	defer cancel()
	done := make(chan error, len(n.checkers))
	for _, s := range n.checkers {
		cfg := checker.Config{
			Key: s.key, Registry: &n.registry, Network: s.host,
			Challenges: honestStore{s.db, &n.log}, Epochs: s.db, Reports: s.db, Offers: s.db,
		}
		for _, p := range n.provider {
			cfg.Providers = append(cfg.Providers, p.host.ID())
		}
		c, err := checker.New(cfg)
		if err != nil {
			n.t.Fatal(err)
		}
		go func() { done <- c.Run(ctx) }()
	}
	var errs []error
	for range n.checkers {
		errs = append(errs, <-done)
	}
	if err := errors.Join(errs...); err != nil {
		n.t.Error(err)
	}
	for _, s := range n.checkers {
		for _, p := range n.provider {
			st, err := s.db.Standing(p.host.ID())
			if err == nil && slices.Contains(reputation.Flags(&st, &n.registry.Params), reputation.FlagWorkIncorrect) {
				n.t.Errorf("%s: an honest provider is flagged %s", n.path.name, reputation.FlagWorkIncorrect)
			}
		}
	}
	return n.read()
}
