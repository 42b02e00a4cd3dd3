// The dataset of a proof of memory: its cache, its items, and the walks through it.
//
// Items and walks are led by four lanes each, four at a time: lane c holds column c of
// the ChaCha matrix (words c, 4 + c, 8 + c, 12 + c) of four states, one state a
// component of a vector. A line or an item is then one access of 16 bytes a lane and
// 64 bytes that four neighbours read together, which is as few transactions as 64
// bytes can be. Three other ways were weighed: one thread a state reads 32 lines in
// each of four loads; handing pieces round afterwards costs about 48 selections and
// 20 shuffles a read; shared memory costs about as much of the same pipe as the
// shuffles. Here a read costs 7 shuffles. None of this is measured.
#include "device.h"

#define MATRIX_CACHE 4
#define MATRIX_ITEMS 5
#define MATRIX_WALKS 6

#define ITEM_BYTES 64
#define HOP 8 // steps of a walk in one window

// Rows of four states' matrices, a lane's column of each.
typedef struct {
	v4 a, b, c, d;
} states;

INLINE v4 rotl4(v4 x, u32 n) { return x << n | x >> (32 - n); }

INLINE void quarter4(states *s) {
	s->a += s->b;
	s->d = rotl4(s->d ^ s->a, 16);
	s->c += s->d;
	s->b = rotl4(s->b ^ s->c, 12);
	s->a += s->b;
	s->d = rotl4(s->d ^ s->a, 8);
	s->c += s->d;
	s->b = rotl4(s->b ^ s->c, 7);
}

// double_round4 turns the rows so that the diagonals are columns, and back.
INLINE void double_round4(states *s, u32 lane) {
	u32 group = lane & 28;
	u32 one = group | ((lane + 1) & 3), two = lane ^ 2, three = group | ((lane + 3) & 3);
	quarter4(s);
	s->b = warp_shuffle4(s->b, one);
	s->c = warp_shuffle4(s->c, two);
	s->d = warp_shuffle4(s->d, three);
	quarter4(s);
	s->b = warp_shuffle4(s->b, three);
	s->c = warp_shuffle4(s->c, two);
	s->d = warp_shuffle4(s->d, one);
}

// blocks4 makes the generator's blocks from `block` on, one a state.
INLINE states blocks4(const u32 *key, u32 matrix, u64 block, u32 lane) {
	u32 c = lane & 3;
	u32 sigma = c == 0 ? SIGMA0 : c == 1 ? SIGMA1 : c == 2 ? SIGMA2 : SIGMA3;
	u32 is0 = 0u - (c == 0), is1 = 0u - (c == 1), is2 = 0u - (c == 2);
	u32 low = key[c], high = key[4 + c];
	states in, s;
	UNROLL for (u32 j = 0; j < 4; j++) {
		u64 counter = block + j;
		in.a[j] = sigma;
		in.b[j] = low;
		in.c[j] = high;
		in.d[j] = ((u32)counter & is0) | ((u32)(counter >> 32) & is1) | (matrix & is2);
	}
	s = in;
	UNROLL for (u32 i = 0; i < 4; i++) double_round4(&s, lane);
	s.a += in.a;
	s.b += in.b;
	s.c += in.c;
	s.d += in.d;
	return s;
}

// turn is the 4 x 4 transpose of the lanes' words: columns to rows or back.
INLINE v4 turn(v4 x, u32 lane) {
	u32 odd = lane & 1, upper = lane & 2;
	v4 send = {odd ? x[0] : x[1], odd ? x[2] : x[3], 0, 0};
	v4 got = {warp_shuffle(send[0], lane ^ 1), warp_shuffle(send[1], lane ^ 1), 0, 0};
	v4 y = {odd ? got[0] : x[0], odd ? x[1] : got[0], odd ? got[1] : x[2], odd ? x[3] : got[1]};
	v4 send2 = {upper ? y[0] : y[2], upper ? y[1] : y[3], 0, 0};
	v4 got2 = {warp_shuffle(send2[0], lane ^ 2), warp_shuffle(send2[1], lane ^ 2), 0, 0};
	v4 z = {upper ? got2[0] : y[0], upper ? got2[1] : y[1], upper ? y[2] : got2[0], upper ? y[3] : got2[1]};
	return z;
}

INLINE void xor_column(states *s, u32 j, v4 column) {
	s->a[j] ^= column[0];
	s->b[j] ^= column[1];
	s->c[j] ^= column[2];
	s->d[j] ^= column[3];
}

// item is the address of an item's 16 bytes of a lane. A dataset stands in pieces of
// 2^shift items, whose addresses are in a table.
INLINE GLOBAL v4 *item(const u64 *pieces, u32 shift, u64 i, u32 lane) {
	u64 inside = i & ((1ull << shift) - 1);
	return (GLOBAL v4 *)(pieces[i >> shift] + inside * ITEM_BYTES + (lane & 3) * 16);
}

// mem_cache makes the cache, one chain of lines a thread. A line stands in it by
// columns, words c, 4 + c, 8 + c and 12 + c at byte 16 c, as mem_fill reads it.
KERNEL void mem_cache(const u32 *key, u32 *cache, u32 first, u32 lines) {
	u64 chain = thread_index();
	if (chain >= first) return;
	u32 x[16];
	chacha8(x, key, MATRIX_CACHE, chain);
	for (u64 line = chain; line < lines; line += first) {
		UNROLL for (u32 c = 0; c < 4; c++) {
			v4 column = {x[c], x[4 + c], x[8 + c], x[12 + c]};
			store16(cache + line * 16 + 4 * c, column);
		}
		double_round(x);
	}
}

// mem_fill makes items from..from+n, as many as threads. mask is the number of lines
// less one.
KERNEL void mem_fill(const u32 *key, const u32 *cache, u32 mask, u32 parents, const u64 *pieces, u32 shift, u64 from, u64 n) {
	u64 thread = thread_index();
	u32 lane = (u32)thread & 31;
	if (thread - lane >= n) return; // the whole warp
	u64 mine = thread & ~3ull;
	states s = blocks4(key, MATRIX_ITEMS, from + mine, lane);
	const u32 *column = cache + 4 * (lane & 3);
	for (u32 i = 0; i < parents; i++) {
		v4 at = warp_shuffle4(s.a, lane & 28), line[4];
		UNROLL for (u32 j = 0; j < 4; j++) line[j] = load16(column + (u64)(at[j] & mask) * 16);
		UNROLL for (u32 j = 0; j < 4; j++) xor_column(&s, j, line[j]);
		double_round4(&s, lane);
	}
	UNROLL for (u32 j = 0; j < 4; j++) {
		v4 words = {s.a[j], s.b[j], s.c[j], s.d[j]};
		words = turn(words, lane);
		if (mine + j < n) *item(pieces, shift, from + mine + j, lane) = words;
	}
}

// windows4 are the first items of the windows that four walks are in.
typedef struct {
	u64 start[4];
} windows4;

INLINE windows4 first_windows(u64 walk, u32 batch, u64 size, u32 windows) {
	windows4 w;
	UNROLL for (u32 j = 0; j < 4; j++) w.start[j] = ((walk + j) >> batch) % windows * size;
	return w;
}

INLINE void next_windows(windows4 *w, u64 size, u32 windows) {
	UNROLL for (u32 j = 0; j < 4; j++) {
		u64 next = w->start[j] + size;
		w->start[j] = next == windows * size ? 0 : next;
	}
}

// mem_walk leads walks first..first+n, as many as threads. size is the number of items
// of a window, batch the logarithm of the walks that are in the same one. The output of
// walk w is word w of out.
KERNEL void mem_walk(const u32 *key, const u64 *pieces, u32 shift, u64 *out, u64 first, u64 n, u64 size, u32 windows, u32 batch, u32 steps) {
	u64 thread = thread_index();
	u32 lane = (u32)thread & 31;
	if (thread - lane >= n) return; // the whole warp
	u64 mine = thread & ~3ull;
	states s = blocks4(key, MATRIX_WALKS, first + mine, lane);
	windows4 w = first_windows(first + mine, batch, size, windows);
	for (u32 step = 0; step < steps; step++) {
		if (step != 0 && step % HOP == 0) next_windows(&w, size, windows);
		v4 low = warp_shuffle4(s.a, lane & 28), high = warp_shuffle4(s.a, (lane & 28) | 1), words[4];
		UNROLL for (u32 j = 0; j < 4; j++) {
			u64 x = (u64)high[j] << 32 | low[j];
			words[j] = *item(pieces, shift, w.start[j] + mulhi64(x, size), lane);
		}
		UNROLL for (u32 j = 0; j < 4; j++) xor_column(&s, j, turn(words[j], lane));
		double_round4(&s, lane);
	}
	// The output of a walk is its third and its fourth word: lanes 2 and 3 have them.
	if ((lane & 2) == 0) return;
	UNROLL for (u32 j = 0; j < 4; j++) {
		if (mine + j < n) ((u32 *)out)[2 * (first + mine + j) + (lane & 1)] = s.a[j];
	}
}

// scramble is the finaliser of splitmix64 (Steele, Lea, Flood, 2014).
INLINE u64 scramble(u64 x) {
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

// mem_random reads items at random, in the windows in which n walks would, but no read
// waits for another: what a card can do at best. Read r of walk i is at scramble(2^32 seed
// + i reads + r) in its window. Each thread writes the XOR of the 64-bit words
// that it read, of which four threads share an item.
KERNEL void mem_random(const u64 *pieces, u32 shift, u64 *out, u64 n, u64 size, u32 windows, u32 batch, u32 reads, u32 seed) {
	u64 thread = thread_index();
	u32 lane = (u32)thread & 31;
	if (thread - lane >= n) return; // the whole warp
	u64 mine = thread & ~3ull;
	windows4 w = first_windows(mine, batch, size, windows);
	v4 sum = {0, 0, 0, 0};
	for (u32 r = 0; r < reads; r++) {
		if (r != 0 && r % HOP == 0) next_windows(&w, size, windows);
		UNROLL for (u32 j = 0; j < 4; j++) {
			u64 x = scramble(((u64)seed << 32) + (mine + j) * reads + r);
			sum ^= *item(pieces, shift, w.start[j] + mulhi64(x, size), lane);
		}
	}
	if (thread < n) out[thread] = (u64)(sum[1] ^ sum[3]) << 32 | (sum[0] ^ sum[2]);
}
