#include "textflag.h"

// Four lanes a register and eight registers in flight, which is what the
// latency of a multiply-add hides behind: p in Y0 to Y7. x and the lane
// constants, with the exponent of [1,2) over them, are in the frame.

#define X(i)    (32*i)(AX)
#define LANE(i) (256+32*i)(AX)

#define LOAD(i, p) \
	VMOVDQU (32*i)(DI), p      \
	VMOVDQU (512+32*i)(DI), Y8 \
	VMOVDQU p, X(i)            \
	VMOVDQU Y8, LANE(i)

// SQUARE is the first multiply-add of a step, where p is x.
#define SQUARE \
	VBROADCASTSD 0(SI), Y8  \
	VFMADD213PD  Y8, Y0, Y0 \
	VFMADD213PD  Y8, Y1, Y1 \
	VFMADD213PD  Y8, Y2, Y2 \
	VFMADD213PD  Y8, Y3, Y3 \
	VFMADD213PD  Y8, Y4, Y4 \
	VFMADD213PD  Y8, Y5, Y5 \
	VFMADD213PD  Y8, Y6, Y6 \
	VFMADD213PD  Y8, Y7, Y7

#define HORNER(o, c) \
	VBROADCASTSD o(SI), c    \
	VFMADD132PD  X(0), c, Y0 \
	VFMADD132PD  X(1), c, Y1 \
	VFMADD132PD  X(2), c, Y2 \
	VFMADD132PD  X(3), c, Y3 \
	VFMADD132PD  X(4), c, Y4 \
	VFMADD132PD  X(5), c, Y5 \
	VFMADD132PD  X(6), c, Y6 \
	VFMADD132PD  X(7), c, Y7

// MIX turns the low 52 bits of p left by 17, from bits 17 to 51 (Y11) and bits
// 0 to 16, and adds the lane and the exponent.
#define MIX(i, p, t) \
	VPSLLQ  $12, p, t     \
	VPSLLQ  $17, p, p     \
	VPSRLQ  $47, t, t     \
	VPAND   Y11, p, p     \
	VPXOR   LANE(i), t, t \
	VPXOR   t, p, p       \
	VMOVDQU p, X(i)

// func fma32AVX2(lanes *lanes64, coef *float64, steps int)
TEXT ·fma32AVX2(SB), NOSPLIT, $544-24
	MOVQ         lanes+0(FP), DI
	MOVQ         coef+8(FP), SI
	MOVQ         steps+16(FP), CX
	VPBROADCASTQ fmaMiddle<>(SB), Y11

	// Operands that cross a cache line would cost two accesses each.
	LEAQ frame-544(SP), AX
	ADDQ $31, AX
	ANDQ $~31, AX

	LOAD(0, Y0)
	LOAD(1, Y1)
	LOAD(2, Y2)
	LOAD(3, Y3)
	LOAD(4, Y4)
	LOAD(5, Y5)
	LOAD(6, Y6)
	LOAD(7, Y7)

step:
	SQUARE
	HORNER(8, Y9)
	HORNER(16, Y8)
	HORNER(24, Y9)
	HORNER(32, Y8)
	HORNER(40, Y9)
	HORNER(48, Y8)
	HORNER(56, Y9)
	MIX(0, Y0, Y12)
	MIX(1, Y1, Y13)
	MIX(2, Y2, Y14)
	MIX(3, Y3, Y15)
	MIX(4, Y4, Y12)
	MIX(5, Y5, Y13)
	MIX(6, Y6, Y14)
	MIX(7, Y7, Y15)
	ADDQ $64, SI
	DECQ CX
	JNZ  step

	VMOVDQU Y0, 0(DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	VMOVDQU Y4, 128(DI)
	VMOVDQU Y5, 160(DI)
	VMOVDQU Y6, 192(DI)
	VMOVDQU Y7, 224(DI)
	VZEROUPPER
	RET

DATA fmaMiddle<>+0(SB)/8, $0x000ffffffffe0000
GLOBL fmaMiddle<>(SB), RODATA|NOPTR, $8
