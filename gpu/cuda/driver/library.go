package driver

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/assaynet/assay/gpu/cuda/dl"
)

// Library is the driver's library in user space. It stays loaded as long as the process lives.
type Library struct {
	path string
	sym  symbols
}

// places are where the library may stand. libcuda.so without a version is never
// tried: toolkits bring a stub of that name that only links.
func places() []string {
	return []string{
		"libcuda.so.1",                         // the loader's own search
		"/usr/lib/wsl/lib/libcuda.so.1",        // Windows' subsystem for Linux
		"/run/opengl-driver/lib/libcuda.so.1",  // NixOS
		"/usr/local/nvidia/lib64/libcuda.so.1", // containers of older runtimes
	}
}

// Load loads the driver's library from a path, or from where it usually stands
// for "". The error is ErrNoDriver when there is none or it lacks a function. It
// doesn't start the driver: that a card is there shows in Cards.
//
// The driver reads its own variables of the environment when it starts; setting
// them is up to the process: CUDA_CACHE_DISABLE (or CUDA_CACHE_PATH) for where
// compiled kernels are kept, CUDA_MODULE_LOADING, CUDA_VISIBLE_DEVICES,
// CUDA_DEVICE_ORDER.
func Load(path string) (*Library, error) {
	if path != "" {
		return load(path)
	}
	var errs []error
	for i, path := range places() {
		l, err := load(path)
		if err == nil {
			return l, nil
		}
		if _, missing := os.Stat(path); i == 0 || missing == nil {
			errs = append(errs, err)
		}
	}
	return nil, fmt.Errorf("%w (nor is it in %s)", errors.Join(errs...), strings.Join(places()[1:], ", "))
}

func load(path string) (*Library, error) {
	lib, err := dl.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDriver, err)
	}
	sym, err := resolve(lib)
	if err != nil {
		dl.Close(lib)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Library{path: path, sym: sym}, nil
}

// Version is the CUDA version that the driver knows: 12040 for 12.4.
func (l *Library) Version() (int, error) {
	var v int32
	err := l.call(l.sym.driverGetVersion, uintptr(unsafe.Pointer(&v)))
	return int(v), err
}

// call calls a function of the driver and turns its answer into an error.
// Pointers must be converted in the call's own arguments: what they point to is
// then kept, and kept in place, until the function returns.
//
//go:uintptrescapes
func (l *Library) call(f symbol, args ...uintptr) error {
	if f.at == 0 {
		return fmt.Errorf("%w: it lacks %s", ErrNoDriver, f.name)
	}
	code := int32(dl.Call(f.at, args...)) // CUresult is an int: the register's upper half is anything
	if code == 0 {
		return nil
	}
	return &Error{Call: f.name, Code: int(code), Name: l.errorName(code)}
}

// errorName is the driver's name of a code.
func (l *Library) errorName(code int32) string {
	var name *byte
	if l.sym.getErrorName.at == 0 {
		return "CUDA error"
	}
	if dl.Call(l.sym.getErrorName.at, uintptr(code), uintptr(unsafe.Pointer(&name))) != 0 || name == nil {
		return "unknown CUDA error"
	}
	const longest = 100
	var b []byte
	for i := range longest {
		c := *(*byte)(unsafe.Add(unsafe.Pointer(name), i))
		if c == 0 {
			break
		}
		b = append(b, c)
	}
	return string(b)
}
