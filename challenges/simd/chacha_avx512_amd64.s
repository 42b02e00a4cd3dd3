#include "textflag.h"
#include "arx_amd64.h"

// Sixteen blocks at a time, state word w of all of them in Zw.

// ROUND is four quarter rounds side by side.
#define ROUND(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3) \
	ADD4(b0, b1, b2, b3, a0, a1, a2, a3)     \
	MIX4(16, a0, a1, a2, a3, d0, d1, d2, d3) \
	ADD4(d0, d1, d2, d3, c0, c1, c2, c3)     \
	MIX4(12, c0, c1, c2, c3, b0, b1, b2, b3) \
	ADD4(b0, b1, b2, b3, a0, a1, a2, a3)     \
	MIX4(8, a0, a1, a2, a3, d0, d1, d2, d3)  \
	ADD4(d0, d1, d2, d3, c0, c1, c2, c3)     \
	MIX4(7, c0, c1, c2, c3, b0, b1, b2, b3)

#define DOUBLE_ROUND \
	ROUND(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15) \
	ROUND(Z0, Z1, Z2, Z3, Z5, Z6, Z7, Z4, Z10, Z11, Z8, Z9, Z15, Z12, Z13, Z14)

// STORE4 writes blocks j, j+4, j+8 and j+12, whose quads 0 to 3 are in q0 to q3.
#define STORE4(j, q0, q1, q2, q3) \
	VSHUFI32X4 $0x44, q1, q0, Z24   \
	VSHUFI32X4 $0xee, q1, q0, Z25   \
	VSHUFI32X4 $0x44, q3, q2, Z26   \
	VSHUFI32X4 $0xee, q3, q2, Z27   \
	VSHUFI32X4 $0x88, Z26, Z24, Z28 \
	VSHUFI32X4 $0xdd, Z26, Z24, Z29 \
	VSHUFI32X4 $0x88, Z27, Z25, Z30 \
	VSHUFI32X4 $0xdd, Z27, Z25, Z31 \
	VMOVDQU64  Z28, (64*(j))(DI)    \
	VMOVDQU64  Z29, (64*(j+4))(DI)  \
	VMOVDQU64  Z30, (64*(j+8))(DI)  \
	VMOVDQU64  Z31, (64*(j+12))(DI)

// func chaCha8AVX512(out *byte, groups int, state *[16]uint32, counter uint64)
TEXT ·chaCha8AVX512(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ groups+8(FP), CX
	MOVQ state+16(FP), SI

	// The block indices as 64-bit words: 0 to 7 in Z18, 8 to 15 in Z19.
	VPBROADCASTQ counter+24(FP), Z18
	VPADDQ       chacha512Lanes<>+64(SB), Z18, Z19
	VPADDQ       chacha512Lanes<>+0(SB), Z18, Z18
	VPBROADCASTQ chacha512Step<>(SB), Z20
	VMOVDQU64    chacha512Halves<>+0(SB), Z21
	VMOVDQU64    chacha512Halves<>+64(SB), Z22

group:
	VPBROADCASTD 0(SI), Z0
	VPBROADCASTD 4(SI), Z1
	VPBROADCASTD 8(SI), Z2
	VPBROADCASTD 12(SI), Z3
	VPBROADCASTD 16(SI), Z4
	VPBROADCASTD 20(SI), Z5
	VPBROADCASTD 24(SI), Z6
	VPBROADCASTD 28(SI), Z7
	VPBROADCASTD 32(SI), Z8
	VPBROADCASTD 36(SI), Z9
	VPBROADCASTD 40(SI), Z10
	VPBROADCASTD 44(SI), Z11
	VMOVDQA64    Z18, Z16
	VPERMT2D     Z19, Z21, Z16
	VMOVDQA64    Z18, Z17
	VPERMT2D     Z19, Z22, Z17
	VMOVDQA64    Z16, Z12
	VMOVDQA64    Z17, Z13
	VPBROADCASTD 56(SI), Z14
	VPXORD       Z15, Z15, Z15

	DOUBLE_ROUND
	DOUBLE_ROUND
	DOUBLE_ROUND
	DOUBLE_ROUND

	VPADDD.BCST 0(SI), Z0, Z0
	VPADDD.BCST 4(SI), Z1, Z1
	VPADDD.BCST 8(SI), Z2, Z2
	VPADDD.BCST 12(SI), Z3, Z3
	VPADDD.BCST 16(SI), Z4, Z4
	VPADDD.BCST 20(SI), Z5, Z5
	VPADDD.BCST 24(SI), Z6, Z6
	VPADDD.BCST 28(SI), Z7, Z7
	VPADDD.BCST 32(SI), Z8, Z8
	VPADDD.BCST 36(SI), Z9, Z9
	VPADDD.BCST 40(SI), Z10, Z10
	VPADDD.BCST 44(SI), Z11, Z11
	VPADDD      Z16, Z12, Z12
	VPADDD      Z17, Z13, Z13
	VPADDD.BCST 56(SI), Z14, Z14

	ZIP4(Z0, Z1, Z2, Z3, Z24, Z25, Z26, Z27)
	ZIP4(Z4, Z5, Z6, Z7, Z28, Z29, Z30, Z31)
	ZIP4(Z8, Z9, Z10, Z11, Z24, Z25, Z26, Z27)
	ZIP4(Z12, Z13, Z14, Z15, Z28, Z29, Z30, Z31)
	STORE4(0, Z0, Z4, Z8, Z12)
	STORE4(1, Z1, Z5, Z9, Z13)
	STORE4(2, Z2, Z6, Z10, Z14)
	STORE4(3, Z3, Z7, Z11, Z15)

	VPADDQ Z20, Z18, Z18
	VPADDQ Z20, Z19, Z19
	ADDQ   $1024, DI
	DECQ   CX
	JNZ    group

	VZEROUPPER
	RET

DATA chacha512Step<>+0(SB)/8, $16
GLOBL chacha512Step<>(SB), RODATA|NOPTR, $8

DATA chacha512Lanes<>+0(SB)/8, $0
DATA chacha512Lanes<>+8(SB)/8, $1
DATA chacha512Lanes<>+16(SB)/8, $2
DATA chacha512Lanes<>+24(SB)/8, $3
DATA chacha512Lanes<>+32(SB)/8, $4
DATA chacha512Lanes<>+40(SB)/8, $5
DATA chacha512Lanes<>+48(SB)/8, $6
DATA chacha512Lanes<>+56(SB)/8, $7
DATA chacha512Lanes<>+64(SB)/8, $8
DATA chacha512Lanes<>+72(SB)/8, $9
DATA chacha512Lanes<>+80(SB)/8, $10
DATA chacha512Lanes<>+88(SB)/8, $11
DATA chacha512Lanes<>+96(SB)/8, $12
DATA chacha512Lanes<>+104(SB)/8, $13
DATA chacha512Lanes<>+112(SB)/8, $14
DATA chacha512Lanes<>+120(SB)/8, $15
GLOBL chacha512Lanes<>(SB), RODATA|NOPTR, $128

// Where the low and the high halves of the indices are in the pair Z18, Z19.
DATA chacha512Halves<>+0(SB)/8, $0x0000000200000000
DATA chacha512Halves<>+8(SB)/8, $0x0000000600000004
DATA chacha512Halves<>+16(SB)/8, $0x0000000a00000008
DATA chacha512Halves<>+24(SB)/8, $0x0000000e0000000c
DATA chacha512Halves<>+32(SB)/8, $0x0000001200000010
DATA chacha512Halves<>+40(SB)/8, $0x0000001600000014
DATA chacha512Halves<>+48(SB)/8, $0x0000001a00000018
DATA chacha512Halves<>+56(SB)/8, $0x0000001e0000001c
DATA chacha512Halves<>+64(SB)/8, $0x0000000300000001
DATA chacha512Halves<>+72(SB)/8, $0x0000000700000005
DATA chacha512Halves<>+80(SB)/8, $0x0000000b00000009
DATA chacha512Halves<>+88(SB)/8, $0x0000000f0000000d
DATA chacha512Halves<>+96(SB)/8, $0x0000001300000011
DATA chacha512Halves<>+104(SB)/8, $0x0000001700000015
DATA chacha512Halves<>+112(SB)/8, $0x0000001b00000019
DATA chacha512Halves<>+120(SB)/8, $0x0000001f0000001d
GLOBL chacha512Halves<>(SB), RODATA|NOPTR, $128
