#include "textflag.h"
#include "go_asm.h"
#include "arx_amd64.h"
#include "rotate_amd64.h"

// Eight inputs at a time, state word w of all of them in Yw, but words 8 to 11
// share Y8 and Y9, two of them at a time, and the other two wait in the frame;
// so do the message words.

#define WAIT8  0(AX)
#define WAIT9  32(AX)
#define WAIT10 64(AX)
#define WAIT11 96(AX)
#define M(i)   (128+32*i)(AX)

// MIXG2 is two mixing functions side by side. The message words are added first
// because b comes late. BLAKE3 rotates right, by 16, 12, 8 and 7.
#define MIXG2(a0, a1, b0, b1, c0, c1, d0, d1, x0, y0, x1, y1) \
	ADD2(M(x0), M(x1), a0, a1)          \
	ADD2(b0, b1, a0, a1)                \
	MIXB2(rotl16<>(SB), a0, a1, d0, d1) \
	ADD2(d0, d1, c0, c1)                \
	MIX2(20, c0, c1, b0, b1)            \
	ADD2(M(y0), M(y1), a0, a1)          \
	ADD2(b0, b1, a0, a1)                \
	MIXB2(rotl24<>(SB), a0, a1, d0, d1) \
	ADD2(d0, d1, c0, c1)                \
	MIX2(25, c0, c1, b0, b1)

// ROUND starts and ends with words 8 and 9 in the registers.
#define ROUND(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
	MIXG2(Y0, Y1, Y4, Y5, Y8, Y9, Y12, Y13, m0, m1, m2, m3)   \
	VMOVDQU Y8, WAIT8                                         \
	VMOVDQU Y9, WAIT9                                         \
	VMOVDQU WAIT10, Y8                                        \
	VMOVDQU WAIT11, Y9                                        \
	MIXG2(Y2, Y3, Y6, Y7, Y8, Y9, Y14, Y15, m4, m5, m6, m7)   \
	MIXG2(Y0, Y1, Y5, Y6, Y8, Y9, Y15, Y12, m8, m9, m10, m11) \
	VMOVDQU Y8, WAIT10                                        \
	VMOVDQU Y9, WAIT11                                        \
	VMOVDQU WAIT8, Y8                                         \
	VMOVDQU WAIT9, Y9                                         \
	MIXG2(Y2, Y3, Y7, Y4, Y8, Y9, Y13, Y14, m12, m13, m14, m15)

// PAIR reads one quad of inputs i and i+4.
#define PAIR(i, o, X, Y) \
	MOVQ        (batch_offset+8*i)(BX), R8    \
	MOVQ        (batch_offset+8*i+32)(BX), R9 \
	VMOVDQU     o(SI)(R8*1), X                \
	VINSERTI128 $1, o(SI)(R9*1), Y, Y

// QUAD reads message words w to w+3 of all inputs.
#define QUAD(w) \
	PAIR(0, (4*w), X8, Y8)                     \
	PAIR(1, (4*w), X9, Y9)                     \
	PAIR(2, (4*w), X10, Y10)                   \
	PAIR(3, (4*w), X11, Y11)                   \
	ZIP4(Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15) \
	VMOVDQU Y8, M(w)                           \
	VMOVDQU Y9, M((w+1))                       \
	VMOVDQU Y10, M((w+2))                      \
	VMOVDQU Y11, M((w+3))

// STORE2 writes one half (o) of the chaining values j and j+4.
#define STORE2(j, o, X, Y) \
	VMOVDQU      X, (32*j+o)(DI) \
	VEXTRACTI128 $1, Y, (32*(j+4)+o)(DI)

// func hash8AVX2(out *[16][8]uint32, data *byte, b *batch, blocks int)
TEXT ·hash8AVX2(SB), NOSPLIT, $672-32
	MOVQ out+0(FP), DI
	MOVQ data+8(FP), SI
	MOVQ b+16(FP), BX
	MOVQ blocks+24(FP), CX
	LEAQ batch_flags(BX), DX

	// Words that cross a cache line would cost two accesses each.
	LEAQ wait-672(SP), AX
	ADDQ $31, AX
	ANDQ $~31, AX

	VPBROADCASTD batch_key+0(BX), Y0
	VPBROADCASTD batch_key+4(BX), Y1
	VPBROADCASTD batch_key+8(BX), Y2
	VPBROADCASTD batch_key+12(BX), Y3
	VPBROADCASTD batch_key+16(BX), Y4
	VPBROADCASTD batch_key+20(BX), Y5
	VPBROADCASTD batch_key+24(BX), Y6
	VPBROADCASTD batch_key+28(BX), Y7

block:
	QUAD(0)
	QUAD(4)
	QUAD(8)
	QUAD(12)

	VPBROADCASTD batch_key+8(BX), Y10
	VPBROADCASTD batch_key+12(BX), Y11
	VMOVDQU      Y10, WAIT10
	VMOVDQU      Y11, WAIT11
	VPBROADCASTD batch_key+0(BX), Y8
	VPBROADCASTD batch_key+4(BX), Y9
	VMOVDQU      batch_low(BX), Y12
	VMOVDQU      batch_high(BX), Y13
	MOVL         $64, R8
	VMOVD        R8, X14
	VPBROADCASTD X14, Y14
	VPBROADCASTD (DX), Y15

	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
	ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1)
	ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6)
	ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4)
	ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7)
	ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13)

	VPXOR Y8, Y0, Y0
	VPXOR Y9, Y1, Y1
	VPXOR WAIT10, Y2, Y2
	VPXOR WAIT11, Y3, Y3
	VPXOR Y12, Y4, Y4
	VPXOR Y13, Y5, Y5
	VPXOR Y14, Y6, Y6
	VPXOR Y15, Y7, Y7
	ADDQ  $64, SI
	ADDQ  $4, DX
	DECQ  CX
	JNZ   block

	ZIP4(Y0, Y1, Y2, Y3, Y8, Y9, Y10, Y11)
	ZIP4(Y4, Y5, Y6, Y7, Y12, Y13, Y14, Y15)
	STORE2(0, 0, X0, Y0)
	STORE2(1, 0, X1, Y1)
	STORE2(2, 0, X2, Y2)
	STORE2(3, 0, X3, Y3)
	STORE2(0, 16, X4, Y4)
	STORE2(1, 16, X5, Y5)
	STORE2(2, 16, X6, Y6)
	STORE2(3, 16, X7, Y7)
	VZEROUPPER
	RET
