// Package ptx executes PTX, the assembly that clang makes of our kernels and that
// NVIDIA's driver compiles, so that the shipped text itself is tested without a
// card. It knows the instructions our kernels need and refuses everything else:
// an opcode, a modifier, a type or a form of operand that it does not know is an
// error with its line, never a guess.
//
// It looks for what a card would not report. Every access is checked for bounds
// and alignment, with guard gaps between allocations and shared memory at the
// worst address that its declared alignment allows. Registers and shared memory
// must have been written before they are read. Asynchronous copies and wgmma run
// as late as the ISA allows, or as early (Config.Early). Shared memory is watched
// for races by vector clocks of the warps, through barriers and mbarriers, and for
// missing fences between the generic and the asynchronous proxy. A collective
// whose lanes do not all come is an error, and so is a block that cannot go on.
//
// It proves nothing about speed, about memory order between blocks, or about
// lanes of one warp that overwrite what another lane has still to read.
//
// Comments cite the sections of the PTX ISA by title: their numbers change.
package ptx

import "fmt"

// Config says how a launch is executed.
type Config struct {
	// Early performs asynchronous copies and wgmma when they are issued. The
	// default is the other extreme: when something waits for them.
	Early bool
	// MaxSteps bounds the launch, in instructions of a warp; 0 is 2^32.
	MaxSteps int
}

// Fault is what a launch ends with when the kernel does something that a card
// would not do, or need not do as expected.
type Fault struct {
	Kernel string
	Line   int // of the PTX; 0 when no single instruction is to blame
	Block  int
	Thread int // in the block; -1 when all of a warp or block are meant
	What   string
}

func (f *Fault) Error() string {
	where := fmt.Sprintf("ptx: kernel %s: block %d", f.Kernel, f.Block)
	if f.Thread >= 0 {
		where += fmt.Sprintf(", thread %d", f.Thread)
	}
	if f.Line > 0 {
		where += fmt.Sprintf(", line %d", f.Line)
	}
	return where + ": " + f.What
}

// Stats is what a launch executed.
type Stats struct {
	Steps   int // instructions of a warp
	Threads int // instructions of a thread
}

// Launch runs a kernel: grid blocks of block threads with so many bytes of
// dynamic shared memory. A parameter takes the low bits of its argument.
func (m *Module) Launch(cfg Config, mem *Memory, kernel string, grid, block, shared int, args ...uint64) error {
	_, err := m.LaunchStats(cfg, mem, kernel, grid, block, shared, args...)
	return err
}

// LaunchStats is Launch, and says how much was executed.
func (m *Module) LaunchStats(cfg Config, mem *Memory, kernel string, grid, block, shared int, args ...uint64) (stats Stats, err error) {
	k := m.kernels[kernel]
	if k == nil {
		return stats, fmt.Errorf("ptx: no kernel %q", kernel)
	}
	switch {
	case len(args) != len(k.Params):
		return stats, fmt.Errorf("ptx: kernel %s takes %d arguments, not %d", kernel, len(k.Params), len(args))
	case grid < 1 || block < 1 || block > 1024:
		return stats, fmt.Errorf("ptx: kernel %s: grid of %d blocks of %d threads", kernel, grid, block)
	case k.MaxThreads > 0 && block > k.MaxThreads:
		return stats, fmt.Errorf("ptx: kernel %s: %d threads, .maxntid %d", kernel, block, k.MaxThreads)
	case shared < 0 || m.text.Static+shared > m.sharedLimit():
		return stats, fmt.Errorf("ptx: kernel %s: %d bytes of shared memory, %d at most on %s", kernel, m.text.Static+shared, m.sharedLimit(), m.text.Target)
	case shared > 0 && m.text.Dynamic < 0:
		return stats, fmt.Errorf("ptx: kernel %s: dynamic shared memory, but the module declares none", kernel)
	}
	if cfg.MaxSteps == 0 {
		cfg.MaxSteps = 1 << 32
	}
	l := &launch{cfg: cfg, mod: m, k: k, mem: mem, grid: grid, threads: block, shared: shared, params: k.pack(args)}
	mem.launches++
	l.symbols = mem.load(m)
	defer func() {
		stats = l.stats
		r := recover()
		if r == nil {
			return
		}
		f, ok := r.(*Fault)
		if !ok {
			panic(r)
		}
		err = f
	}()
	for b := range grid {
		newBlock(l, b).run()
	}
	return stats, nil
}

// launch is what the blocks of one launch share.
type launch struct {
	cfg                   Config
	mod                   *Module
	k                     *kernel
	mem                   *Memory
	grid, threads, shared int
	params                []byte
	symbols               []uint64 // addresses of the module's global variables
	stats                 Stats
	spare                 *block // the last block's memory, to be used again
}

// sharedLimit is the most shared memory a block may ask for, in bytes.
func (m *Module) sharedLimit() int {
	switch {
	case m.text.SM == 75:
		return 64 << 10
	case m.text.SM == 90:
		return 227 << 10
	}
	// 163 KiB on 8.0, but 99 KiB on 8.6, 8.9 and 12.0, which run the same module.
	return 163 << 10
}
