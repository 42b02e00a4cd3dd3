// C = A B on the matrix units through mma.sync: Turing (SM 75), and Ampere and
// everything after it (SM 80; Hopper has its own in matmul_hopper.c).
//
// A block of 8 warps makes 128 rows by 256 columns; a warp makes 64 by 64, of which
// a thread holds 128 sums. With the fragments of two steps (2 * 32 registers) that
// is one block on a multiprocessor, two warps to each of its schedulers: 256 threads
// fill the 65,536 registers, and the shared memory of a second block would not help.
// 128 by 256 rather than 128 by 128 twice: a block reads 48 KiB of lines for each
// 128 * 256 * 128 products, three quarters of what two small ones read.
//
// Shared memory holds images of slabs: the tile of A, then two tiles of B, each as
// it stands in global memory. Copies go by halves of a slab, 64 bytes of every line:
// half h of line r is pieces 4 h .. 4 h + 3, which the swizzle keeps within one half
// of the line's 128 bytes. So an image is two stages of 24 KiB.
//   SM 80: two images, 96 KiB, four stages; fits the 99 KiB of SM 86 and 89. A half is
//          asked for about three halves before it is read.
//   SM 75: one image, 48 KiB, two stages; a half waits in registers (24 a thread)
//          from one step to the next.
// A half is two steps of 32 bytes. Fragments are read one step ahead, and a half ends
// in one barrier: after it the next half is there for all, and all have read this one.
//
// Nothing here has run on a card. Fragments are the PTX ISA's, as the interpreter and
// the host emulation have them; tiles, stages and the order of blocks are reckoned,
// not measured.
#include "matmul.h"

#if SM < 90

#define IMAGE_BYTES (3 * TILE_BYTES)

// What a thread moves: of each half six pieces of 16 bytes, lines r and r + 64 of
// three tiles, r = thread / 4. The place of a piece within its tile is the same in
// global and in shared memory.
typedef struct {
	const u8 *a, *b;  // slab 0 of the tile of A and of the first of B, at the thread's line
	shared_at images; // likewise
	u32 piece[2];     // of half 0 and of half 1
	u32 slabs;
#if SM == 75
	v4 held[6];
#else
	copies queue;
#endif
} feed;

INLINE void feed_start(feed *f, const u8 *a, const u8 *b, place p, u32 slabs) {
	u32 line = thread_x() / 4, piece = (thread_x() & 3) ^ (line & 7);
	f->a = a + (u64)p.row * slabs * TILE_BYTES + line * 128;
	f->b = b + (u64)p.col * slabs * TILE_BYTES + line * 128;
	f->images = shared_base() + line * 128;
	f->piece[0] = piece * 16;
	f->piece[1] = (piece ^ 4) * 16;
	f->slabs = slabs;
#if SM == 80
	copies_start(&f->queue);
#endif
}

// feed_piece gives the address of piece i.
INLINE const u8 *feed_piece(const feed *f, u32 slab, u32 half, u32 i) {
	const u8 *tile = i < 2 ? f->a : f->b;
	u64 tiles = slab + (i < 4 ? 0 : (u64)f->slabs);
	return tile + tiles * TILE_BYTES + f->piece[half] + (i & 1) * 8192;
}

#if SM == 75

#define IMAGES 1

INLINE void feed_load(feed *f, u32 slab, u32 half) {
	if (slab >= f->slabs)
		return;
	UNROLL for (u32 i = 0; i < 6; i++)
		f->held[i] = load_piece(feed_piece(f, slab, half, i));
}

INLINE void feed_store(feed *f, u32 half) {
	UNROLL for (u32 i = 0; i < 6; i++)
		store_piece(f->images + i * 8192 + f->piece[half], f->held[i]);
}

// feed_first brings the first half.
INLINE void feed_first(feed *f) {
	feed_load(f, 0, 0);
	feed_store(f, 0);
	barrier();
}

// feed_even, in the first step of a half: the next half sets out.
INLINE void feed_even(feed *f, u32 slab, u32 half) { feed_load(f, slab + half, 1 - half); }

// feed_odd, in its last step: the next half arrives. Its stage was last read before
// the barrier of the half before this one.
INLINE void feed_odd(feed *f, u32 slab, u32 half) {
	if (slab + half < f->slabs)
		feed_store(f, 1 - half);
	barrier();
}

#else

#define IMAGES 2

// feed_copy asks for half of the pieces of a half of a slab: part 0 or 1.
INLINE void feed_copy(feed *f, u32 slab, u32 half, u32 part) {
	if (slab >= f->slabs)
		return;
	UNROLL for (u32 i = 3 * part; i < 3 * part + 3; i++)
		copy_piece(&f->queue, f->images + (slab & 1) * IMAGE_BYTES + i * 8192 + f->piece[half],
		           feed_piece(f, slab, half, i));
}

// feed_first asks for halves 0, 1, 2 and half of half 3, and waits for half 0. Each
// half is one group, also when it lies past the end and is empty, so that the two
// youngest groups may always be under way.
INLINE void feed_first(feed *f) {
	UNROLL for (u32 i = 0; i < 3; i++) {
		feed_copy(f, i / 2, i & 1, 0);
		feed_copy(f, i / 2, i & 1, 1);
		copies_commit(&f->queue);
	}
	feed_copy(f, 1, 1, 0);
	copies_wait(&f->queue);
	barrier();
}

// feed_even, in the first step of half i: the second part of half i + 3.
INLINE void feed_even(feed *f, u32 slab, u32 half) {
	feed_copy(f, slab + 1 + half, 1 - half, 1);
	copies_commit(&f->queue);
}

// feed_odd, in its last step: groups 0 .. i + 3 are under way, and i + 1 must be
// there. Then half i + 4 takes the place of half i.
INLINE void feed_odd(feed *f, u32 slab, u32 half) {
	copies_wait(&f->queue);
	barrier();
	feed_copy(f, slab + 2, half, 0);
}

#endif

// A warp's fragments of one step: 64 lines of A and of B, 32 bytes of each.
typedef struct {
	u32 a[4][4], b[16]; // b: pairs
} step;

// Where a lane's lines begin in image 0, and its piece of step 0. All lines that a
// lane gives the addresses of are the same modulo 8, so the swizzle is one XOR.
typedef struct {
	shared_at a, b;
	u32 piece_a, piece_b;
} view;

INLINE view view_of(u32 warp, u32 lane) {
	view v;
	v.a = shared_base() + (64 * (warp & 1) + (lane & 15)) * 128;
	v.b = shared_base() + TILE_BYTES + (64 * (warp / 2) + (lane & 7) + lane / 16 * 8) * 128;
	v.piece_a = (lane / 16 ^ (lane & 7)) * 16;       // matrices: low lines, high lines, then the same 16 bytes on
	v.piece_b = ((lane / 8 & 1) ^ (lane & 7)) * 16; // matrices: low lines at 0 and 16 bytes, high lines likewise
	return v;
}

INLINE void step_load(step *s, const view *v, u32 image, u32 number) {
	UNROLL for (u32 i = 0; i < 4; i++)
		load_matrices(s->a[i], v->a + (image + i * 2048 + (v->piece_a ^ number * 32)));
	UNROLL for (u32 i = 0; i < 4; i++)
		load_matrices(s->b + 4 * i, v->b + (image + i * 2048 + (v->piece_b ^ number * 32)));
}

INLINE void product(const u8 *a, const u8 *b, s32 *c, u32 m, u32 n, u32 slabs, u32 is_short) {
	u32 warp = thread_x() / 32, lane = thread_x() & 31;
	place p = place_of(block_x(), (m + 127) / 128, n / 256);
	view v = view_of(warp, lane);
	step steps[2];
	u32 sums[4][8][4];
	UNROLL for (u32 i = 0; i < 128; i++)
		sums[i / 32][i / 4 % 8][i % 4] = 0;

	feed f;
	feed_start(&f, a, b, p, slabs);
	feed_first(&f);
	step_load(&steps[0], &v, 0, 0);
	for (u32 slab = 0; slab < slabs; slab++) {
		u32 image = slab % IMAGES * IMAGE_BYTES;
		// Past the end the fragments are not used: any image that was filled will do.
		u32 next = slab + 1 < slabs ? (slab + 1) % IMAGES * IMAGE_BYTES : image;
		UNROLL for (u32 s = 0; s < 4; s++) {
			if (s % 2 == 0)
				feed_even(&f, slab, s / 2);
			else
				feed_odd(&f, slab, s / 2);
			step_load(&steps[(s + 1) % 2], &v, s < 3 ? image : next, (s + 1) % 4);
			const step *now = &steps[s % 2];
			UNROLL for (u32 i = 0; i < 4; i++)
				UNROLL for (u32 j = 0; j < 8; j++) {
					if (is_short)
						mma_short(sums[i][j], now->a[i], now->b + 2 * j);
					else
						mma_int8(sums[i][j], now->a[i], now->b + 2 * j);
				}
		}
	}

	// Four lanes store 32 bytes of a row side by side: whole sectors.
	u32 row = p.row * 128 + 64 * (warp & 1) + lane / 4, col = p.col * 128 + 64 * (warp / 2) + 2 * (lane & 3);
	UNROLL for (u32 i = 0; i < 8; i++) {
		if (row + 8 * i >= m)
			return;
		s32 *to = c + (u64)(row + 8 * i) * n + col;
		UNROLL for (u32 j = 0; j < 8; j++)
			put_pair(to + 8 * j, &sums[i / 2][j][i % 2 * 2], is_short);
	}
}

KERNEL void matmul_int8(const u8 *a, const u8 *b, s32 *c, u32 m, u32 n, u32 slabs) { product(a, b, c, m, n, slabs, 0); }

KERNEL void matmul_short(const u8 *a, const u8 *b, s32 *c, u32 m, u32 n, u32 slabs) { product(a, b, c, m, n, slabs, 1); }

#endif
