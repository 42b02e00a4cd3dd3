package selftest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Figures are what was measured of a device; null: it was not.
type Figures struct {
	Device    string       `json:"device"`
	Inventory *Inventory   `json:"inventory"`
	Flavours  []Throughput `json:"flavours"`
	Memory    *Memory      `json:"memory"`
	Load      *Load        `json:"load"`
}

// Inventory is what the card says it is.
type Inventory struct {
	Name         string `json:"name"`
	UUID         string `json:"uuid"`
	Serial       string `json:"serial"`
	PCI          string `json:"pci"`
	Driver       string `json:"driver"`
	NVML         string `json:"nvml"`
	CUDA         string `json:"cuda"`
	VBIOS        string `json:"vbios"`
	PCIDevice    uint32 `json:"pci_device"`
	PCISubsystem uint32 `json:"pci_subsystem"`
	Capability   string `json:"compute_capability"`
	Cores        uint32 `json:"cores"`
	BusBits      uint32 `json:"bus_bits"`
	PowerMax     uint32 `json:"power_max_mw"`
	MIG          bool   `json:"mig"`
	Confidential string `json:"confidential"`
}

// cardTime is how long the monitor may take for an answer.
const cardTime = 15 * time.Second

// card holds the card that the monitor shows against the configured model.
func (l *lane) card(ctx context.Context) {
	const check = "card"
	if l.simulated(check) || !l.ready(ctx, check) {
		return
	}
	l.t.progress(l.info.ID + " card")
	if l.d.Monitor == nil {
		l.add(check, Fail, "nothing can be read of the card", "check nvml: in assay.yaml: the card's telemetry and its processes are read through NVIDIA's management library")
		return
	}
	within, cancel := context.WithTimeout(ctx, cardTime)
	defer cancel()
	i, err := l.d.Monitor.Inventory(within)
	if err != nil {
		l.failed(ctx, check, err)
		return
	}
	l.seen = true
	l.figures.Inventory = &Inventory{
		i.Name, i.UUID, i.Serial, i.PCI, i.Driver, i.NVML, i.CUDA, i.VBIOS, i.PCIDevice, i.PCISubsystem,
		fmt.Sprintf("%d.%d", i.Major, i.Minor), i.Cores, i.BusBits, i.PowerMax, i.MIG, i.Confidential,
	}
	s, _ := l.d.Monitor.Sample(within) // what it lacks is not compared
	verdict, says, remedy := judgeCard(l.d.Card, l.d.Model, i, s)
	if odd := judgeTelemetry(i, s); verdict == OK && odd != "" {
		verdict, says = Warn, says+"; checkers will not believe it: "+odd
		remedy = "if NVIDIA's own driver and library answer here, a rule is wrong about this card: report it with --bundle"
	}
	l.add(check, verdict, says, remedy)
}

// judgeTelemetry is the first thing that checkers will find wrong with what the card
// says; empty: nothing.
func judgeTelemetry(i telemetry.Inventory, s telemetry.Snapshot) string {
	j := telemetry.Judge(telemetry.Record{Inventory: i, Snapshots: []telemetry.Snapshot{s}}, telemetry.Work{})
	for _, f := range j.Findings {
		if f.Hard {
			return f.String()
		}
	}
	return ""
}

// judgeCard decides whether a card is the configured one, and of the configured
// model. Of a card that is not in the table the class is compared.
func judgeCard(uuid string, model models.Spec, i telemetry.Inventory, s telemetry.Snapshot) (verdict, says, remedy string) {
	total, _ := s.Get(telemetry.MemoryTotal)
	says = fmt.Sprintf("%s, %s, driver %s", i.Name, i.UUID, i.Driver)
	switch {
	case uuid != "" && i.UUID != uuid:
		return Fail, fmt.Sprintf("the monitor shows %s, configured is %s", i.UUID, uuid), "correct card: in assay.yaml (assay-gpu cards)"
	case i.MIG:
		return Fail, says + ", cut into slices (MIG)", "switch MIG off (nvidia-smi -mig 0): slices are not offered"
	}
	is, known := models.Match(i.Name, i.PCIDevice, uint64(max(0, total)), 0)
	if !known {
		clock, _ := s.Get(telemetry.ClockMemoryMax)
		const bytesPerBit, both, mhz = 8, 2, 1_000_000 // both edges of the clock carry data
		var supported bool
		is, supported = models.Class(int(i.Major), int(i.Minor), uint64(max(0, clock))*both*mhz*uint64(i.BusBits)/bytesPerBit)
		if !supported {
			return Fail, fmt.Sprintf("%s: the kernels do not run on compute capability %d.%d", says, i.Major, i.Minor), "do not offer this card"
		}
	}
	if is.Name == model.Name {
		return OK, says + ": " + model.Name, ""
	}
	return Fail, fmt.Sprintf("%s: not the configured model %s", says, model.Name), fmt.Sprintf("set model: %s in assay.yaml", is.Name)
}

// watched is whether the monitor shows the card; if not the check is skipped.
func (l *lane) watched(ctx context.Context, check string) bool {
	if ctx.Err() == nil && !l.seen {
		l.add(check, Skip, "needs card", "")
		return false
	}
	return check == "load" || l.ready(ctx, check) // what was sampled until then is said
}

// processes looks for others on the card.
func (l *lane) processes(ctx context.Context) {
	const check = "processes"
	if l.simulated(check) || !l.watched(ctx, check) {
		return
	}
	within, cancel := context.WithTimeout(ctx, cardTime)
	defer cancel()
	list, err := l.d.Monitor.Processes(within)
	if err != nil {
		if ctx.Err() != nil {
			l.failed(ctx, check, err)
			return
		}
		l.add(check, Fail, "the list of processes cannot be read: "+err.Error(),
			"tenants are seen by this list: run on the host, or give the container the host's process namespace (--pid=host)")
		return
	}
	var own []uint32
	if l.d.Own != nil {
		own = l.d.Own()
	}
	open := l.d.Open != nil && !l.bad["driver"] && l.gone == ""
	verdict, says, remedy := judgeProcesses(list, own, open)
	l.add(check, verdict, says, remedy)
}

// worker is the name of the program that runs cards.
const workerName = "assay-gpu"

// judgeProcesses tells this program's processes on a card from others'. open says
// that one of its own is there. In a container numbers are the host's and names may
// be missing: then a single one without a name is taken for its own.
func judgeProcesses(list []telemetry.Process, own []uint32, open bool) (verdict, says, remedy string) {
	mine, agents := 0, 0
	var others []telemetry.Process
	for _, p := range list {
		switch {
		case slices.Contains(own, p.PID):
			mine++
		case path.Base(p.Name) == workerName:
			agents++
		default:
			others = append(others, p)
		}
	}
	if mine == 0 && open {
		if agents > 0 {
			mine, agents = 1, agents-1
		} else if len(others) == 1 && others[0].Name == "" {
			mine, others = 1, nil
		}
	}
	switch {
	case len(others) > 0:
		var names []string
		for _, p := range others[:min(len(others), 5)] {
			names = append(names, fmt.Sprintf("%d %s", p.PID, strings.TrimSpace(path.Base("/"+p.Name))))
		}
		return Fail, fmt.Sprintf("%s of others: %s", pluralOf(len(others), "process", "processes"), strings.Join(names, ", ")),
			"end them before the test; while they run the card is a tenant's, and what was measured here is too low"
	case agents > 0:
		return Warn, "another assay-gpu works on the card", "an agent that runs meanwhile takes its share: stop it before a test that sets a claim"
	case open && mine == 0:
		return Warn, "the list does not even show this program", "a tenant would not be seen either: run on the host, or give the container the host's process namespace (--pid=host)"
	}
	return OK, "nobody else's", ""
}

func pluralOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// attestation has the card sign a nonce.
func (l *lane) attestation(ctx context.Context) {
	const check = "attestation"
	if l.simulated(check) || !l.watched(ctx, check) {
		return
	}
	var nonce [32]byte
	rand.Read(nonce[:])
	within, cancel := context.WithTimeout(ctx, time.Minute) // cards take seconds
	defer cancel()
	e, err := l.d.Monitor.Attest(within, nonce)
	if err != nil && ctx.Err() != nil {
		l.failed(ctx, check, err)
		return
	}
	verdict, says, remedy := judgeAttestation(e, err, nonce, l.t.cfg.Roots)
	l.add(check, verdict, says, remedy)
}

// judgeAttestation verifies what the card signed as a checker will.
func judgeAttestation(e gpu.Evidence, err error, nonce [32]byte, roots attest.Trust) (verdict, says, remedy string) {
	switch {
	case errors.Is(err, gpu.ErrNoAttestation):
		return Skip, err.Error() + ": levels above L2 need it", ""
	case err != nil:
		return Warn, "the card did not sign: " + err.Error(), "check that confidential computing is on and that the driver is its vendor's for it"
	}
	if len(roots.Devices) == 0 {
		roots = attest.NVIDIA()
	}
	r := attest.Verify(attest.Evidence{Report: e.Report, Chain: e.Certificates, Nonce: &nonce}, roots, attest.Reference{})
	switch {
	case r.NonceOK != nil && !*r.NonceOK:
		return Warn, "what the card signed does not have the nonce", "update the driver; levels above L2 need a signed nonce"
	case !r.Holds():
		why := slices.DeleteFunc(r.Reasons, func(f attest.Reason) bool { return f.Code == attest.CodeSimulated })
		return Warn, "what the card signed does not verify: " + why[0].Error(), "update the driver; checkers will give no level above L2"
	}
	return OK, fmt.Sprintf("%s signed a nonce: card %x, driver %s, VBIOS %s", r.Chip, r.DeviceID[:8], cmp.Or(r.Driver, "-"), cmp.Or(r.VBIOS, "-")), ""
}
