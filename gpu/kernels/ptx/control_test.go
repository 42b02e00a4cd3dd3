package ptx_test

import (
	"math/bits"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/kernels/ptx"
)

// perThread runs a body that leaves its result in %r9 and returns it by thread.
func perThread(t *testing.T, header, body string, threads int) []uint32 {
	t.Helper()
	src := kernel(header, body+"\nmad.wide.u32 %rd9, %r0, 4, %rd2;\nst.global.u32 [%rd9], %r9;")
	return words32(must(t, ptx.Config{}, src, 1, threads, 4096, []byte{0}, 4*threads))
}

func TestControl(t *testing.T) {
	collatz := func(n uint32) uint32 {
		steps := uint32(0)
		for n++; n != 1; steps++ {
			if n%2 == 0 {
				n /= 2
			} else {
				n = 3*n + 1
			}
		}
		return steps
	}
	tests := []struct {
		name, body string
		threads    int
		want       func(i uint32) uint32
	}{
		{"if and else", `
			and.b32 %r1, %r0, 1;
			setp.eq.s32 %p1, %r1, 0;
			@%p1 bra $EVEN;
			mul.lo.s32 %r9, %r0, 3;
			bra.uni $END;
		$EVEN:
			add.s32 %r9, %r0, 100;
		$END:`, 64, func(i uint32) uint32 {
			if i%2 == 0 {
				return i + 100
			}
			return 3 * i
		}},
		{"a loop with its own end in each lane, then a collective", `
			add.s32 %r1, %r0, 1;
			mov.u32 %r9, 0;
		$LOOP:
			setp.eq.s32 %p1, %r1, 1;
			@%p1 bra $END;
			add.s32 %r9, %r9, 1;
			and.b32 %r2, %r1, 1;
			setp.ne.s32 %p2, %r2, 0;
			@%p2 bra $ODD;
			shr.u32 %r1, %r1, 1;
			bra $LOOP;
		$ODD:
			mad.lo.s32 %r1, %r1, 3, 1;
			bra $LOOP;
		$END:
			shfl.sync.idx.b32 %r3, %r9, 0, 31, -1;
			add.s32 %r9, %r9, %r3;`, 32, func(i uint32) uint32 { return collatz(i) }},
		{"lanes that arrive from below", `
			setp.lt.u32 %p1, %r0, 16;
			mov.u32 %r9, 1;
			@%p1 bra $LATE;
		$MEET:
			shfl.sync.bfly.b32 %r9, %r9, 16, 31, -1;
			bra $OUT;
		$LATE:
			mov.u32 %r9, 7;
			bra $MEET;
		$OUT:`, 32, func(i uint32) uint32 { return map[bool]uint32{true: 1, false: 7}[i < 16] }},
		{"two scopes with the same names", `
			{ .reg .b32 %x; mov.b32 %x, 5; $L: add.s32 %x, %x, %r0; mov.b32 %r9, %x; }
			{ .reg .b32 %x; setp.ne.s32 %p1, %r0, 3; @%p1 bra $L; mov.b32 %r9, 1; $L: }`, 32, func(i uint32) uint32 {
			if i == 3 {
				return 1
			}
			return i + 5
		}},
		{"half a warp", "mov.u32 %r9, %ntid.x;", 80, func(uint32) uint32 { return 80 }},
		{"lane", "mov.u32 %r9, %laneid;", 64, func(i uint32) uint32 { return i % 32 }},
		{"exit of some", "setp.gt.u32 %p1, %r0, 100; @%p1 exit; mov.u32 %r9, 1;", 64, func(uint32) uint32 { return 1 }},
		{"shuffle up", "shfl.sync.up.b32 %r9|%p1, %r0, 3, 0, -1; @!%p1 mov.u32 %r9, 99;", 32, func(i uint32) uint32 {
			if i < 3 {
				return 99
			}
			return i - 3
		}},
		{"shuffle down in eights", "shfl.sync.down.b32 %r9, %r0, 2, 6175, -1;", 32, func(i uint32) uint32 { // 0x181f
			if i%8 >= 6 {
				return i
			}
			return i + 2
		}},
		{"shuffle by a register", "xor.b32 %r1, %r0, 5; shfl.sync.idx.b32 %r9, %r0, %r1, 31, -1;", 32, func(i uint32) uint32 { return i ^ 5 }},
		{"ballot", "setp.lt.u32 %p1, %r0, 5; vote.sync.ballot.b32 %r9, %p1, -1;", 32, func(uint32) uint32 { return 31 }},
		{"any and all", `
			setp.lt.u32 %p1, %r0, 5;
			vote.sync.any.pred %p2, %p1, -1;
			vote.sync.all.pred %p3, %p1, -1;
			vote.sync.uni.pred %p4, %p1, -1;
			selp.u32 %r9, 1, 0, %p2;
			@%p3 add.s32 %r9, %r9, 2;
			@%p4 add.s32 %r9, %r9, 4;`, 32, func(uint32) uint32 { return 1 }},
		{"active lanes", "mov.u32 %r9, 0; setp.ge.u32 %p1, %r0, 8; @%p1 bra $E; activemask.b32 %r9;\n$E:", 32, func(i uint32) uint32 {
			if i < 8 {
				return 255
			}
			return 0
		}},
		{"a barrier between warps", `
			mov.u32 %r1, sh;
			mad.lo.s32 %r2, %r0, 4, %r1;
			st.shared.u32 [%r2], %r0;
			bar.sync 0;
			xor.b32 %r3, %r0, 63;
			mad.lo.s32 %r2, %r3, 4, %r1;
			ld.shared.u32 %r9, [%r2];`, 64, func(i uint32) uint32 { return i ^ 63 }},
		{"a named barrier of two warps of three", `
			mov.u32 %r9, 0;
			setp.ge.u32 %p1, %r0, 64;
			@%p1 bra $E;
			setp.ne.s32 %p2, %r0, 0;
			mov.u32 %r4, 17;
			@!%p2 st.shared.u32 [sh+8], %r4;
			bar.sync 3, 64;
			ld.shared.u32 %r9, [sh+8];
		$E:`, 96, func(i uint32) uint32 { return map[bool]uint32{true: 17}[i < 64] }},
		{"a barrier of the warp", `
			mov.u32 %r1, sh;
			mad.lo.s32 %r2, %r0, 4, %r1;
			st.shared.u32 [%r2], %r0;
			bar.warp.sync -1;
			xor.b32 %r3, %r0, 1;
			mad.lo.s32 %r2, %r3, 4, %r1;
			ld.shared.u32 %r9, [%r2];`, 32, func(i uint32) uint32 { return i ^ 1 }},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			for i, got := range perThread(t, sm80, c.body, c.threads) {
				if want := c.want(uint32(i)); got != want {
					t.Fatalf("thread %d: %d, want %d", i, got, want)
				}
			}
		})
	}
}

func TestElectIsOneLane(t *testing.T) {
	got := perThread(t, sm90, "elect.sync %r1|%p1, -1; selp.u32 %r9, 1, 0, %p1;", 32)
	n := uint32(0)
	for _, x := range got {
		n += x
	}
	if n != 1 {
		t.Fatalf("%d lanes are elected", n)
	}
}

// TestBlocks runs many blocks with a tail.
func TestBlocks(t *testing.T) {
	src := kernel(sm80, `
		mov.u32 %r1, %ctaid.x;
		mov.u32 %r2, %ntid.x;
		mad.lo.s32 %r3, %r1, %r2, %r0;
		setp.ge.u32 %p1, %r3, 100;
		@%p1 bra $E;
		mad.wide.u32 %rd9, %r3, 4, %rd2;
		mov.u32 %r4, %nctaid.x;
		st.global.u32 [%rd9], %r4;
	$E:`)
	for i, x := range words32(must(t, ptx.Config{}, src, 4, 32, 0, []byte{0}, 400)) {
		if x != 4 {
			t.Fatalf("word %d: %d", i, x)
		}
	}
}

// TestFaults has for each check a kernel that it must stop.
func TestFaults(t *testing.T) {
	const at = "mov.u32 %r1, sh; mad.lo.s32 %r2, %r0, 4, %r1; "
	tests := []struct {
		name, body, want string
		threads          int
	}{
		{"load past the end", "mul.wide.u32 %rd3, %r0, 4; add.s64 %rd3, %rd3, %rd1; ld.global.u32 %r1, [%rd3];", "out of bounds", 32},
		{"load before the start", "ld.global.u8 %r1, [%rd1+-1];", "out of bounds", 1},
		{"store far away", "mov.u64 %rd3, 4096; st.global.u32 [%rd3], %r0;", "in no allocation", 1},
		{"pointer cut to 32 bits", "cvt.u32.u64 %r1, %rd1; ld.global.u8 %r2, [%r1];", "out of bounds", 1},
		{"from one allocation to the next", "mov.u64 %rd3, 4096; add.s64 %rd3, %rd1, %rd3; ld.global.u8 %r1, [%rd3];", "out of bounds", 1},
		{"misaligned word", "ld.global.u32 %r1, [%rd1+2];", "misaligned", 1},
		{"misaligned vector", "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd1+8];", "misaligned", 1},
		{"misaligned shared vector", "st.shared.v4.u32 [sh+4], {%r0, %r0, %r0, %r0};", "misaligned", 1},
		{"shared memory past the end", "st.shared.u32 [sh+4096], %r0;", "out of bounds", 1},
		{"shared memory before the start", "st.shared.u32 [sh+-4], %r0;", "out of bounds", 1},
		{"shared memory at zero", "mov.u32 %r1, 0; st.shared.u32 [%r1], %r0;", "out of bounds", 1},
		{"unwritten register", "add.s32 %r1, %r2, 1;", "never written", 1},
		{"register unwritten in some lanes", "setp.lt.u32 %p1, %r0, 5; @%p1 mov.u32 %r1, 1; add.s32 %r2, %r1, 1;", "never written", 32},
		{"unwritten guard", "@%p1 mov.u32 %r1, 1;", "never written", 1},
		{"unwritten predicate", "selp.b32 %r1, 0, 1, %p1;", "never written", 1},
		{"unwritten shared memory", "ld.shared.u32 %r1, [sh];", "never written", 1},
		{"half-written shared memory", "cvt.u16.u32 %h1, %r0; st.shared.u16 [sh], %h1; ld.shared.u32 %r1, [sh];", "never written", 1},
		{"division by zero", "sub.s32 %r1, %r0, %r0; div.u32 %r2, %r0, %r1;", "division by zero", 1},
		{"constant load of what the launch writes", "st.global.u32 [%rd1], %r0; ld.global.nc.u32 %r1, [%rd1];", "ld.global.nc", 1},
		{"trap", "setp.eq.s32 %p1, %r0, 9; @%p1 trap;", "trap", 32},
		{"no barrier", at + "st.shared.u32 [%r2], %r0; xor.b32 %r3, %r0, 32; mad.lo.s32 %r2, %r3, 4, %r1; setp.ge.u32 %p1, %r0, 32; @%p1 ld.shared.u32 %r9, [%r2];", "race", 64},
		{"no barrier before the next store", at + "st.shared.u32 [%r2], %r0; bar.sync 0; xor.b32 %r3, %r0, 32; mad.lo.s32 %r4, %r3, 4, %r1; ld.shared.u32 %r9, [%r4]; st.shared.u32 [%r2], %r9;", "race", 64},
		{"no barrier in the warp", at + "st.shared.u32 [%r2], %r0; xor.b32 %r3, %r0, 1; mad.lo.s32 %r4, %r3, 4, %r1; ld.shared.u32 %r9, [%r4];", "race", 32},
		{"two threads store a word", "st.shared.u32 [sh], %r0;", "race", 32},
		{"two warps store a word", "setp.eq.s32 %p1, %r0, 0; setp.eq.or.s32 %p1, %r0, 32, %p1; @%p1 st.shared.u32 [sh], %r0;", "race", 64},
		{"wrong barrier", at + "st.shared.u32 [%r2], %r0; setp.lt.u32 %p1, %r0, 32; @%p1 bra $A; bar.sync 1, 32; bra $B;\n$A: bar.sync 2, 32;\n$B: xor.b32 %r3, %r0, 32; mad.lo.s32 %r4, %r3, 4, %r1; ld.shared.u32 %r9, [%r4];", "never written", 64},
		{"barrier by half a warp", "setp.lt.u32 %p1, %r0, 16; @%p1 bra $E; bar.sync 0;\n$E:", "divergent collective", 32},
		{"barrier under a guard", "setp.lt.u32 %p1, %r0, 16; @%p1 bar.sync 0;", "divergent collective", 32},
		{"barrier after some have ended", "setp.ge.u32 %p1, %r0, 20; @%p1 ret; bar.sync 0;", "have ended", 32},
		{"barrier that a warp never reaches", "setp.ge.u32 %p1, %r0, 32; @%p1 bra $E; bar.sync 0;\n$E:", "deadlock", 64},
		{"two barriers", "setp.ge.u32 %p1, %r0, 32; @%p1 bra $E; bar.sync 0; ret;\n$E: bar.sync 1;", "deadlock", 64},
		{"counts that differ", "setp.ge.u32 %p1, %r0, 32; @%p1 bra $E; bar.sync 1, 64; ret;\n$E: bar.sync 1, 96;", "is reached with", 96},
		{"shuffle in two places", "setp.lt.u32 %p1, %r0, 16; @%p1 bra $A; shfl.sync.idx.b32 %r1, %r0, 0, 31, -1; ret;\n$A: shfl.sync.idx.b32 %r1, %r0, 0, 31, -1;", "divergent collective", 32},
		{"shuffle that names too few", "shfl.sync.idx.b32 %r1, %r0, 0, 31, 65535;", "not of its members", 32},
		{"shuffle from a lane outside", "setp.lt.u32 %p1, %r0, 16; @!%p1 bra $E; shfl.sync.idx.b32 %r1, %r0, 20, 31, 65535;\n$E:", "reads lane 20", 32},
		{"branch that is not uniform", "setp.lt.u32 %p1, %r0, 16; @%p1 bra.uni $E;\n$E:", "bra.uni", 32},
		{"endless loop", "$L: bra $L;", "steps", 1},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			src := kernel(sm80, c.body)
			_, err := launch(t, ptx.Config{MaxSteps: 1000}, src, 2, c.threads, 4096, make([]byte, 16), 64)
			f := wantFault(t, err, c.want)
			if !strings.HasPrefix(c.want, "deadlock") && (f.Kernel != "k" || f.Line < bodyLine) {
				t.Fatalf("fault %+v", f)
			}
		})
	}
}

func TestMemoryIsPlacedBadly(t *testing.T) {
	mem := ptx.NewMemory()
	for _, align := range []int{1, 2, 16, 256, 1 << 20} {
		at := mem.Alloc(100, align)
		if bits.TrailingZeros64(at) != bits.TrailingZeros64(uint64(align)) {
			t.Errorf("aligned to %d: %#x", align, at)
		}
		if err := mem.Write(at+97, []byte("four")); err == nil {
			t.Error("a write past the end")
		}
		if _, err := mem.Read(at-1, 1); err == nil {
			t.Error("a read before the start")
		}
		if b, err := mem.Read(at, 100); err != nil || b[50] != 0xa5 {
			t.Errorf("content %x, %v", b, err)
		}
	}
	if _, err := mem.Read(12, 1); err == nil {
		t.Error("a read from nowhere")
	}
}

// TestSharedIsPlacedBadly stores a vector into shared memory whose declaration does
// not align it.
func TestSharedIsPlacedBadly(t *testing.T) {
	src := strings.Replace(kernel(sm80, "st.shared.v4.u32 [sh], {%r0, %r0, %r0, %r0};"), ".align 1024", ".align 8", 1)
	_, err := launch(t, ptx.Config{}, src, 1, 1, 64, []byte{0}, 1)
	wantFault(t, err, "misaligned")
}

func TestLaunchArguments(t *testing.T) {
	m := parse(t, kernel(sm75, ""))
	tests := []struct {
		name                string
		kernel              string
		grid, block, shared int
		args                []uint64
		want                string
	}{
		{"kernel", "none", 1, 1, 0, []uint64{0, 0}, "no kernel"},
		{"arguments", "k", 1, 1, 0, []uint64{0}, "takes 2 arguments"},
		{"grid", "k", 0, 1, 0, []uint64{0, 0}, "grid"},
		{"block", "k", 1, 1025, 0, []uint64{0, 0}, "threads"},
		{"shared", "k", 1, 1, 64<<10 + 1, []uint64{0, 0}, "at most"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			err := m.Launch(ptx.Config{}, ptx.NewMemory(), c.kernel, c.grid, c.block, c.shared, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
}
