//go:build linux && (amd64 || arm64) && !android && !faketime

// Package dl loads shared libraries and calls their C functions without cgo.
package dl

import (
	"fmt"
	"runtime"

	"github.com/ebitengine/purego"
)

// Open loads a shared library. Its symbols stay its own.
func Open(path string) (uintptr, error) {
	runtime.LockOSThread() // dlerror's text is the thread's
	defer runtime.UnlockOSThread()
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", path, err)
	}
	return lib, nil
}

// Close gives a library back.
func Close(lib uintptr) { _ = purego.Dlclose(lib) }

// Symbol gives a symbol's address; 0: there is none.
func Symbol(lib uintptr, name string) uintptr {
	at, err := purego.Dlsym(lib, name)
	if err != nil {
		return 0
	}
	return at
}

// Call calls a C function of integers and pointers. Objects whose addresses are
// converted in the call's own arguments stay where they are until it returns.
//
//go:uintptrescapes
func Call(f uintptr, args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(f, args...)
	return r
}
