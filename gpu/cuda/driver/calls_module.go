package driver

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unsafe"
)

// Numbers of CUjit_option.
const (
	jitErrorLog     = 5
	jitErrorLogSize = 6
)

// Load compiles PTX for the card. It may take seconds, in the driver, and can't
// be interrupted. The compiler's complaints are in the error.
func (c *Calls) Load(ptx string) (Module, error) {
	if strings.IndexByte(ptx, 0) >= 0 {
		return 0, errors.New("PTX with a zero byte in it")
	}
	return c.load(append([]byte(ptx), 0)) // the driver reads to the zero
}

// LoadCode loads machine code, which needs no compiler, and runs on the cards that it
// was made for alone.
func (c *Calls) LoadCode(elf []byte) (Module, error) {
	if len(elf) < 64 || string(elf[:4]) != "\x7fELF" {
		return 0, errors.New("machine code that is no ELF file")
	}
	return c.load(elf)
}

func (c *Calls) load(src []byte) (Module, error) {
	log := make([]byte, 8<<10)
	options := []int32{jitErrorLog, jitErrorLogSize}
	values := []uintptr{0, uintptr(len(log))} // void *[]: the size is a value in a pointer's place
	// The log's address stands in values, where neither the compiler nor the
	// collector sees a pointer: pinning keeps it.
	c.pinner.Pin(&log[0])
	defer c.pinner.Unpin()
	values[0] = uintptr(unsafe.Pointer(&log[0]))
	var m Module
	err := c.call(c.sym.moduleLoadDataEx, uintptr(unsafe.Pointer(&m)), uintptr(unsafe.Pointer(&src[0])),
		uintptr(len(options)), uintptr(unsafe.Pointer(&options[0])), uintptr(unsafe.Pointer(&values[0])))
	if e, ok := errors.AsType[*Error](err); ok && c.t.Err() == nil {
		e.Log = strings.TrimSpace(text(log))
	}
	return m, err
}

// Unload gives a module back, and its functions with it.
func (c *Calls) Unload(m Module) error { return c.call(c.sym.moduleUnload, uintptr(m)) }

// Function finds a kernel in a module. It lives as long as the module.
func (c *Calls) Function(m Module, name string) (Function, error) {
	b := append([]byte(name), 0)
	var f Function
	if err := c.call(c.sym.moduleGetFunction, uintptr(unsafe.Pointer(&f)), uintptr(m), uintptr(unsafe.Pointer(&b[0]))); err != nil {
		return 0, fmt.Errorf("kernel %s: %w", name, err)
	}
	return f, nil
}

// AllowShared lets a kernel's blocks have that much dynamic shared memory. Above
// 48 KiB a launch fails without it; the most is the card's SharedOptin.
func (c *Calls) AllowShared(f Function, bytes int) error {
	const maxDynamicShared = 8 // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
	if bytes < 0 || bytes > math.MaxInt32 {
		return fmt.Errorf("shared memory of %d bytes", bytes)
	}
	return c.call(c.sym.funcSetAttribute, uintptr(f), maxDynamicShared, uintptr(bytes))
}

// params are a launch's arguments as the driver wants them: a table of pointers
// to values. Both are read during the call only.
type params struct {
	slots  [maxParams]unsafe.Pointer
	values [maxParams]uint64
}

// maxParams is more than any kernel has.
const maxParams = 16

// Launch puts a kernel into a stream: grid blocks of block threads, each block
// with that many bytes of dynamic shared memory. An argument of 32 bits is its
// value's low half.
func (c *Calls) Launch(f Function, grid, block, shared int, s Stream, args ...uint64) error {
	if grid <= 0 || grid > math.MaxInt32 || block <= 0 || block > 1024 || shared < 0 || shared > math.MaxInt32 {
		return fmt.Errorf("launch of %d blocks of %d threads with %d bytes", grid, block, shared)
	}
	if len(args) > maxParams {
		return fmt.Errorf("launch with %d arguments, at most %d", len(args), maxParams)
	}
	p := c.params
	for i, v := range args {
		p.values[i] = v
		p.slots[i] = unsafe.Pointer(&p.values[i])
	}
	return c.call(c.sym.launchKernel, uintptr(f), uintptr(grid), 1, 1, uintptr(block), 1, 1,
		uintptr(shared), uintptr(s), uintptr(unsafe.Pointer(&p.slots[0])), 0)
}
