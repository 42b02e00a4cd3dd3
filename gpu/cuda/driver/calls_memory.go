package driver

import (
	"fmt"
	"unsafe"
)

// MemInfo gives the card's free and whole memory in bytes. Free counts what other
// processes left.
func (c *Calls) MemInfo() (free, total uint64, err error) {
	err = c.call(c.sym.memGetInfo, uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)))
	return free, total, err
}

// Alloc takes n bytes of the card's memory, aligned to 256 at least. What is in
// them is not defined.
func (c *Calls) Alloc(n uint64) (Devptr, error) {
	var p Devptr
	err := c.call(c.sym.memAlloc, uintptr(unsafe.Pointer(&p)), uintptr(n))
	return p, err
}

// Free gives memory back. Nothing in any stream may use it any more: the driver
// may wait for that, in the call, or may not.
func (c *Calls) Free(p Devptr) error { return c.call(c.sym.memFree, uintptr(p)) }

// Pinned is memory of the host that the card copies from and to while nobody
// waits: its pages stay where they are. It is the driver's, not Go's. A copy reads
// or writes it some time before an event behind the copy is done; until then
// nobody else may write, or may look.
type Pinned struct {
	B []byte // nil: freed
	p unsafe.Pointer
}

// HostAlloc takes n > 0 bytes of pinned memory, aligned to a page.
func (c *Calls) HostAlloc(n int) (*Pinned, error) {
	if n <= 0 {
		return nil, fmt.Errorf("pinned memory of %d bytes", n)
	}
	var p unsafe.Pointer
	if err := c.call(c.sym.memHostAlloc, uintptr(unsafe.Pointer(&p)), uintptr(n), 0); err != nil {
		return nil, err
	}
	return &Pinned{B: unsafe.Slice((*byte)(p), n), p: p}, nil
}

// HostFree gives pinned memory back. Its bytes are gone then.
func (c *Calls) HostFree(p *Pinned) error {
	if p == nil || p.B == nil {
		return nil
	}
	if err := c.call(c.sym.memFreeHost, uintptr(p.p)); err != nil {
		return err
	}
	p.B, p.p = nil, nil
	return nil
}

// at is the address of n bytes from off; they must lie in the memory.
func (p *Pinned) at(off, n int) (uintptr, error) {
	if p == nil || off < 0 || n < 0 || off > len(p.B) || n > len(p.B)-off {
		size := 0
		if p != nil {
			size = len(p.B)
		}
		return 0, fmt.Errorf("copy of %d bytes at %d of pinned memory of %d", n, off, size)
	}
	return uintptr(p.p) + uintptr(off), nil
}

// ToDevice puts a copy of n bytes from src at off into a stream.
func (c *Calls) ToDevice(dst Devptr, src *Pinned, off, n int, s Stream) error {
	from, err := src.at(off, n)
	if err != nil || n == 0 {
		return err
	}
	return c.call(c.sym.memcpyHtoD, uintptr(dst), from, uintptr(n), uintptr(s))
}

// ToHost puts a copy of n bytes to dst at off into a stream.
func (c *Calls) ToHost(dst *Pinned, off int, src Devptr, n int, s Stream) error {
	to, err := dst.at(off, n)
	if err != nil || n == 0 {
		return err
	}
	return c.call(c.sym.memcpyDtoH, to, uintptr(src), uintptr(n), uintptr(s))
}

// CopyDevice puts a copy of n bytes within the card's memory into a stream. The
// two places must not overlap.
func (c *Calls) CopyDevice(dst, src Devptr, n uint64, s Stream) error {
	if n == 0 {
		return nil
	}
	return c.call(c.sym.memcpyDtoD, uintptr(dst), uintptr(src), uintptr(n), uintptr(s))
}
