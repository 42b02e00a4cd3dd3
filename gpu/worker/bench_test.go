package worker

import (
	"testing"

	"github.com/assaynet/assay/gpu"
)

// instantly starts a run whose child answers at once.
func instantly(b *testing.B) gpu.Run {
	b.Helper()
	d := running(b, config(b, "echo"))
	ready(b, d)
	run, err := d.Start(b.Context(), job(2, 1))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = run.Close() })
	return run
}

// What a call costs where the card takes no time.
func BenchmarkNext(b *testing.B) {
	run := instantly(b)
	for b.Loop() {
		if _, err := run.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// An opening of 24 entries, 24 KiB.
func BenchmarkOpen(b *testing.B) {
	run := instantly(b)
	at := make([]uint32, 24)
	b.SetBytes(24 << 10)
	for b.Loop() {
		if _, err := run.Open(b.Context(), 0, at); err != nil {
			b.Fatal(err)
		}
	}
}

// A round as a challenge has it: what it adds to the engine's own time.
func BenchmarkRound(b *testing.B) {
	run := instantly(b)
	at := make([]uint32, 24)
	for b.Loop() {
		root, err := run.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := run.Open(b.Context(), root.Round, at); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEngine is a call without a child.
func BenchmarkEngine(b *testing.B) {
	run := &instant{job: job(2, 1)}
	at := make([]uint32, 24)
	for b.Loop() {
		if _, err := run.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := run.Open(b.Context(), 0, at); err != nil {
			b.Fatal(err)
		}
	}
}
