// Package selftest examines a provider's machine before checkers do: what runs its
// cards, whether they compute right and how fast, whether they hold the memory that
// is offered, and what of the machine would cost it challenges. Every check is one
// line with a verdict, what was seen, and what to do.
//
// What it measures becomes the claim: the rate that the slowest tenth of all rounds
// still reaches, of the row that checkers would ask for.
package selftest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/exam"
	"github.com/assaynet/assay/gpu/models"
)

// Verdicts of lines and reports, from the best to the worst. A report that was ended
// early is incomplete, if nothing failed until then.
const (
	Skip       = "skip"
	OK         = "ok"
	Warn       = "warn"
	Incomplete = "incomplete"
	Fail       = "fail"
)

// Config says what is examined. What a machine has not got is nil.
type Config struct {
	Devices []Device
	Worker  func(ctx context.Context) (about string, err error)      // finds and starts what runs cards; nil: nothing does
	Hooks   []Hook                                                   // that say whether a device has a tenant
	Key     func() Key                                               // nil: not looked at
	Clock   func() (Clock, error)                                    // of the kernel; nil: not looked at
	Checker func(ctx context.Context) (ahead time.Duration, e error) // this clock over a checker's; nil: not asked

	For      time.Duration // how long throughput is measured; 0: about 10 s a flavour
	Cases    []exam.Case   // that cards are compared in; nil: exam.Cases
	Every    time.Duration // between samples of a card; 0: 200 ms
	Versions Versions
	Roots    attest.Trust                    // of what cards sign; none: NVIDIA's
	Progress func(done, of int, what string) // may be nil; called by several goroutines, never at once
}

// Device is one device and what belongs to it.
type Device struct {
	Device  gpu.Device // its Info has the configured claims; 0: none
	Model   models.Spec
	Card    string                                              // the card's UUID
	Monitor gpu.Monitor                                         // nil: none
	Open    func(ctx context.Context) (about string, err error) // waits until it can work; nil: it always can
	Own     func() []uint32                                     // ids of this program's processes on the card; may be nil
}

// Hook asks who is told of tenants.
type Hook struct {
	Name string
	Ask  func(ctx context.Context) (answer string, err error)
}

// Report is what was found.
type Report struct {
	Verdict  string     `json:"verdict"` // the worst of the lines, or incomplete
	Complete bool       `json:"complete"`
	Started  time.Time  `json:"started"`
	TookS    float64    `json:"took_s"`
	ForS     float64    `json:"for_s"` // asked for; 0: quick
	Seed     string     `json:"seed"`  // that the inputs of the comparison follow from
	Lines    []Line     `json:"lines"`
	Claims   []Claim    `json:"claims"`
	Figures  []Figures  `json:"figures"`
	Versions Versions   `json:"versions"`
	Samples  []Snapshot `json:"-"` // of all cards; a bundle has them
}

// Line is one check.
type Line struct {
	Check   string `json:"check"`
	Device  string `json:"device"` // empty: of the machine
	Verdict string `json:"verdict"`
	Says    string `json:"says"`
	Remedy  string `json:"remedy,omitempty"`
}

// Claim is what an offer may claim of a device; 0: nothing.
type Claim struct {
	Device    string `json:"device"`
	Model     string `json:"model"`
	Simulated bool   `json:"simulated"` // its claims are its model's
	Card      string `json:"card_uuid,omitempty"`
	Memory    uint64 `json:"memory_bytes"`
	Int8      uint64 `json:"int8_ops_per_s"`
	BF16      uint64 `json:"bf16_ops_per_s"`
	FP64      uint64 `json:"fp64_ops_per_s"`
}

// Versions are of what was used.
type Versions struct {
	Assay  string `json:"assay"`
	Go     string `json:"go"`
	OS     string `json:"os"`
	Kernel string `json:"kernel,omitempty"`
}

// order is that of lines in a report.
var order = []string{
	"worker", "driver", "card", "exactness int8", "exactness bf16", "exactness fp64", "exactness memory",
	"throughput int8", "throughput bf16", "throughput fp64", "memory", "load", "processes", "hook", "key", "clock", "attestation",
}

// test is one run.
type test struct {
	cfg   Config
	seed  [32]byte
	begun time.Time

	mu    sync.Mutex
	lines []Line
	done  int // steps of progress

	one chan struct{} // holds one while a simulated device works: they share the machine's time
}

// Run examines all devices. Where ctx ends it early, the report has what was found
// until then. An error says that there is nothing to examine.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if len(cfg.Devices) == 0 {
		return Report{}, errors.New("self-test: there is no device")
	}
	if cfg.Every <= 0 {
		cfg.Every = 200 * time.Millisecond
	}
	if cfg.Cases == nil {
		cfg.Cases = exam.Cases()
	}
	t := &test{cfg: cfg, begun: time.Now(), one: make(chan struct{}, 1)}
	rand.Read(t.seed[:])
	works := t.worker(ctx)
	t.machine(ctx)
	lanes := make([]*lane, len(cfg.Devices))
	var all sync.WaitGroup
	for i, d := range cfg.Devices {
		lanes[i] = newLane(t, d)
		all.Go(func() { lanes[i].run(ctx, works) })
	}
	all.Wait()
	return t.report(ctx, lanes), nil
}

// report puts everything in its order.
func (t *test) report(ctx context.Context, lanes []*lane) Report {
	r := Report{
		Complete: ctx.Err() == nil, Started: t.begun.UTC(), TookS: time.Since(t.begun).Seconds(), ForS: t.cfg.For.Seconds(),
		Seed: hex.EncodeToString(t.seed[:]), Lines: t.lines, Versions: t.cfg.Versions,
	}
	for _, l := range lanes {
		r.Lines = append(r.Lines, l.lines...)
		r.Claims = append(r.Claims, l.claim)
		r.Figures = append(r.Figures, l.figures)
		r.Samples = append(r.Samples, l.watch.kept...)
	}
	slices.SortStableFunc(r.Lines, func(a, b Line) int { return slices.Index(order, a.Check) - slices.Index(order, b.Check) })
	r.Verdict = worst(r.Lines)
	if !r.Complete && r.Verdict != Fail {
		r.Verdict = Incomplete
	}
	return r
}

// worst is the verdict of lines together. What was not looked at is no finding.
func worst(lines []Line) string {
	v := OK
	for _, l := range lines {
		switch {
		case l.Verdict == Fail:
			return Fail
		case l.Verdict == Warn:
			v = Warn
		}
	}
	return v
}

// add adds a line of the machine.
func (t *test) add(l Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, l)
}

// progress says what is at hand. In a long test the time counts, else the steps.
func (t *test) progress(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cfg.Progress == nil {
		return
	}
	if long := t.cfg.For; long > 0 {
		t.cfg.Progress(int(min(time.Since(t.begun), long).Seconds()), int(long.Seconds()), what)
		return
	}
	t.cfg.Progress(min(t.done, len(t.cfg.Devices)*stepsOfLane), len(t.cfg.Devices)*stepsOfLane, what)
	t.done++
}
