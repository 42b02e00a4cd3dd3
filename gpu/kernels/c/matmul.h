// Geometry of the matmuls, and the matrix units as functions.
//
// For each target and flavour (INT8, SHORT):
//   MATMUL_..._THREADS  threads of a block
//   MATMUL_..._SHARED   dynamic shared bytes of a block
//   MATMUL_..._ROWS     rows of C that a block makes: lines of A
//   MATMUL_..._COLS     columns of C that a block makes: lines of B
// A grid has ceil(m / ROWS) * (n / COLS) blocks; on SM 90 any grid will do.
#ifndef ASSAY_MATMUL_H
#define ASSAY_MATMUL_H

#include "device.h"

#if SM == 75
#define MATMUL_INT8_THREADS 256
#define MATMUL_INT8_SHARED 49152
#define MATMUL_INT8_ROWS 128
#define MATMUL_INT8_COLS 256
#define MATMUL_SHORT_THREADS 256
#define MATMUL_SHORT_SHARED 49152
#define MATMUL_SHORT_ROWS 128
#define MATMUL_SHORT_COLS 256
#elif SM == 80
#define MATMUL_INT8_THREADS 256
#define MATMUL_INT8_SHARED 98304
#define MATMUL_INT8_ROWS 128
#define MATMUL_INT8_COLS 256
#define MATMUL_SHORT_THREADS 256
#define MATMUL_SHORT_SHARED 98304
#define MATMUL_SHORT_ROWS 128
#define MATMUL_SHORT_COLS 256
#elif SM == 90
#define MATMUL_INT8_THREADS 288
#define MATMUL_INT8_SHARED 196672
#define MATMUL_INT8_ROWS 128
#define MATMUL_INT8_COLS 256
#define MATMUL_SHORT_THREADS 288
#define MATMUL_SHORT_SHARED 196672
#define MATMUL_SHORT_ROWS 128
#define MATMUL_SHORT_COLS 256
#else
#error "SM is 75, 80 or 90"
#endif

// A tile of the layout TILED: 128 lines by 128 bytes.
#define TILE_BYTES 16384u

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

// A tile of C: the number of its first row and of its first column in tiles of A
// and of B.
typedef struct {
	u32 row, col;
} place;

// place_of orders the tiles for the L2 cache: bands of 16 rows of tiles are gone
// through column by column, so that the hundred or so blocks that run at a time
// read about as many lines of A (16 * 128) as of B (7 * 256). Unmeasured.
INLINE place place_of(u32 tile, u32 rows, u32 cols) {
	const u32 band = 16;
	u32 first = tile / (band * cols) * band, in = tile % (band * cols);
	u32 high = rows - first < band ? rows - first : band;
	place p = {first + in % high, in / high * 2};
	return p;
}

// An address in shared memory. The instructions take 32 bits.
#ifdef __NVPTX__
typedef u32 shared_at;
INLINE shared_at shared_base(void) { return (u32)(u64)shared_memory(); }
#else
typedef u8 *shared_at;
INLINE shared_at shared_base(void) { return shared_memory(); }
#endif

INLINE f32 as_float(u32 x) {
	f32 f;
	__builtin_memcpy(&f, &x, 4);
	return f;
}

INLINE u32 as_word(f32 f) {
	u32 x;
	__builtin_memcpy(&x, &f, 4);
	return x;
}

// A sum is a word: an integer, or for SHORT the bits of a float, as untyped registers
// hold both. entry_of gives the entry of C that it is; the float is an integer too.
INLINE u32 entry_of(u32 sum, u32 is_short) {
	if (!is_short)
		return sum;
#ifdef __NVPTX__
	return (u32)__nvvm_f2i_rn(as_float(sum));
#else
	return (u32)(s32)as_float(sum);
#endif
}

// put_pair stores two neighbours of a row of C.
INLINE void put_pair(s32 *to, const u32 *sums, u32 is_short) {
	typedef u32 pair __attribute__((vector_size(8)));
	*(GLOBAL pair *)to = (pair){entry_of(sums[0], is_short), entry_of(sums[1], is_short)};
}

#if SM < 90

// Fragments, PTX ISA "Matrix Fragments for mma". All products of 16 lines of A and
// 8 lines of B over 32 bytes have the same layout in bytes, whatever the type:
//   a[0] line  lane / 4      bytes 4 * (lane % 4) .. + 3
//   a[1] line  lane / 4 + 8  the same bytes
//   a[2] line  lane / 4      these bytes + 16
//   a[3] line  lane / 4 + 8  these bytes + 16
//   b[0] line  lane / 4      bytes 4 * (lane % 4) .. + 3
//   b[1] line  lane / 4      these bytes + 16
//   d[0], d[1] row lane / 4, columns 2 * (lane % 4) and + 1; d[2], d[3] row + 8
// m16n8k32 of s8 and m16n8k16 of bf16 take them whole; Turing's m8n8k16 of s8 and
// m16n8k8 of f16 in parts of 8 lines or 16 bytes.
//
// ldmatrix.x4 reads four matrices of 8 lines by 16 bytes: lanes 8 i .. 8 i + 7 give
// the addresses of the lines of matrix i, and register i gets of it line lane / 4,
// bytes 4 * (lane % 4) .. + 3.

#ifdef __NVPTX__

INLINE void load_matrices(u32 *out, shared_at at) {
	__asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
	                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
	                 : "r"(at)
	                 : "memory");
}

#if SM == 75

INLINE void mma_int8_part(u32 *d, u32 a, u32 b) {
	__asm__ volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
	                 : "+r"(d[0]), "+r"(d[1])
	                 : "r"(a), "r"(b));
}

INLINE void mma_int8(u32 *d, const u32 *a, const u32 *b) {
	mma_int8_part(d, a[0], b[0]);
	mma_int8_part(d + 2, a[1], b[0]);
	mma_int8_part(d, a[2], b[1]);
	mma_int8_part(d + 2, a[3], b[1]);
}

INLINE void mma_short_part(u32 *d, u32 a0, u32 a1, u32 b) {
	__asm__ volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
	                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
	                 : "r"(a0), "r"(a1), "r"(b));
}

INLINE void mma_short(u32 *d, const u32 *a, const u32 *b) {
	mma_short_part(d, a[0], a[1], b[0]);
	mma_short_part(d, a[2], a[3], b[1]);
}

INLINE v4 load_piece(const u8 *from) { return *(const GLOBAL v4 *)from; }

INLINE void store_piece(shared_at to, v4 x) {
	__asm__ volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" : : "r"(to), "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]) : "memory");
}

#else

INLINE void mma_int8(u32 *d, const u32 *a, const u32 *b) {
	__asm__ volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
	                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
	                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

INLINE void mma_short(u32 *d, const u32 *a, const u32 *b) {
	__asm__ volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
	                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
	                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Asynchronous copies of 16 bytes. The hardware keeps the queue.
typedef struct {
} copies;

INLINE void copies_start(copies *q) { (void)q; }

INLINE void copy_piece(copies *q, shared_at to, const u8 *from) {
	(void)q;
	__asm__ volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(to), "l"((const GLOBAL u8 *)from) : "memory");
}

INLINE void copies_commit(copies *q) {
	(void)q;
	__asm__ volatile("cp.async.commit_group;" : : : "memory");
}

// copies_wait waits until all groups but the two youngest are there.
INLINE void copies_wait(copies *q) {
	(void)q;
	__asm__ volatile("cp.async.wait_group 2;" : : : "memory");
}

#endif

#else // the host: SM 80's warps, emulated

INLINE void load_matrices(u32 *out, shared_at at) {
	shared_at lines[32];
	u32 lane = thread_x() & 31;
	host_warp_all(&at, sizeof at, lines);
	for (u32 i = 0; i < 4; i++)
		__builtin_memcpy(&out[i], lines[8 * i + lane / 4] + 4 * (lane & 3), 4);
}

typedef struct {
	u32 a[4], b[2];
} fragments;

// host_a and host_b give byte k of a line of a warp's fragment: line < 16 of A, line < 8
// of B.
INLINE u32 host_a(const fragments *all, u32 line, u32 k) {
	return all[4 * (line & 7) + k % 16 / 4].a[k / 16 * 2 + line / 8] >> 8 * (k & 3) & 0xff;
}

INLINE u32 host_b(const fragments *all, u32 line, u32 k) { return all[4 * line + k % 16 / 4].b[k / 16] >> 8 * (k & 3) & 0xff; }

INLINE void host_collect(fragments *all, const u32 *a, const u32 *b) {
	fragments mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
	host_warp_all(&mine, sizeof mine, all);
}

INLINE void mma_int8(u32 *d, const u32 *a, const u32 *b) {
	fragments all[32];
	u32 lane = thread_x() & 31;
	host_collect(all, a, b);
	for (u32 i = 0; i < 4; i++)
		for (u32 k = 0; k < 32; k++)
			d[i] += (u32)((s8)host_a(all, lane / 4 + i / 2 * 8, k) * (s8)host_b(all, 2 * (lane & 3) + (i & 1), k));
}

INLINE void mma_short(u32 *d, const u32 *a, const u32 *b) {
	fragments all[32];
	u32 lane = thread_x() & 31;
	host_collect(all, a, b);
	for (u32 i = 0; i < 4; i++) {
		f32 sum = as_float(d[i]);
		for (u32 k = 0; k < 32; k += 2) {
			u32 row = lane / 4 + i / 2 * 8, col = 2 * (lane & 3) + (i & 1);
			u32 x = host_a(all, row, k) | host_a(all, row, k + 1) << 8, y = host_b(all, col, k) | host_b(all, col, k + 1) << 8;
			sum += as_float(x << 16) * as_float(y << 16);
		}
		d[i] = as_word(sum);
	}
}

// Copies as late as allowed: made by the wait that asks for them.
typedef struct {
	struct {
		shared_at to;
		const u8 *from;
		u32 group;
	} queue[64];
	u32 first, last, group;
} copies;

INLINE void copies_start(copies *q) { q->first = q->last = q->group = 0; }

INLINE void copy_piece(copies *q, shared_at to, const u8 *from) {
	q->queue[q->last % 64].to = to;
	q->queue[q->last % 64].from = from;
	q->queue[q->last++ % 64].group = q->group;
}

INLINE void copies_commit(copies *q) { q->group++; }

INLINE void copies_wait(copies *q) {
	for (; q->first != q->last && q->queue[q->first % 64].group + 2 < q->group; q->first++)
		__builtin_memcpy(q->queue[q->first % 64].to, q->queue[q->first % 64].from, 16);
}

#endif

#endif
#endif
