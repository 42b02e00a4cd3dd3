//go:build cgo && linux

package nvml

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Library is the management library, initialised.
type Library struct {
	api nvml.Interface
}

// Open loads and initialises the library: "" stands for libnvidia-ml.so.1 as the
// loader finds it. Close it.
func Open(path string) (*Library, error) {
	if path == "" {
		path = "libnvidia-ml.so.1"
	}
	return open(nvml.New(nvml.WithLibraryPath(path)))
}

func open(api nvml.Interface) (*Library, error) {
	switch ret := api.Init(); ret {
	case nvml.SUCCESS:
		return &Library{api}, nil
	case nvml.ERROR_LIBRARY_NOT_FOUND, nvml.ERROR_DRIVER_NOT_LOADED, nvml.ERROR_FUNCTION_NOT_FOUND:
		return nil, fmt.Errorf("%w: %v", ErrNoDriver, ret)
	default:
		return nil, fmt.Errorf("initialise the NVIDIA management library: %w", ret)
	}
}

// Close ends the use of the library.
func (l *Library) Close() error {
	if ret := l.api.Shutdown(); ret != nvml.SUCCESS {
		return fmt.Errorf("close the NVIDIA management library: %w", ret)
	}
	return nil
}

// Energy gives a reader of a card's energy counter, in joules since the driver was
// loaded; two readings tell what the whole card took between them. The card is
// named by its PCI bus id, since the numbers of NVML and CUDA differ. Volta and
// later have the counter.
func (l *Library) Energy(pci string) (func() (float64, error), error) {
	if err := l.api.Extensions().LookupSymbol("nvmlDeviceGetTotalEnergyConsumption"); err != nil {
		return nil, fmt.Errorf("energy counter: %w: %w", ErrUnsupported, err)
	}
	card, ret := l.api.DeviceGetHandleByPciBusId(pci)
	if ret != nvml.SUCCESS {
		return nil, fmt.Errorf("card %s: %w", pci, ret)
	}
	read := func() (float64, error) {
		millijoules, ret := card.GetTotalEnergyConsumption()
		switch ret {
		case nvml.SUCCESS:
			return float64(millijoules) / 1000, nil
		case nvml.ERROR_NOT_SUPPORTED:
			return 0, fmt.Errorf("energy counter of card %s: %w", pci, ErrUnsupported)
		default:
			return 0, fmt.Errorf("energy counter of card %s: %w", pci, ret)
		}
	}
	if _, err := read(); err != nil {
		return nil, err
	}
	return read, nil
}
