#include "textflag.h"
#include "go_asm.h"
#include "arx_amd64.h"

// Sixteen inputs at a time: state word w of all of them in Zw, message word w in
// Z(16+w). While a message is read, the upper half of the state is free.

// HALF is four mixing functions side by side. The message words are added first
// because b comes late. BLAKE3 rotates right, by 16, 12, 8 and 7.
#define HALF(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, y0, x1, y1, x2, y2, x3, y3) \
	ADD4(x0, x1, x2, x3, a0, a1, a2, a3)     \
	ADD4(b0, b1, b2, b3, a0, a1, a2, a3)     \
	MIX4(16, a0, a1, a2, a3, d0, d1, d2, d3) \
	ADD4(d0, d1, d2, d3, c0, c1, c2, c3)     \
	MIX4(20, c0, c1, c2, c3, b0, b1, b2, b3) \
	ADD4(y0, y1, y2, y3, a0, a1, a2, a3)     \
	ADD4(b0, b1, b2, b3, a0, a1, a2, a3)     \
	MIX4(24, a0, a1, a2, a3, d0, d1, d2, d3) \
	ADD4(d0, d1, d2, d3, c0, c1, c2, c3)     \
	MIX4(25, c0, c1, c2, c3, b0, b1, b2, b3)

#define ROUND(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
	HALF(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15, m0, m1, m2, m3, m4, m5, m6, m7) \
	HALF(Z0, Z1, Z2, Z3, Z5, Z6, Z7, Z4, Z10, Z11, Z8, Z9, Z15, Z12, Z13, Z14, m8, m9, m10, m11, m12, m13, m14, m15)

// ROW reads the four quads of an input's block into the first lane of four
// registers, ROWN into the n-th.
#define ROW(i, q0, q1, q2, q3) \
	MOVQ      (batch_offset+8*i)(BX), AX \
	VMOVDQU32 0(SI)(AX*1), q0            \
	VMOVDQU32 16(SI)(AX*1), q1           \
	VMOVDQU32 32(SI)(AX*1), q2           \
	VMOVDQU32 48(SI)(AX*1), q3

#define ROWN(i, n, q0, q1, q2, q3) \
	MOVQ         (batch_offset+8*i)(BX), AX \
	VINSERTI32X4 $n, 0(SI)(AX*1), q0, q0    \
	VINSERTI32X4 $n, 16(SI)(AX*1), q1, q1   \
	VINSERTI32X4 $n, 32(SI)(AX*1), q2, q2   \
	VINSERTI32X4 $n, 48(SI)(AX*1), q3, q3

// STORE4 writes one half (o) of the chaining values j, j+4, j+8 and j+12.
#define STORE4(j, o, q, X) \
	VMOVDQU      X, (32*j+o)(DI)          \
	VEXTRACTI32X4 $1, q, (32*(j+4)+o)(DI) \
	VEXTRACTI32X4 $2, q, (32*(j+8)+o)(DI) \
	VEXTRACTI32X4 $3, q, (32*(j+12)+o)(DI)

// func hash16AVX512(out *[16][8]uint32, data *byte, b *batch, blocks int)
TEXT ·hash16AVX512(SB), NOSPLIT, $0-32
	MOVQ         out+0(FP), DI
	MOVQ         data+8(FP), SI
	MOVQ         b+16(FP), BX
	MOVQ         blocks+24(FP), CX
	LEAQ         batch_flags(BX), DX
	VPBROADCASTD batch_key+0(BX), Z0
	VPBROADCASTD batch_key+4(BX), Z1
	VPBROADCASTD batch_key+8(BX), Z2
	VPBROADCASTD batch_key+12(BX), Z3
	VPBROADCASTD batch_key+16(BX), Z4
	VPBROADCASTD batch_key+20(BX), Z5
	VPBROADCASTD batch_key+24(BX), Z6
	VPBROADCASTD batch_key+28(BX), Z7

block:
	ROW(0, X16, X20, X24, X28)
	ROW(1, X17, X21, X25, X29)
	ROW(2, X18, X22, X26, X30)
	ROW(3, X19, X23, X27, X31)
	ROWN(4, 1, Z16, Z20, Z24, Z28)
	ROWN(5, 1, Z17, Z21, Z25, Z29)
	ROWN(6, 1, Z18, Z22, Z26, Z30)
	ROWN(7, 1, Z19, Z23, Z27, Z31)
	ROWN(8, 2, Z16, Z20, Z24, Z28)
	ROWN(9, 2, Z17, Z21, Z25, Z29)
	ROWN(10, 2, Z18, Z22, Z26, Z30)
	ROWN(11, 2, Z19, Z23, Z27, Z31)
	ROWN(12, 3, Z16, Z20, Z24, Z28)
	ROWN(13, 3, Z17, Z21, Z25, Z29)
	ROWN(14, 3, Z18, Z22, Z26, Z30)
	ROWN(15, 3, Z19, Z23, Z27, Z31)
	ZIP4(Z16, Z17, Z18, Z19, Z8, Z9, Z10, Z11)
	ZIP4(Z20, Z21, Z22, Z23, Z12, Z13, Z14, Z15)
	ZIP4(Z24, Z25, Z26, Z27, Z8, Z9, Z10, Z11)
	ZIP4(Z28, Z29, Z30, Z31, Z12, Z13, Z14, Z15)

	VPBROADCASTD batch_key+0(BX), Z8
	VPBROADCASTD batch_key+4(BX), Z9
	VPBROADCASTD batch_key+8(BX), Z10
	VPBROADCASTD batch_key+12(BX), Z11
	VMOVDQU32    batch_low(BX), Z12
	VMOVDQU32    batch_high(BX), Z13
	MOVL         $64, AX
	VPBROADCASTD AX, Z14
	VPBROADCASTD (DX), Z15

	ROUND(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31)
	ROUND(Z18, Z22, Z19, Z26, Z23, Z16, Z20, Z29, Z17, Z27, Z28, Z21, Z25, Z30, Z31, Z24)
	ROUND(Z19, Z20, Z26, Z28, Z29, Z18, Z23, Z30, Z22, Z21, Z25, Z16, Z27, Z31, Z24, Z17)
	ROUND(Z26, Z23, Z28, Z25, Z30, Z19, Z29, Z31, Z20, Z16, Z27, Z18, Z21, Z24, Z17, Z22)
	ROUND(Z28, Z29, Z25, Z27, Z31, Z26, Z30, Z24, Z23, Z18, Z21, Z19, Z16, Z17, Z22, Z20)
	ROUND(Z25, Z30, Z27, Z21, Z24, Z28, Z31, Z17, Z29, Z19, Z16, Z26, Z18, Z22, Z20, Z23)
	ROUND(Z27, Z31, Z21, Z16, Z17, Z25, Z24, Z22, Z30, Z26, Z18, Z28, Z19, Z20, Z23, Z29)

	VPXORD Z8, Z0, Z0
	VPXORD Z9, Z1, Z1
	VPXORD Z10, Z2, Z2
	VPXORD Z11, Z3, Z3
	VPXORD Z12, Z4, Z4
	VPXORD Z13, Z5, Z5
	VPXORD Z14, Z6, Z6
	VPXORD Z15, Z7, Z7
	ADDQ   $64, SI
	ADDQ   $4, DX
	DECQ   CX
	JNZ    block

	ZIP4(Z0, Z1, Z2, Z3, Z8, Z9, Z10, Z11)
	ZIP4(Z4, Z5, Z6, Z7, Z12, Z13, Z14, Z15)
	STORE4(0, 0, Z0, X0)
	STORE4(1, 0, Z1, X1)
	STORE4(2, 0, Z2, X2)
	STORE4(3, 0, Z3, X3)
	STORE4(0, 16, Z4, X4)
	STORE4(1, 16, Z5, X5)
	STORE4(2, 16, Z6, X6)
	STORE4(3, 16, Z7, X7)
	VZEROUPPER
	RET
