// Add, xor and rotate on four (AVX-512) or two (AVX2) registers side by side, so
// that no operation waits for the one before it. Rotations are to the left.

#define ADD4(b0, b1, b2, b3, a0, a1, a2, a3) \
	VPADDD b0, a0, a0 \
	VPADDD b1, a1, a1 \
	VPADDD b2, a2, a2 \
	VPADDD b3, a3, a3

#define MIX4(n, a0, a1, a2, a3, d0, d1, d2, d3) \
	VPXORD a0, d0, d0 \
	VPXORD a1, d1, d1 \
	VPXORD a2, d2, d2 \
	VPXORD a3, d3, d3 \
	VPROLD $n, d0, d0 \
	VPROLD $n, d1, d1 \
	VPROLD $n, d2, d2 \
	VPROLD $n, d3, d3

#define ADD2(b0, b1, a0, a1) \
	VPADDD b0, a0, a0 \
	VPADDD b1, a1, a1

// MIX2 takes Y10 and Y11 for itself.
#define MIX2(n, a0, a1, d0, d1) \
	VPXOR  a0, d0, d0      \
	VPXOR  a1, d1, d1      \
	VPSLLD $n, d0, Y10     \
	VPSLLD $n, d1, Y11     \
	VPSRLD $(32-n), d0, d0 \
	VPSRLD $(32-n), d1, d1 \
	VPOR   Y10, d0, d0     \
	VPOR   Y11, d1, d1

// MIXB2 rotates by whole bytes in one shuffle.
#define MIXB2(shuffle, a0, a1, d0, d1) \
	VPXOR   a0, d0, d0      \
	VPXOR   a1, d1, d1      \
	VPSHUFB shuffle, d0, d0 \
	VPSHUFB shuffle, d1, d1

// QUARTER2 is two quarter rounds side by side.
#define QUARTER2(a0, a1, b0, b1, c0, c1, d0, d1) \
	ADD2(b0, b1, a0, a1)                \
	MIXB2(rotl16<>(SB), a0, a1, d0, d1) \
	ADD2(d0, d1, c0, c1)                \
	MIX2(12, c0, c1, b0, b1)            \
	ADD2(b0, b1, a0, a1)                \
	MIXB2(rotl8<>(SB), a0, a1, d0, d1)  \
	ADD2(d0, d1, c0, c1)                \
	MIX2(7, c0, c1, b0, b1)

// ZIP4 turns four vectors of words a, b, c, d into four vectors of quads: in
// every 128-bit lane, the j-th gets word j of a, b, c and d.
#define ZIP4(a, b, c, d, t0, t1, t2, t3) \
	VPUNPCKLDQ  b, a, t0  \
	VPUNPCKHDQ  b, a, t1  \
	VPUNPCKLDQ  d, c, t2  \
	VPUNPCKHDQ  d, c, t3  \
	VPUNPCKLQDQ t2, t0, a \
	VPUNPCKHQDQ t2, t0, b \
	VPUNPCKLQDQ t3, t1, c \
	VPUNPCKHQDQ t3, t1, d
