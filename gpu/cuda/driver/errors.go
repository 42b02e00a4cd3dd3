package driver

import (
	"errors"
	"fmt"
)

// The classes of failures. errors.Is finds them in every error of this package.
// After ErrSticky, ErrLost or ErrTimeout the card's thread does no more work:
// the process must be restarted before the card can be used again.
var (
	ErrNoDriver       = errors.New("no usable NVIDIA driver")                       // no library, an incomplete one, or one that doesn't fit the kernel's module
	ErrOutOfMemory    = errors.New("out of memory")                                 // of the card, or of pinned memory
	ErrNoJIT          = errors.New("the driver cannot compile PTX")                 // libnvidia-ptxjitcompiler is not there, or compiling is switched off
	ErrUnsupportedPTX = errors.New("the driver does not take this PTX")             // its version or target is too new for the driver, or not for the card
	ErrSticky         = errors.New("the context is lost")                           // a fault of a kernel or of memory
	ErrLost           = errors.New("no card to work on")                            // none there, none free, or gone from the bus
	ErrTimeout        = errors.New("the card or its driver did not answer in time") // a kernel or a call that doesn't end
)

// errClosed is what a closed thread answers.
var errClosed = errors.New("the card is closed")

// Error is a call that the driver failed.
type Error struct {
	Call string // the driver's function
	Code int    // CUresult
	Name string // the code's name, as the driver gives it: CUDA_ERROR_...
	Log  string // what the driver's compiler said; of cuModuleLoadDataEx only
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s (%d)", e.Call, e.Name, e.Code)
	if e.Log != "" {
		s += ": " + e.Log
	}
	return s
}

// Is says whether the error is of a class.
func (e *Error) Is(target error) bool {
	class := classOf(e.Code)
	return class != nil && class == target
}

// classOf maps the codes of cuda.h to classes; nil: a failure of this one call.
func classOf(code int) error {
	switch code {
	case 2: // OUT_OF_MEMORY
		return ErrOutOfMemory
	case 34, // STUB_LIBRARY
		803, // SYSTEM_DRIVER_MISMATCH: library and kernel module differ
		804: // COMPAT_NOT_SUPPORTED_ON_DEVICE: a forward compatibility library on a card that has none
		return ErrNoDriver
	case 221, // JIT_COMPILER_NOT_FOUND
		223: // JIT_COMPILATION_DISABLED
		return ErrNoJIT
	case 209, // NO_BINARY_FOR_GPU
		218, // INVALID_PTX: also a target that the compiler doesn't know
		222: // UNSUPPORTED_PTX_VERSION
		return ErrUnsupportedPTX
	case 46, // DEVICE_UNAVAILABLE: taken by another process, or off the bus
		100, // NO_DEVICE
		101, // INVALID_DEVICE
		102, // DEVICE_NOT_LICENSED
		802, // SYSTEM_NOT_READY
		805, // MPS_CONNECTION_FAILED
		806, // MPS_RPC_FAILURE
		807, // MPS_SERVER_NOT_READY
		810: // MPS_CLIENT_TERMINATED
		return ErrLost
	case 4, // DEINITIALIZED
		214, // ECC_UNCORRECTABLE
		220, // NVLINK_UNCORRECTABLE
		226, // CONTAINED
		700, // ILLEGAL_ADDRESS
		702, // LAUNCH_TIMEOUT: the display's watchdog
		709, // CONTEXT_IS_DESTROYED
		710, // ASSERT
		714, // HARDWARE_STACK_ERROR
		715, // ILLEGAL_INSTRUCTION
		716, // MISALIGNED_ADDRESS
		717, // INVALID_ADDRESS_SPACE
		718, // INVALID_PC
		719, // LAUNCH_FAILED
		721, // TENSOR_MEMORY_LEAK
		999: // UNKNOWN: what a card that fell off the bus mostly gives; nothing can be assumed after it
		return ErrSticky
	}
	return nil
}

// Ends says whether nothing more can be done on a thread after an error.
func Ends(err error) bool {
	return errors.Is(err, ErrSticky) || errors.Is(err, ErrLost) || errors.Is(err, ErrTimeout)
}
