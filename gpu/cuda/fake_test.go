package cuda

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/cuda/fakecuda"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a driver without a card, loaded.
type fake struct {
	*fakecuda.Driver
	*driver.Library
}

func newFake(t testing.TB, settings string) *fake {
	t.Helper()
	d := fakecuda.New(t, settings)
	l, err := driver.Load(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	return &fake{d, l}
}
