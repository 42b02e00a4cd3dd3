//go:build !linux

package selftest

import "errors"

// KernelClock asks the kernel about its clock; it sets nothing.
func KernelClock() (Clock, error) { return Clock{}, errors.New("not on this system") }
