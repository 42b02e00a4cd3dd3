//go:build !(linux && (amd64 || arm64) && !android && !faketime)

package dl

import "fmt"

// Open gives an error: on this system nothing can be loaded, and nothing else is called.
func Open(path string) (uintptr, error) {
	return 0, fmt.Errorf("load %s: not on this system", path)
}

// Close does nothing.
func Close(uintptr) {}

// Symbol finds none.
func Symbol(uintptr, string) uintptr { return 0 }

// Call must not be called.
//
//go:uintptrescapes
func Call(uintptr, ...uintptr) uintptr { panic("dl: no libraries on this system") }
