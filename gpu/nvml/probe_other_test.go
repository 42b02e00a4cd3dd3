//go:build !cgo || !linux

package nvml

import (
	"errors"
	"testing"

	"github.com/assaynet/assay/gpu"
)

func probe(string) int { return 1 }

func TestNoDriver(t *testing.T) {
	l, err := Open("")
	if l != nil || !errors.Is(err, ErrNoDriver) {
		t.Fatalf("open: %v, %v", l, err)
	}
	if f := Fault(err); f == nil || f.Class != gpu.FaultAbsent {
		t.Errorf("as a fault: %v", f)
	}
	for name, err := range map[string]error{
		"cards":   second(new(Library).Cards()),
		"monitor": second(new(Library).Monitor("GPU-1")),
		"energy":  second(new(Library).Energy("GPU-1")),
	} {
		if !errors.Is(err, ErrNoDriver) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
