package checker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/store"
)

// hall is one checker and several providers, and everything that was said between
// them.
type hall struct {
	t        *testing.T
	registry committee.Registry
	db       *store.DB
	store    *faulty
	farm     farm
	checker  *checker.Checker
	offers   map[challenges.NodeID]challenges.Offer
	monitors map[string]gpu.Monitor // of the providers' devices that come next
	trust    evidence.Trust

	// Hooks: how long a dial takes, one at a time, and what it fails with; and whether a frame of a
	// provider's is kept from the checker.
	dial func(p challenges.NodeID, proto string) (time.Duration, error)
	keep func(f said) bool
	// Whether a frame of the checker's waits until the checker gives up.
	stall func(f said) bool

	mu    sync.Mutex
	dials []said
	said  []said
}

// said is a dial, or a frame as the checker sent it or got it.
type said struct {
	at        time.Duration // since genesis
	challenge challenges.Challenge
	id        challenges.Hash // of the challenge
	out       bool
	what      string
}

// newHall makes a hall in a network of a given rhythm.
func newHall(t *testing.T, change func(*committee.Params)) *hall {
	t.Helper()
	id := challenges.IDOf(testKey(1))
	h := &hall{t: t, farm: make(farm), offers: make(map[challenges.NodeID]challenges.Offer)}
	h.registry = committee.Registry{
		Name: "hall", Genesis: uint64(time.Now().UnixNano()), Simulated: true, Params: committee.Devnet(),
		Checkers: []committee.Member{{ID: id, Name: "c", Operator: "o"}},
	}
	change(&h.registry.Params)
	if err := h.registry.Check(); err != nil {
		t.Fatal(err)
	}
	db, err := store.Create("db", store.Meta{Kind: store.KindChecker, Network: h.registry.Hash(), Node: id}, store.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	h.db = db
	h.store = &faulty{DB: db, fail: fine, calls: make(map[string]int)}
	t.Cleanup(func() {
		for _, w := range h.farm {
			w.running.Wait()
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// fleets is a network with a fleet challenge of each group in every epoch, of
// compute in even ones and of memory in odd ones, and without global slots.
func fleets(p *committee.Params) { p.FleetEvery, p.Slots = 1, 0 }

// host adds a provider with a device of each model.
func (h *hall) host(key byte, operator string, admission prover.Admission, names ...string) challenges.NodeID {
	h.t.Helper()
	cfg := prover.Config{Key: testKey(key), Registry: &h.registry, Ledger: ledger{}, Operator: operator, Admission: admission, Monitors: h.monitors}
	var offer challenges.Offer
	for i, name := range names {
		spec, err := models.Lookup(name)
		if err != nil {
			h.t.Fatal(err)
		}
		d, err := gpu.NewSim(gpu.SimConfig{ID: fmt.Sprint("gpu", i), Claims: spec, Runs: spec})
		if err != nil {
			h.t.Fatal(err)
		}
		cfg.Devices = append(cfg.Devices, d)
		offer.Devices = append(offer.Devices, d.Info().Offer())
	}
	w := newWire(challenges.IDOf(testKey(1)))
	cfg.Network = w
	if _, err := prover.New(cfg); err != nil {
		h.t.Fatal(err)
	}
	id := challenges.IDOf(cfg.Key)
	offer.Operator = operator
	h.farm[id], h.offers[id] = w, offer
	return id
}

// run runs the checker up to just before an instant after genesis.
func (h *hall) run(to time.Duration) {
	h.t.Helper()
	ctx, cancel := context.WithDeadline(h.t.Context(), h.registry.Clock().Genesis.Add(to-time.Millisecond))
	defer cancel()
	h.runUntil(ctx)
}

func (h *hall) runUntil(ctx context.Context) {
	h.t.Helper()
	if h.checker == nil {
		h.make()
	}
	if err := h.checker.Run(ctx); err != nil {
		h.t.Error(err)
	}
	if n := h.checker.Flights(); n > 0 {
		h.t.Errorf("%d places are not given back", n)
	}
	h.checker = nil
}

// make makes the checker that is to run next.
func (h *hall) make() {
	h.t.Helper()
	cfg := checker.Config{
		Key: testKey(1), Registry: &h.registry, Network: h, Challenges: h.store, Epochs: h.store, Reports: h.store, Offers: h.store,
		Trust: h.trust,
	}
	for id := range h.farm {
		cfg.Providers = append(cfg.Providers, id)
	}
	slices.SortFunc(cfg.Providers, challenges.NodeID.Compare)
	c, err := checker.New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.checker = c
}

// crowded takes so many places for challenges from the checker for a while.
func (h *hall) crowded(n int, from, to time.Duration) {
	c := h.checker
	time.AfterFunc(from, func() {
		free := c.Occupy(n)
		time.Sleep(to - from)
		free()
	})
}

// Open is the checker's network.
func (h *hall) Open(ctx context.Context, to challenges.NodeID, proto string) (challenges.Conn, error) {
	h.mu.Lock()
	h.dials = append(h.dials, said{at: h.now(), challenge: challenges.Challenge{Provider: to}, what: proto})
	h.mu.Unlock()
	if h.dial != nil && (proto == challenges.ProtoControl || proto == challenges.ProtoBulk) {
		h.mu.Lock()
		lag, err := h.dial(to, proto)
		h.mu.Unlock()
		select {
		case <-time.After(lag):
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
	}
	conn, err := h.farm.Open(ctx, to, proto)
	if err != nil || proto != challenges.ProtoControl {
		return conn, err
	}
	return &tapped{Conn: conn, hall: h}, nil
}

func (h *hall) now() time.Duration { return time.Since(h.registry.Clock().Genesis) }

// tapped is a control stream as its checker sees it.
type tapped struct {
	challenges.Conn
	hall      *hall
	challenge challenges.Challenge
	id        challenges.Hash
}

func (c *tapped) Send(ctx context.Context, frame []byte) error {
	if e, err := challenges.DecodeEnvelope(frame); err == nil && e.Kind == challenges.KindChallenge {
		if c.challenge, err = challenges.OpenChallenge(e, e.Network); err != nil {
			return err
		}
		c.id = e.ID()
	}
	f := c.note(true, whatOut(frame)) // even if ctx is over: a transport may be faster
	if c.hall.stall != nil && c.hall.stall(f) {
		<-ctx.Done()
		c.note(true, "gave up")
	}
	return c.Conn.Send(ctx, frame)
}

func (c *tapped) Recv(ctx context.Context) ([]byte, error) {
	for {
		frame, err := c.Conn.Recv(ctx)
		if err != nil {
			return nil, err
		}
		if f := c.note(false, whatIn(frame)); c.hall.keep == nil || !c.hall.keep(f) {
			return frame, nil
		}
	}
}

func (c *tapped) note(out bool, what string) said {
	c.hall.mu.Lock()
	defer c.hall.mu.Unlock()
	f := said{c.hall.now(), c.challenge, c.id, out, what}
	c.hall.said = append(c.hall.said, f)
	return f
}

func whatOut(frame []byte) string {
	switch e, err := challenges.DecodeEnvelope(frame); {
	case err == nil:
		return e.Kind
	case challenges.StartsWalks(frame):
		return "nonce"
	}
	return "positions"
}

func whatIn(frame []byte) string {
	body := frame[:max(0, len(frame)-64)]
	var filled challenges.FilledFrame
	var root challenges.RootFrame
	var refusal challenges.RefusalFrame
	switch {
	case challenges.Unmarshal(body, &filled) == nil:
		return "filled"
	case challenges.Unmarshal(body, &root) == nil:
		return "root"
	case challenges.Unmarshal(body, &refusal) == nil:
		return "refusal"
	}
	return "else"
}

// heard lists what was said of one kind, in challenges of one number.
func (h *hall) heard(what string, epoch uint64, seq uint32) (out []said) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.said {
		if f.what == what && f.challenge.Epoch == epoch && f.challenge.Seq == seq {
			out = append(out, f)
		}
	}
	return out
}

// of lists a provider's items of an epoch.
func (h *hall) of(p challenges.NodeID, epoch uint64) []report.Item {
	h.t.Helper()
	envelopes, err := h.db.EpochObservations(epoch)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range envelopes {
		o, err := report.OpenObservation(e, h.registry.Hash())
		if err != nil {
			h.t.Fatal(err)
		}
		if o.Provider == p {
			return o.Items
		}
	}
	return nil
}

// joint lists those of them that ran with others.
func (h *hall) joint(p challenges.NodeID, epoch uint64) (out []report.Item) {
	h.t.Helper()
	for _, it := range h.of(p, epoch) {
		if it.Fleet.Run != (challenges.Hash{}) {
			out = append(out, it)
		}
	}
	return out
}

// admits is a gate that refuses some requests.
type admits struct {
	prover.Admission
	refuse func(r prover.Request) string // a reason, or ""
}

func (a admits) Admit(r prover.Request) (func(), *prover.Refusal) {
	if reason := a.refuse(r); reason != "" {
		refusal := &prover.Refusal{Reason: reason}
		if reason == challenges.ReasonCollision {
			refusal.IDs = []challenges.Hash{{1}}
		}
		return nil, refusal
	}
	return a.Admission.Admit(r)
}

// refuses is a gate whose one device refuses what it is asked together with others.
func refuses(device, reason string) prover.Admission {
	return admits{prover.NewGate(prover.GateConfig{PerEpoch: 8}), func(r prover.Request) string {
		if r.Challenge.Seq == 1 && r.Challenge.Device == device {
			return reason
		}
		return ""
	}}
}
