//go:build cgo && linux

package nvml

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Energy gives a reader of a card's energy counter, in joules since the driver was
// loaded; two readings tell what the whole card took between them. The card is
// named as for Monitor. Volta and later have the counter.
func (l *Library) Energy(name string) (func() (float64, error), error) {
	const call = "nvmlDeviceGetTotalEnergyConsumption"
	if !l.calls.enter() {
		return nil, ErrClosed
	}
	defer l.calls.leave()
	if !l.symbols.has(call) {
		return nil, fmt.Errorf("energy counter: %w", ErrUnsupported)
	}
	card, err := l.find(name)
	if err != nil {
		return nil, err
	}
	read := func() (float64, error) {
		if !l.calls.enter() {
			return 0, ErrClosed
		}
		defer l.calls.leave()
		millijoules, code := card.GetTotalEnergyConsumption()
		switch code {
		case nvml.SUCCESS:
			return float64(millijoules) / 1000, nil
		case nvml.ERROR_NOT_SUPPORTED:
			return 0, fmt.Errorf("energy counter of card %s: %w", name, ErrUnsupported)
		}
		return 0, fmt.Errorf("energy counter of card %s: %w", name, &codeError{call, code})
	}
	if _, err := read(); err != nil {
		return nil, err
	}
	return read, nil
}
