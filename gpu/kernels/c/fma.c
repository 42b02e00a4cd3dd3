// Lanes of correctly rounded fused multiply-adds.
#include "device.h"

#define MATRIX_LANES 2
#define MATRIX_COEFS 3

// A step has eight coefficients; so many steps stand in shared memory at a time.
#define STEP_BYTES 64
#define TILE_STEPS 128

#define EXPONENT_ONE 0x3ff00000u // the upper word of 1.0
#define MANTISSA_HIGH 0xfffffu   // the mantissa's part of the upper word

// coefficient: bit 63 is the sign, bits 52 to 55 plus 1015 the biased exponent, bits
// 0 to 51 the mantissa. Given and made is the upper word; the lower stays.
INLINE u32 coefficient(u32 high) { return (high & (0x80000000u | MANTISSA_HIGH)) | (1015 + (high >> 20 & 15)) << 20; }

// fma_coefficients writes the coefficients of steps 0..steps, eight a step, a thread a
// step.
KERNEL void fma_coefficients(const u32 *key, f64 *out, u32 steps) {
	u64 step = thread_index();
	if (step >= steps) return;
	u32 x[16];
	chacha8(x, key, MATRIX_COEFS, step);
	UNROLL for (u32 i = 0; i < 4; i++) {
		v4 two = {x[4 * i], coefficient(x[4 * i + 1]), x[4 * i + 2], coefficient(x[4 * i + 3])};
		store16(out + step * 8 + 2 * i, two);
	}
}

// next_x is the next x of a lane: the mantissa of p, rotated left by 17 within its 52
// bits and XORed with the lane's constant, whose upper word carries the exponent of
// 1.0. It is written in five operations on 32-bit words, as these share the issue slots
// of the multiply-adds: the upper word's 20 bits stand left for the rotation's carry.
INLINE f64 next_x(f64 p, u32 lane_low, u32 lane_high) {
	u32 low, high;
	split(p, &low, &high);
	u32 l = funnel(low, high << 12, 17), h = funnel(high, low, 17);
	return joined(l ^ lane_low, (h & MANTISSA_HIGH) ^ lane_high);
}

typedef f64 d2 __attribute__((vector_size(16), may_alias));

// fma_lanes runs lanes 0..lanes through all steps. A thread has the four lanes of one block of the generator: four chains of dependent
// multiply-adds, and each coefficient read serves all four. lanes is a multiple of 4.
// Shared: TILE_STEPS * STEP_BYTES.
KERNEL void fma_lanes(const u32 *key, const f64 *coef, u64 *out, u64 lanes, u32 steps) {
	SHARED u8 *tile = shared_memory();
	u64 thread = thread_index();
	u32 s[16];
	chacha8(s, key, MATRIX_LANES, thread);
	f64 x[4];
	u32 low[4], high[4];
	UNROLL for (u32 j = 0; j < 4; j++) {
		x[j] = joined(s[4 * j], EXPONENT_ONE | (s[4 * j + 1] & MANTISSA_HIGH));
		low[j] = s[4 * j + 2];
		high[j] = EXPONENT_ONE | (s[4 * j + 3] & MANTISSA_HIGH);
	}
	for (u32 from = 0; from < steps; from += TILE_STEPS) {
		u32 now = steps - from < TILE_STEPS ? steps - from : TILE_STEPS;
		barrier(); // before the last tile is overwritten
		for (u32 i = thread_x(); i < now * (STEP_BYTES / 16); i += block_dim()) {
			*(SHARED v4 *)(tile + 16 * i) = load16(coef + (u64)from * 8 + 2 * i);
		}
		barrier();
		for (u32 step = 0; step < now; step++) {
			const SHARED d2 *c = (const SHARED d2 *)(tile + step * STEP_BYTES);
			f64 p[4] = {x[0], x[1], x[2], x[3]};
			UNROLL for (u32 i = 0; i < 4; i++) {
				d2 two = c[i];
				UNROLL for (u32 j = 0; j < 4; j++) p[j] = fma64(p[j], x[j], two[0]);
				UNROLL for (u32 j = 0; j < 4; j++) p[j] = fma64(p[j], x[j], two[1]);
			}
			UNROLL for (u32 j = 0; j < 4; j++) x[j] = next_x(p[j], low[j], high[j]);
		}
	}
	if (4 * thread >= lanes) return;
	UNROLL for (u32 j = 0; j < 4; j += 2) {
		u32 w[4];
		split(x[j], &w[0], &w[1]);
		split(x[j + 1], &w[2], &w[3]);
		v4 two = {w[0], w[1], w[2], w[3]};
		store16(out + 4 * thread + j, two);
	}
}
