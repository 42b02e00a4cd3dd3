#include "textflag.h"
#include "arx_amd64.h"
#include "rotate_amd64.h"

// Eight blocks at a time, state word w of all of them in Yw, but sixteen words
// leave no register for temporaries. Words 8 to 11 therefore share Y8 and Y9,
// two of them at a time; the other two wait in the frame.

#define LOW    0(AX)
#define HIGH   32(AX)
#define WAIT8  64(AX)
#define WAIT9  96(AX)
#define WAIT10 128(AX)
#define WAIT11 160(AX)

// DOUBLE_ROUND starts and ends with words 8 and 9 in the registers.
#define DOUBLE_ROUND \
	QUARTER2(Y0, Y1, Y4, Y5, Y8, Y9, Y12, Y13) \
	VMOVDQU Y8, WAIT8                          \
	VMOVDQU Y9, WAIT9                          \
	VMOVDQU WAIT10, Y8                         \
	VMOVDQU WAIT11, Y9                         \
	QUARTER2(Y2, Y3, Y6, Y7, Y8, Y9, Y14, Y15) \
	QUARTER2(Y0, Y1, Y5, Y6, Y8, Y9, Y15, Y12) \
	VMOVDQU Y8, WAIT10                         \
	VMOVDQU Y9, WAIT11                         \
	VMOVDQU WAIT8, Y8                          \
	VMOVDQU WAIT9, Y9                          \
	QUARTER2(Y2, Y3, Y7, Y4, Y8, Y9, Y13, Y14)

#define ADDINPUT(offset, r) \
	VPBROADCASTD offset(SI), Y10 \
	VPADDD       Y10, r, r

// STORE4 writes words 4g to 4g+3 of all eight blocks, with o = 16g.
#define STORE4(o, a, b, c, d, Xb, Xd) \
	VPUNPCKLDQ   b, a, Y10            \
	VPUNPCKHDQ   b, a, a              \
	VPUNPCKLDQ   d, c, Y11            \
	VPUNPCKHDQ   d, c, c              \
	VPUNPCKLQDQ  Y11, Y10, b          \
	VPUNPCKHQDQ  Y11, Y10, d          \
	VPUNPCKLQDQ  c, a, Y10            \
	VPUNPCKHQDQ  c, a, Y11            \
	VMOVDQU      Xb, (o+0)(DI)        \
	VMOVDQU      Xd, (o+64)(DI)       \
	VMOVDQU      X10, (o+128)(DI)     \
	VMOVDQU      X11, (o+192)(DI)     \
	VEXTRACTI128 $1, b, (o+256)(DI)   \
	VEXTRACTI128 $1, d, (o+320)(DI)   \
	VEXTRACTI128 $1, Y10, (o+384)(DI) \
	VEXTRACTI128 $1, Y11, (o+448)(DI)

// func chaCha8AVX2(out *byte, groups int, state *[16]uint32, counter uint64)
TEXT ·chaCha8AVX2(SB), NOSPLIT, $224-32
	MOVQ out+0(FP), DI
	MOVQ groups+8(FP), CX
	MOVQ state+16(FP), SI
	MOVQ counter+24(FP), DX

	// Words that cross a cache line would cost two accesses each.
	LEAQ wait-224(SP), AX
	ADDQ $31, AX
	ANDQ $~31, AX

group:
	// The block indices as 64-bit words, parted into low and high halves.
	VMOVQ        DX, X10
	VPBROADCASTQ X10, Y10
	VPADDQ       chacha256Lanes<>+32(SB), Y10, Y11
	VPADDQ       chacha256Lanes<>+0(SB), Y10, Y10
	VSHUFPS      $0x88, Y11, Y10, Y12
	VSHUFPS      $0xdd, Y11, Y10, Y13
	VPERMQ       $0xd8, Y12, Y12
	VPERMQ       $0xd8, Y13, Y13
	VMOVDQU      Y12, LOW
	VMOVDQU      Y13, HIGH

	VPBROADCASTD 40(SI), Y10
	VPBROADCASTD 44(SI), Y11
	VMOVDQU      Y10, WAIT10
	VMOVDQU      Y11, WAIT11
	VPBROADCASTD 0(SI), Y0
	VPBROADCASTD 4(SI), Y1
	VPBROADCASTD 8(SI), Y2
	VPBROADCASTD 12(SI), Y3
	VPBROADCASTD 16(SI), Y4
	VPBROADCASTD 20(SI), Y5
	VPBROADCASTD 24(SI), Y6
	VPBROADCASTD 28(SI), Y7
	VPBROADCASTD 32(SI), Y8
	VPBROADCASTD 36(SI), Y9
	VPBROADCASTD 56(SI), Y14
	VPXOR        Y15, Y15, Y15

	DOUBLE_ROUND
	DOUBLE_ROUND
	DOUBLE_ROUND
	DOUBLE_ROUND

	ADDINPUT(0, Y0)
	ADDINPUT(4, Y1)
	ADDINPUT(8, Y2)
	ADDINPUT(12, Y3)
	STORE4(0, Y0, Y1, Y2, Y3, X1, X3)
	ADDINPUT(16, Y4)
	ADDINPUT(20, Y5)
	ADDINPUT(24, Y6)
	ADDINPUT(28, Y7)
	STORE4(16, Y4, Y5, Y6, Y7, X5, X7)
	VMOVDQU WAIT10, Y0
	VMOVDQU WAIT11, Y1
	ADDINPUT(32, Y8)
	ADDINPUT(36, Y9)
	ADDINPUT(40, Y0)
	ADDINPUT(44, Y1)
	STORE4(32, Y8, Y9, Y0, Y1, X9, X1)
	VPADDD LOW, Y12, Y12
	VPADDD HIGH, Y13, Y13
	ADDINPUT(56, Y14)
	STORE4(48, Y12, Y13, Y14, Y15, X13, X15)

	ADDQ $8, DX
	ADDQ $512, DI
	DECQ CX
	JNZ  group

	VZEROUPPER
	RET

DATA chacha256Lanes<>+0(SB)/8, $0
DATA chacha256Lanes<>+8(SB)/8, $1
DATA chacha256Lanes<>+16(SB)/8, $2
DATA chacha256Lanes<>+24(SB)/8, $3
DATA chacha256Lanes<>+32(SB)/8, $4
DATA chacha256Lanes<>+40(SB)/8, $5
DATA chacha256Lanes<>+48(SB)/8, $6
DATA chacha256Lanes<>+56(SB)/8, $7
GLOBL chacha256Lanes<>(SB), RODATA|NOPTR, $64
