#include "textflag.h"

// Eight lanes a register: x of register i in Z(i), p in Z(8+i), lane constants
// with the exponent of [1,2) over them in Z(16+i).

#define LOAD(o, x, lane) \
	VMOVDQU64 o(DI), x \
	VMOVDQU64 (512+o)(DI), lane

// SQUARE is the first multiply-add of a step, where p is x.
#define SQUARE(x, p) \
	VBROADCASTSD 0(SI), p \
	VFMADD231PD  x, x, p

#define HORNER4(o, c) \
	VBROADCASTSD o(SI), c   \
	VFMADD213PD  c, Z0, Z8  \
	VFMADD213PD  c, Z1, Z9  \
	VFMADD213PD  c, Z2, Z10 \
	VFMADD213PD  c, Z3, Z11

#define HORNER8(o, c) \
	HORNER4(o, c)           \
	VFMADD213PD  c, Z4, Z12 \
	VFMADD213PD  c, Z5, Z13 \
	VFMADD213PD  c, Z6, Z14 \
	VFMADD213PD  c, Z7, Z15

// MIX turns the low 52 bits of p left by 17. A shift by 17 places bits 17 to 51
// and a rotation by 29 = 64-35 places bits 0 to 16; the first ternary operation
// takes each from its own (Z24 selects), the second clears what the shift left
// above bit 51 (Z25) and adds the lane and the exponent.
#define MIX(x, p, lane) \
	VPSLLQ     $17, p, x        \
	VPROLQ     $29, p, p        \
	VPTERNLOGQ $0xe4, Z24, p, x \
	VPTERNLOGQ $0x6a, lane, Z25, x

// func fma64AVX512(lanes *lanes64, coef *float64, steps int)
TEXT ·fma64AVX512(SB), NOSPLIT, $0-24
	MOVQ         lanes+0(FP), DI
	MOVQ         coef+8(FP), SI
	MOVQ         steps+16(FP), CX
	VPBROADCASTQ fmaHigh<>(SB), Z24
	VPBROADCASTQ fmaMantissa<>(SB), Z25
	LOAD(0, Z0, Z16)
	LOAD(64, Z1, Z17)
	LOAD(128, Z2, Z18)
	LOAD(192, Z3, Z19)
	LOAD(256, Z4, Z20)
	LOAD(320, Z5, Z21)
	LOAD(384, Z6, Z22)
	LOAD(448, Z7, Z23)

step:
	SQUARE(Z0, Z8)
	SQUARE(Z1, Z9)
	SQUARE(Z2, Z10)
	SQUARE(Z3, Z11)
	SQUARE(Z4, Z12)
	SQUARE(Z5, Z13)
	SQUARE(Z6, Z14)
	SQUARE(Z7, Z15)
	HORNER8(8, Z26)
	HORNER8(16, Z27)
	HORNER8(24, Z26)
	HORNER8(32, Z27)
	HORNER8(40, Z26)
	HORNER8(48, Z27)
	HORNER8(56, Z26)
	MIX(Z0, Z8, Z16)
	MIX(Z1, Z9, Z17)
	MIX(Z2, Z10, Z18)
	MIX(Z3, Z11, Z19)
	MIX(Z4, Z12, Z20)
	MIX(Z5, Z13, Z21)
	MIX(Z6, Z14, Z22)
	MIX(Z7, Z15, Z23)
	ADDQ $64, SI
	DECQ CX
	JNZ  step

	VMOVDQU64 Z0, 0(DI)
	VMOVDQU64 Z1, 64(DI)
	VMOVDQU64 Z2, 128(DI)
	VMOVDQU64 Z3, 192(DI)
	VMOVDQU64 Z4, 256(DI)
	VMOVDQU64 Z5, 320(DI)
	VMOVDQU64 Z6, 384(DI)
	VMOVDQU64 Z7, 448(DI)
	VZEROUPPER
	RET

// func fma32AVX512(lanes *lanes64, coef *float64, steps int)
TEXT ·fma32AVX512(SB), NOSPLIT, $0-24
	MOVQ         lanes+0(FP), DI
	MOVQ         coef+8(FP), SI
	MOVQ         steps+16(FP), CX
	VPBROADCASTQ fmaHigh<>(SB), Z24
	VPBROADCASTQ fmaMantissa<>(SB), Z25
	LOAD(0, Z0, Z16)
	LOAD(64, Z1, Z17)
	LOAD(128, Z2, Z18)
	LOAD(192, Z3, Z19)

step:
	SQUARE(Z0, Z8)
	SQUARE(Z1, Z9)
	SQUARE(Z2, Z10)
	SQUARE(Z3, Z11)
	HORNER4(8, Z26)
	HORNER4(16, Z27)
	HORNER4(24, Z26)
	HORNER4(32, Z27)
	HORNER4(40, Z26)
	HORNER4(48, Z27)
	HORNER4(56, Z26)
	MIX(Z0, Z8, Z16)
	MIX(Z1, Z9, Z17)
	MIX(Z2, Z10, Z18)
	MIX(Z3, Z11, Z19)
	ADDQ $64, SI
	DECQ CX
	JNZ  step

	VMOVDQU64 Z0, 0(DI)
	VMOVDQU64 Z1, 64(DI)
	VMOVDQU64 Z2, 128(DI)
	VMOVDQU64 Z3, 192(DI)
	VZEROUPPER
	RET

// Bits 17 to 63.
DATA fmaHigh<>+0(SB)/8, $0xfffffffffffe0000
GLOBL fmaHigh<>(SB), RODATA|NOPTR, $8

DATA fmaMantissa<>+0(SB)/8, $0x000fffffffffffff
GLOBL fmaMantissa<>(SB), RODATA|NOPTR, $8
