#include "textflag.h"

// SUM adds the eight words of Y0 into AX.
#define SUM \
	VEXTRACTI128 $1, Y0, X1    \
	VPADDD       X1, X0, X0    \
	VPSHUFD      $0xee, X0, X1 \
	VPADDD       X1, X0, X0    \
	VPSHUFD      $0x55, X0, X1 \
	VPADDD       X1, X0, X0    \
	VMOVD        X0, AX

// DOT16 widens to 16 bits: multiplying bytes in pairs would saturate at
// -128*-128*2.
#define DOT16(o, s, t, u) \
	VPMOVSXBW o(DI), t \
	VPMOVSXBW o(SI), u \
	VPMADDWD  u, t, t  \
	VPADDD    t, s, s

// func dotInt8AVX2(a, b *byte, n int) int32
TEXT ·dotInt8AVX2(SB), NOSPLIT, $0-28
	MOVQ  a+0(FP), DI
	MOVQ  b+8(FP), SI
	MOVQ  n+16(FP), CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	TESTQ CX, CX
	JZ    done

loop:
	DOT16(0, Y0, Y2, Y3)
	DOT16(16, Y1, Y4, Y5)
	DOT16(32, Y0, Y6, Y7)
	DOT16(48, Y1, Y8, Y9)
	ADDQ $64, DI
	ADDQ $64, SI
	SUBQ $64, CX
	JNZ  loop

done:
	VPADDD Y1, Y0, Y0
	SUM
	MOVL AX, ret+24(FP)
	VZEROUPPER
	RET

// DOT9 puts the sign of the product on the magnitude of a. Bit 8 moves to the
// sign bit; VPSIGNW would clear where the rest is zero, so bit 0 is set.
#define DOT9(o, s, t, u, v) \
	VMOVDQU  o(DI), t  \
	VMOVDQU  o(SI), u  \
	VPXOR    u, t, v   \
	VPSLLW   $7, v, v  \
	VPOR     Y14, v, v \
	VPAND    Y15, t, t \
	VPAND    Y15, u, u \
	VPSIGNW  v, t, t   \
	VPMADDWD u, t, t   \
	VPADDD   t, s, s

// func dot9AVX2(a, b *byte, n int) int32
TEXT ·dot9AVX2(SB), NOSPLIT, $0-28
	MOVQ         a+0(FP), DI
	MOVQ         b+8(FP), SI
	MOVQ         n+16(FP), CX
	VPBROADCASTD dotUnit<>(SB), Y14
	VPBROADCASTD dotMagnitude<>(SB), Y15
	VPXOR        Y0, Y0, Y0
	VPXOR        Y1, Y1, Y1
	TESTQ        CX, CX
	JZ           done

loop:
	DOT9(0, Y0, Y2, Y3, Y4)
	DOT9(32, Y1, Y5, Y6, Y7)
	ADDQ $64, DI
	ADDQ $64, SI
	SUBQ $64, CX
	JNZ  loop

done:
	VPADDD Y1, Y0, Y0
	SUM
	MOVL AX, ret+24(FP)
	VZEROUPPER
	RET

DATA dotUnit<>+0(SB)/4, $0x00010001
GLOBL dotUnit<>(SB), RODATA|NOPTR, $4

DATA dotMagnitude<>+0(SB)/4, $0x00ff00ff
GLOBL dotMagnitude<>(SB), RODATA|NOPTR, $4
