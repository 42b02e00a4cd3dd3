package selftest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// lane is the examination of one device, in one goroutine. Devices are examined side
// by side: one machine's supply and air are shared, and so are its slots.
type lane struct {
	t       *test
	d       Device
	info    gpu.Info
	lines   []Line
	claim   Claim
	figures Figures
	watch   watch
	bad     map[string]bool // checks that failed, or that could not be made
	seen    bool            // the monitor shows the card
	gone    string          // the check in which the device was lost for good; empty: it was not
}

// stepsOfLane is how often a quick lane says where it is.
const stepsOfLane = 10

// flavours with the names that configurations have for them.
var flavours = []struct {
	of   challenges.Flavour
	name string
}{{challenges.Int8, "int8"}, {challenges.BF16, "bf16"}, {challenges.FP64, "fp64"}}

func newLane(t *test, d Device) *lane {
	info := d.Device.Info()
	return &lane{
		t: t, d: d, info: info, bad: map[string]bool{},
		claim:   Claim{Device: info.ID, Model: d.Model.Name, Simulated: info.Simulated, Card: d.Card},
		figures: Figures{Device: info.ID, Flavours: []Throughput{}},
	}
}

// run makes all checks of the device.
func (l *lane) run(ctx context.Context, works bool) {
	if l.info.Simulated {
		l.t.one <- struct{}{}
		defer func() { <-l.t.one }()
	}
	l.driver(ctx, works)
	l.card(ctx)
	for _, f := range flavours {
		l.exactness(ctx, f.name, func(c caseOf) bool { return c.Set.Items == 0 && c.Shape.Flavour == f.of })
	}
	l.exactness(ctx, "memory", func(c caseOf) bool { return c.Set.Items > 0 })
	l.throughput(ctx)
	l.memory(ctx)
	l.load(ctx)
	l.processes(ctx)
	l.attestation(ctx)
}

// add adds a line. A failed check, and one that was not made, fail those that need
// them; what nobody could make on this device is no such thing.
func (l *lane) add(check, verdict, says, remedy string) {
	if verdict == Fail || verdict == Skip {
		l.bad[check] = true
	}
	l.lines = append(l.lines, Line{Check: check, Device: l.info.ID, Verdict: verdict, Says: says, Remedy: remedy})
}

// ready is whether a check can be made; if not it adds the line that says why.
func (l *lane) ready(ctx context.Context, check string, needs ...string) bool {
	switch {
	case ctx.Err() != nil:
		l.add(check, Skip, "interrupted", "")
		return false
	case l.gone != "" && slices.Contains(needs, "driver"):
		l.add(check, Skip, "the device is gone since "+l.gone, "")
		return false
	}
	for _, n := range needs {
		if l.bad[n] {
			l.add(check, Skip, "needs "+n, "")
			return false
		}
	}
	return true
}

// simulated is whether the device is; then the check is skipped.
func (l *lane) simulated(check string) bool {
	if l.info.Simulated {
		l.lines = append(l.lines, Line{Check: check, Device: l.info.ID, Verdict: Skip, Says: "simulated"})
	}
	return l.info.Simulated
}

// driver opens the device: whatever runs it says what it found.
func (l *lane) driver(ctx context.Context, works bool) {
	const check = "driver"
	if l.simulated(check) {
		return
	}
	switch {
	case !works:
		l.add(check, Skip, "needs worker", "")
		return
	case !l.ready(ctx, check):
		return
	case l.d.Open == nil:
		l.add(check, OK, "nothing to open", "")
		return
	}
	l.t.progress(l.info.ID + " driver")
	about, err := l.d.Open(ctx)
	if err != nil {
		l.failed(ctx, check, err)
		return
	}
	l.add(check, OK, about, "")
}

// failed adds the line of an error that is the device's, or its run's.
func (l *lane) failed(ctx context.Context, check string, err error) {
	switch f, ok := errors.AsType[*gpu.Fault](err); {
	case ctx.Err() != nil:
		l.add(check, Skip, "interrupted", "")
	case ok:
		l.add(check, Fail, faultText(f), faultRemedy(f))
	case errors.Is(err, gpu.ErrOverrun):
		l.add(check, Skip, "this machine is too slow for the simulated device", "")
	default:
		l.add(check, Fail, err.Error(), "")
	}
}

// again gives work a second chance where the machine under a simulated device was
// too slow for it: that says nothing about anybody.
func again(work func() error) error {
	var err error
	for range 5 {
		if err = work(); !errors.Is(err, gpu.ErrOverrun) {
			break
		}
	}
	return err
}

// reopen waits after a fault until the device can work again. Where it cannot, the
// device is gone.
func (l *lane) reopen(ctx context.Context, check string) bool {
	if l.d.Open == nil {
		return true
	}
	if _, err := l.d.Open(ctx); err != nil && ctx.Err() == nil {
		l.gone = check
	}
	return l.gone == "" && ctx.Err() == nil
}

// xid asks the monitor for the error that the card reported with a fault that has
// none.
func (l *lane) xid(ctx context.Context, f *gpu.Fault) *gpu.Fault {
	if f.Xid != 0 || l.d.Monitor == nil {
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	with := *f
	with.Xid, _ = l.d.Monitor.Xid(ctx, 30*time.Second)
	return &with
}

func faultText(f *gpu.Fault) string {
	said := f.Class
	if f.Xid != 0 {
		said = fmt.Sprintf("%s, Xid %d", f.Class, f.Xid)
	}
	text, _ := hinted(f)
	return said + ": " + text
}

// hinted splits what a worker says of a fault from the hint that it may give. Of a
// worker that is not there the last one's words are what counts.
func hinted(f *gpu.Fault) (text, hint string) {
	text = f.Detail
	if _, last, ok := strings.Cut(text, "; the last one: "); ok {
		text = last
	}
	text, hint, _ = strings.Cut(text, "; hint: ")
	return text, hint
}

// faultRemedy says what to do about a fault.
func faultRemedy(f *gpu.Fault) string {
	text, hint := hinted(f)
	if hint != "" {
		return hint
	}
	switch f.Class {
	case gpu.FaultAbsent:
		if strings.Contains(text, "assay-gpu") || strings.HasPrefix(text, "worker ") {
			return "install assay-gpu of this version beside assay, or name it as worker: in assay.yaml"
		}
		return "install NVIDIA's driver, look at assay-gpu cards, and check card:, driver: and nvml: in assay.yaml; in a container mount its capabilities compute and utility"
	case gpu.FaultLost:
		return "the card has left the bus: look for Xid in dmesg, reset it or restart the machine; if it comes again the card, its slot or its supply is broken"
	case gpu.FaultMemory:
		return "end what else holds the card's memory (nvidia-smi), or offer less: memory: in assay.yaml"
	case gpu.FaultHang:
		return "look for Xid in dmesg and for others at work on the card (nvidia-smi); reset the card"
	case gpu.FaultWrong:
		return "do not offer this card: checkers would prove it wrong. Lower its clocks or replace it"
	case gpu.FaultDriver:
		return "look for Xid in dmesg; reset the card, update the driver"
	}
	return "look for Xid in dmesg and at the worker's last words; start assay-gpu check by hand"
}
