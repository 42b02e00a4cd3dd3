package ptx_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/kernels/ptx"
)

// fragments of mma.sync, from the element to its place: the inverse of what the
// interpreter has.
type fragments struct {
	op, header   string
	m, n, k      int
	bits         int // of an element of A and B
	regsA, regsB int
	a, b         func(row, col int) (lane, reg, part int)
	encode       func(v int) uint32
	float        bool
	limit        int // of an element
}

func bf16(v int) uint32 { return math.Float32bits(float32(v)) >> 16 }

// fp16 encodes a whole number of at most 11 bits.
func fp16(v int) uint32 {
	if v == 0 {
		return 0
	}
	sign := uint32(0)
	if v < 0 {
		sign, v = 0x8000, -v
	}
	e := 0
	for v>>e > 1 {
		e++
	}
	return sign | uint32(e+15)<<10 | uint32(v)<<(10-e)&1023
}

func int8bits(v int) uint32 { return uint32(uint8(v)) }

var mmas = []fragments{
	{
		op: "mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32", header: sm75, m: 8, n: 8, k: 16, bits: 8, regsA: 1, regsB: 1, encode: int8bits, limit: 128,
		a: func(r, c int) (int, int, int) { return 4*r + c/4, 0, c % 4 },
		b: func(r, c int) (int, int, int) { return 4*c + r/4, 0, r % 4 },
	},
	{
		op: "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", header: sm80, m: 16, n: 8, k: 32, bits: 8, regsA: 4, regsB: 2, encode: int8bits, limit: 128,
		a: func(r, c int) (int, int, int) { return r%8*4 + c%16/4, r/8 + c/16*2, c % 4 },
		b: func(r, c int) (int, int, int) { return c*4 + r%16/4, r / 16, r % 4 },
	},
	{
		op: "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", header: sm75, m: 16, n: 8, k: 8, bits: 16, regsA: 2, regsB: 1, encode: fp16, float: true, limit: 256,
		a: func(r, c int) (int, int, int) { return r%8*4 + c/2, r / 8, c % 2 },
		b: func(r, c int) (int, int, int) { return c*4 + r/2, 0, r % 2 },
	},
	{
		op: "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", header: sm80, m: 16, n: 8, k: 16, bits: 16, regsA: 4, regsB: 2, encode: bf16, float: true, limit: 256,
		a: func(r, c int) (int, int, int) { return r%8*4 + c%8/2, r/8 + c/8*2, c % 2 },
		b: func(r, c int) (int, int, int) { return c*4 + r%8/2, r / 8, r % 2 },
	},
	{
		op: "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", header: sm80, m: 16, n: 8, k: 16, bits: 16, regsA: 4, regsB: 2, encode: fp16, float: true, limit: 256,
		a: func(r, c int) (int, int, int) { return r%8*4 + c%8/2, r/8 + c/8*2, c % 2 },
		b: func(r, c int) (int, int, int) { return c*4 + r%8/2, r / 8, r % 2 },
	},
}

// list is {%r10, %r11, ...}.
func list(class string, from, n int) string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprintf("%%%s%d", class, from+i))
	}
	return "{" + strings.Join(s, ", ") + "}"
}

// mmaKernel loads 12 words a lane (A from 0, B from 4, C from 8), and stores D.
func mmaKernel(f fragments) string {
	sums, class := f.m/8*2, "r"
	if f.float {
		class = "f"
	}
	var body strings.Builder
	body.WriteString("mad.wide.u32 %rd1, %r0, 48, %rd1;\nmad.wide.u32 %rd2, %r0, 16, %rd2;\n")
	for i := range f.regsA {
		body.WriteString(fmt.Sprintf("ld.global.b32 %%r%d, [%%rd1+%d];\n", 10+i, 4*i))
	}
	for i := range f.regsB {
		body.WriteString(fmt.Sprintf("ld.global.b32 %%r%d, [%%rd1+%d];\n", 20+i, 16+4*i))
	}
	for i := range sums {
		body.WriteString(fmt.Sprintf("ld.global.b32 %%%s%d, [%%rd1+%d];\n", class, 30+i, 32+4*i))
	}
	body.WriteString(fmt.Sprintf("%s %s, %s, %s, %s;\n", f.op, list(class, 40, sums), list("r", 10, f.regsA), list("r", 20, f.regsB), list(class, 30, sums)))
	for i := range sums {
		body.WriteString(fmt.Sprintf("st.global.b32 [%%rd2+%d], %%%s%d;\n", 4*i, class, 40+i))
	}
	return kernel(f.header, body.String())
}

func TestMma(t *testing.T) {
	for _, f := range mmas {
		t.Run(f.op, func(t *testing.T) {
			rng := random(3)
			in := make([]uint32, 12*32)
			a, b, c := make([]int, f.m*f.k), make([]int, f.k*f.n), make([]int, f.m*f.n)
			sum := func(r, c int) (lane, reg int) { return r%8*4 + c/2, r/8*2 + c%2 }
			for i := range a {
				a[i] = rng.IntN(2*f.limit) - f.limit
				lane, reg, part := f.a(i/f.k, i%f.k)
				in[lane*12+reg] |= f.encode(a[i]) << (part * f.bits)
			}
			for i := range b {
				b[i] = rng.IntN(2*f.limit) - f.limit
				lane, reg, part := f.b(i/f.n, i%f.n)
				in[lane*12+4+reg] |= f.encode(b[i]) << (part * f.bits)
			}
			for i := range c {
				c[i] = rng.IntN(1<<21) - 1<<20
				lane, reg := sum(i/f.n, i%f.n)
				in[lane*12+8+reg] = uint32(c[i])
				if f.float {
					in[lane*12+8+reg] = math.Float32bits(float32(c[i]))
				}
			}
			out := words32(must(t, ptx.Config{}, mmaKernel(f), 1, 32, 0, bytes32(in), 32*16))
			for i, want := range c {
				for k := range f.k {
					want += a[i/f.n*f.k+k] * b[k*f.n+i%f.n]
				}
				lane, reg := sum(i/f.n, i%f.n)
				got := int(int32(out[lane*4+reg]))
				if f.float {
					got = int(math.Float32frombits(out[lane*4+reg]))
				}
				if got != want {
					t.Fatalf("row %d, column %d: %d, want %d", i/f.n, i%f.n, got, want)
				}
			}
		})
	}
}

func TestMmaWraps(t *testing.T) {
	in := make([]uint32, 12*32)
	for i := range in {
		in[i] = 0x7f7f7f7f
	}
	out := words32(must(t, ptx.Config{}, mmaKernel(mmas[1]), 1, 32, 0, bytes32(in), 32*16))
	sum := uint32(0x7f7f7f7f)
	if want := sum + 32*127*127; out[0] != want {
		t.Fatalf("%#x, want %#x", out[0], want)
	}
}

func TestMmaFaults(t *testing.T) {
	tests := []struct {
		name    string
		a, b, c uint32
		guard   string
		want    string
		threads int
	}{
		{"a half", 0x3f003f00, 0x3f803f80, 0, "", "no whole number", 32},
		{"infinity", 0x7f807f80, 0x3f803f80, 0, "", "no whole number", 32},
		{"a sum of 2^24", 0x3f803f80, 0x3f803f80, math.Float32bits(1<<24 - 8), "", "below 2^24", 32},
		{"a sum with a half", 0, 0, math.Float32bits(0.5), "", "below 2^24", 32},
		{"half a warp", 0, 0, 0, "", "collective of 32 lanes", 16},
		{"a guard", 0, 0, 0, "setp.lt.u32 %p1, %r0, 16; @%p1 ", "divergent collective", 32},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			in := make([]uint32, 12*32)
			for i := range in {
				in[i] = []uint32{c.a, c.b, c.c}[i%12/4]
			}
			src := strings.Replace(mmaKernel(mmas[3]), "mma.sync", c.guard+"mma.sync", 1)
			_, err := launch(t, ptx.Config{}, src, 1, c.threads, 0, bytes32(in), 32*16)
			wantFault(t, err, c.want)
		})
	}
}

// ldmatrixKernel stores a row of 64 bytes a lane to shared memory, loads four
// matrices and stores what each lane has.
func ldmatrixKernel(op string, n int) string {
	return kernel(sm75, fmt.Sprintf(`
		mad.wide.u32 %%rd3, %%r0, 16, %%rd1;
		ld.global.v4.u32 {%%r10, %%r11, %%r12, %%r13}, [%%rd3];
		mov.u32 %%r1, sh;
		mad.lo.s32 %%r2, %%r0, 16, %%r1;
		st.shared.v4.u32 [%%r2], {%%r10, %%r11, %%r12, %%r13};
		bar.sync 0;
		%s %s, [%%r2];
		mad.wide.u32 %%rd4, %%r0, 16, %%rd2;`, op, list("r", 20, n))+"\n"+stores(n))
}

func stores(n int) string {
	var s strings.Builder
	for i := range n {
		s.WriteString(fmt.Sprintf("st.global.u32 [%%rd4+%d], %%r%d;\n", 4*i, 20+i))
	}
	return s.String()
}

func TestLdmatrix(t *testing.T) {
	rng := random(4)
	in := make([]uint32, 32*4)
	for i := range in {
		in[i] = rng.Uint32()
	}
	raw := bytes32(in)
	element := func(matrix, row, col int) uint32 {
		at := (matrix*8+row)*16 + 2*col
		return uint32(raw[at]) | uint32(raw[at+1])<<8
	}
	for _, n := range []int{1, 2, 4} {
		for _, trans := range []string{"", ".trans"} {
			op := fmt.Sprintf("ldmatrix.sync.aligned.m8n8.x%d%s.shared.b16", n, trans)
			t.Run(op, func(t *testing.T) {
				out := words32(must(t, ptx.Config{}, ldmatrixKernel(op, n), 1, 32, 512, raw, 512))
				for i := range n {
					for row := range 8 {
						for col := 0; col < 8; col += 2 {
							want := element(i, row, col) | element(i, row, col+1)<<16
							if trans != "" {
								want = element(i, col, row) | element(i, col+1, row)<<16
							}
							if got := out[(row*4+col/2)*4+i]; got != want {
								t.Fatalf("matrix %d, row %d, column %d: %#x, want %#x", i, row, col, got, want)
							}
						}
					}
				}
			})
		}
	}
}

func TestLdmatrixFaults(t *testing.T) {
	const op = "ldmatrix.sync.aligned.m8n8.x4.shared.b16"
	tests := []struct{ name, old, repl, want string }{
		{"no barrier", "bar.sync 0;", "", "race"},
		{"misaligned", "ldmatrix", "add.s32 %r2, %r2, 8; ldmatrix", "misaligned"},
		{"out of bounds", "ldmatrix", "add.s32 %r2, %r2, 16; ldmatrix", "out of bounds"},
		{"half a warp", "ldmatrix", "setp.lt.u32 %p1, %r0, 16; @%p1 ldmatrix", "divergent collective"},
		{"unwritten", "st.shared.v4.u32", "setp.lt.u32 %p1, %r0, 31; @%p1 st.shared.v4.u32", "never written"},
		{"an address that is not used, on sm_75", op + " {%r20, %r21, %r22, %r23}", "setp.eq.s32 %p1, %r0, 31; @%p1 mov.u32 %r2, 0; mov.u32 %r21, 0; mov.u32 %r22, 0; mov.u32 %r23, 0; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r20}", "out of bounds"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			src := ldmatrixKernel(op, 4)
			if !strings.Contains(src, c.old) {
				t.Fatal("nothing to replace")
			}
			_, err := launch(t, ptx.Config{}, strings.Replace(src, c.old, c.repl, 1), 1, 32, 512, make([]byte, 512), 512)
			wantFault(t, err, c.want)
		})
	}
	t.Run("shared memory aligned to a byte", func(t *testing.T) {
		src := strings.Replace(ldmatrixKernel(op, 4), ".align 1024", ".align 1", 1)
		src = strings.Replace(src, "st.shared.v4.u32 [%r2], {%r10, %r11, %r12, %r13};", "", 1)
		_, err := launch(t, ptx.Config{}, src, 1, 32, 512, make([]byte, 512), 512)
		wantFault(t, err, "misaligned")
	})
}
