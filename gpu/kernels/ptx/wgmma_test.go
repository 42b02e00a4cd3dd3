package ptx_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/kernels/ptx"
)

// layout is a K-major layout of shared memory: how many bytes of K a row has, and
// where 16 bytes of a row stand.
type layout struct {
	name         string
	mode         uint64
	steps        int // of 32 bytes of K
	lead, stride int
	place        func(row, piece int) int
}

// layouts places pieces by the atoms of the swizzles: eight rows of 128, 64 or 32
// bytes whose pieces are XORed with the row, its half or its quarter.
var layouts = []layout{
	{"none", 0, 1, 128, 256, func(r, p int) int { return r/8*256 + p*128 + r%8*16 }},
	{"none, by columns", 0, 1, 8192, 128, func(r, p int) int { return r/8*128 + p*8192 + r%8*16 }},
	{"32 bytes", 3, 1, 16, 256, func(r, p int) int { return r/8*256 + r%8*32 + (p^r%8/4)*16 }},
	{"64 bytes", 2, 2, 16, 512, func(r, p int) int { return r/8*512 + r%8*64 + (p^r%8/2)*16 }},
	{"128 bytes", 1, 4, 16, 1024, func(r, p int) int { return r/8*1024 + r%8*128 + (p^r%8)*16 }},
	{"128 bytes, rows apart", 1, 4, 16, 2048, func(r, p int) int { return r/8*2048 + r%8*128 + (p^r%8)*16 }},
}

const matrixBytes = 32768 // room for an operand

// wgmmaKernel brings both operands by bulk copies, multiplies and stores the sums.
func wgmmaKernel(l layout, n int, op, rest, class string) string {
	desc := l.mode<<62 | uint64(l.stride>>4)<<32 | uint64(l.lead>>4)<<16
	var body strings.Builder
	body.WriteString(fmt.Sprintf(`
		mov.u32 %%r1, sh;
		add.s32 %%r2, %%r1, %d;
		setp.ne.s32 %%p1, %%r0, 0;
		mov.u32 %%r3, 1;
		mov.u32 %%r4, %d;
		mov.u32 %%r5, 0;
		@%%p1 bra $READY;
		mbarrier.init.shared::cta.b64 [%%r2], %%r3;
		fence.mbarrier_init.release.cluster;
	$READY:
		bar.sync 0;
		@%%p1 bra $SENT;
		mbarrier.arrive.expect_tx.shared::cta.b64 _, [%%r2], %%r4;
		mov.u32 %%r6, %d;
		cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%%r1], [%%rd1], %%r6, [%%r2];
		cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%%r1+%d], [%%rd1+%d], %%r6, [%%r2];
	$SENT:
		mbarrier.try_wait.parity.shared::cta.b64 %%p2, [%%r2], %%r5;
		@!%%p2 bra $SENT;
		cvt.u64.u32 %%rd5, %%r1;
		shr.u64 %%rd5, %%rd5, 4;
		mov.u64 %%rd6, %d;
		add.s64 %%rd6, %%rd6, %%rd5;
		add.s64 %%rd7, %%rd6, %d;
		mov.pred %%p3, 0;
		mov.pred %%p4, -1;
		wgmma.fence.sync.aligned;`, 2*matrixBytes, 2*matrixBytes, matrixBytes, matrixBytes, matrixBytes, desc, matrixBytes>>4))
	for s := range l.steps {
		scale := "%p4"
		if s == 0 {
			scale = "%p3"
		}
		body.WriteString(fmt.Sprintf("\nadd.s64 %%rd8, %%rd6, %d; add.s64 %%rd9, %%rd7, %d;\n", 2*s, 2*s))
		body.WriteString(fmt.Sprintf("wgmma.mma_async.sync.aligned.m64n%dk%s %s, %%rd8, %%rd9, %s%s;", n, op, list(class, 40, n/2), scale, rest))
	}
	body.WriteString(fmt.Sprintf("\nwgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\nmul.lo.s32 %%r9, %%r0, %d;\nmad.wide.u32 %%rd2, %%r9, 4, %%rd2;\n", n/2))
	for i := range n / 2 {
		body.WriteString(fmt.Sprintf("st.global.b32 [%%rd2+%d], %%%s%d;\n", 4*i, class, 40+i))
	}
	return kernel(sm90, body.String())
}

const wgmmaShared = 2*matrixBytes + 8

// operands are random matrices A (64 rows) and B (n columns), K-major, and their
// image in shared memory.
func operands(l layout, n, bytes int, encode func(int) uint32, limit int) (a, b [][]int, image []byte) {
	rng := random(6)
	image = make([]byte, 2*matrixBytes)
	fill := func(rows, base int) [][]int {
		out := make([][]int, rows)
		for r := range out {
			for k := range 32 * l.steps / bytes {
				v := rng.IntN(2*limit) - limit
				out[r] = append(out[r], v)
				at := base + l.place(r, k*bytes/16) + k*bytes%16
				for i := range bytes {
					image[at+i] = byte(encode(v) >> (8 * i))
				}
			}
		}
		return out
	}
	return fill(64, 0), fill(n, matrixBytes), image
}

func TestWgmma(t *testing.T) {
	kinds := []struct {
		name, op, rest, class string
		bytes, limit          int
		encode                func(int) uint32
		decode                func(uint32) int
	}{
		{"int8", "32.s32.s8.s8", "", "r", 1, 128, int8bits, func(x uint32) int { return int(int32(x)) }},
		{"bf16", "16.f32.bf16.bf16", ", 1, 1, 0, 0", "f", 2, 256, bf16, func(x uint32) int { return int(math.Float32frombits(x)) }},
	}
	for _, k := range kinds {
		for _, l := range layouts {
			for _, n := range []int{8, 24, 96, 256} {
				if n == 256 && l.stride > 1024 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/n=%d", k.name, l.name, n), func(t *testing.T) {
					both(t, func(t *testing.T, cfg ptx.Config) {
						if n == 256 && strings.Contains(l.name, "none") == cfg.Early {
							t.Skip("one mode is enough")
						}
						a, b, image := operands(l, n, k.bytes, k.encode, k.limit)
						out := words32(must(t, cfg, wgmmaKernel(l, n, k.op, k.rest, k.class), 1, 128, wgmmaShared, image, 128*n*2))
						for row := range 64 {
							for col := range n {
								want := 0
								for i, x := range a[row] {
									want += x * b[col][i]
								}
								lane, reg := row/16*32+row%8*4+col%8/2, col/8*4+row%16/8*2+col%2
								if got := k.decode(out[lane*n/2+reg]); got != want {
									t.Fatalf("row %d, column %d: %d, want %d", row, col, got, want)
								}
							}
						}
					})
				})
			}
		}
	}
}

func TestWgmmaFaults(t *testing.T) {
	const bulk = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%rd1], %r6, [%r2];"
	const commit = "wgmma.commit_group.sync.aligned;"
	const wait = "wgmma.wait_group.sync.aligned 0;"
	const fence = "wgmma.fence.sync.aligned;"
	const tryWait = "mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r2], %r5;\n\t\t@!%p2 bra $SENT;"
	tests := []struct{ name, old, repl, want string }{
		{"no wait for the copies", tryWait, "", ""}, // early: a race; late: in flight
		{"no fence after initialisation", "fence.mbarrier_init.release.cluster;", "", "known to bulk copies"},
		{"no barrier after initialisation", "bar.sync 0;", "", "initialised"},
		{"wrong parity", "mov.u32 %r5, 0", "mov.u32 %r5, 1", ""},
		{"too many bytes expected", "mov.u32 %r4, 65536", "mov.u32 %r4, 65552", "deadlock"},
		{"too few bytes expected", "mov.u32 %r4, 65536", "mov.u32 %r4, 32768", ""},
		{"an arrival too few", "mov.u32 %r3, 1", "mov.u32 %r3, 2", "deadlock"},
		{"an arrival too many", "mbarrier.arrive.expect_tx", "mbarrier.arrive.shared::cta.b64 _, [%r2]; mbarrier.arrive.expect_tx", ""},
		{"an arrival of an ended phase", "mov.u32 %r6", "mbarrier.arrive.shared::cta.b64 _, [%r2]; mov.u32 %r6", "an arrival more"},
		{"bulk copy over stores that no fence orders", "bar.sync 0;", "@!%p1 st.shared.u32 [%r1], %r5; bar.sync 0;", "before this bulk copy"},
		{"size", "mov.u32 %r6, 32768", "mov.u32 %r6, 32760", "multiple of 16"},
		{"misaligned copy", bulk, strings.Replace(bulk, "[%r1]", "[%r1+8]", 1), "misaligned"},
		{"copy past the end", bulk, strings.Replace(bulk, "[%rd1]", "[%rd1+49152]", 1), "out of bounds"},
		{"copy twice", bulk, bulk + bulk, ""},
		{"not an mbarrier", bulk, strings.Replace(bulk, "[%r2]", "[%r1]", 1), "no mbarrier"},
		{"mbarrier initialised twice", "fence.mbarrier_init", "mbarrier.init.shared::cta.b64 [%r2], %r3; fence.mbarrier_init", "initialised twice"},
		{"mbarrier as memory", tryWait, tryWait + "ld.shared.u32 %r20, [%r2];", "is an mbarrier"},
		{"stores of the generic proxy", fence, "st.shared.u8 [%r1], %r5; bar.sync 0;" + fence, "race"},
		{"one store of the generic proxy", fence, "@!%p1 st.shared.u32 [%r1], %r5; bar.sync 0;" + fence, "fence.proxy.async"},
		{"fence of another thread", fence, "@!%p1 st.shared.u32 [%r1], %r5; @%p1 fence.proxy.async; bar.sync 0;" + fence, "fence.proxy.async"},
		{"no wgmma.fence", fence, "", "no wgmma.fence"},
		{"a sum written after the fence", fence, fence + "mov.u32 %r40, 0;", "after the last wgmma.fence"},
		{"a sum read after the fence", fence, "mov.u32 %r40, 0;" + fence + "add.s32 %r20, %r40, 1;", "after the last wgmma.fence"},
		{"not committed", commit, "", "in flight is read"},
		{"not waited for", wait, "", "in flight is read"},
		{"a group too many left", wait, strings.Replace(wait, "0", "1", 1), "in flight is read"},
		{"a sum written in flight", wait, "mov.u32 %r41, 0;" + wait, "in flight is written"},
		{"ends in flight", wait, "ret;", "not waited for"},
		{"by three warps", fence, "setp.ge.u32 %p5, %r0, 96; @%p5 ret;" + fence, "issued"},
		{"descriptors that differ in a warp", fence, "cvt.u64.u32 %rd10, %r0; add.s64 %rd6, %rd6, %rd10;" + fence, "same in all lanes"},
		{"descriptors that differ between warps", fence, "shr.u32 %r20, %r0, 5; mul.wide.u32 %rd10, %r20, 64; add.s64 %rd6, %rd6, %rd10;" + fence, "different descriptors"},
		{"matrix inside its pattern", fence, "add.s64 %rd6, %rd6, 8;" + fence, "inside the pattern"},
		{"matrix over the end of a row", fence, "add.s64 %rd6, %rd6, 1;" + fence, "cross the end of a row"},
		{"matrix out of bounds", fence, "add.s64 %rd7, %rd7, 2048;" + fence, ""},
		{"base offset", fence, "mov.u64 %rd10, 562949953421312; add.s64 %rd6, %rd6, %rd10;" + fence, "base offset"},
		{"overwritten in flight", wait, "@!%p1 st.shared.u32 [%r1+64], %r5; bar.sync 0; " + wait, "a wgmma in flight reads it"},
		{"overwritten in flight by a bulk copy", wait, "bar.sync 0; @!%p1 " + bulk + wait, "a wgmma in flight reads it"},
	}
	l := layouts[4]
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, cfg ptx.Config) {
				_, _, image := operands(l, 8, 1, int8bits, 128)
				src := wgmmaKernel(l, 8, "32.s32.s8.s8", "", "r")
				if !strings.Contains(src, c.old) {
					t.Fatal("nothing to replace")
				}
				_, err := launch(t, cfg, strings.Replace(src, c.old, c.repl, 1), 1, 128, wgmmaShared, image, 128*8*2)
				wantFault(t, err, c.want)
			})
		})
	}
}

// TestFencedStores is the generic proxy's way to wgmma that is right.
func TestFencedStores(t *testing.T) {
	both(t, func(t *testing.T, cfg ptx.Config) {
		l := layouts[4]
		_, _, image := operands(l, 8, 1, int8bits, 128)
		src := wgmmaKernel(l, 8, "32.s32.s8.s8", "", "r")
		src = strings.Replace(src, "wgmma.fence.sync.aligned;", "@!%p1 st.shared.u32 [%r1], %r5; @!%p1 fence.proxy.async; bar.sync 0; wgmma.fence.sync.aligned;", 1)
		must(t, cfg, src, 1, 128, wgmmaShared, image, 128*8*2)
	})
}

// TestBulkIsWaitedFor ends a block whose copy nothing has waited for, which only a
// late copy shows.
func TestBulkIsWaitedFor(t *testing.T) {
	l := layouts[4]
	_, _, image := operands(l, 8, 1, int8bits, 128)
	src := strings.Replace(wgmmaKernel(l, 8, "32.s32.s8.s8", "", "r"), "$SENT:", "$SENT: ret;", 1)
	_, err := launch(t, ptx.Config{}, src, 1, 128, wgmmaShared, image, 128*8*2)
	wantFault(t, err, "not waited for")
}

// TestStoresAfterTheWait overwrites a matrix when all have waited for its reading.
func TestStoresAfterTheWait(t *testing.T) {
	both(t, func(t *testing.T, cfg ptx.Config) {
		l := layouts[4]
		_, _, image := operands(l, 8, 1, int8bits, 128)
		src := wgmmaKernel(l, 8, "32.s32.s8.s8", "", "r")
		src = strings.Replace(src, "wgmma.wait_group.sync.aligned 0;", "wgmma.wait_group.sync.aligned 0; bar.sync 0; @!%p1 st.shared.u32 [%r1], %r5;", 1)
		must(t, cfg, src, 1, 128, wgmmaShared, image, 128*8*2)
	})
}

// ring is a pipeline of two stages between a thread that fetches and a warp that
// reads: full and empty mbarriers, five turns.
const ring = `
	setp.ne.s32 %p1, %r0, 32;
	mov.u32 %r1, sh;
	mov.u32 %r2, 1;
	mov.u32 %r3, 32;
	mov.u32 %r9, 0;
	setp.ne.s32 %p2, %r0, 0;
	@%p2 bra $READY;
	mbarrier.init.shared::cta.b64 [%r1+256], %r2;
	mbarrier.init.shared::cta.b64 [%r1+264], %r2;
	mbarrier.init.shared::cta.b64 [%r1+272], %r3;
	mbarrier.init.shared::cta.b64 [%r1+280], %r3;
	fence.proxy.async.shared::cta;
$READY:
	bar.sync 0;
	mov.u32 %r4, 0;
	mov.u32 %r15, 128;
	setp.lt.u32 %p3, %r0, 32;
	@%p3 bra $READ;
	@%p1 ret;
$FETCH:
	and.b32 %r5, %r4, 1;
	shr.u32 %r6, %r4, 1;
	not.b32 %r6, %r6;
	and.b32 %r6, %r6, 1;
	mad.lo.s32 %r7, %r5, 8, %r1;
	mad.lo.s32 %r8, %r5, 128, %r1;
$EMPTY:
	mbarrier.try_wait.parity.shared::cta.b64 %p4, [%r7+272], %r6;
	@!%p4 bra $EMPTY;
	mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r7+256], %r15;
	mul.wide.u32 %rd3, %r4, 128;
	add.s64 %rd3, %rd3, %rd1;
	cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r8], [%rd3], %r15, [%r7+256];
	add.s32 %r4, %r4, 1;
	setp.lt.u32 %p5, %r4, 5;
	@%p5 bra $FETCH;
	ret;
$READ:
	and.b32 %r5, %r4, 1;
	shr.u32 %r6, %r4, 1;
	and.b32 %r6, %r6, 1;
	mad.lo.s32 %r7, %r5, 8, %r1;
	mad.lo.s32 %r8, %r5, 128, %r1;
$FULL:
	mbarrier.try_wait.parity.shared::cta.b64 %p4, [%r7+256], %r6;
	@!%p4 bra $FULL;
	mad.lo.s32 %r8, %r0, 4, %r8;
	ld.shared.u32 %r10, [%r8];
	add.s32 %r9, %r9, %r10;
	mbarrier.arrive.shared::cta.b64 _, [%r7+272];
	add.s32 %r4, %r4, 1;
	setp.lt.u32 %p5, %r4, 5;
	@%p5 bra $READ;
	mad.wide.u32 %rd4, %r0, 4, %rd2;
	st.global.u32 [%rd4], %r9;
`

func TestRing(t *testing.T) {
	both(t, func(t *testing.T, cfg ptx.Config) {
		in := copyInput()[:160]
		for i, got := range words32(must(t, cfg, kernel(sm90, ring), 2, 64, 288, bytes32(in), 128)) {
			want := uint32(0)
			for turn := range 5 {
				want += in[turn*32+i]
			}
			if got != want {
				t.Fatalf("lane %d: %#x, want %#x", i, got, want)
			}
		}
	})
}

func TestRingFaults(t *testing.T) {
	tests := []struct{ name, old, repl, want string }{
		{"the fetcher does not wait", "@!%p4 bra $EMPTY;", "", ""},
		{"the fetcher waits for the wrong phase", "not.b32 %r6, %r6;", "", "deadlock"},
		{"the reader does not wait", "@!%p4 bra $FULL;", "", ""},
		{"the reader waits for the other stage", "[%r7+256], %r6", "[%r1+256], %r6", ""},
		{"the reader frees the stage before it reads", "ld.shared.u32 %r10, [%r8];\n\tadd.s32 %r9, %r9, %r10;\n\tmbarrier.arrive.shared::cta.b64 _, [%r7+272];", "mbarrier.arrive.shared::cta.b64 _, [%r7+272];\n\tld.shared.u32 %r10, [%r8];\n\tadd.s32 %r9, %r9, %r10;", ""},
		{"one lane frees the stage, the warp not synchronised", "mov.u32 %r3, 32", "mov.u32 %r3, 1", ""},
		{"the reader does not free", "mbarrier.arrive.shared::cta.b64 _, [%r7+272];", "", "deadlock"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, cfg ptx.Config) {
				src := ring
				if strings.Contains(c.name, "one lane") {
					src = strings.Replace(src, "mbarrier.arrive.shared::cta.b64 _, [%r7+272]", "@!%p2 mbarrier.arrive.shared::cta.b64 _, [%r7+272]", 1)
				}
				if !strings.Contains(src, c.old) {
					t.Fatal("nothing to replace")
				}
				_, err := launch(t, cfg, kernel(sm90, strings.Replace(src, c.old, c.repl, 1)), 1, 64, 288, bytes32(copyInput()), 128)
				f := wantFault(t, err, c.want)
				t.Log(f)
			})
		})
	}
}
