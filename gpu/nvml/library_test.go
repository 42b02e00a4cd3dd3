//go:build cgo && linux

package nvml

import (
	"errors"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

func TestNoLibrary(t *testing.T) {
	l, err := Open("libassay-has-no-such-library.so.1")
	if !errors.Is(err, ErrNoDriver) {
		t.Errorf("open without a library: %v, %v", l, err)
	}
}

// card is a library with one card, whose counter reads so.
func card(symbol error, found, read nvml.Return, millijoules *uint64) *mock.Interface {
	return &mock.Interface{
		InitFunc:     func() nvml.Return { return nvml.SUCCESS },
		ShutdownFunc: func() nvml.Return { return nvml.SUCCESS },
		ExtensionsFunc: func() nvml.ExtendedInterface {
			return &mock.ExtendedInterface{LookupSymbolFunc: func(string) error { return symbol }}
		},
		DeviceGetHandleByPciBusIdFunc: func(string) (nvml.Device, nvml.Return) {
			return &mock.Device{GetTotalEnergyConsumptionFunc: func() (uint64, nvml.Return) { return *millijoules, read }}, found
		},
	}
}

func TestEnergy(t *testing.T) {
	lacks := errors.New("undefined symbol")
	for _, tt := range []struct {
		name        string
		symbol      error
		found, read nvml.Return
		want        error
	}{
		{"a card", nil, nvml.SUCCESS, nvml.SUCCESS, nil},
		{"an old library", lacks, nvml.SUCCESS, nvml.SUCCESS, ErrUnsupported},
		{"no such card", nil, nvml.ERROR_NOT_FOUND, nvml.SUCCESS, nvml.ERROR_NOT_FOUND},
		{"a card without the counter", nil, nvml.SUCCESS, nvml.ERROR_NOT_SUPPORTED, ErrUnsupported},
		{"a lost card", nil, nvml.SUCCESS, nvml.ERROR_GPU_IS_LOST, nvml.ERROR_GPU_IS_LOST},
	} {
		t.Run(tt.name, func(t *testing.T) {
			millijoules := uint64(1500)
			l, err := open(card(tt.symbol, tt.found, tt.read, &millijoules))
			if err != nil {
				t.Fatal(err)
			}
			read, err := l.Energy("0000:01:00.0")
			if !errors.Is(err, tt.want) {
				t.Fatalf("energy: %v, want %v", err, tt.want)
			}
			if err == nil {
				if got, err := read(); err != nil || got != 1.5 {
					t.Errorf("1,500 mJ read as %v J, %v", got, err)
				}
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenFails(t *testing.T) {
	for _, tt := range []struct {
		ret  nvml.Return
		want error
	}{
		{nvml.ERROR_LIBRARY_NOT_FOUND, ErrNoDriver},
		{nvml.ERROR_DRIVER_NOT_LOADED, ErrNoDriver},
		{nvml.ERROR_NO_PERMISSION, nvml.ERROR_NO_PERMISSION},
	} {
		if _, err := open(&mock.Interface{InitFunc: func() nvml.Return { return tt.ret }}); !errors.Is(err, tt.want) {
			t.Errorf("init says %v: %v", tt.ret, err)
		}
	}
}
