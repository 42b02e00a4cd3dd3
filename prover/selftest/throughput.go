package selftest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/exam"
)

// Throughput is what was measured of a flavour.
type Throughput struct {
	Flavour    string  `json:"flavour"`
	Profile    uint16  `json:"profile"` // row of assay profiles
	Shape      string  `json:"shape"`
	Windows    int     `json:"windows"` // runs of rounds, one after the other
	Rounds     int     `json:"rounds"`  // that count
	OpsPerS    float64 `json:"ops_per_s"`
	OpsPerSP10 float64 `json:"ops_per_s_p10"`           // that nine tenths of the rounds reach: the claim
	Worst      float64 `json:"ops_per_s_slowest"`       // of the slowest window's mean
	Reference  uint64  `json:"reference_ops_per_s"`     // of the model; 0: not known
	Configured uint64  `json:"configured_ops_per_s"`    // 0: not configured
	Claim      uint64  `json:"claim_ops_per_s"`         // OpsPerSP10, rounded down; 0: nothing can be claimed
	Faults     []Fault `json:"faults"`                  // at most 100
	FaultCount int     `json:"fault_count"`             // all
	Stopped    string  `json:"stopped_early,omitempty"` // why it was not measured to the end
}

// Fault is a fault of a device while it was measured.
type Fault struct {
	At     time.Time `json:"at"`
	Class  string    `json:"class"`
	Xid    uint32    `json:"xid"` // 0: none
	Detail string    `json:"detail"`
}

// Bounds of a measurement.
const (
	enough     = 0.70 // of a model's reference; less is a warning
	mostFaults = 100  // that are listed
	inARow     = 5    // faults without a whole window between them: the device is given up
)

// meter measures one flavour.
type meter struct {
	Throughput
	of     challenges.Flavour
	row    challenges.Profile
	rounds []time.Duration
	every  int // one of so many rounds is kept
	seen   int
	sum    time.Duration
	window int   // rounds of a window
	inARow int   // faults
	err    error // that ended it; nil: none
}

// throughput measures the flavours in turn, window by window, until the time is over:
// the heat of one is the heat of all.
func (l *lane) throughput(ctx context.Context) {
	var meters []*meter
	for _, f := range flavours {
		if check := "throughput " + f.name; l.ready(ctx, check, "driver", "exactness "+f.name) {
			meters = append(meters, &meter{
				of: f.of, every: 1,
				Throughput: Throughput{
					Flavour: f.name, Reference: l.reference(f.of), Configured: l.info.Offer().Claim(f.of), Faults: []Fault{},
				},
			})
		}
	}
	l.watch.start(ctx, l.d.Monitor, l.info.ID, l.t.cfg.Every)
	begun := time.Now()
	for first := true; first || time.Since(begun) < l.t.cfg.For; first = false {
		active := false
		for _, m := range meters {
			if m.err == nil && l.gone == "" && ctx.Err() == nil && (first || time.Since(begun) < l.t.cfg.For) {
				l.t.progress(l.info.ID + " throughput " + m.Flavour)
				l.window(ctx, m)
				active = true
			}
		}
		if !active {
			break
		}
	}
	l.watch.stop()
	for _, m := range meters {
		l.measured(ctx, m)
	}
}

func (l *lane) reference(f challenges.Flavour) uint64 {
	switch f {
	case challenges.Int8:
		return l.d.Model.Int8Ops
	case challenges.BF16:
		return l.d.Model.BF16Ops
	}
	return l.d.Model.FP64Ops
}

// window measures one window, of a row that is chosen before the first.
func (l *lane) window(ctx context.Context, m *meter) {
	var took []time.Duration
	err := again(func() (err error) {
		if m.window == 0 {
			if err := l.choose(ctx, m); err != nil {
				return err
			}
		}
		took, err = timeRounds(ctx, l.d.Device, m.row, m.window)
		return err
	})
	f, faulty := errors.AsType[*gpu.Fault](err)
	switch {
	case err == nil:
		m.add(took)
		m.inARow = 0
	case ctx.Err() != nil:
		m.add(took)
	case faulty:
		l.fault(ctx, m, f)
	default:
		m.err = err
	}
}

// choose finds the row that checkers would ask for, by the rate that the device
// seems to have.
func (l *lane) choose(ctx context.Context, m *meter) error {
	rate := m.Reference
	if !l.info.Simulated {
		var err error
		if rate, err = speed(ctx, l.d.Device, m.of); err != nil {
			return err
		}
	}
	row, err := rowFor(m.of, l.info.Simulated, rate)
	if err != nil {
		return err
	}
	m.row, m.Profile, m.Shape = row, row.Number, row.Shape.String()
	m.window = 24 // of a modelled clock more rounds say no more
	if !l.info.Simulated {
		m.window = exam.RoundsOf(row.Expected(max(1, rate)) / time.Duration(row.Rounds))
	}
	return nil
}

// fault counts a fault and waits for the device.
func (l *lane) fault(ctx context.Context, m *meter, f *gpu.Fault) {
	f = l.xid(ctx, f)
	m.FaultCount++
	if len(m.Faults) < mostFaults {
		m.Faults = append(m.Faults, Fault{At: time.Now().UTC(), Class: f.Class, Xid: f.Xid, Detail: f.Detail})
	}
	if m.inARow++; m.inARow >= inARow {
		m.err = fmt.Errorf("%d faults in a row", m.inARow)
		return
	}
	l.reopen(ctx, "throughput "+m.Flavour)
}

// mostRounds is how many rounds are kept: a day's.
const mostRounds = 1 << 21

// add takes the rounds of a window. Of the first one only the second half counts, in
// which the card is warm.
func (m *meter) add(took []time.Duration) {
	if m.Windows == 0 {
		took = took[len(took)/2:]
	}
	if len(took) == 0 {
		return
	}
	m.Windows++
	var sum time.Duration
	for _, t := range took {
		sum += t
		if m.seen++; m.seen%m.every == 0 {
			m.rounds = append(m.rounds, t)
		}
	}
	m.sum += sum
	if mean := per(float64(m.row.Shape.Ops())*float64(len(took)), sum); m.Worst == 0 || mean < m.Worst {
		m.Worst = mean
	}
	if len(m.rounds) > mostRounds { // every second one says as much
		for i := range len(m.rounds) / 2 {
			m.rounds[i] = m.rounds[2*i+1]
		}
		m.rounds, m.every = m.rounds[:len(m.rounds)/2], 2*m.every
	}
}

// finish makes the figures.
func (m *meter) finish() {
	m.Rounds = m.seen
	if len(m.rounds) == 0 {
		return
	}
	work := float64(m.row.Shape.Ops())
	m.OpsPerS = per(work*float64(m.seen), m.sum)
	// SlowTenth takes the last half of what it is given: all of these count.
	all := append(make([]time.Duration, len(m.rounds)), m.rounds...)
	m.OpsPerSP10 = per(work, exam.SlowTenth(all))
	m.Claim = roundDown(m.OpsPerSP10)
}

// roundDown keeps four digits: more would not be measured again.
func roundDown(v float64) uint64 {
	if v < 1 {
		return 0
	}
	unit := math.Pow(10, max(0, math.Floor(math.Log10(v))-3))
	return uint64(math.Floor(v/unit) * unit)
}

// measured adds the flavour's line, and its claim.
func (l *lane) measured(ctx context.Context, m *meter) {
	m.finish()
	if m.err == nil && l.gone != "" {
		m.err = errors.New("the device is gone since " + l.gone)
	}
	if m.err != nil {
		m.Stopped = m.err.Error()
	}
	check := "throughput " + m.Flavour
	l.figures.Flavours = append(l.figures.Flavours, m.Throughput)
	if m.Claim == 0 && ctx.Err() != nil {
		l.add(check, Skip, "interrupted", "")
		return
	}
	verdict, says, remedy := judgeThroughput(m.Throughput, l.info.Simulated)
	if m.FaultCount == 0 && errors.Is(m.err, gpu.ErrOverrun) {
		verdict, says = Skip, "this machine is too slow for the simulated device"
	}
	l.add(check, verdict, says, remedy)
	claim := m.Claim
	if l.info.Simulated {
		claim = m.Configured
	}
	switch m.of {
	case challenges.Int8:
		l.claim.Int8 = claim
	case challenges.BF16:
		l.claim.BF16 = claim
	default:
		l.claim.FP64 = claim
	}
}

// judgeThroughput decides about a flavour. A modelled rate is not compared: it says
// how busy the machine is.
func judgeThroughput(t Throughput, simulated bool) (verdict, says, remedy string) {
	var said, todo []string
	verdict = OK
	if t.OpsPerSP10 > 0 {
		s := fmt.Sprintf("p10 %s of %d rounds of row %d", ops(t.OpsPerSP10), t.Rounds, t.Profile)
		switch {
		case simulated:
			s += ", modelled"
		case t.Reference > 0:
			s += fmt.Sprintf(", %.0f %% of the model's reference", 100*t.OpsPerSP10/float64(t.Reference))
		default:
			s += ", the model has no reference"
		}
		said = append(said, s)
	}
	if t.FaultCount > 0 {
		verdict = Fail
		f := gpu.Fault{Class: t.Faults[0].Class, Xid: t.Faults[0].Xid, Detail: t.Faults[0].Detail}
		said = append(said, fmt.Sprintf("%s, the first: %s", plural(t.FaultCount, "fault"), faultText(&f)))
		todo = append(todo, faultRemedy(&f))
	}
	if t.Stopped != "" {
		verdict = Fail
		said = append(said, t.Stopped)
	}
	if simulated || t.Claim == 0 {
		return verdict, strings.Join(said, "; "), strings.Join(todo, "; ")
	}
	if t.Reference > 0 && t.OpsPerSP10 < enough*float64(t.Reference) {
		verdict = worse(verdict, Warn)
		todo = append(todo, "look at the lines of load and processes; a power limit, a hot card or another program on it takes the rest")
	}
	if float64(t.Configured) > t.OpsPerSP10 {
		verdict = Fail
		said = append(said, fmt.Sprintf("configured are %s", ops(float64(t.Configured))))
		todo = append([]string{fmt.Sprintf("set %s: %d in assay.yaml", t.Flavour, t.Claim)}, todo...)
	}
	return verdict, strings.Join(said, "; "), strings.Join(todo, "; ")
}

func worse(a, b string) string {
	if a == Fail || b == Fail {
		return Fail
	}
	if a == Warn || b == Warn {
		return Warn
	}
	return a
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// ops writes ops/s with a prefix.
func ops(v float64) string { return unit(v, "op/s") }

// unit writes a figure with a prefix of thousands.
func unit(v float64, of string) string {
	units := []string{"", "k", "M", "G", "T", "P"}
	i := 0
	for ; v >= 1000 && i < len(units)-1; i++ {
		v /= 1000
	}
	return fmt.Sprintf("%.1f %s%s", v, units[i], of)
}
