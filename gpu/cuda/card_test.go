package cuda

import (
	"errors"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/exam"
)

// TestCard runs on the machine's own cards, where it has any: what the fake driver and
// the interpreter cannot show. Each run takes other inputs.
func TestCard(t *testing.T) {
	lib, err := driver.Load("")
	if errors.Is(err, driver.ErrNoDriver) {
		t.Skip("needs an NVIDIA driver")
	}
	if err != nil {
		t.Fatal(err)
	}
	cards, err := lib.Cards()
	if errors.Is(err, driver.ErrLost) {
		t.Skipf("needs a card: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, card := range cards {
		t.Run(card.UUID, func(t *testing.T) {
			if !card.Supported() {
				t.Skipf("%s: compute capability %d.%d", card.Name, card.Major, card.Minor)
			}
			for _, lt := range []string{"none", ""} {
				d, err := New(t.Context(), Config{Library: lib, Card: card, ID: "gpu0", CUBLASLt: lt})
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s: %+v", card.Name, d.Choice())
				seed := [32]byte{1}
				copy(seed[1:], time.Now().String())
				for _, c := range exam.Cases() {
					if err := exam.Compare(t.Context(), d, c, seed); err != nil {
						t.Errorf("seed %x: %v", seed, err)
					}
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
