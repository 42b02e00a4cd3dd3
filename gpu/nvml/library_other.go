//go:build !cgo || !linux

package nvml

// Library is the management library. In this build there is none.
type Library struct{}

// Open gives ErrNoDriver.
func Open(string) (*Library, error) { return nil, ErrNoDriver }

// Close does nothing.
func (*Library) Close() error { return nil }

// Energy gives ErrNoDriver.
func (*Library) Energy(string) (func() (float64, error), error) { return nil, ErrNoDriver }
