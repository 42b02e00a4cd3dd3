package cuda

import (
	"fmt"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/kernels"
)

// How lines stand in memory; docs: package kernels.
const (
	tileLines = kernels.TileLines
	lineBlock = 64 // a block of the generator
)

// Kernels by name. Products are named by their flavour.
const (
	genInt8         = "gen_int8"
	genShort        = "gen_short"
	matmulInt8      = "matmul_int8"
	matmulShort     = "matmul_short"
	toInt32         = "to_int32"
	fmaCoefficients = "fma_coefficients"
	fmaLanes        = "fma_lanes"
	b3Chunks        = "b3_chunks"
	b3Parents       = "b3_parents"
	b3Top           = "b3_top"
	b3Single        = "b3_single"
	deriveKey       = "derive_key"
	memCache        = "mem_cache"
	memFill         = "mem_fill"
	memWalk         = "mem_walk"
	memRandom       = "mem_random"
	gatherParts     = "gather"
)

func kernelNames() []string {
	return []string{
		genInt8, genShort, matmulInt8, matmulShort, toInt32, fmaCoefficients, fmaLanes, b3Chunks, b3Parents, b3Top,
		b3Single, deriveKey, memCache, memFill, memWalk, memRandom, gatherParts,
	}
}

// program is a loaded module.
type program struct {
	kernels.Module
	handle driver.Module
	by     map[string]driver.Function
}

// queue puts kernels on a stream: one method each, which knows its geometry.
type queue struct {
	*driver.Calls
	p *program
	s driver.Stream
}

func (q queue) on(s driver.Stream) queue { return queue{q.Calls, q.p, s} }

// put launches a kernel of so many blocks.
func (q queue) put(name string, grid uint64, block, shared int, args ...uint64) error {
	if grid == 0 || grid > 1<<31-1 {
		return fmt.Errorf("kernel %s: %d blocks", name, grid)
	}
	if err := q.Launch(q.p.by[name], int(grid), block, shared, q.s, args...); err != nil {
		return fmt.Errorf("kernel %s: %w", name, err)
	}
	return nil
}

// spread launches a kernel of so many threads.
func (q queue) spread(name string, threads uint64, shared int, args ...uint64) error {
	return q.put(name, ceil(threads, kernels.Threads), kernels.Threads, shared, args...)
}

// alone launches a kernel of one thread.
func (q queue) alone(name string, args ...uint64) error {
	return q.put(name, 1, kernels.OneThread, 0, args...)
}

func ceil(n, d uint64) uint64 { return (n + d - 1) / d }

// lines says where the lines of a matrix stand: tiled or one after the other.
type lines struct {
	flavour challenges.Flavour
	line    int // bytes of a line
	tiled   bool
}

// slabs is how many tiles lie along a line.
func (l lines) slabs() uint64 { return ceil(uint64(l.line), kernels.TileLineBytes) }

// size is the memory of so many lines.
func (l lines) size(n int) uint64 {
	if l.tiled {
		return ceil(uint64(n), tileLines) * l.slabs() * kernels.TileBytes
	}
	return uint64(n) * uint64(l.line)
}

// at is where a line begins; tiled: a multiple of 128.
func (l lines) at(first int) uint64 { return l.size(first) }

// generate makes lines first to first+n of a matrix whose base is out.
func (q queue) generate(key, out driver.Devptr, l lines, matrix uint32, first, n int) error {
	name, tiled := genInt8, uint64(0)
	if l.flavour == challenges.BF16 {
		name = genShort
	}
	blocks := uint64(l.line / lineBlock)
	threads := uint64(n) * blocks
	if l.tiled {
		threads, tiled = ceil(uint64(n), tileLines)*tileLines*ceil(blocks, 2)*2, 1
	}
	return q.spread(name, threads, 0, uint64(key), uint64(out), uint64(matrix), uint64(first), uint64(n), blocks, tiled)
}

// multiply makes m rows of C from tiled lines.
func (q queue) multiply(flavour challenges.Flavour, a, b, c driver.Devptr, m, n int, slabs uint64) error {
	name, g := matmulInt8, q.p.Products[kernels.Int8]
	if flavour == challenges.BF16 {
		name, g = matmulShort, q.p.Products[kernels.Short]
	}
	return q.put(name, uint64(g.Blocks(m, n)), g.Threads, g.Shared, uint64(a), uint64(b), uint64(c), uint64(m), uint64(n), slabs)
}

// integers turns exact integers of fp32 into int32, in place; n is a multiple of 4.
func (q queue) integers(data driver.Devptr, n uint64) error {
	return q.spread(toInt32, n/kernels.EntriesPerThread, 0, uint64(data), n)
}

func (q queue) coefficients(key, out driver.Devptr, steps int) error {
	return q.spread(fmaCoefficients, uint64(steps), 0, uint64(key), uint64(out), uint64(steps))
}

func (q queue) lanes(key, coef, out driver.Devptr, lanes uint64, steps int) error {
	return q.spread(fmaLanes, lanes/kernels.FMALanes, kernels.FMAShared, uint64(key), uint64(coef), uint64(out), lanes, uint64(steps))
}

// chunks hashes chunks first to first+n of data.
func (q queue) chunks(data, cvs driver.Devptr, first, n uint64) error {
	return q.put(b3Chunks, ceil(n, kernels.ChunksPerBlock), kernels.Threads, kernels.ChunkShared, uint64(data), uint64(cvs), first, n)
}

func (q queue) parents(in, out driver.Devptr, n uint64) error {
	return q.spread(b3Parents, ceil(n, 2), 0, uint64(in), uint64(out), n)
}

func (q queue) top(in, root driver.Devptr) error { return q.alone(b3Top, uint64(in), uint64(root)) }

func (q queue) single(data, root driver.Devptr) error {
	return q.alone(b3Single, uint64(data), uint64(root))
}

func (q queue) derive(context, message driver.Devptr, n int, out driver.Devptr) error {
	return q.alone(deriveKey, uint64(context), uint64(message), uint64(n), uint64(out))
}

func (q queue) cache(key, out driver.Devptr, first, lines int) error {
	return q.spread(memCache, uint64(first), 0, uint64(key), uint64(out), uint64(first), uint64(lines))
}

// gather copies parts, of n jobs of 16 bytes: where from, where to, how many.
func (q queue) gather(jobs, out driver.Devptr, n int) error {
	return q.put(gatherParts, ceil(uint64(n), kernels.JobsPerBlock), kernels.Threads, 0, uint64(jobs), uint64(out), uint64(n))
}
