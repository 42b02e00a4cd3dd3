//go:build cgo && linux

package nvml

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/assaynet/assay/gpu"
)

// codeError is what a call answered. Its words are its own: the library's need a
// symbol that may be missing.
type codeError struct {
	call string
	code nvml.Return
}

func (e *codeError) Error() string { return e.call + ": " + words(e.code) }

// Unwrap gives the code, for errors.Is alone.
func (e *codeError) Unwrap() error { return e.code }

// Fault says the answer as the device's failure; nil where it is none.
func (e *codeError) Fault() *gpu.Fault {
	switch meaningOf(e.code) {
	case gone:
		return gpu.NewFault(gpu.FaultLost, "%v", e)
	case broken, strange:
		return gpu.NewFault(gpu.FaultDriver, "%v", e)
	}
	return nil
}

// cardFault is a device's failure that also is the code that said so.
type cardFault struct {
	*gpu.Fault
	code nvml.Return
}

func (e *cardFault) Unwrap() []error { return []error{e.Fault, e.code} }

// refused is why the library does not give a card, which is a failure of the device
// whatever the answer is.
func refused(card, call string, code nvml.Return) error {
	e := &codeError{call, code}
	f := e.Fault()
	switch {
	case code == nvml.ERROR_NOT_FOUND, code == nvml.ERROR_INVALID_ARGUMENT, code == nvml.ERROR_GPU_NOT_FOUND:
		f = gpu.NewFault(gpu.FaultAbsent, "no card %s in this machine", card)
	case f == nil:
		f = gpu.NewFault(gpu.FaultDriver, "card %s: %v", card, e)
	}
	return &cardFault{f, code}
}

// failure is a call's answer as a fault of the device where it is one.
func failure(call string, code nvml.Return) error {
	e := &codeError{call, code}
	if f := e.Fault(); f != nil {
		return &cardFault{f, code}
	}
	return e
}

// meaning is what an answer says of the card.
type meaning int

const (
	good    meaning = iota
	absent          // this card, driver or user has no such reading
	strange         // no reading, and a card that gives nothing else is broken
	broken          // the driver has failed
	gone            // the card has left the machine, or must be reset
)

func meaningOf(code nvml.Return) meaning {
	switch code {
	case nvml.SUCCESS:
		return good
	case nvml.ERROR_GPU_IS_LOST, nvml.ERROR_RESET_REQUIRED:
		return gone
	case nvml.ERROR_UNINITIALIZED, nvml.ERROR_DRIVER_NOT_LOADED, nvml.ERROR_TIMEOUT, nvml.ERROR_IRQ_ISSUE,
		nvml.ERROR_OPERATING_SYSTEM, nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return broken
	case nvml.ERROR_UNKNOWN, nvml.ERROR_MEMORY, nvml.ERROR_INSUFFICIENT_RESOURCES, nvml.ERROR_CORRUPTED_INFOROM:
		return strange
	}
	return absent
}

// words is what nvml.h says of a code.
func words(code nvml.Return) string {
	if text, ok := codes[code]; ok {
		return text
	}
	return fmt.Sprintf("code %d", int32(code))
}

var codes = map[nvml.Return]string{
	nvml.SUCCESS:                         "success",
	nvml.ERROR_UNINITIALIZED:             "not initialised",
	nvml.ERROR_INVALID_ARGUMENT:          "invalid argument",
	nvml.ERROR_NOT_SUPPORTED:             "not supported",
	nvml.ERROR_NO_PERMISSION:             "no permission",
	nvml.ERROR_ALREADY_INITIALIZED:       "already initialised",
	nvml.ERROR_NOT_FOUND:                 "not found",
	nvml.ERROR_INSUFFICIENT_SIZE:         "insufficient size",
	nvml.ERROR_INSUFFICIENT_POWER:        "a power cable is not attached",
	nvml.ERROR_DRIVER_NOT_LOADED:         "driver not loaded",
	nvml.ERROR_TIMEOUT:                   "timeout",
	nvml.ERROR_IRQ_ISSUE:                 "the kernel has an interrupt issue with the card",
	nvml.ERROR_LIBRARY_NOT_FOUND:         "library not found",
	nvml.ERROR_FUNCTION_NOT_FOUND:        "function not found",
	nvml.ERROR_CORRUPTED_INFOROM:         "the card's information memory is corrupted",
	nvml.ERROR_GPU_IS_LOST:               "the card is lost: it has fallen off the bus",
	nvml.ERROR_RESET_REQUIRED:            "the card must be reset before it can be used again",
	nvml.ERROR_OPERATING_SYSTEM:          "the operating system has blocked the card",
	nvml.ERROR_LIB_RM_VERSION_MISMATCH:   "library and kernel driver differ in version: load the driver again, or reboot",
	nvml.ERROR_IN_USE:                    "in use",
	nvml.ERROR_MEMORY:                    "out of memory",
	nvml.ERROR_NO_DATA:                   "no data",
	nvml.ERROR_VGPU_ECC_NOT_SUPPORTED:    "not with ECC",
	nvml.ERROR_INSUFFICIENT_RESOURCES:    "out of resources",
	nvml.ERROR_FREQ_NOT_SUPPORTED:        "frequency not supported",
	nvml.ERROR_ARGUMENT_VERSION_MISMATCH: "version of an argument not supported",
	nvml.ERROR_DEPRECATED:                "deprecated",
	nvml.ERROR_NOT_READY:                 "not ready",
	nvml.ERROR_GPU_NOT_FOUND:             "no card found",
	nvml.ERROR_INVALID_STATE:             "not in this state",
	nvml.ERROR_RESET_TYPE_NOT_SUPPORTED:  "reset not supported",
	nvml.ERROR_UNKNOWN:                   "an internal error of the driver",
}
