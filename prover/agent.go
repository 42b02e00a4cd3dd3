// Package prover is the provider's agent: it answers challenges, probes and
// requests for its offer, and decides what it takes on.
package prover

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu"
)

// Network is where the agent's handlers are reached.
type Network interface {
	// Handle serves a protocol. A handler's error resets its stream.
	Handle(proto string, handler func(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error)
}

// Ledger remembers which challenges were accepted, over restarts.
type Ledger interface {
	// Use records a challenge, synced, before any work; challenges.ErrUsed if its id
	// was recorded before.
	Use(id challenges.Hash, u challenges.Use) error
	// Ended records how a used challenge ended, and when (Unix time, ns).
	Ended(id challenges.Hash, at int64, how string) error
}

// Request is a challenge that asks for a device.
type Request struct {
	ID        challenges.Hash
	Checker   challenges.NodeID
	Challenge challenges.Challenge
	envelope  []byte // as it came
}

// Refusal says why not. It is sent signed.
type Refusal struct {
	Reason string
	Until  time.Duration // from now; 0: not known
	IDs    []challenges.Hash
	Why    error // for our own records, and not sent; nil: the reason says all
}

// Admission decides what the agent takes on.
type Admission interface {
	// Admit takes the device for a request, or says why not. release must be called
	// once when the work is over; it is nil with a refusal.
	Admit(r Request) (release func(), refusal *Refusal)
	// Busy reports that GPU work is refused or running, for pongs.
	Busy() bool
}

// Tenants says whether a device belongs to a tenant.
type Tenants interface {
	// Refuse is why a device does not take work; nil: it is free.
	Refuse(device string) *Refusal
	// Arrived is closed when a tenant arrives, or when it is not known any more
	// whether there is one. After he has left there is a new one.
	Arrived(device string) <-chan struct{}
}

// Copies keeps what the agent writes down of the challenges that came in.
type Copies interface {
	// PutCopy keeps a copy. A refusal's never takes the place of an earlier copy of the
	// same challenge: a checker may send one again.
	PutCopy(id challenges.Hash, c receipt.Copy) error
}

// Config holds what an agent needs.
type Config struct {
	Key       ed25519.PrivateKey
	Registry  *committee.Registry
	Devices   []gpu.Device
	Network   Network
	Ledger    Ledger
	Admission Admission              // nil: a Gate
	Tenants   Tenants                // nil: there are none
	Copies    Copies                 // nil: none are kept
	Monitors  map[string]gpu.Monitor // by device; none of those that cannot be read
	Operator  string
	Region    string
	Version   string
	Addrs     []string
	Boot      [16]byte // changes with every start
	Log       *slog.Logger
	Metrics   prometheus.Registerer // takes one agent; nil: nobody reads them
}

// Agent is a provider.
type Agent struct {
	cfg     Config
	id      challenges.NodeID
	network challenges.Hash
	clock   committee.Clock
	devices map[string]gpu.Device
	listed  challenges.Hash // the device list, for pongs
	pongs   atomic.Uint64
	meet    meeting
	// Probes of strangers keep a provider from greeting known checkers only; they
	// share one slow allowance.
	strangers *rate.Limiter
	log       *slog.Logger
	metrics   *metrics
	health    Health

	mu      sync.Mutex
	signers map[string]*signing                 // by device
	kept    map[challenges.NodeID]*rate.Limiter // copies of refusals, by checker
	offer   challenges.Offer
	sealed  []byte    // the offer's envelope
	renewal time.Time // when to seal a new one
}

// offerLife is how long an offer is good for; it is renewed halfway.
const offerLife = 24 * time.Hour

// New makes an agent and registers its handlers.
func New(cfg Config) (*Agent, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Admission == nil {
		cfg.Admission = NewGate(GateConfig{PerEpoch: cfg.Registry.Params.PerEpoch})
	}
	a := &Agent{
		cfg: cfg, id: challenges.IDOf(cfg.Key), network: cfg.Registry.Hash(), clock: cfg.Registry.Clock(),
		devices: make(map[string]gpu.Device), strangers: rate.NewLimiter(5, 10), log: cfg.Log,
		metrics: newMetrics(),
	}
	a.kept = make(map[challenges.NodeID]*rate.Limiter)
	a.health.born, a.health.recovered = time.Now(), make(map[string]time.Time)
	a.health.failing, a.health.ledger = make(map[string]time.Time), make(map[string]time.Time)
	a.meet.tables, a.meet.guests = make(map[challenges.Hash]*table), max(maxGuests, len(cfg.Devices))
	offer := challenges.Offer{
		Operator: cfg.Operator, Region: cfg.Region, Agent: cfg.Version, Addrs: cfg.Addrs,
	}
	for _, d := range cfg.Devices {
		i := d.Info()
		if i.Simulated && !cfg.Registry.Simulated {
			return nil, fmt.Errorf("device %q: simulated, but network %q is not", i.ID, cfg.Registry.Name)
		}
		a.devices[i.ID] = d
		offer.Devices = append(offer.Devices, i.Offer())
	}
	a.offer, a.listed = offer, offer.DevicesHash()
	a.seal(time.Now())
	if err := a.offer.Check(); err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	if err := a.metrics.register(cfg.Metrics); err != nil {
		return nil, err
	}
	cfg.Network.Handle(challenges.ProtoControl, a.challenge)
	cfg.Network.Handle(challenges.ProtoBulk, a.bulk)
	cfg.Network.Handle(challenges.ProtoProbe, a.probe)
	cfg.Network.Handle(challenges.ProtoOffer, a.sendOffer)
	return a, nil
}

// ID is the provider's id.
func (a *Agent) ID() challenges.NodeID { return a.id }

// seal signs the offer anew. The caller holds mu, or is alone.
func (a *Agent) seal(now time.Time) {
	a.offer.Seq, a.offer.Issued, a.offer.Expires = uint64(now.UnixNano()), uint64(now.Unix()), uint64(now.Add(offerLife).Unix())
	env := challenges.Seal(a.network, challenges.KindOffer, challenges.Marshal(&a.offer), a.cfg.Key)
	a.sealed, a.renewal = challenges.Marshal(&env), now.Add(offerLife/2)
}

func (a *Agent) sendOffer(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error {
	a.mu.Lock()
	if now := time.Now(); now.After(a.renewal) {
		a.seal(now)
	}
	sealed := a.sealed
	a.mu.Unlock()
	if err := conn.Send(ctx, sealed); err != nil {
		return fmt.Errorf("send offer: %w", err)
	}
	a.metrics.offers.Inc()
	a.contact(peer, true)
	return nil
}

// keepsRefusal is whether a checker's refused challenge leaves a copy. A checker can have
// any number of them refused; members alone come so far, so the table is bounded.
func (a *Agent) keepsRefusal(checker challenges.NodeID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.kept[checker]
	if l == nil {
		l = rate.NewLimiter(rate.Every(time.Minute), 16)
		a.kept[checker] = l
	}
	return l.Allow()
}

// receive reads and authenticates the challenge that opens a stream.
func (a *Agent) receive(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) (Request, error) {
	frame, err := conn.Recv(ctx)
	if err != nil {
		return Request{}, fmt.Errorf("read challenge: %w", err)
	}
	env, err := challenges.DecodeEnvelope(frame)
	if err != nil {
		return Request{}, err
	}
	c, err := challenges.OpenChallenge(env, a.network)
	if err != nil {
		return Request{}, err
	}
	switch {
	case env.Signer != peer:
		return Request{}, fmt.Errorf("challenge of %s sent by %s", env.Signer.Short(), peer.Short())
	case c.Provider != a.id:
		return Request{}, fmt.Errorf("challenge for %s", c.Provider.Short())
	}
	return Request{ID: env.ID(), Checker: peer, Challenge: c, envelope: frame}, nil
}

func (a *Agent) probe(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error {
	r, err := a.receive(ctx, peer, conn)
	if err != nil {
		return err
	}
	params, err := r.Challenge.ProbeParams()
	if err != nil {
		return err
	}
	if a.cfg.Registry.Index(peer) < 0 && !a.strangers.Allow() {
		a.metrics.strangers.Inc()
		return errors.New("too many probes of strangers")
	}
	a.contact(peer, false)
	sign := challenges.NewFrameSigner(a.cfg.Key, a.network, r.ID, challenges.StreamControl)
	for range params.Pings {
		frame, err := conn.Recv(ctx)
		if err != nil {
			return fmt.Errorf("read ping: %w", err)
		}
		var ping challenges.PingFrame
		if err := challenges.Unmarshal(frame, &ping); err != nil {
			return err
		}
		var flags uint8
		if a.cfg.Admission.Busy() {
			flags |= challenges.FlagBusy
		}
		if d, ok := a.cfg.Admission.(interface{ Draining() bool }); ok && d.Draining() {
			flags |= challenges.FlagDraining
		}
		pong := challenges.NewPong(ping, a.cfg.Boot, a.pongs.Add(1), a.listed, flags)
		if err := conn.Send(ctx, sign.Sign(pong)); err != nil {
			return fmt.Errorf("send pong: %w", err)
		}
	}
	a.metrics.probes.Inc()
	return nil
}
