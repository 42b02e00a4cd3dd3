package ptx_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/kernels/ptx"
)

// Headers of modules for each target.
const (
	sm75 = ".version 6.5\n.target sm_75\n.address_size 64\n"
	sm80 = ".version 7.0\n.target sm_80\n.address_size 64\n"
	sm90 = ".version 8.0\n.target sm_90a\n.address_size 64\n"
)

// registers is what every test kernel declares. Its parameters are two pointers,
// in %rd1 and %rd2, and %r0 is the thread.
const registers = `
	.reg .pred %p<10>;
	.reg .b16 %h<10>;
	.reg .b32 %r<300>;
	.reg .f32 %f<300>;
	.reg .b64 %rd<30>;
	.reg .f64 %fd<10>;
	ld.param.u64 %rd1, [k_in];
	ld.param.u64 %rd2, [k_out];
	mov.u32 %r0, %tid.x;
`

// kernel is a module of one kernel k of this body, which starts at line 16.
func kernel(header, body string) string {
	return header + ".extern .shared .align 1024 .b8 sh[];\n.visible .entry k(.param .u64 k_in, .param .u64 k_out)\n{" + registers + body + "\nret;\n}\n"
}

const bodyLine = 16

func parse(t testing.TB, src string) *ptx.Module {
	t.Helper()
	m, err := ptx.Parse(src)
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, src)
	}
	return m
}

// launch runs kernel k and returns what it wrote.
func launch(t testing.TB, cfg ptx.Config, src string, grid, block, shared int, in []byte, out int) ([]byte, error) {
	t.Helper()
	m := parse(t, src)
	mem := ptx.NewMemory()
	a, b := mem.Alloc(len(in), 256), mem.Alloc(out, 256)
	if err := mem.Write(a, in); err != nil {
		t.Fatal(err)
	}
	if err := m.Launch(cfg, mem, "k", grid, block, shared, a, b); err != nil {
		return nil, err
	}
	got, err := mem.Read(b, out)
	if err != nil {
		t.Fatal(err)
	}
	return got, nil
}

// must is launch without an error.
func must(t testing.TB, cfg ptx.Config, src string, grid, block, shared int, in []byte, out int) []byte {
	t.Helper()
	got, err := launch(t, cfg, src, grid, block, shared, in, out)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// wantFault checks that a launch ends with a fault that says so.
func wantFault(t *testing.T, err error, want string) *ptx.Fault {
	t.Helper()
	var f *ptx.Fault
	if !errors.As(err, &f) {
		t.Fatalf("error %v, want a fault with %q", err, want)
	}
	if !strings.Contains(f.What, want) {
		t.Fatalf("fault %q, want %q", f, want)
	}
	return f
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

func words32(b []byte) []uint32 {
	out := make([]uint32, len(b)/4)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return out
}

func bytes32(w []uint32) []byte {
	var b []byte
	for _, x := range w {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

// both runs a test late and early.
func both(t *testing.T, f func(t *testing.T, cfg ptx.Config)) {
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprintf("early=%v", early), func(t *testing.T) { f(t, ptx.Config{Early: early}) })
	}
}
