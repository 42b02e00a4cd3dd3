//go:build !cgo || !linux

package nvml

import (
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Library is the management library. In this build there is none.
type Library struct{}

// Open gives ErrNoDriver.
func Open(string) (*Library, error) { return nil, ErrNoDriver }

// Close does nothing.
func (*Library) Close() error { return nil }

// Cards gives ErrNoDriver.
func (*Library) Cards() ([]telemetry.Inventory, error) { return nil, ErrNoDriver }

// Monitor gives ErrNoDriver.
func (*Library) Monitor(string) (gpu.Monitor, error) { return nil, ErrNoDriver }

// Energy gives ErrNoDriver.
func (*Library) Energy(string) (func() (float64, error), error) { return nil, ErrNoDriver }
