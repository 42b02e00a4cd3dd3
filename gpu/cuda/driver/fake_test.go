package driver

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/assaynet/assay/gpu/cuda/dl"
	"github.com/assaynet/assay/gpu/cuda/fakecuda"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a driver without a card, loaded.
type fake struct {
	*fakecuda.Driver
	*Library
}

func newFake(t testing.TB, settings string) *fake {
	t.Helper()
	d := fakecuda.New(t, settings)
	l, err := Load(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	return &fake{d, l}
}

// opened is a card of a fake driver.
func (f *fake) opened(t testing.TB, ordinal int) *Thread {
	t.Helper()
	cards, err := f.Cards()
	if err != nil {
		t.Fatal(err)
	}
	th, err := f.Open(cards[ordinal])
	if err != nil {
		t.Fatal(err)
	}
	return th
}

// fill32 puts the filling of words of 4 bytes with v into a stream: work of a test's own.
func (c *Calls) fill32(dst Devptr, v uint32, words uint64, s Stream) error {
	lib, err := dl.Open(c.lib.path) // loaded already
	if err != nil || words == 0 {
		return err
	}
	const name = "cuMemsetD32Async"
	return c.call(symbol{name, dl.Symbol(lib, name)}, uintptr(dst), uintptr(v), uintptr(words), uintptr(s))
}
