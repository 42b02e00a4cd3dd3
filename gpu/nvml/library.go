//go:build cgo && linux

package nvml

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Library is the management library, initialised. Its methods may be called by
// several goroutines.
type Library struct {
	api     nvml.Interface
	symbols *symbols
	calls   gate
	closing chan struct{} // closed by Close

	mu       sync.Mutex
	monitors map[string]*monitor // by UUID; one a card, since each has a watch
}

// Open loads and initialises the library: "" stands for libnvidia-ml.so.1 as the
// loader finds it. Close it.
func Open(path string) (*Library, error) {
	if path == "" {
		path = "libnvidia-ml.so.1"
	}
	if err := check(path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDriver, err)
	}
	return open(nvml.New(nvml.WithLibraryPath(path)))
}

// check holds that a file is a management library: if it were none, the binding's
// first call would kill the process.
func check(path string) error {
	lib := dl.New(path, dl.RTLD_LAZY)
	if err := lib.Open(); err != nil {
		return err
	}
	err := lib.Lookup("nvmlInit_v2")
	if err != nil {
		err = lib.Lookup("nvmlInit")
	}
	return errors.Join(err, lib.Lookup("nvmlShutdown"), lib.Close())
}

func open(api nvml.Interface) (*Library, error) {
	code := api.Init()
	err := &codeError{"nvmlInit", code}
	switch code {
	case nvml.SUCCESS:
		return &Library{
			api:      api,
			closing:  make(chan struct{}),
			symbols:  &symbols{lookup: api.Extensions().LookupSymbol, known: map[string]bool{}},
			monitors: map[string]*monitor{},
		}, nil
	case nvml.ERROR_LIBRARY_NOT_FOUND, nvml.ERROR_DRIVER_NOT_LOADED, nvml.ERROR_FUNCTION_NOT_FOUND:
		return nil, fmt.Errorf("%w: %w", ErrNoDriver, err)
	}
	return nil, fmt.Errorf("initialise the NVIDIA management library: %w", err)
}

// patience is how long Close waits for calls that are in the driver.
const patience = 2 * time.Second

// Close ends the use of the library: calls that come later give ErrClosed. It waits
// for those that are being made, but not for ever: if the driver keeps one, Close
// gives an error and the process should end.
func (l *Library) Close() error {
	idle, first := l.calls.close()
	if !first {
		return nil
	}
	close(l.closing)
	late := time.NewTimer(patience)
	defer late.Stop()
	stuck := errors.New("close the NVIDIA management library: the driver has not returned from a call")
	select {
	case <-idle:
	case <-late.C:
		return stuck
	}
	l.mu.Lock() // nobody holds it in the driver: all have left
	defer l.mu.Unlock()
	for _, m := range l.monitors {
		select {
		case <-m.xids.ended:
		case <-late.C:
			return stuck
		}
		m.gpm.free()
	}
	if code := l.api.Shutdown(); code != nvml.SUCCESS {
		return fmt.Errorf("close the NVIDIA management library: %w", &codeError{"nvmlShutdown", code})
	}
	return nil
}

// maxCards bounds what is believed of the number of cards.
const maxCards = 64

// Cards lists what the cards of this machine say they are, as the library numbers
// them. A card that is lost, or that this process may not use, is not among them:
// Monitor says what is wrong with it. If no card can be read, that is an error.
func (l *Library) Cards() ([]telemetry.Inventory, error) {
	if !l.calls.enter() {
		return nil, ErrClosed
	}
	defer l.calls.leave()
	if !l.symbols.has("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount") ||
		!l.symbols.has("nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex") {
		return nil, fmt.Errorf("list cards: %w", ErrUnsupported)
	}
	n, code := l.api.DeviceGetCount()
	if code != nvml.SUCCESS {
		return nil, fmt.Errorf("list cards: %w", failure("nvmlDeviceGetCount", code))
	}
	var cards []telemetry.Inventory
	var failed error // of the last card that could not be read
	for i := range min(n, maxCards) {
		inventory, err := l.card(i)
		if err != nil {
			failed = fmt.Errorf("card %d: %w", i, err)
			continue
		}
		cards = append(cards, inventory)
	}
	if len(cards) == 0 && failed != nil {
		return nil, fmt.Errorf("list cards: %w", failed)
	}
	return cards, nil
}

func (l *Library) card(i int) (telemetry.Inventory, error) {
	card, code := l.api.DeviceGetHandleByIndex(i)
	if code != nvml.SUCCESS {
		return telemetry.Inventory{}, failure("nvmlDeviceGetHandleByIndex", code)
	}
	return l.inventory(card)
}

// Monitor gives a card's monitor, which is used until Close. The card is named by
// its UUID or by its PCI bus id, since the numbers of NVML and CUDA differ. A card
// that there is not, or that the library does not give, is a *gpu.Fault.
func (l *Library) Monitor(name string) (gpu.Monitor, error) {
	if !l.calls.enter() {
		return nil, ErrClosed
	}
	defer l.calls.leave()
	card, err := l.find(name)
	if err != nil {
		return nil, err
	}
	r := &reader{symbols: l.symbols}
	uuid := r.text("nvmlDeviceGetUUID", card.GetUUID)
	if r.fault != nil {
		return nil, r.fault
	}
	if uuid == "" {
		uuid = name
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.monitors[uuid]
	if m == nil {
		m = &monitor{lib: l, card: card, name: uuid, xids: watchXids(l, card), gpm: gpm{api: l.api, card: card}}
		l.monitors[uuid] = m
	}
	return m, nil
}

// find gives the library's handle of a card.
func (l *Library) find(name string) (nvml.Device, error) {
	byUUID := strings.HasPrefix(name, "GPU-")
	switch {
	case len(name) > maxText || printable(name) != name || !byUUID && !strings.Contains(name, ":"):
		return nil, fmt.Errorf("card %q: neither a card's UUID nor a PCI bus id", name[:min(len(name), maxText)])
	case byUUID && !l.symbols.has("nvmlDeviceGetHandleByUUID"),
		!byUUID && !l.symbols.has("nvmlDeviceGetHandleByPciBusId_v2", "nvmlDeviceGetHandleByPciBusId"):
		return nil, fmt.Errorf("card %s: %w", name, ErrUnsupported)
	}
	get, call := l.api.DeviceGetHandleByPciBusId, "nvmlDeviceGetHandleByPciBusId"
	if byUUID {
		get, call = l.api.DeviceGetHandleByUUID, "nvmlDeviceGetHandleByUUID"
	}
	card, code := get(name)
	if code != nvml.SUCCESS {
		return nil, refused(name, call, code)
	}
	return card, nil
}
