// The generator: ChaCha8 blocks as lines of the factors, in the matrix units' types.
#include "device.h"

INLINE void quarter(u32 *a, u32 *b, u32 *c, u32 *d) {
	*a += *b;
	*d = rotl32(*d ^ *a, 16);
	*c += *d;
	*b = rotl32(*b ^ *c, 12);
	*a += *b;
	*d = rotl32(*d ^ *a, 8);
	*c += *d;
	*b = rotl32(*b ^ *c, 7);
}

INLINE void double_round(u32 x[16]) {
	quarter(&x[0], &x[4], &x[8], &x[12]);
	quarter(&x[1], &x[5], &x[9], &x[13]);
	quarter(&x[2], &x[6], &x[10], &x[14]);
	quarter(&x[3], &x[7], &x[11], &x[15]);
	quarter(&x[0], &x[5], &x[10], &x[15]);
	quarter(&x[1], &x[6], &x[11], &x[12]);
	quarter(&x[2], &x[7], &x[8], &x[13]);
	quarter(&x[3], &x[4], &x[9], &x[14]);
}

#define SIGMA0 0x61707865u
#define SIGMA1 0x3320646eu
#define SIGMA2 0x79622d32u
#define SIGMA3 0x6b206574u

// chacha8 is a block of ChaCha (Bernstein, 2008) with eight rounds, a 64-bit counter
// and a 64-bit nonce, the matrix id.
INLINE void chacha8(u32 out[16], const u32 *key, u32 matrix, u64 counter) {
	v4 low = load16(key), high = load16(key + 4);
	u32 in[16] = {
		SIGMA0, SIGMA1, SIGMA2, SIGMA3, low[0], low[1], low[2], low[3],
		high[0], high[1], high[2], high[3], (u32)counter, (u32)(counter >> 32), matrix, 0,
	};
	UNROLL for (u32 i = 0; i < 16; i++) out[i] = in[i];
	UNROLL for (u32 i = 0; i < 4; i++) double_round(out);
	UNROLL for (u32 i = 0; i < 16; i++) out[i] += in[i];
}

// float_bits is the binary32 of a 9-bit entry: the low 8 bits are the magnitude, bit
// 8 is the sign. 1.5 * 2^23 plus a small integer has the integer in its low bits;
// taking 1.5 * 2^23 away again is exact, and gives +0 for both zeros.
INLINE u32 float_bits(u32 entry) {
	u32 sign = 0u - (entry >> 8 & 1);
	union {
		u32 bits;
		f32 value;
	} f;
	f.bits = 0x4b400000u + ((entry & 0xff) ^ sign) - sign;
	f.value -= 12582912.0f;
	return f.bits;
}

// short_bits is an entry in the type of the matrix units: bfloat16, whose 8 bits of
// significand hold it exactly, or binary16 on Turing, which has no bfloat16.
INLINE u32 short_bits(u32 entry) {
	u32 bits = float_bits(entry);
#if SM >= 80
	return bits >> 16;
#else
	// The exponents are biased by 127 and by 15; there are no subnormals, only zero.
	u32 magnitude = (bits & 0x7fffffff) - 0x38000000u;
	return bits ? (bits >> 16 & 0x8000) | magnitude >> 13 : 0;
#endif
}

// exchange gives the lane across the upper or the lower of two pieces, and puts what
// it gets in its place.
INLINE void exchange(v4 *lower, v4 *upper, u32 is_upper, u32 across) {
	v4 low = *lower, high = *upper;
	v4 got = warp_shuffle4(is_upper ? low : high, across);
	*lower = is_upper ? got : low;
	*upper = is_upper ? high : got;
}

// transpose moves 16-byte pieces among four lanes: piece j of lane l was piece l of
// lane j.
INLINE void transpose(v4 p[4], u32 lane) {
	exchange(&p[0], &p[1], lane & 1, lane ^ 1);
	exchange(&p[2], &p[3], lane & 1, lane ^ 1);
	exchange(&p[0], &p[2], lane & 2, lane ^ 2);
	exchange(&p[1], &p[3], lane & 2, lane ^ 2);
}

// generate writes lines first..first+lines of a matrix, of so many blocks of 64 bytes
// each, one block a thread. out is where the matrix begins, line 0.
//
// LINEAR: line i is at i times its size.
//
// TILED: tile (I, k) holds bytes 128 k to 128 k + 127 of lines 128 I to 128 I + 127, and
// is at (I * slabs + k) * 16384, a line having ceil(blocks / 2) slabs. In it line r is at
// 128 r, and its piece c of 16 bytes at (c ^ r mod 8) * 16: as the products want it in
// shared memory. What is past a line's end is zero. first is a multiple of 128, and the
// last tile's lines are all generated. 256 threads have a tile, two a line.
//
// Four lanes write each block together, since a thread's own 64 bytes would be four
// stores that each touch 32 half sectors a warp; what that is worth is not measured.
INLINE void generate(const u32 *key, u8 *out, u32 matrix, u32 first, u32 lines, u32 blocks, u32 tiled, u32 wide) {
	u64 thread = thread_index();
	u32 lane = (u32)thread & 31;
	u32 slabs = (blocks + 1) / 2;
	u64 work = tiled ? (u64)((lines + 127) / 128) * slabs * 256 : (u64)lines * blocks;
	if (thread - lane >= work) return; // the whole warp
	u64 block, at;
	u32 inside = 1, swizzle = 0;
	if (tiled) {
		u32 tile = (u32)(thread >> 8);
		u32 row = (u32)thread >> 1 & 127;
		u32 column = tile % slabs * 2 + ((u32)thread & 1);
		u32 line = first + tile / slabs * 128 + row;
		block = (u64)line * blocks + column;
		inside = column < blocks;
		// The place of the group's first block; the others follow from it.
		at = ((u64)(first / 128) * slabs + tile) * 16384 + (row & 126) * 128;
		swizzle = row & 6;
	} else {
		block = (u64)first * blocks + thread;
		at = (block - (thread & 3)) * 64;
	}
	u32 x[16];
	chacha8(x, key, matrix, block);
	if (wide) {
		UNROLL for (u32 i = 0; i < 16; i++) x[i] = short_bits(x[i] & 0xffff) | short_bits(x[i] >> 16) << 16;
	}
	if (!inside) {
		UNROLL for (u32 i = 0; i < 16; i++) x[i] = 0;
	}
	v4 p[4] = {
		{x[0], x[1], x[2], x[3]}, {x[4], x[5], x[6], x[7]},
		{x[8], x[9], x[10], x[11]}, {x[12], x[13], x[14], x[15]},
	};
	transpose(p, lane);
	u32 l = lane & 3;
	UNROLL for (u32 j = 0; j < 4; j++) {
		if (thread - l + j >= work) continue;
		u32 piece = tiled ? ((j & 1) * 4 + l) ^ (swizzle + j / 2) : l;
		u32 row = tiled ? j / 2 * 128 : j * 64;
		store16(out + at + row + piece * 16, p[j]);
	}
}

// gen_int8 leaves the bytes as they are: int8.
KERNEL void gen_int8(const u32 *key, u8 *out, u32 matrix, u32 first, u32 lines, u32 blocks, u32 tiled) {
	generate(key, out, matrix, first, lines, blocks, tiled, 0);
}

// gen_short turns each 16-bit word, a 9-bit entry, into the type of the matrix units.
KERNEL void gen_short(const u32 *key, u8 *out, u32 matrix, u32 first, u32 lines, u32 blocks, u32 tiled) {
	generate(key, out, matrix, first, lines, blocks, tiled, 1);
}
