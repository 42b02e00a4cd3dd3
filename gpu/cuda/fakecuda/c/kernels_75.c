// The kernels for Turing. Its products are not emulated by the source's host build:
// plain ones take their place.
#define SM 75
#include "device.h"

// All of them stay within this file: the other targets' have the same names.
#undef KERNEL
#define KERNEL static
#include "generator.c"
#include "fma.c"
#include "blake3.c"
#include "memory.c"
#include "gather.c"

// Byte k of a line in tiles.
INLINE const u8 *tiled(const u8 *base, u32 line, u32 k, u32 slabs) {
	u32 row = line & 127, piece = k >> 4 & 7;
	return base + ((u64)(line >> 7) * slabs + (k >> 7)) * 16384 + row * 128 + ((piece ^ (row & 7)) << 4) + (k & 15);
}

// An integer of at most eight bits as binary16.
INLINE s32 half_value(u32 h) {
	u32 exponent = h >> 10 & 31;
	s32 v = exponent ? (s32)((h & 1023) | 1024) >> (25 - exponent) : 0;
	return h >> 15 ? -v : v;
}

// A block has 256 threads and a tile of 128 x 256 entries.
INLINE void product(const u8 *a, const u8 *b, s32 *c, u32 m, u32 n, u32 slabs, u32 is_short) {
	u32 row0 = block_x() / (n / 256) * 128, col = block_x() % (n / 256) * 256 + thread_x();
	for (u32 row = row0; row < row0 + 128 && row < m; row++) {
		s32 sum = 0;
		for (u32 k = 0; k < slabs * 128; k += 16) {
			const u8 *x = tiled(a, row, k, slabs), *y = tiled(b, col, k, slabs);
			for (u32 i = 0; i < 16; i += 1 + is_short)
				sum += is_short ? half_value(x[i] | x[i + 1] << 8) * half_value(y[i] | y[i + 1] << 8) : (s8)x[i] * (s8)y[i];
		}
		c[(u64)row * n + col] = sum;
	}
}

KERNEL void matmul_int8(const u8 *a, const u8 *b, s32 *c, u32 m, u32 n, u32 slabs) { product(a, b, c, m, n, slabs, 0); }
KERNEL void matmul_short(const u8 *a, const u8 *b, s32 *c, u32 m, u32 n, u32 slabs) { product(a, b, c, m, n, slabs, 1); }

#define RESHAPE_INT8 0
#define RESHAPE_SHORT 0
#define TABLE kernels_75
#include "kernels.h"
