// BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020): trees and key derivation.
#include "device.h"

#define CHUNK_START 1u
#define CHUNK_END 2u
#define PARENT 4u
#define ROOT 8u
#define DERIVE_KEY_MATERIAL 64u

#define CHUNK_BYTES 1024
#define BLOCK_BYTES 64

INLINE void iv(u32 cv[8]) {
	cv[0] = 0x6a09e667u, cv[1] = 0xbb67ae85u, cv[2] = 0x3c6ef372u, cv[3] = 0xa54ff53au;
	cv[4] = 0x510e527fu, cv[5] = 0x9b05688cu, cv[6] = 0x1f83d9abu, cv[7] = 0x5be0cd19u;
}

INLINE void mix(u32 *a, u32 *b, u32 *c, u32 *d, u32 x, u32 y) {
	*a += *b + x;
	*d = rotr32(*d ^ *a, 16);
	*c += *d;
	*b = rotr32(*b ^ *c, 12);
	*a += *b + y;
	*d = rotr32(*d ^ *a, 8);
	*c += *d;
	*b = rotr32(*b ^ *c, 7);
}

// state_of is the state before a block (BLAKE3 paper, 2.2).
INLINE void state_of(u32 v[16], const u32 cv[8], u64 counter, u32 bytes, u32 flags) {
	iv(&v[8]); // its first four words stay
	UNROLL for (u32 i = 0; i < 8; i++) v[i] = cv[i];
	v[12] = (u32)counter, v[13] = (u32)(counter >> 32), v[14] = bytes, v[15] = flags;
}

// mix_round mixes the words of the block into the state, and permutes them.
INLINE void mix_round(u32 v[16], u32 m[16]) {
	mix(&v[0], &v[4], &v[8], &v[12], m[0], m[1]);
	mix(&v[1], &v[5], &v[9], &v[13], m[2], m[3]);
	mix(&v[2], &v[6], &v[10], &v[14], m[4], m[5]);
	mix(&v[3], &v[7], &v[11], &v[15], m[6], m[7]);
	mix(&v[0], &v[5], &v[10], &v[15], m[8], m[9]);
	mix(&v[1], &v[6], &v[11], &v[12], m[10], m[11]);
	mix(&v[2], &v[7], &v[8], &v[13], m[12], m[13]);
	mix(&v[3], &v[4], &v[9], &v[14], m[14], m[15]);
	u32 w[16] = {
		m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13],
		m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8],
	};
	UNROLL for (u32 i = 0; i < 16; i++) m[i] = w[i];
}

// compress replaces cv by the chaining value after a block, whose words are used up.
INLINE void compress(u32 cv[8], u32 m[16], u64 counter, u32 bytes, u32 flags) {
	u32 v[16];
	state_of(v, cv, counter, bytes, flags);
	UNROLL for (u32 i = 0; i < 7; i++) mix_round(v, m);
	UNROLL for (u32 i = 0; i < 8; i++) cv[i] = v[i] ^ v[i + 8];
}

// compress_once is the same for kernels of one thread, which have no need for speed:
// the rounds stay a loop, so that the driver has less to compile.
INLINE void compress_once(u32 cv[8], u32 m[16], u64 counter, u32 bytes, u32 flags) {
	u32 v[16];
	state_of(v, cv, counter, bytes, flags);
	LOOP for (u32 i = 0; i < 7; i++) mix_round(v, m);
	UNROLL for (u32 i = 0; i < 8; i++) cv[i] = v[i] ^ v[i + 8];
}

INLINE void store_cv(u32 *at, const u32 cv[8]) {
	v4 low = {cv[0], cv[1], cv[2], cv[3]}, high = {cv[4], cv[5], cv[6], cv[7]};
	store16(at, low);
	store16(at + 4, high);
}

INLINE void load_block(u32 m[16], const void *at) {
	UNROLL for (u32 i = 0; i < 4; i++) {
		v4 p = load16((const u8 *)at + 16 * i);
		UNROLL for (u32 j = 0; j < 4; j++) m[4 * i + j] = p[j];
	}
}

// chunk_flags are those of a block of a whole chunk.
INLINE u32 chunk_flags(u32 block) {
	return (block == 0 ? CHUNK_START : 0) | (block == CHUNK_BYTES / BLOCK_BYTES - 1 ? CHUNK_END : 0);
}

// b3_chunks hashes chunks first..first+n of data to their chaining values, a chunk a
// thread; data and cvs are those of chunk 0. The chunks of a warp are read together, a block
// of each at a time, four lanes a block, through 2 KiB of shared memory a warp: a
// thread that read its own would touch 32 lines in each load. While a block is
// hashed, the next is on its way. Shared: 64 bytes a thread.
KERNEL void b3_chunks(const u8 *data, u32 *cvs, u64 first, u64 n) {
	u64 thread = thread_index();
	u32 lane = (u32)thread & 31;
	u64 base = thread - lane;
	if (base >= n) return; // the whole warp
	SHARED u8 *stage = shared_memory() + (thread_x() - lane) * BLOCK_BYTES;
	// Piece p of row r is at p ^ (r / 2 mod 4): eight neighbours then read and write
	// all the banks.
	u32 row = lane / 4, piece = lane & 3;
	u32 to = row * BLOCK_BYTES + (piece ^ (row >> 1 & 3)) * 16;
	u32 own = lane * BLOCK_BYTES + (lane >> 1 & 3) * 16;
	u32 last = n - base < 32 ? (u32)(n - base) - 1 : 31;
	const u8 *from[4];
	UNROLL for (u32 j = 0; j < 4; j++) {
		u32 chunk = 8 * j + row < last ? 8 * j + row : last;
		from[j] = data + (first + base + chunk) * CHUNK_BYTES + 16 * piece;
	}
	v4 raw[4];
	UNROLL for (u32 j = 0; j < 4; j++) raw[j] = load16(from[j]);
	u32 cv[8];
	iv(cv);
	for (u32 block = 0; block < CHUNK_BYTES / BLOCK_BYTES; block++) {
		UNROLL for (u32 j = 0; j < 4; j++) *(SHARED v4 *)(stage + to + 8 * j * BLOCK_BYTES) = raw[j];
		warp_sync();
		u32 m[16];
		UNROLL for (u32 j = 0; j < 4; j++) {
			v4 p = *(SHARED v4 *)(stage + (own ^ j * 16));
			UNROLL for (u32 i = 0; i < 4; i++) m[4 * j + i] = p[i];
		}
		warp_sync();
		if (block + 1 < CHUNK_BYTES / BLOCK_BYTES) {
			UNROLL for (u32 j = 0; j < 4; j++) raw[j] = load16(from[j] + (block + 1) * BLOCK_BYTES);
		}
		compress(cv, m, first + thread, BLOCK_BYTES, chunk_flags(block));
	}
	if (thread < n) store_cv(cvs + 8 * (first + thread), cv);
}

// b3_parents joins n chaining values to ceil(n/2), one a thread; an odd last one is
// copied.
KERNEL void b3_parents(const u32 *in, u32 *out, u64 n) {
	u64 i = thread_index();
	if (i >= (n + 1) / 2) return;
	if (2 * i + 1 == n) {
		store16(out + 8 * i, load16(in + 16 * i));
		store16(out + 8 * i + 4, load16(in + 16 * i + 4));
		return;
	}
	u32 m[16], cv[8];
	load_block(m, in + 16 * i);
	iv(cv);
	compress(cv, m, 0, BLOCK_BYTES, PARENT);
	store_cv(out + 8 * i, cv);
}

// b3_top joins the last two chaining values to the root, in one thread.
KERNEL void b3_top(const u32 *in, u32 *root) {
	if (thread_index() != 0) return;
	u32 m[16], cv[8];
	load_block(m, in);
	iv(cv);
	compress_once(cv, m, 0, BLOCK_BYTES, PARENT | ROOT);
	store_cv(root, cv);
}

// b3_single hashes data of one whole chunk, in one thread.
KERNEL void b3_single(const u8 *data, u32 *root) {
	if (thread_index() != 0) return;
	u32 m[16], cv[8];
	iv(cv);
	for (u32 block = 0; block < CHUNK_BYTES / BLOCK_BYTES; block++) {
		load_block(m, data + block * BLOCK_BYTES);
		u32 flags = chunk_flags(block);
		compress_once(cv, m, 0, BLOCK_BYTES, flags & CHUNK_END ? flags | ROOT : flags);
	}
	store_cv(root, cv);
}

// derive_key is BLAKE3's key derivation of up to a chunk of material under the key of
// a context, in one warp: its lanes read a word of the material each, side by side,
// and all of them hash.
KERNEL void derive_key(const u32 *context, const u8 *message, u32 bytes, u32 *out) {
	u32 lane = thread_x();
	if (block_x() != 0 || lane >= 32) return;
	u32 m[16], cv[8];
	v4 low = load16(context), high = load16(context + 4);
	UNROLL for (u32 i = 0; i < 4; i++) cv[i] = low[i], cv[i + 4] = high[i];
	u32 blocks = bytes == 0 ? 1 : (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
	for (u32 block = 0; block < blocks; block++) {
		u32 from = block * BLOCK_BYTES, word = 0;
		u32 here = bytes - from < BLOCK_BYTES ? bytes - from : BLOCK_BYTES;
		UNROLL for (u32 j = 0; j < 4; j++) {
			u32 at = 4 * (lane & 15) + j;
			if (at < here) word |= (u32)message[from + at] << 8 * j;
		}
		UNROLL for (u32 i = 0; i < 16; i++) m[i] = warp_shuffle(word, i);
		u32 flags = DERIVE_KEY_MATERIAL | (block == 0 ? CHUNK_START : 0);
		compress_once(cv, m, 0, here, block == blocks - 1 ? flags | CHUNK_END | ROOT : flags);
	}
	if (lane == 0) store_cv(out, cv);
}
