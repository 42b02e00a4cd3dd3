// Package simd is the arithmetic a verifier repeats most: the matrix generator,
// the exact dot products, the floating-point lanes, the double rounds of a walk
// through memory and the leaves and nodes of a BLAKE3 tree.
//
// Every function has one meaning and several implementations: plain Go, and on
// amd64 hand-written AVX2 and AVX-512 assembly. Which of them runs is decided
// once, from what the processor and the operating system support; no result
// depends on it, down to the last bit, and the tests hold every implementation
// to plain Go. The package imports the standard library alone and allocates
// nothing.
//
// The assembly cannot be preempted, so long inputs go to it in pieces that take
// a fraction of a millisecond.
package simd
