package challenges

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/assaynet/assay/challenges/simd"
)

func TestGeneratorPublishedVectors(t *testing.T) {
	// ChaCha8 with a 256-bit key, as in ECRYPT's eSTREAM set and
	// draft-strombergson-chacha-test-vectors: IV zero, first two blocks.
	tests := []struct {
		name string
		key  Hash
		want string
	}{
		{
			"TC1, key all zero",
			Hash{},
			"3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e" +
				"984ce172b9216f419f445367456d5619314a42a3da86b001387bfdb80e0cfe42" +
				"d2aefa0deaa5c151bf0adb6c01f2a5adc0fd581259f9a2aadcf20f8fd566a26b" +
				"5032ec38bbc5da98ee0c6f568b872a65a08abf251deb21bb4b56e5d8821e68aa",
		},
		{
			"TC2, one bit in the key",
			Hash{1},
			"cf5ee9a0494aa9613e05d5ed725b804b12f4a465ee635acc3a311de8740489ea" +
				"289d04f43c7518db56eb4433e498a1238cd8464d3763ddbb9222ee3bd8fae3c8",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := make([]byte, len(tt.want)/2)
			simd.ChaCha8(got, (*[32]byte)(&tt.key), 0, 0)
			if hex.EncodeToString(got) != tt.want {
				t.Errorf("got %x", got)
			}
			if first := paperChaCha8(tt.key, 0, 0); hex.EncodeToString(first) != tt.want[:128] {
				t.Errorf("second implementation: got %x", first)
			}
		})
	}
}

func TestGeneratorAgainstASecondImplementation(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	counters := []uint64{0, 1, 1<<32 - 2, 1 << 32, 1<<40 + 7, 1<<64 - 3}
	for range 200 {
		counters = append(counters, rng.Uint64())
	}
	for _, counter := range counters {
		var key Hash
		for i := range key {
			key[i] = byte(rng.Uint32())
		}
		matrix := [...]uint32{matrixA, matrixB, 2, 3, rng.Uint32()}[rng.IntN(5)]
		blocks := 1 + rng.IntN(5)
		got := make([]byte, blocks*blockBytes)
		simd.ChaCha8(got, (*[32]byte)(&key), matrix, counter)
		for i := range blocks {
			if want := paperChaCha8(key, matrix, counter+uint64(i)); !bytes.Equal(got[i*64:][:64], want) {
				t.Fatalf("key %v, matrix %d, block %d: got %x, want %x", key, matrix, counter+uint64(i), got[i*64:][:64], want)
			}
		}
	}
}
