package node

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
)

// Device is one device of a provider: a simulated one, or a card with what the offer
// claims of it.
type Device struct {
	ID     string `yaml:"id"`
	Model  string `yaml:"model"`  // name in gpu/models
	Card   string `yaml:"card"`   // the card's UUID; empty: simulated
	Memory Amount `yaml:"memory"` // bytes; 0: the model's
	Int8   Amount `yaml:"int8"`   // ops/s; 0: not offered
	BF16   Amount `yaml:"bf16"`
	FP64   Amount `yaml:"fp64"`
}

// Amount is a whole number that may be written as 1.2e15.
type Amount uint64

// UnmarshalYAML reads a number.
func (a *Amount) UnmarshalYAML(n *yaml.Node) error {
	var text string
	if err := n.Decode(&text); err != nil {
		return err
	}
	v, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		f, e := strconv.ParseFloat(text, 64)
		// The largest float below 2^63: all that are whole in between are exact.
		if e != nil || f < 0 || f > 1<<63-1024 || f != math.Trunc(f) || strings.ContainsAny(text, "xX_") {
			return fmt.Errorf("line %d: %q, want a whole number such as 85899345920 or 1.2e15", n.Line, text)
		}
		v = uint64(f)
	}
	*a = Amount(v)
	return nil
}

// String is the number as people write it.
func (a Amount) String() string {
	return strings.ReplaceAll(fmt.Sprintf("%.6g", float64(a)), "e+", "e")
}

// Tenancy says how a provider learns that a card belongs to a tenant. What his agent
// is told through its socket counts always.
type Tenancy struct {
	Processes *bool    `yaml:"processes"` // a compute process of somebody else is a tenant; nil: true
	Ignore    []string `yaml:"ignore"`    // names of programs that are none
	Command   []string `yaml:"command"`   // asked with the device's id and the card's UUID
	File      string   `yaml:"file"`      // a tenant while it is there; {device}: the device's id
}

// ByProcesses is whether processes on a card count.
func (t Tenancy) ByProcesses() bool { return t.Processes == nil || *t.Processes }

// Budget is what challenges may use of a device's time in 24 hours.
type Budget struct {
	GPUPerDay     *time.Duration `yaml:"gpu_per_day"`     // of all checkers; nil: the network's default; 0: no bound
	CheckerPerDay *time.Duration `yaml:"checker_per_day"` // of one
}

// Budgets of networks that are not simulated.
const (
	gpuPerDay     = 72 * time.Minute
	checkerPerDay = 24 * time.Minute
)

// limits are the budgets in force; 0: no bound.
func (b Budget) limits(simulated bool) (gpu, checker time.Duration) {
	if !simulated {
		gpu, checker = gpuPerDay, checkerPerDay
	}
	return *cmp.Or(b.GPUPerDay, &gpu), *cmp.Or(b.CheckerPerDay, &checker)
}

func (b Budget) check() error {
	for name, d := range map[string]*time.Duration{"gpu_per_day": b.GPUPerDay, "checker_per_day": b.CheckerPerDay} {
		if d != nil && *d != 0 && (*d < time.Second || *d > 24*time.Hour) {
			return fmt.Errorf("budget.%s: %v, want 1s to 24h such as 72m, or 0s for no bound", name, *d)
		}
	}
	return nil
}

// uuid is how the driver names a card; it is compared as it stands.
var uuid = regexp.MustCompile(`^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// checkDevices holds the devices of a provider against the table of models. What a
// card claims is looked at when it is to be offered: a self-test finds that out.
func (c *Config) checkDevices() error {
	ids, cards := make(map[string]bool), make(map[string]bool)
	for i, d := range c.Devices {
		spec, err := models.Lookup(d.Model)
		if err != nil {
			return fmt.Errorf("devices[%d].model: %w: assay models lists it", i, err)
		}
		if d.ID == "" || ids[d.ID] {
			return fmt.Errorf("devices[%d].id: %q is empty or there twice", i, d.ID)
		}
		ids[d.ID] = true
		switch card := strings.ToLower(d.Card); {
		case spec.Simulated && d != (Device{ID: d.ID, Model: d.Model}):
			return fmt.Errorf("devices[%d]: %s is simulated: it has no card, and claims what the table says", i, d.Model)
		case spec.Simulated:
		case d.Card == "":
			return fmt.Errorf("devices[%d].card: missing: %s is a real card; assay-gpu cards lists the UUIDs", i, d.Model)
		case !uuid.MatchString(d.Card):
			return fmt.Errorf("devices[%d].card: %q, want a UUID such as GPU-5c1b2d3e-0000-0000-0000-000000000000; assay-gpu cards lists them", i, d.Card)
		case cards[card]:
			return fmt.Errorf("devices[%d].card: %s is there twice", i, d.Card)
		case spec.Memory == 0 && d.Memory == 0:
			return fmt.Errorf("devices[%d].memory: missing: the table has none of %s", i, d.Model)
		default:
			cards[card] = true
		}
	}
	if err := c.Budget.check(); err != nil {
		return err
	}
	if len(c.Tenancy.Command) > 0 && c.Tenancy.Command[0] == "" {
		return errors.New("tenancy.command[0]: empty; want a program")
	}
	if len(cards) == 0 {
		return c.simulatedOnly()
	}
	return nil
}

// simulatedOnly refuses what says something of cards where there are none.
func (c *Config) simulatedOnly() error {
	for name, v := range map[string]string{"worker": c.Worker, "driver": c.Driver, "nvml": c.NVML, "cublaslt": c.CUBLASLt} {
		if v != "" {
			return fmt.Errorf("%s: there is no card among the devices", name)
		}
	}
	return nil
}

// cardless refuses what only providers have.
func (c *Config) cardless(why string) error {
	t := c.Tenancy
	if c.Budget != (Budget{}) || t.Processes != nil || t.File != "" || len(t.Ignore) > 0 || len(t.Command) > 0 {
		return fmt.Errorf("tenancy, budget: %s", why)
	}
	if c.simulatedOnly() != nil {
		return fmt.Errorf("worker, driver, nvml, cublaslt: %s", why)
	}
	return nil
}

// claims holds that every card claims something: nothing but a self-test knows what.
func (c *Config) claims() error {
	for i, d := range c.Devices {
		if d.Card != "" && d.Int8 == 0 && d.BF16 == 0 && d.FP64 == 0 {
			return fmt.Errorf("devices[%d]: %s claims nothing: int8, bf16 and fp64 are ops/s; assay provider selftest prints what to claim", i, d.ID)
		}
	}
	return nil
}

// cards are the devices that are no simulated ones.
func (c *Config) cards() []Device {
	var out []Device
	for _, d := range c.Devices {
		if d.Card != "" {
			out = append(out, d)
		}
	}
	return out
}

// simulate makes a simulated device.
func (d Device) simulate() (gpu.Device, error) {
	spec, err := models.Lookup(d.Model)
	if err != nil {
		return nil, err
	}
	sim, err := gpu.NewSim(gpu.SimConfig{ID: d.ID, Claims: spec, Runs: spec})
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", d.ID, err)
	}
	return sim, nil
}

// memory is what the offer claims of it, in bytes.
func (d Device) memory() uint64 {
	if d.Memory != 0 {
		return uint64(d.Memory)
	}
	spec, err := models.Lookup(d.Model)
	if err != nil {
		return 0 // a configuration that was read has no such device
	}
	return spec.Memory
}
