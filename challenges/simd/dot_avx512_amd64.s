#include "textflag.h"

// SUM adds the sixteen words of Z0 into AX.
#define SUM \
	VEXTRACTI64X4 $1, Z0, Y1    \
	VPADDD        Y1, Y0, Y0    \
	VEXTRACTI128  $1, Y0, X1    \
	VPADDD        X1, X0, X0    \
	VPSHUFD       $0xee, X0, X1 \
	VPADDD        X1, X0, X0    \
	VPSHUFD       $0x55, X0, X1 \
	VPADDD        X1, X0, X0    \
	VMOVD         X0, AX

// VPDPBUSD multiplies unsigned by signed bytes. With a+128 for a, unsigned, it
// sums (a+128)*b; a second one sums 128*b, and the difference is a*b. Sums wrap,
// so that only the difference need fit a word.
#define DOT64(o, s, c, t) \
	VMOVDQU64 o(DI), t    \
	VPXORD    Z16, t, t   \
	VPDPBUSD  o(SI), t, s \
	VPDPBUSD  o(SI), Z16, c

// func dotInt8VNNI(a, b *byte, n int) int32
TEXT ·dotInt8VNNI(SB), NOSPLIT, $0-28
	MOVQ         a+0(FP), DI
	MOVQ         b+8(FP), SI
	MOVQ         n+16(FP), CX
	VPBROADCASTD dotBias<>(SB), Z16
	VPXORD       Z0, Z0, Z0
	VPXORD       Z1, Z1, Z1
	VPXORD       Z2, Z2, Z2
	VPXORD       Z3, Z3, Z3
	VPXORD       Z4, Z4, Z4
	VPXORD       Z5, Z5, Z5
	VPXORD       Z6, Z6, Z6
	VPXORD       Z7, Z7, Z7
	SUBQ         $256, CX
	JL           rest

loop:
	DOT64(0, Z0, Z4, Z8)
	DOT64(64, Z1, Z5, Z9)
	DOT64(128, Z2, Z6, Z10)
	DOT64(192, Z3, Z7, Z11)
	ADDQ $256, DI
	ADDQ $256, SI
	SUBQ $256, CX
	JGE  loop

rest:
	ADDQ $256, CX
	JZ   done

last:
	DOT64(0, Z0, Z4, Z8)
	ADDQ $64, DI
	ADDQ $64, SI
	SUBQ $64, CX
	JNZ  last

done:
	VPADDD Z1, Z0, Z0
	VPADDD Z3, Z2, Z2
	VPADDD Z5, Z4, Z4
	VPADDD Z7, Z6, Z6
	VPADDD Z2, Z0, Z0
	VPADDD Z6, Z4, Z4
	VPSUBD Z4, Z0, Z0
	SUM
	MOVL AX, ret+24(FP)
	VZEROUPPER
	RET

// func dotInt8AVX512(a, b *byte, n int) int32
TEXT ·dotInt8AVX512(SB), NOSPLIT, $0-28
	MOVQ   a+0(FP), DI
	MOVQ   b+8(FP), SI
	MOVQ   n+16(FP), CX
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	TESTQ  CX, CX
	JZ     done

loop:
	VPMOVSXBW 0(DI), Z2
	VPMOVSXBW 0(SI), Z3
	VPMOVSXBW 32(DI), Z4
	VPMOVSXBW 32(SI), Z5
	VPMADDWD  Z3, Z2, Z2
	VPMADDWD  Z5, Z4, Z4
	VPADDD    Z2, Z0, Z0
	VPADDD    Z4, Z1, Z1
	ADDQ      $64, DI
	ADDQ      $64, SI
	SUBQ      $64, CX
	JNZ       loop

done:
	VPADDD Z1, Z0, Z0
	SUM
	MOVL AX, ret+24(FP)
	VZEROUPPER
	RET

// func dot9AVX512(a, b *byte, n int) int32
TEXT ·dot9AVX512(SB), NOSPLIT, $0-28
	MOVQ         a+0(FP), DI
	MOVQ         b+8(FP), SI
	MOVQ         n+16(FP), CX
	VPBROADCASTD dotMagnitude<>(SB), Z16
	VPBROADCASTD dotSign<>(SB), Z17
	VPXORD       Z18, Z18, Z18
	VPXORD       Z0, Z0, Z0
	TESTQ        CX, CX
	JZ           done

loop:
	// The sign of the product goes to the magnitude of a.
	VMOVDQU64 (DI), Z2
	VMOVDQU64 (SI), Z3
	VPXORD    Z3, Z2, Z4
	VPTESTMW  Z17, Z4, K1
	VPANDD    Z16, Z2, Z2
	VPANDD    Z16, Z3, Z3
	VPSUBW    Z2, Z18, K1, Z2
	VPMADDWD  Z3, Z2, Z2
	VPADDD    Z2, Z0, Z0
	ADDQ      $64, DI
	ADDQ      $64, SI
	SUBQ      $64, CX
	JNZ       loop

done:
	SUM
	MOVL AX, ret+24(FP)
	VZEROUPPER
	RET

DATA dotBias<>+0(SB)/4, $0x80808080
GLOBL dotBias<>(SB), RODATA|NOPTR, $4

DATA dotMagnitude<>+0(SB)/4, $0x00ff00ff
GLOBL dotMagnitude<>(SB), RODATA|NOPTR, $4

DATA dotSign<>+0(SB)/4, $0x01000100
GLOBL dotSign<>(SB), RODATA|NOPTR, $4
