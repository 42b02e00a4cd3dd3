package nvml

import (
	"errors"

	"github.com/assaynet/assay/gpu"
)

// Fault says an error of this package as a device's failure: no library is an
// absent one, and what the library answers is lost or the driver's. Nil for errors
// that are not the device's doing, such as ErrUnsupported.
func Fault(err error) *gpu.Fault {
	if f, ok := errors.AsType[*gpu.Fault](err); ok {
		return f
	}
	if f, ok := errors.AsType[interface {
		error
		Fault() *gpu.Fault
	}](err); ok {
		return f.Fault()
	}
	if errors.Is(err, ErrNoDriver) {
		return gpu.NewFault(gpu.FaultAbsent, "%v", err)
	}
	return nil
}
