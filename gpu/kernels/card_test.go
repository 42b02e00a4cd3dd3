package kernels_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/assaynet/assay/gpu/kernels"
	"github.com/assaynet/assay/gpu/kernels/ptx"
)

// card runs one module in the interpreter. What fails is kept, and all that follows
// does nothing: a check asks once, at its end.
type card struct {
	kernels.Module
	code *ptx.Module
	cfg  ptx.Config
	mem  *ptx.Memory
	err  error
}

func newCard(m kernels.Module, code *ptx.Module, early bool) *card {
	return &card{Module: m, code: code, cfg: ptx.Config{Early: early, MaxSteps: 1 << 30}, mem: ptx.NewMemory()}
}

// modules are all that there are.
func modules() []kernels.Module { return kernels.Modules(9, 0) }

// parsed keeps what takes long to parse for all tests.
var parsed = func() func(target string) (*ptx.Module, error) {
	once := map[string]func() (*ptx.Module, error){}
	for _, m := range modules() {
		once[m.Target] = sync.OnceValues(func() (*ptx.Module, error) { return ptx.Parse(m.PTX) })
	}
	return func(target string) (*ptx.Module, error) { return once[target]() }
}()

// put allocates memory for data, which must be all that a kernel touches of it.
func (c *card) put(data []byte) uint64 {
	at := c.mem.Alloc(len(data), 1024)
	if err := c.mem.Write(at, data); err != nil && c.err == nil {
		c.err = err
	}
	return at
}

// room allocates memory of a content that no kernel would write.
func (c *card) room(n int) uint64 { return c.put(bytes.Repeat([]byte{untouched}, n)) }

const untouched = 0xa5

func (c *card) get(at uint64, n int) []byte {
	if c.err != nil {
		return make([]byte, n)
	}
	b, err := c.mem.Read(at, n)
	if err != nil {
		c.err = err
		return make([]byte, n)
	}
	return b
}

// over launches a kernel of [kernels.Threads] a block over so many threads.
func (c *card) over(kernel string, threads, shared int, args ...uint64) {
	c.launch(kernel, (threads+kernels.Threads-1)/kernels.Threads, kernels.Threads, shared, args...)
}

func (c *card) launch(kernel string, grid, block, shared int, args ...uint64) {
	if c.err == nil {
		c.err = c.code.Launch(c.cfg, c.mem, kernel, grid, block, shared, args...)
	}
}

// same ends a check: what the card has at an address is to be want.
func (c *card) same(what string, at uint64, want []byte) error {
	got := c.get(at, len(want))
	if c.err != nil {
		return fmt.Errorf("%s: %w", what, c.err)
	}
	for i := range want {
		if got[i] != want[i] {
			return fmt.Errorf("%s: byte %d of %d is %#x, want %#x", what, i, len(want), got[i], want[i])
		}
	}
	return nil
}

// check is one question to a card. Its random input follows from its name.
type check struct {
	name   string
	kernel string // the one in question
	ask    func(c *card, r *rand.ChaCha8) error
}

// checks are all questions.
func checks() []check {
	var out []check
	for _, list := range [][]check{generatorChecks(), laneChecks(), treeChecks(), memoryChecks(), gatherChecks(), productChecks()} {
		out = append(out, list...)
	}
	return out
}

func (k check) run(c *card) error {
	var seed [32]byte
	copy(seed[:], k.name)
	return k.ask(c, rand.NewChaCha8(seed))
}

// TestKernels runs every kernel of every module as it is shipped, and compares what it
// writes with the CPU's, to the bit.
func TestKernels(t *testing.T) {
	for _, m := range modules() {
		for _, early := range []bool{false, true} {
			if testing.Short() && (early || m.Target != "sm_80") {
				continue
			}
			t.Run(m.Target+when(early), func(t *testing.T) {
				t.Parallel()
				code, err := parsed(m.Target)
				if err != nil {
					t.Fatal(err)
				}
				for _, k := range checks() {
					// Without asynchronous copies early is the same as late.
					if early && !k.product() {
						continue
					}
					t.Run(k.name, func(t *testing.T) {
						if err := k.run(newCard(m, code, early)); err != nil {
							t.Error(err)
						}
					})
				}
			})
		}
	}
}

func when(early bool) string {
	if early {
		return ", early"
	}
	return ""
}

func (k check) product() bool { return k.kernel == "matmul_int8" || k.kernel == "matmul_short" }

// TestEveryKernelIsChecked: a kernel that nothing asks about is not tested.
func TestEveryKernelIsChecked(t *testing.T) {
	for _, m := range modules() {
		for _, kernel := range entries(m.PTX) {
			found := false
			for _, k := range checks() {
				found = found || k.kernel == kernel
			}
			if !found {
				t.Errorf("%s: nothing asks about %s", m.Target, kernel)
			}
		}
	}
}

func random(r *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return b
}

func randomKey(r *rand.ChaCha8) (key [32]byte) { return [32]byte(random(r, 32)) }

func words32(w []uint32) []byte {
	var b []byte
	for _, v := range w {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func words64(w []uint64) []byte {
	var b []byte
	for _, v := range w {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}
