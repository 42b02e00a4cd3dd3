package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// child is a worker whose card is the CPU engine.
func child() int {
	fault := os.Getenv(faultEnv)
	if marker := os.Getenv(markerEnv); marker != "" {
		f, err := os.OpenFile(marker, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			fault = ""
		} else {
			_ = f.Close()
		}
	}
	word, n := number(fault)
	switch word {
	case "usage":
		fmt.Fprintln(os.Stderr, "unknown command \"worker\"")
		return 2
	case "mute":
		_, _ = io.Copy(io.Discard, os.Stdin)
		time.Sleep(time.Hour)
	case "version":
		_, _ = os.Stdout.Write(frame(&greeting{Magic: magic, Version: Version + 1}))
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 1
	case "other":
		_, _ = os.Stdout.Write(frame(&greeting{Magic: "something else", Version: Version}))
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 1
	case "hello":
		fmt.Println("Hello! usage: ...")
		return 1
	case "noisy":
		for i := range 10_000 {
			fmt.Fprintf(os.Stderr, "line %d of a great many\x1b[31m\n", i)
		}
	}
	h := &host{fault: word, round: n}
	err := Serve(context.Background(), os.Stdin, os.Stdout, h)
	if word == "stays" {
		time.Sleep(time.Hour)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// host is a machine with one card.
type host struct {
	fault string
	round int
}

// Errors of the driver.
var (
	errFull   = errors.New("no room")
	errSticky = errors.New("sticky")
	errGone   = errors.New("gone")
	errWrong  = errors.New("wrong")
	errTired  = errors.New("tired")
)

func (h *host) Fault(err error) *gpu.Fault {
	switch {
	case errors.Is(err, errFull):
		return gpu.NewFault(gpu.FaultMemory, "%v", err)
	case errors.Is(err, errSticky):
		return gpu.NewFault(gpu.FaultDriver, "%v", err)
	case errors.Is(err, errGone):
		return gpu.NewFault(gpu.FaultLost, "%v", err)
	case errors.Is(err, errWrong):
		return gpu.NewFault(gpu.FaultWrong, "%v", err)
	case errors.Is(err, errTired):
		return gpu.NewFault(gpu.FaultHang, "%v", err)
	default:
		return nil
	}
}

func (h *host) Open(ctx context.Context, s Setup) (Card, error) {
	c := &card{host: h, setup: s, failed: make(chan struct{})}
	c.Device = gpu.NewCPU(gpu.CPUConfig{Info: gpu.Info{ID: s.ID}})
	switch h.fault {
	case "open-wrong":
		return nil, fmt.Errorf("kernel: %w", errWrong)
	case "open-panic":
		panic("no such luck")
	case "open-hang":
		time.Sleep(time.Hour)
	case "open-plain":
		return nil, errors.New("a plain error")
	}
	return c, nil
}

// card does as a device does, but for the fault.
type card struct {
	gpu.Device
	host   *host
	setup  Setup
	failed chan struct{}
	once   sync.Once
}

func (c *card) Close() error            { return nil }
func (c *card) Failed() <-chan struct{} { return c.failed }
func (c *card) About() string {
	return fmt.Sprintf("%s %s\n%d", c.setup.Model, c.setup.Card, c.setup.Memory)
}
func (c *card) fail() { c.once.Do(func() { close(c.failed) }) }

func (c *card) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	switch c.host.fault {
	case "full":
		c.host.fault = ""
		return nil, fmt.Errorf("start: %w", errFull)
	case "echo":
		return &instant{job: job}, nil
	case "fails-idle":
		go func() {
			time.Sleep(20 * time.Millisecond)
			c.fail()
		}()
	}
	run, err := c.Device.Start(ctx, job)
	if err != nil {
		return nil, err
	}
	return &childRun{Run: run, card: c}, nil
}

// childRun misbehaves in a round.
type childRun struct {
	gpu.Run
	card *card
	next int
}

func (r *childRun) Next(ctx context.Context) (gpu.Root, error) {
	if r.next++; r.next > r.card.host.round {
		if err := r.misbehave(ctx); err != nil {
			return gpu.Root{}, err
		}
	}
	root, err := r.Run.Next(ctx)
	if r.card.host.fault == "bad-round" {
		root.Round++
	}
	return root, err
}

// misbehave is what can go wrong in a call of a driver.
func (r *childRun) misbehave(ctx context.Context) error {
	switch r.card.host.fault {
	case "panic":
		panic("the driver did something")
	case "throw": // what Go cannot recover from
		new(sync.Mutex).Unlock()
	case "exit":
		fmt.Fprintln(os.Stderr, "assertion failed\ncore not dumped")
		os.Exit(3)
	case "chatty": // as much as a pipe holds
		fmt.Fprint(os.Stderr, strings.Repeat("something\n", 6_000)+"the very last line\n")
		os.Exit(5)
	case "kill":
		if p, err := os.FindProcess(os.Getpid()); err == nil {
			_ = p.Kill()
		}
		time.Sleep(time.Hour)
	case "hang":
		time.Sleep(time.Hour)
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	case "frozen":
		freeze()
	case "garbage":
		fmt.Println("NVRM: something that a library prints")
		time.Sleep(time.Hour)
	case "huge":
		_, _ = os.Stdout.Write([]byte{0x7f, 0xff, 0xff, 0xff, 0})
		time.Sleep(time.Hour)
	case "nobody":
		_, _ = os.Stdout.Write(frame(&reply{Call: 1 << 40}))
		time.Sleep(time.Hour)
	case "closes":
		_ = os.Stdout.Close()
		time.Sleep(time.Hour)
	case "gone":
		return fmt.Errorf("round: %w", errGone)
	case "tired":
		return fmt.Errorf("round: %w", errTired)
	case "wrong":
		return fmt.Errorf("round: %w", errWrong)
	case "sticky":
		defer r.card.fail()
		return fmt.Errorf("round: %w", errSticky)
	case "stuck-and-fails":
		r.card.fail()
		time.Sleep(time.Hour)
	case "hiccup":
		r.card.host.fault = ""
		return fmt.Errorf("round: %w", errSticky)
	}
	return nil
}

// Close can be what hangs.
func (r *childRun) Close() error {
	if r.card.host.fault == "close-hang" {
		time.Sleep(time.Hour)
	}
	return r.Run.Close()
}

// instant answers at once, with openings of a usual size.
type instant struct {
	job gpu.Job
	mu  sync.Mutex
	n   int
}

func (i *instant) Next(context.Context) (gpu.Root, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.n++
	return gpu.Root{Round: i.n - 1, Root: challenges.Hash{1}, Key: challenges.Hash{2}}, nil
}

func (i *instant) Open(_ context.Context, _ int, at []uint32) ([]byte, error) {
	return make([]byte, 1024*len(at)), nil
}
func (i *instant) Close() error { return nil }

// Library has two cards.
func (h *host) Library(Setup) (Library, error) {
	if h.fault == "open-wrong" {
		return nil, errGone
	}
	return &library{h}, nil
}

type library struct{ h *host }

func (l *library) Cards() ([]telemetry.Inventory, error) {
	return []telemetry.Inventory{{Name: "one", UUID: "GPU-1"}, {Name: "two", UUID: "GPU-2", Cores: 2}}, nil
}
func (l *library) Close() error { return nil }

func (l *library) Monitor(uuid string) (gpu.Monitor, error) {
	if !strings.HasPrefix(uuid, "GPU-") {
		return nil, fmt.Errorf("no card %q", uuid)
	}
	return &monitor{l.h, uuid}, nil
}

type monitor struct {
	h    *host
	uuid string
}

func (m *monitor) Inventory(context.Context) (telemetry.Inventory, error) {
	if m.h.fault == "long" {
		return telemetry.Inventory{Name: strings.Repeat("x", 1000)}, nil
	}
	return telemetry.Inventory{UUID: m.uuid, Major: 9}, nil
}

func (m *monitor) Sample(ctx context.Context) (telemetry.Snapshot, error) {
	switch m.h.fault {
	case "panic":
		panic("in NVML")
	case "hang":
		time.Sleep(time.Hour)
	case "wait":
		<-ctx.Done()
		return telemetry.Snapshot{}, ctx.Err()
	case "gone":
		return telemetry.Snapshot{}, errGone
	}
	return telemetry.Snapshot{Readings: []telemetry.Reading{{Kind: telemetry.Power, Value: 250_000}, {Kind: telemetry.Temperature, Value: -3}}}, nil
}

func (m *monitor) Processes(context.Context) ([]telemetry.Process, error) {
	return []telemetry.Process{{PID: 7, Name: "tenant", Memory: 1 << 33}}, nil
}

func (m *monitor) Attest(_ context.Context, nonce [32]byte) (gpu.Evidence, error) {
	if m.uuid == "GPU-1" {
		return gpu.Evidence{}, fmt.Errorf("card: %w", gpu.ErrNoAttestation)
	}
	return gpu.Evidence{Report: nonce[:], Certificates: []byte("pem")}, nil
}

func (m *monitor) Xid(_ context.Context, within time.Duration) (uint32, error) {
	return uint32(within / time.Second), nil
}

// middle runs a child of its own, says its number, and waits to be killed.
func middle() int {
	self, err := os.Executable()
	if err != nil {
		return 1
	}
	d := NewDevice(Config{Path: self, Env: append(os.Environ(), childEnv+"=child")})
	go func() { _ = d.Run(context.Background()) }()
	for {
		change := d.Changed()
		if ok, _ := d.Ready(); ok {
			break
		}
		<-change
	}
	fmt.Println(d.Status().PID)
	time.Sleep(time.Hour)
	return 0
}
