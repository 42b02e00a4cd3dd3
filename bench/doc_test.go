// Package bench holds what looks at the whole of Assay: its layers, simulated
// worlds, cheaters end to end, and the benchmarks. It is tests only.
package bench
