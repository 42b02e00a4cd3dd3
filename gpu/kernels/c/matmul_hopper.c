// C = A B on Hopper's matrix units through wgmma, which mma.sync does not fill.
//
// A block makes 128 rows by 256 columns: two warpgroups of 128 threads make 64 by
// 256 each, 128 sums a thread, and one more warp fetches. Shared memory is a ring of
// four stages; a stage is a slab: the tile of A, then two tiles of B, 48 KiB. The
// layout in global memory is what wgmma's 128-byte swizzle reads, so a tile comes as
// one bulk copy of 16 KiB and no tensor map is needed. Each stage has two mbarriers:
//   full   the fetching thread arrives and says how many bytes will come; its phase
//          ends when they have come. The warpgroups wait for it.
//   empty  the eight warps that compute arrive when their wgmmas have read the stage.
//          The fetching thread waits for it.
// Nothing passes through the generic proxy between them: the copies write and wgmma
// reads through the async proxy, and the mbarriers order the two.
//
// A warpgroup keeps one group of four wgmmas under way while it starts the next, and
// frees a stage one slab late. A grid of as many blocks as there are multiprocessors
// goes over all tiles, and the next tile's first slabs are fetched while this one's
// sums are stored; a grid of one block a tile does the same work.
//
// 288 threads leave 224 registers a thread, and a thread that computes needs fewer
// than 160 (ptxas 12.4): no setmaxnreg. It would need a .maxnreg directive, which
// clang has no attribute for in C. Copies to several blocks of a cluster (multicast)
// would halve the reads of B from the L2 cache; they need launch attributes and are
// left out.
//
// Nothing here has run on a card. What a first run decides, the likeliest to be wrong
// first: the descriptor (matrix_at, and 2 added for a step), the layout of the sums, the
// parity of the waits for empty stages. That bulk copies of 16 KiB keep up with wgmma,
// and that one group under way is enough to fill it, is reckoned.
#include "matmul.h"

#if SM == 90

#define STAGES 4
#define STAGE_BYTES (3 * TILE_BYTES)
#define WARPS 8 // that compute

// Barriers stand behind the ring: full 0 .. 3, empty 0 .. 3.
INLINE shared_at full_at(u32 stage) { return shared_base() + STAGES * STAGE_BYTES + 8 * stage; }
INLINE shared_at empty_at(u32 stage) { return full_at(stage + STAGES); }

INLINE void mbarrier_init(shared_at at, u32 arrivals) {
	__asm__ volatile("mbarrier.init.shared::cta.b64 [%0], %1;" : : "r"(at), "r"(arrivals) : "memory");
}

// mbarriers_ready makes what was initialised known to the async proxy.
INLINE void mbarriers_ready(void) {
	__asm__ volatile("fence.mbarrier_init.release.cluster;" : : : "memory");
	__asm__ volatile("fence.proxy.async.shared::cta;" : : : "memory");
}

INLINE void mbarrier_arrive(shared_at at) {
	__asm__ volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" : : "r"(at) : "memory");
}

INLINE void mbarrier_expect(shared_at at, u32 bytes) {
	__asm__ volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" : : "r"(at), "r"(bytes) : "memory");
}

// mbarrier_wait waits until the phase of this parity has ended.
INLINE void mbarrier_wait(shared_at at, u32 parity) {
	u32 done;
	do
		__asm__ volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
		                 : "=r"(done)
		                 : "r"(at), "r"(parity)
		                 : "memory");
	while (!done);
}

INLINE void fetch_tile(shared_at to, const u8 *from, shared_at full) {
	__asm__ volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
	                 :
	                 : "r"(to), "l"((const GLOBAL u8 *)from), "r"(TILE_BYTES), "r"(full)
	                 : "memory");
}

INLINE void wgmma_fence(void) { __asm__ volatile("wgmma.fence.sync.aligned;" : : : "memory"); }
INLINE void wgmma_commit(void) { __asm__ volatile("wgmma.commit_group.sync.aligned;" : : : "memory"); }
INLINE void wgmma_wait_older(void) { __asm__ volatile("wgmma.wait_group.sync.aligned 1;" : : : "memory"); }

// matrix_at describes an operand in shared memory, PTX ISA "Matrix Descriptor
// Format": bits 0 .. 13 the address / 16; 16 .. 29 the leading dimension's offset,
// which K-major operands with a swizzle do not use (1, as CUTLASS has it); 32 .. 45
// the stride / 16 from 8 lines to the next 8: 1024 bytes; 49 .. 51 the base offset,
// 0 as every 8 lines begin at a multiple of 1024 bytes; 62 .. 63 the swizzle, 1 for
// 128 bytes. A step of 32 bytes of K adds 2: the hardware swizzles the sum's bits.
INLINE u64 matrix_at(shared_at at) { return (u64)((at & 0x3ffff) >> 4) | 1ull << 16 | 64ull << 32 | 1ull << 62; }

// The operands of wgmma: sums 0 .. 127, then the two matrices. The sums of m64nNk:
// warp w of the warpgroup has rows 16 w .. 16 w + 15; d[4 j], d[4 j + 1] are row
// lane / 4, columns 8 j + 2 * (lane % 4) and + 1; d[4 j + 2], d[4 j + 3] row + 8.
#define WGMMA_REGISTERS \
	"%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
	"%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
	"%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
	"%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
	"%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
	"%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
	"%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
	"%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define SUMS_4(d, i) "+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3])
#define SUMS_16(d, i) SUMS_4(d, i), SUMS_4(d, i + 4), SUMS_4(d, i + 8), SUMS_4(d, i + 12)
#define SUMS_64(d, i) SUMS_16(d, i), SUMS_16(d, i + 16), SUMS_16(d, i + 32), SUMS_16(d, i + 48)
#define WGMMA(what, d, a, b, more)                                                                                  \
	__asm__ volatile("{.reg .pred p; setp.eq.u32 p, 0, 0; wgmma.mma_async.sync.aligned." what " {" WGMMA_REGISTERS \
	                 "}, %128, %129, p" more ";}"                                                                   \
	                 : SUMS_64(d, 0), SUMS_64(d, 64)                                                                \
	                 : "l"(a), "l"(b)                                                                               \
	                 : "memory")

// wgmma adds the products of 64 lines of A and 256 of B over 32 bytes to the sums.
INLINE void wgmma(u32 *d, u64 a, u64 b, u32 is_short) {
	if (is_short)
		WGMMA("m64n256k16.f32.bf16.bf16", d, a, b, ", 1, 1, 0, 0");
	else
		WGMMA("m64n256k32.s32.s8.s8", d, a, b, "");
}

// wgmma_wait_all names the sums, so that the compiler reads none of them before.
INLINE void wgmma_wait_all(u32 *d) {
	__asm__ volatile("wgmma.wait_group.sync.aligned 0;" : SUMS_64(d, 0), SUMS_64(d, 64) : : "memory");
}

typedef struct {
	const u8 *a, *b;
	s32 *c;
	u32 m, n, slabs;
} job;

INLINE u32 job_tiles(const job *j) { return (j->m + 127) / 128 * (j->n / 256); }
INLINE place job_place(const job *j, u32 tile) { return place_of(tile, (j->m + 127) / 128, j->n / 256); }

// fetch brings the slabs of all tiles of the block, one after another, in one
// thread. Turn t uses stage t % 4 for the (t / 4)th time. The wait before the first
// use asks for the phase before a new barrier's first, which counts as ended.
INLINE void fetch(const job *j) {
	u32 turn = 0, tiles = job_tiles(j);
	for (u32 tile = block_x(); tile < tiles; tile += grid_dim()) {
		place p = job_place(j, tile);
		const u8 *a = j->a + (u64)p.row * j->slabs * TILE_BYTES, *b = j->b + (u64)p.col * j->slabs * TILE_BYTES;
		const u8 *next = b + (u64)j->slabs * TILE_BYTES;
		for (u32 slab = 0; slab < j->slabs; slab++, turn++) {
			u32 stage = turn % STAGES;
			shared_at to = shared_base() + stage * STAGE_BYTES, full = full_at(stage);
			mbarrier_wait(empty_at(stage), ~(turn / STAGES) & 1);
			mbarrier_expect(full, STAGE_BYTES);
			fetch_tile(to, a + (u64)slab * TILE_BYTES, full);
			fetch_tile(to + TILE_BYTES, b + (u64)slab * TILE_BYTES, full);
			fetch_tile(to + 2 * TILE_BYTES, next + (u64)slab * TILE_BYTES, full);
		}
	}
}

// put_tile stores a warp's 16 rows. Four lanes store 32 bytes of a row side by side:
// whole sectors.
INLINE void put_tile(const job *j, place p, const u32 *sums, u32 is_short) {
	u32 warp = thread_x() / 32, lane = thread_x() & 31;
	UNROLL for (u32 half = 0; half < 2; half++) {
		u32 row = p.row * 128 + 16 * warp + lane / 4 + 8 * half;
		if (row >= j->m)
			break;
		s32 *to = j->c + (u64)row * j->n + p.col * 128 + 2 * (lane & 3);
		UNROLL for (u32 i = 0; i < 32; i++)
			put_pair(to + 8 * i, &sums[4 * i + 2 * half], is_short);
	}
}

// compute is a warp's part of all tiles of the block. The sums are touched by wgmma
// alone while wgmmas are under way: ptxas would make them wait for each other else.
INLINE void compute(const job *j, u32 is_short) {
	u32 warp = thread_x() / 32, lane = thread_x() & 31, turn = 0, tiles = job_tiles(j);
	for (u32 tile = block_x(); tile < tiles; tile += grid_dim()) {
		u32 sums[128];
		UNROLL for (u32 i = 0; i < 128; i++)
			sums[i] = 0;
		for (u32 slab = 0; slab < j->slabs; slab++, turn++) {
			shared_at at = shared_base() + turn % STAGES * STAGE_BYTES;
			u64 a = matrix_at(at + warp / 4 * 8192), b = matrix_at(at + TILE_BYTES);
			mbarrier_wait(full_at(turn % STAGES), turn / STAGES & 1);
			wgmma_fence();
			UNROLL for (u32 s = 0; s < 4; s++)
				wgmma(sums, a + 2 * s, b + 2 * s, is_short);
			wgmma_commit();
			wgmma_wait_older();
			if (slab > 0 && lane == 0)
				mbarrier_arrive(empty_at((turn - 1) % STAGES));
		}
		wgmma_wait_all(sums);
		if (lane == 0)
			mbarrier_arrive(empty_at((turn - 1) % STAGES));
		put_tile(j, job_place(j, tile), sums, is_short);
	}
}

INLINE void product(const job *j, u32 is_short) {
	if (thread_x() == 0) {
		for (u32 i = 0; i < STAGES; i++) {
			mbarrier_init(full_at(i), 1);
			mbarrier_init(empty_at(i), WARPS);
		}
		mbarriers_ready();
	}
	barrier();
	if (thread_x() < 32 * WARPS)
		compute(j, is_short);
	else if (thread_x() == 32 * WARPS)
		fetch(j);
}

KERNEL void matmul_int8(const u8 *a, const u8 *b, s32 *c, u32 m, u32 n, u32 slabs) {
	job j = {a, b, c, m, n, slabs};
	product(&j, 0);
}

KERNEL void matmul_short(const u8 *a, const u8 *b, s32 *c, u32 m, u32 n, u32 slabs) {
	job j = {a, b, c, m, n, slabs};
	product(&j, 1);
}

#endif
