package ptx

import "fmt"

// Allocations stand this far apart, so that their number is in the address and
// no offset that a kernel could get wrong leads from one to the next.
const slotBits = 38

// slotStart is where an allocation starts in its slot: far from the slot's start,
// so that what lies before it is a gap too, and above 32 bits, so that a pointer
// cut to 32 bits leads nowhere.
const slotStart = 1 << 36

// Memory is a card's global memory. One launch at a time may use it; a Module is
// never written, and any number of launches may use it.
type Memory struct {
	blocks   []*region
	loaded   map[*Module][]uint64
	launches uint32
}

// region is one allocation.
type region struct {
	base uint64
	data []byte
	// written has for each 32 bytes the last launch that stored there: what a
	// launch stores it must not read as constant (ld.global.nc).
	written  []uint32
	constant bool
}

// NewMemory returns empty memory.
func NewMemory() *Memory { return &Memory{loaded: map[*Module][]uint64{}} }

// Alloc returns the address of so many new bytes. It is a multiple of align, a
// power of two up to 2^30, and of no higher power. They are filled with 0xa5.
func (m *Memory) Alloc(bytes, align int) uint64 {
	if align < 1 || align > 1<<30 || align&(align-1) != 0 || bytes < 0 || bytes > 1<<35 {
		panic(fmt.Sprintf("ptx: allocation of %d bytes aligned to %d", bytes, align))
	}
	r := &region{base: uint64(len(m.blocks)+1)<<slotBits + slotStart + uint64(align), data: make([]byte, bytes)}
	for i := range r.data {
		r.data[i] = 0xa5
	}
	r.written = make([]uint32, (bytes+31)/32)
	m.blocks = append(m.blocks, r)
	return r.base
}

// find returns the allocation and the offset of n bytes in it.
func (m *Memory) find(at uint64, n int) (*region, int, error) {
	slot := at >> slotBits
	if slot == 0 || slot > uint64(len(m.blocks)) {
		return nil, 0, fmt.Errorf("out of bounds: %d bytes at %#x, in no allocation", n, at)
	}
	r := m.blocks[slot-1]
	off := at - r.base
	if size := uint64(len(r.data)); off > size || uint64(n) > size-off {
		return nil, 0, fmt.Errorf("out of bounds: %d bytes at offset %d of an allocation of %d (%#x)", n, int64(off), size, at)
	}
	return r, int(off), nil
}

// Write copies b into memory.
func (m *Memory) Write(at uint64, b []byte) error {
	r, off, err := m.find(at, len(b))
	if err != nil {
		return fmt.Errorf("ptx: write: %w", err)
	}
	copy(r.data[off:], b)
	return nil
}

// Read returns a copy of n bytes.
func (m *Memory) Read(at uint64, n int) ([]byte, error) {
	r, off, err := m.find(at, n)
	if err != nil {
		return nil, fmt.Errorf("ptx: read: %w", err)
	}
	return append([]byte(nil), r.data[off:off+n]...), nil
}

// stored notes that the current launch wrote n bytes at off.
func (m *Memory) stored(r *region, off, n int) {
	for i := off / 32; i <= (off+n-1)/32; i++ {
		r.written[i] = m.launches
	}
}

// fresh says whether the current launch wrote any of n bytes at off.
func (m *Memory) fresh(r *region, off, n int) bool {
	for i := off / 32; i <= (off+n-1)/32; i++ {
		if r.written[i] == m.launches {
			return true
		}
	}
	return false
}

// load places a module's global variables, once.
func (m *Memory) load(mod *Module) []uint64 {
	if at, ok := m.loaded[mod]; ok {
		return at
	}
	at := []uint64{}
	for _, v := range mod.text.Variables {
		a := m.Alloc(len(v.Data), v.Align)
		r := m.blocks[len(m.blocks)-1]
		copy(r.data, v.Data)
		r.constant = v.Constant
		at = append(at, a)
	}
	m.loaded[mod] = at
	return at
}
