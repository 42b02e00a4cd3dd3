// Package cuda runs challenges on NVIDIA cards with nothing but the driver: it
// loads libcuda, gives it the kernels of package kernels, and keeps the card busy.
package cuda

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/cublaslt"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/kernels"
)

// ErrMiscomputes says that a kernel gave another result than the processor: a
// provider of such a card would be proven wrong.
var ErrMiscomputes = errors.New("the card miscomputes")

// Config describes a device on one card.
type Config struct {
	Library *driver.Library
	Card    driver.Card
	ID      string // unique within the provider
	Model   string // name in gpu/models
	Memory  uint64 // bytes that are offered; 0: all of the card's
	Int8Ops uint64 // ops/s that are claimed of each flavour; 0: not offered
	BF16Ops uint64
	FP64Ops uint64

	Modules  []kernels.Module // to try in this order; nil: those for the card
	CUBLASLt string           // path of libcublasLt; "": where systems have it; "none": not used
	Patience time.Duration    // without anything finished: the card hangs; 0: 20 s
	Log      *slog.Logger     // nil: discards

	pieceItems int // log2 of the items of a piece of a dataset; 0: 4 GiB
}

// Device is a card.
type Device struct {
	info       gpu.Info
	card       driver.Card
	thread     *driver.Thread
	program    *program
	makers     [2]maker   // of flavours int8 and bf16: the fastest
	right      [2][]maker // all that are right
	patience   time.Duration
	pieceItems int
	log        *slog.Logger
	lt         *cublaslt.Library // nil: not looked for, or not there
	noLt       bool
	free       uint64 // bytes, at the start

	mu     sync.Mutex
	runs   []*run
	sets   []*dataset
	proven map[challenges.Shape]bool // strips that a library was tried on
}

const patience = 20 * time.Second

// New opens a card, gives it the kernels and checks each of them against the
// processor: ErrMiscomputes names one that is wrong. It takes some seconds.
func New(ctx context.Context, cfg Config) (*Device, error) {
	d := &Device{
		info: gpu.Info{
			ID: cfg.ID, Model: cfg.Model, Memory: cfg.Memory, Int8Ops: cfg.Int8Ops, BF16Ops: cfg.BF16Ops, FP64Ops: cfg.FP64Ops,
		},
		card: cfg.Card, patience: cfg.Patience, pieceItems: cfg.pieceItems, log: cfg.Log,
	}
	if d.info.Memory == 0 {
		d.info.Memory = cfg.Card.Memory
	}
	if d.patience == 0 {
		d.patience = patience
	}
	if d.pieceItems == 0 {
		d.pieceItems = pieceItems
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if d.thread, err = cfg.Library.Open(cfg.Card); err != nil {
		return nil, fmt.Errorf("card %s: %w", cfg.Card.Name, err)
	}
	if err := d.prepare(ctx, cfg); err != nil {
		if closeErr := d.Close(); d.thread.Err() == nil { // else it is the same error
			err = errors.Join(err, closeErr)
		}
		return nil, fmt.Errorf("card %s: %w", cfg.Card.Name, err)
	}
	c := d.Choice()
	d.log.InfoContext(ctx, "card is ready", "device", cfg.ID, "card", cfg.Card.Name, "kernels", c.Kernels, "int8", c.Int8, "bf16", c.BF16)
	return d, nil
}

// Choice is what a device runs with: the module of kernels, what makes the products
// of each flavour, and the memory that was free at the start.
type Choice struct {
	Kernels string `json:"kernels"`
	Int8    string `json:"int8"`
	BF16    string `json:"bf16"`
	Free    uint64 `json:"free_bytes"`
}

// Choice says what was chosen at the start.
func (d *Device) Choice() Choice {
	return Choice{d.program.Target, d.makers[challenges.Int8].name(), d.makers[challenges.BF16].name(), d.free}
}

func (d *Device) prepare(ctx context.Context, cfg Config) error {
	modules := cfg.Modules
	if modules == nil {
		modules = kernels.Modules(cfg.Card.Major, cfg.Card.Minor)
	}
	if err := d.thread.Do(ctx, func(c *driver.Calls) error { return d.load(c, modules) }); err != nil {
		return err
	}
	if err := d.check(ctx, cfg); err != nil {
		return err
	}
	return d.room(ctx)
}

// room says whether the memory that is offered is there: a display, or somebody else,
// may have taken what a proof of memory would ask for.
func (d *Device) room(ctx context.Context) error {
	need := memory.Items(d.info.Memory)*memory.ItemBytes + d.card.Memory/spareShare
	return d.thread.Do(ctx, func(c *driver.Calls) error {
		free, total, err := c.MemInfo()
		if err != nil {
			return err
		}
		if d.free = free; free < need {
			d.log.WarnContext(ctx, "less memory is free than proofs of memory ask for", "device", d.info.ID, "free", free, "total", total, "asked", need)
		}
		return nil
	})
}

// load takes the first module that the driver takes.
func (d *Device) load(c *driver.Calls, modules []kernels.Module) error {
	if len(modules) == 0 {
		return fmt.Errorf("compute capability %d.%d: no kernels for it", d.card.Major, d.card.Minor)
	}
	var errs []error
	for _, m := range modules {
		p, err := loadProgram(c, m, func() (driver.Module, error) { return c.Load(m.PTX) })
		if errors.Is(err, driver.ErrNoJIT) && m.CubinRuns(d.card.Major, d.card.Minor) {
			d.log.Info("the driver came without its compiler: machine code is used", "kernels", m.Target)
			p, err = loadProgram(c, m, func() (driver.Module, error) { return loadCode(c, m) })
		}
		if err == nil {
			d.program = p
			return nil
		}
		errs = append(errs, fmt.Errorf("kernels for %s: %w", m.Target, err))
		if !errors.Is(err, driver.ErrUnsupportedPTX) && !invalidImage(err) {
			break // another module would fail alike
		}
		d.log.Info("the driver does not take a module", "kernels", m.Target, "err", err)
	}
	return errors.Join(errs...)
}

// invalidImage says that the driver could not read a module, as some drivers
// answer to a version that they do not know.
func invalidImage(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	return ok && e.Code == 200
}

// loadCode loads a module's machine code.
func loadCode(c *driver.Calls, m kernels.Module) (driver.Module, error) {
	code, err := m.Cubin()
	if err != nil {
		return 0, err
	}
	return c.LoadCode(code)
}

func loadProgram(c *driver.Calls, m kernels.Module, load func() (driver.Module, error)) (*program, error) {
	handle, err := load()
	if err != nil {
		return nil, err
	}
	p := &program{Module: m, handle: handle, by: map[string]driver.Function{}}
	shared := map[string]int{
		matmulInt8: m.Products[0].Shared, matmulShort: m.Products[1].Shared,
		fmaLanes: kernels.FMAShared, b3Chunks: kernels.ChunkShared,
	}
	for _, name := range kernelNames() {
		f, err := c.Function(handle, name)
		if err == nil && shared[name] > 48<<10 {
			err = c.AllowShared(f, shared[name])
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("kernel %s: %w", name, err), c.Unload(handle))
		}
		p.by[name] = f
	}
	return p, nil
}

// Info is what the device offers.
func (d *Device) Info() gpu.Info { return d.info }

// Start begins a job. An error of a card that is too full comes here, before
// anything is promised.
func (d *Device) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	shape, p := job.Profile.Shape, job.Profile
	if err := shape.Check(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	if p.Rounds < 1 || job.Window < 0 || p.Samples > maxPositions {
		return nil, fmt.Errorf("start: profile %d: %d rounds, window %d, %d samples", p.Number, p.Rounds, job.Window, p.Samples)
	}
	w := &compute{job: job, shape: shape}
	if shape.Flavour != challenges.FP64 {
		w.maker = d.makerFor(ctx, shape)
		w.step = d.stripRows(shape, w.maker)
	}
	// The rounds that a window lets run ahead, the one whose positions are awaited,
	// and one that is being opened.
	r, err := d.start(ctx, w, p.Rounds, shape.Layout(), p.Samples, job.Window+2)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return r, nil
}

// starter is work that can begin.
type starter interface {
	work
	take(c *driver.Calls, h *driver.Holds) error
	frame(q queue) error
	// beside is whether the side stream's work runs beside products, and before them.
	beside() bool
}

// start begins a run.
func (d *Device) start(ctx context.Context, w starter, rounds int, layout commit.Layout, samples, slots int) (*run, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r := newRun(d, rounds, layout)
	r.work = w
	err := d.take(ctx, &r.holds, func(c *driver.Calls) error {
		if err := w.take(c, &r.holds); err != nil {
			return err
		}
		return r.begin(c, w, samples, slots)
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs = append(d.runs, r)
	r.detach = context.AfterFunc(ctx, func() { _ = r.free() })
	return r, nil
}

func (d *Device) forget(r *run) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs = slices.DeleteFunc(d.runs, func(o *run) bool { return o == r })
}

// poll asks on the thread until the answer is yes. Nothing finished for longer
// than the device's patience is ErrTimeout, and the end of the card; the end of ctx
// is only the caller's.
func (d *Device) poll(ctx context.Context, ask func(c *driver.Calls) (bool, error)) error {
	// The caller's deadline is no sign of a card that hangs.
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.patience)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	err := d.thread.Poll(inner, func(ctx context.Context) (bool, error) {
		var done bool
		err := d.thread.Do(ctx, func(c *driver.Calls) (err error) {
			done, err = ask(c)
			return err
		})
		return err == nil && done, err
	})
	if err != nil && ctx.Err() != nil && d.thread.Err() == nil {
		return context.Cause(ctx)
	}
	return err
}

// Failed is closed when the card is lost to this process: nothing works on it any
// more, and the process has to be started again.
func (d *Device) Failed() <-chan struct{} { return d.thread.Failed }

// Close gives the card back. Runs and datasets end first.
func (d *Device) Close() error {
	d.mu.Lock()
	runs, sets := slices.Clone(d.runs), slices.Clone(d.sets)
	d.mu.Unlock()
	var errs []error
	for _, r := range runs {
		errs = append(errs, r.Close())
	}
	for _, m := range sets {
		errs = append(errs, m.Close())
	}
	if d.program != nil && d.thread.Err() == nil {
		errs = append(errs, d.thread.Do(context.Background(), func(c *driver.Calls) error {
			var err error
			if d.lt != nil {
				err = d.lt.Close()
			}
			return errors.Join(err, c.Unload(d.program.handle))
		}))
	}
	return errors.Join(append(errs, d.thread.Close())...)
}
