#include "textflag.h"

// Four states at a time in a register for each row of the matrix, one state in
// each 128-bit lane.

// ROWS reads four states or lines of 64 bytes at p0 to p3 into rows a to d.
#define ROWS(p0, p1, p2, p3, a, b, c, d) \
	VMOVDQU64    0(p0), Y24            \
	VMOVDQU64    0(p2), Y25            \
	VMOVDQU64    32(p0), Y26           \
	VMOVDQU64    32(p2), Y27           \
	VINSERTI64X4 $1, 0(p1), Z24, Z24   \
	VINSERTI64X4 $1, 0(p3), Z25, Z25   \
	VINSERTI64X4 $1, 32(p1), Z26, Z26  \
	VINSERTI64X4 $1, 32(p3), Z27, Z27  \
	VSHUFI64X2   $0x88, Z25, Z24, a    \
	VSHUFI64X2   $0xdd, Z25, Z24, b    \
	VSHUFI64X2   $0x88, Z27, Z26, c    \
	VSHUFI64X2   $0xdd, Z27, Z26, d

// PAIRS turns rows x and y into x0, y0, x2, y2 and x1, y1, x3, y3, by lanes. K1
// holds lanes 0 and 2, K2 lanes 1 and 3.
#define PAIRS(x, y) \
	VMOVDQA64  y, Z24             \
	VSHUFI64X2 $0xb1, x, x, K1, y \
	VSHUFI64X2 $0xb1, Z24, Z24, K2, x

// STATES writes rows Z0 to Z3 as four states in a row at p.
#define STATES(p) \
	PAIRS(Z0, Z1)                    \
	PAIRS(Z2, Z3)                    \
	VMOVDQU64     Y0, 0(p)           \
	VMOVDQU64     Y2, 32(p)          \
	VMOVDQU64     Y1, 64(p)          \
	VMOVDQU64     Y3, 96(p)          \
	VEXTRACTI64X4 $1, Z0, 128(p)     \
	VEXTRACTI64X4 $1, Z2, 160(p)     \
	VEXTRACTI64X4 $1, Z1, 192(p)     \
	VEXTRACTI64X4 $1, Z3, 224(p)

#define ADDMIX(n, a, b, d) \
	VPADDD b, a, a \
	VPXORD a, d, d \
	VPROLD $n, d, d

// ROUND is four quarter rounds, one in each column.
#define ROUND(a, b, c, d) \
	ADDMIX(16, a, b, d) \
	ADDMIX(12, c, d, b) \
	ADDMIX(8, a, b, d)  \
	ADDMIX(7, c, d, b)

// DOUBLE_ROUND turns the diagonals into columns and back.
#define DOUBLE_ROUND(a, b, c, d) \
	ROUND(a, b, c, d)   \
	VPSHUFD $0x39, b, b \
	VPSHUFD $0x4e, c, c \
	VPSHUFD $0x93, d, d \
	ROUND(a, b, c, d)   \
	VPSHUFD $0x93, b, b \
	VPSHUFD $0x4e, c, c \
	VPSHUFD $0x39, d, d

// OFFSET is where a state whose first word is at o(AX) finds its line.
#define OFFSET(o, r) \
	MOVL o(AX), r \
	ANDL BX, r    \
	SHLQ $6, r

#define LINE(o, p) \
	OFFSET(o, p) \
	ADDQ DX, p

// XORLINES reads four states that wait as rows at o(AX), and their lines.
#define XORLINES(o, a, b, c, d) \
	LINE(o+0, R8)                       \
	LINE(o+16, R9)                      \
	LINE(o+32, R10)                     \
	LINE(o+48, R11)                     \
	ROWS(R8, R9, R10, R11, a, b, c, d)  \
	VPXORD (o+0)(AX), a, a              \
	VPXORD (o+64)(AX), b, b             \
	VPXORD (o+128)(AX), c, c            \
	VPXORD (o+192)(AX), d, d

#define WAIT(o, a, b, c, d) \
	VMOVDQU64 a, (o+0)(AX)   \
	VMOVDQU64 b, (o+64)(AX)  \
	VMOVDQU64 c, (o+128)(AX) \
	VMOVDQU64 d, (o+192)(AX)

#define FETCH(o) \
	OFFSET(o, R8) \
	PREFETCHT0 (DX)(R8*1)

#define FETCH4(o) \
	FETCH(o+0)  \
	FETCH(o+16) \
	FETCH(o+32) \
	FETCH(o+48)

// func mixAVX512(states *[16]uint32, groups int, lines *[16]uint32, mask uint32, parents int)
TEXT ·mixAVX512(SB), NOSPLIT, $0-40
	MOVQ  states+0(FP), DI
	MOVQ  groups+8(FP), SI
	MOVQ  lines+16(FP), DX
	MOVL  mask+24(FP), BX
	MOVQ  parents+32(FP), CX
	MOVL  $0x33, R8
	KMOVW R8, K1
	MOVL  $0xcc, R8
	KMOVW R8, K2

	// The states wait in their own memory, as rows, so that many more of them
	// than registers hold can have a line under way.
	MOVQ DI, AX
	LEAQ (SI*4), R12

rows:
	LEAQ 64(AX), R9
	LEAQ 128(AX), R10
	LEAQ 192(AX), R11
	ROWS(AX, R9, R10, R11, Z0, Z1, Z2, Z3)
	WAIT(0, Z0, Z1, Z2, Z3)
	FETCH4(0)
	ADDQ $256, AX
	DECQ R12
	JNZ  rows

parent:
	MOVQ DI, AX
	MOVQ SI, R12

group:
	XORLINES(0, Z0, Z1, Z2, Z3)
	XORLINES(256, Z4, Z5, Z6, Z7)
	XORLINES(512, Z8, Z9, Z10, Z11)
	XORLINES(768, Z12, Z13, Z14, Z15)
	DOUBLE_ROUND(Z0, Z1, Z2, Z3)
	WAIT(0, Z0, Z1, Z2, Z3)
	DOUBLE_ROUND(Z4, Z5, Z6, Z7)
	WAIT(256, Z4, Z5, Z6, Z7)
	DOUBLE_ROUND(Z8, Z9, Z10, Z11)
	WAIT(512, Z8, Z9, Z10, Z11)
	DOUBLE_ROUND(Z12, Z13, Z14, Z15)
	WAIT(768, Z12, Z13, Z14, Z15)

	// A fetch between the rounds would cost much more than it does here.
	FETCH4(0)
	FETCH4(256)
	FETCH4(512)
	FETCH4(768)
	ADDQ $1024, AX
	DECQ R12
	JNZ  group
	DECQ CX
	JNZ  parent

	SHLQ $2, SI

states:
	VMOVDQU64 0(DI), Z0
	VMOVDQU64 64(DI), Z1
	VMOVDQU64 128(DI), Z2
	VMOVDQU64 192(DI), Z3
	STATES(DI)
	ADDQ $256, DI
	DECQ SI
	JNZ  states

	VZEROUPPER
	RET

// func roundsAVX512(dst, src *[16]uint32, groups int)
TEXT ·roundsAVX512(SB), NOSPLIT, $0-24
	MOVQ  dst+0(FP), DI
	MOVQ  src+8(FP), AX
	MOVQ  groups+16(FP), CX
	MOVL  $0x33, R8
	KMOVW R8, K1
	MOVL  $0xcc, R8
	KMOVW R8, K2

group:
	LEAQ 64(AX), R9
	LEAQ 128(AX), R10
	LEAQ 192(AX), R11
	ROWS(AX, R9, R10, R11, Z0, Z1, Z2, Z3)
	DOUBLE_ROUND(Z0, Z1, Z2, Z3)
	STATES(DI)
	ADDQ $256, AX
	ADDQ $256, DI
	DECQ CX
	JNZ  group

	VZEROUPPER
	RET

// func walkAVX512(states, items *[16]uint32, groups int)
TEXT ·walkAVX512(SB), NOSPLIT, $0-24
	MOVQ  states+0(FP), DI
	MOVQ  items+8(FP), AX
	MOVQ  groups+16(FP), CX
	MOVL  $0x33, R8
	KMOVW R8, K1
	MOVL  $0xcc, R8
	KMOVW R8, K2

group:
	LEAQ   64(AX), R9
	LEAQ   128(AX), R10
	LEAQ   192(AX), R11
	ROWS(AX, R9, R10, R11, Z4, Z5, Z6, Z7)
	LEAQ   64(DI), R9
	LEAQ   128(DI), R10
	LEAQ   192(DI), R11
	ROWS(DI, R9, R10, R11, Z0, Z1, Z2, Z3)
	VPXORD Z4, Z0, Z0
	VPXORD Z5, Z1, Z1
	VPXORD Z6, Z2, Z2
	VPXORD Z7, Z3, Z3
	DOUBLE_ROUND(Z0, Z1, Z2, Z3)
	STATES(DI)
	ADDQ   $256, AX
	ADDQ   $256, DI
	DECQ   CX
	JNZ    group

	VZEROUPPER
	RET
