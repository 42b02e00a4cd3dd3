package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/worker"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/prover/control"
	"github.com/assaynet/assay/store"
)

// What speaks with a running agent.
type (
	Agent            = control.Client
	AgentStatus      = control.Status
	AgentDevice      = control.Device
	AgentTenant      = control.Tenant
	AgentBudget      = control.Budget
	AgentWhy         = control.WhyQuery
	AgentExplanation = prover.Explanation
)

// MaxWhy bounds the limit of one AgentWhy.
const MaxWhy = control.MaxLimit

// Errors of a running agent.
var (
	ErrNoAgent = control.ErrNoAgent
	ErrUnknown = control.ErrUnknown
)

// DialAgent finds the agent that runs in a folder.
func DialAgent(ctx context.Context, dir string) (*Agent, error) { return control.Dial(ctx, dir) }

// lastMarks is how many challenges a status names.
const lastMarks = 5

// owner is an agent as its owner's socket sees it.
type owner struct {
	id      challenges.NodeID
	dir     string
	network challenges.Hash
	since   time.Time
	devices []gpu.Device
	fleet   *fleet       // nil: no tenants
	gate    *prover.Gate // nil with another admission
	db      *lasting
	agent   *prover.Agent
	metrics prometheus.Gatherer
	log     *slog.Logger

	mu sync.Mutex // file and gate say the same
}

// errNoGate says that the admission is not the default one.
var errNoGate = errors.New("this agent's admission cannot be drained")

// Drain refuses new work until a time, over restarts.
func (o *owner) Drain(until time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gate == nil {
		return errNoGate
	}
	if err := writeDrain(o.dir, until); err != nil {
		return err
	}
	o.gate.Drain(until)
	o.log.Info("drain", "until", until)
	return nil
}

// Resume takes work again.
func (o *owner) Resume() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gate == nil {
		return errNoGate
	}
	if err := removeDrain(o.dir); err != nil {
		return err
	}
	o.gate.Resume()
	o.log.Info("resume")
	return nil
}

// Tenant says that a device's tenant is there, or has left.
func (o *owner) Tenant(ctx context.Context, device string, present bool, until time.Time) (time.Duration, error) {
	if o.fleet == nil || !slices.ContainsFunc(o.devices, func(d gpu.Device) bool { return d.Info().ID == device }) {
		return 0, fmt.Errorf("device %q: %w", device, control.ErrUnknown)
	}
	if !present {
		return 0, o.fleet.tenancy.Leave(device)
	}
	return o.fleet.tenancy.Arrive(ctx, device, until)
}

// Status is what the agent does now.
func (o *owner) Status() control.Status {
	s := control.Status{
		ID: o.id, Network: o.network, Agent: Version, PID: os.Getpid(), Since: o.since.UTC(), Devices: []control.Device{},
		Checks: o.agent.Health(), Challenges: make(map[string]uint64), LastMarks: []control.Mark{},
	}
	if o.gate != nil {
		s.Draining, s.DrainUntil = o.gate.Draining(), instant(o.gate.DrainedUntil())
	}
	for _, d := range o.devices {
		s.Devices = append(s.Devices, o.device(d.Info()))
	}
	o.count(&s)
	// A store that is away is said by the checks.
	last, _ := o.db.Copies(receipt.Query{Marks: true, Limit: lastMarks})
	for _, i := range last {
		s.LastMarks = append(s.LastMarks, mark(i))
	}
	return s
}

// mark is a challenge that did not pass: in the checker's words, or in ours where
// it said nothing.
func mark(i receipt.Info) control.Mark {
	m := control.Mark{Challenge: i.Challenge, Device: i.Device, At: time.Unix(0, i.At).UTC(), Result: strings.ReplaceAll(i.Result, "_", " ")}
	if i.Outcome.Valid() {
		m.Result = i.Outcome.String()
		if by := cmp.Or(i.Reason, i.Clause); by != "" {
			m.Result += " (" + by + ")"
		}
	}
	return m
}

func (o *owner) device(info gpu.Info) control.Device {
	d := control.Device{ID: info.ID, Model: info.Model, State: "simulated", Tenant: control.Tenant{Known: true}}
	if o.gate != nil {
		if id, ok := o.gate.Running(info.ID); ok {
			d.BusyWith = &id
		}
		used, of := o.gate.Budget(info.ID)
		d.Budget.Used = used.Seconds()
		if of > 0 {
			limit := of.Seconds()
			d.Budget.Of = &limit
		}
	}
	if o.fleet == nil {
		return d
	}
	t := o.fleet.tenancy.Status(info.ID)
	d.Tenant = control.Tenant{Present: t.Present, Known: t.Known, By: t.By, Since: instant(t.Since), Until: instant(t.Until), Error: t.Error}
	if t.Freed > 0 {
		ms := float64(t.Freed.Microseconds()) / 1000
		d.Tenant.Freed = &ms
	}
	if w := o.fleet.workers[info.ID]; w != nil {
		d.Card = o.fleet.card(info.ID)
		describe(&d, w.Status())
	}
	return d
}

// describe adds what is known of a device's process.
func describe(d *control.Device, s worker.Status) {
	d.State, d.About, d.PID, d.Starts, d.Since = s.State, s.About, s.PID, s.Starts, instant(s.Since)
	if s.Fault != nil {
		d.Fault = &control.Fault{Class: s.Fault.Class, Detail: s.Fault.Detail, Xid: s.Fault.Xid, At: s.FaultAt.UTC()}
	}
}

// count reads the counters.
func (o *owner) count(s *control.Status) {
	families, err := o.metrics.Gather()
	if err != nil {
		return // a broken collector is the metrics page's to say
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			n := uint64(m.GetCounter().GetValue())
			switch f.GetName() {
			case "assay_provider_probes_total":
				s.Probes = n
			case "assay_provider_offers_served_total":
				s.Offers = n
			case "assay_provider_challenges_total":
				for _, l := range m.GetLabel() {
					s.Challenges[l.GetValue()] = n
				}
			}
		}
	}
}

// instant is a time for JSON; zero: none.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Why explains how challenges ended.
func (o *owner) Why(q control.WhyQuery) ([]prover.Explanation, error) {
	var ids []string
	if q.Challenge != "" {
		ids = []string{q.Challenge}
	} else {
		list, err := o.db.Copies(receipt.Query{Marks: !q.All, Limit: q.Limit})
		if err != nil {
			return nil, err
		}
		for _, i := range list {
			ids = append(ids, i.Challenge.String())
		}
	}
	var out []prover.Explanation
	for _, id := range ids {
		h, c, err := o.db.Copy(id)
		if errors.Is(err, store.ErrNotFound) && q.Challenge == "" {
			continue // it went between the two
		}
		if err != nil {
			return nil, unknown(err)
		}
		out = append(out, prover.Explain(h, c, o.network))
	}
	return out, nil
}

// Transcript is the agent's copy of a challenge.
func (o *owner) Transcript(challenge challenges.Hash) ([]byte, error) {
	_, c, err := o.db.Copy(challenge.String())
	if err != nil {
		return nil, unknown(err)
	}
	return challenges.Marshal(&c), nil
}

// absentCopy is the store's word, and control.ErrUnknown.
type absentCopy struct{ error }

func (absentCopy) Is(target error) bool { return target == control.ErrUnknown }

// unknown tells a challenge that is not there from a store that fails.
func unknown(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrAmbiguous) {
		return absentCopy{err}
	}
	return err
}
