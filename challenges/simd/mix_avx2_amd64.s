#include "textflag.h"
#include "arx_amd64.h"
#include "rotate_amd64.h"

// Two states at a time in a register for each row of the matrix, one state in
// each 128-bit half, and two such pairs side by side.

// ROWS reads states or lines of 64 bytes at p0 and p1 into the rows of a pair,
// whose lower halves are Xa to Xd.
#define ROWS(p0, p1, Xa, Xb, Xc, Xd, a, b, c, d) \
	VMOVDQU     0(p0), Xa        \
	VMOVDQU     16(p0), Xb       \
	VMOVDQU     32(p0), Xc       \
	VMOVDQU     48(p0), Xd       \
	VINSERTI128 $1, 0(p1), a, a  \
	VINSERTI128 $1, 16(p1), b, b \
	VINSERTI128 $1, 32(p1), c, c \
	VINSERTI128 $1, 48(p1), d, d

// STATES writes the rows of a pair as two states in a row at o(p).
#define STATES(o, p, Xa, Xb, Xc, Xd, a, b, c, d) \
	VMOVDQU      Xa, (o+0)(p)     \
	VMOVDQU      Xb, (o+16)(p)    \
	VMOVDQU      Xc, (o+32)(p)    \
	VMOVDQU      Xd, (o+48)(p)    \
	VEXTRACTI128 $1, a, (o+64)(p) \
	VEXTRACTI128 $1, b, (o+80)(p) \
	VEXTRACTI128 $1, c, (o+96)(p) \
	VEXTRACTI128 $1, d, (o+112)(p)

// DOUBLE_ROUND takes the pairs in Y0 to Y3 and Y4 to Y7. It turns the diagonals
// into columns and back.
#define DOUBLE_ROUND \
	QUARTER2(Y0, Y4, Y1, Y5, Y2, Y6, Y3, Y7) \
	VPSHUFD $0x39, Y1, Y1                    \
	VPSHUFD $0x39, Y5, Y5                    \
	VPSHUFD $0x4e, Y2, Y2                    \
	VPSHUFD $0x4e, Y6, Y6                    \
	VPSHUFD $0x93, Y3, Y3                    \
	VPSHUFD $0x93, Y7, Y7                    \
	QUARTER2(Y0, Y4, Y1, Y5, Y2, Y6, Y3, Y7) \
	VPSHUFD $0x93, Y1, Y1                    \
	VPSHUFD $0x93, Y5, Y5                    \
	VPSHUFD $0x4e, Y2, Y2                    \
	VPSHUFD $0x4e, Y6, Y6                    \
	VPSHUFD $0x39, Y3, Y3                    \
	VPSHUFD $0x39, Y7, Y7

// OFFSET is where a state whose first word is at o(AX) finds its line.
#define OFFSET(o, r) \
	MOVL o(AX), r \
	ANDL BX, r    \
	SHLQ $6, r

#define LINE(o, p) \
	OFFSET(o, p) \
	ADDQ DX, p

// XORLINES reads four states that wait as rows at o(AX), and their lines.
#define XORLINES(o) \
	LINE(o+0, R8)                                    \
	LINE(o+16, R9)                                   \
	LINE(o+128, R10)                                 \
	LINE(o+144, R11)                                 \
	ROWS(R8, R9, X0, X1, X2, X3, Y0, Y1, Y2, Y3)     \
	ROWS(R10, R11, X4, X5, X6, X7, Y4, Y5, Y6, Y7)   \
	VPXOR (o+0)(AX), Y0, Y0                          \
	VPXOR (o+32)(AX), Y1, Y1                         \
	VPXOR (o+64)(AX), Y2, Y2                         \
	VPXOR (o+96)(AX), Y3, Y3                         \
	VPXOR (o+128)(AX), Y4, Y4                        \
	VPXOR (o+160)(AX), Y5, Y5                        \
	VPXOR (o+192)(AX), Y6, Y6                        \
	VPXOR (o+224)(AX), Y7, Y7

#define WAIT(o, a, b, c, d) \
	VMOVDQU a, (o+0)(AX)  \
	VMOVDQU b, (o+32)(AX) \
	VMOVDQU c, (o+64)(AX) \
	VMOVDQU d, (o+96)(AX)

#define FETCH(o) \
	OFFSET(o, R8) \
	PREFETCHT0 (DX)(R8*1)

// func mixAVX2(states *[16]uint32, groups int, lines *[16]uint32, mask uint32, parents int)
TEXT ·mixAVX2(SB), NOSPLIT, $0-40
	MOVQ states+0(FP), DI
	MOVQ groups+8(FP), SI
	MOVQ lines+16(FP), DX
	MOVL mask+24(FP), BX
	MOVQ parents+32(FP), CX

	// The states wait in their own memory, as rows, so that many more of them
	// than registers hold can have a line under way.
	MOVQ DI, AX
	LEAQ (SI*4), R12

rows:
	LEAQ 64(AX), R9
	ROWS(AX, R9, X0, X1, X2, X3, Y0, Y1, Y2, Y3)
	WAIT(0, Y0, Y1, Y2, Y3)
	FETCH(0)
	FETCH(16)
	ADDQ $128, AX
	DECQ R12
	JNZ  rows

parent:
	MOVQ DI, AX
	MOVQ SI, R12

group:
	XORLINES(0)
	DOUBLE_ROUND
	WAIT(0, Y0, Y1, Y2, Y3)
	WAIT(128, Y4, Y5, Y6, Y7)
	XORLINES(256)
	DOUBLE_ROUND
	WAIT(256, Y0, Y1, Y2, Y3)
	WAIT(384, Y4, Y5, Y6, Y7)
	FETCH(0)
	FETCH(16)
	FETCH(128)
	FETCH(144)
	FETCH(256)
	FETCH(272)
	FETCH(384)
	FETCH(400)
	ADDQ $512, AX
	DECQ R12
	JNZ  group
	DECQ CX
	JNZ  parent

	SHLQ $2, SI

states:
	VMOVDQU 0(DI), Y0
	VMOVDQU 32(DI), Y1
	VMOVDQU 64(DI), Y2
	VMOVDQU 96(DI), Y3
	STATES(0, DI, X0, X1, X2, X3, Y0, Y1, Y2, Y3)
	ADDQ $128, DI
	DECQ SI
	JNZ  states

	VZEROUPPER
	RET

// func roundsAVX2(dst, src *[16]uint32, groups int)
TEXT ·roundsAVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), AX
	MOVQ groups+16(FP), CX

group:
	LEAQ 64(AX), R8
	LEAQ 128(AX), R9
	LEAQ 192(AX), R10
	ROWS(AX, R8, X0, X1, X2, X3, Y0, Y1, Y2, Y3)
	ROWS(R9, R10, X4, X5, X6, X7, Y4, Y5, Y6, Y7)
	DOUBLE_ROUND
	STATES(0, DI, X0, X1, X2, X3, Y0, Y1, Y2, Y3)
	STATES(128, DI, X4, X5, X6, X7, Y4, Y5, Y6, Y7)
	ADDQ $256, AX
	ADDQ $256, DI
	DECQ CX
	JNZ  group

	VZEROUPPER
	RET

// func walkAVX2(states, items *[16]uint32, groups int)
TEXT ·walkAVX2(SB), NOSPLIT, $0-24
	MOVQ states+0(FP), DI
	MOVQ items+8(FP), AX
	MOVQ groups+16(FP), CX

group:
	LEAQ  64(AX), R8
	LEAQ  128(AX), R9
	LEAQ  192(AX), R10
	ROWS(AX, R8, X0, X1, X2, X3, Y0, Y1, Y2, Y3)
	ROWS(R9, R10, X4, X5, X6, X7, Y4, Y5, Y6, Y7)
	LEAQ  64(DI), R8
	ROWS(DI, R8, X8, X9, X10, X11, Y8, Y9, Y10, Y11)
	VPXOR Y8, Y0, Y0
	VPXOR Y9, Y1, Y1
	VPXOR Y10, Y2, Y2
	VPXOR Y11, Y3, Y3
	LEAQ  128(DI), R9
	LEAQ  192(DI), R10
	ROWS(R9, R10, X8, X9, X10, X11, Y8, Y9, Y10, Y11)
	VPXOR Y8, Y4, Y4
	VPXOR Y9, Y5, Y5
	VPXOR Y10, Y6, Y6
	VPXOR Y11, Y7, Y7
	DOUBLE_ROUND
	STATES(0, DI, X0, X1, X2, X3, Y0, Y1, Y2, Y3)
	STATES(128, DI, X4, X5, X6, X7, Y4, Y5, Y6, Y7)
	ADDQ  $256, AX
	ADDQ  $256, DI
	DECQ  CX
	JNZ   group

	VZEROUPPER
	RET
