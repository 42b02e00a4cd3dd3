// Package scalar is the arithmetic of PTX's fundamental types, lane by lane: what
// an instruction of registers computes, without the machine that executes it.
package scalar
