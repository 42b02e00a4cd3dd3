package cuda

import (
	"errors"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// moody is a maker that is right on some shapes and wrong, or refuses, on others.
type moody struct {
	maker
	wrong, refuses int // rows
	made           *int
}

func (moody) name() string { return "moody" }

func (m moody) multiply(q queue, p product) error {
	switch p.m {
	case m.refuses:
		return errors.New("no way to make it")
	case m.wrong:
		p.a = p.b
	}
	*m.made++
	return m.maker.multiply(q, p)
}

func TestLibrariesAreTriedOnTheirStrips(t *testing.T) {
	for _, tt := range []struct {
		name string
		rows int
		used bool
	}{
		{"right", 3, true},
		{"wrong", 5, false},
		{"refuses", 7, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := device(t, "")
			made := 0
			d.makers[challenges.Int8] = moody{d.right[challenges.Int8][0], 5, 7, &made}
			for try := range 2 {
				before := made
				job := shaped(t, challenges.Shape{Flavour: challenges.Int8, M: tt.rows, N: 256, K: 64}, 3, 0, 1)
				truth, err := gpu.NewCPU(gpu.CPUConfig{}).Start(t.Context(), job)
				if err != nil {
					t.Fatal(err)
				}
				run := start(t, d, job)
				trials := made - before
				if try > 0 && trials > 3 {
					t.Errorf("tried again: %d products before the first round", trials)
				}
				follow(t, run, truth, 3, func(int) []uint32 { return []uint32{0, 500} })
				if used := made-before-trials > 0 || try > 0 && made > before; used != tt.used {
					t.Errorf("try %d: used %v", try, used)
				}
			}
		})
	}
}
