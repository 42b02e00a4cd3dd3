package ptx_test

import (
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/kernels/ptx"
)

// copyKernel copies two stages of 16 bytes a thread, waits for one after the other,
// and stores the sum of what another thread copied.
const copyKernel = `
	mov.u32 %r1, sh;
	mad.lo.s32 %r2, %r0, 16, %r1;
	mad.wide.u32 %rd3, %r0, 16, %rd1;
	cp.async.cg.shared.global [%r2], [%rd3], 16;
	cp.async.commit_group;
	cp.async.ca.shared.global [%r2+1024], [%rd3+1024], 16;
	cp.async.commit_group;
	xor.b32 %r3, %r0, 33;
	mad.lo.s32 %r3, %r3, 16, %r1;
	cp.async.wait_group 1;
	bar.sync 0;
	ld.shared.u32 %r4, [%r3+4];
	cp.async.wait_group 0;
	bar.sync 1;
	ld.shared.u32 %r5, [%r3+1036];
	add.s32 %r6, %r4, %r5;
	mad.wide.u32 %rd4, %r0, 4, %rd2;
	st.global.u32 [%rd4], %r6;
`

func copyInput() []uint32 {
	in := make([]uint32, 512)
	rng := random(5)
	for i := range in {
		in[i] = rng.Uint32()
	}
	return in
}

func TestCopies(t *testing.T) {
	both(t, func(t *testing.T, cfg ptx.Config) {
		in := copyInput()
		for i, got := range words32(must(t, cfg, kernel(sm80, copyKernel), 2, 64, 2048, bytes32(in), 256)) {
			if want := in[(i^33)*4+1] + in[256+(i^33)*4+3]; got != want {
				t.Fatalf("thread %d: %#x, want %#x", i, got, want)
			}
		}
	})
}

func TestShortCopyFillsWithZeros(t *testing.T) {
	both(t, func(t *testing.T, cfg ptx.Config) {
		src := kernel(sm80, "mov.u32 %r1, 4; cp.async.cg.shared.global [sh], [%rd1], 16, %r1; cp.async.wait_all; ld.shared.v2.u32 {%r2, %r3}, [sh]; st.global.v2.u32 [%rd2], {%r2, %r3};")
		if out := words32(must(t, cfg, src, 1, 1, 16, bytes32([]uint32{7, 8, 9, 10}), 8)); out[0] != 7 || out[1] != 0 {
			t.Fatal(out)
		}
	})
}

func TestCopyFaults(t *testing.T) {
	tests := []struct{ name, old, repl, want string }{
		{"waits for too few", "wait_group 1", "wait_group 2", "in flight"},
		{"never waits", "cp.async.wait_group 1;", "", "in flight"},
		{"last is not waited for", "cp.async.wait_group 0;", "", "in flight"},
		{"not committed", "cp.async.commit_group;\n\tcp.async.ca", "cp.async.ca", "in flight"},
		{"no barrier", "bar.sync 0;", "", "never written"},
		{"no barrier after the last wait", "bar.sync 1;", "", "in flight"},
		{"barrier before the wait", "cp.async.wait_group 1;\n\tbar.sync 0;", "bar.sync 0;\n\tcp.async.wait_group 1;", "in flight"},
		{"misaligned destination", "[%r2], [%rd3]", "[%r2+8], [%rd3]", "misaligned"},
		{"misaligned source", "[%r2], [%rd3]", "[%r2], [%rd3+4]", "misaligned"},
		{"source past the end", "[%rd3+1024], 16", "[%rd3+1040], 16", "out of bounds"},
		{"destination past the end", "[%r2+1024]", "[%r2+1040]", "out of bounds"},
		{"two to one place", "[%r2+1024]", "[%r2]", "in flight"},
		{"over what is still read", "cp.async.wait_group 0;\n\tbar.sync 1;", "cp.async.cg.shared.global [%r2], [%rd3], 16;\n\tcp.async.wait_all;\n\tbar.sync 1;", "race"},
		{"ends without a wait", "st.global.u32", "bar.sync 0; cp.async.cg.shared.global [%r2], [%rd3], 16; st.global.u32", "not waited for"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, cfg ptx.Config) {
				if !strings.Contains(copyKernel, c.old) {
					t.Fatal("nothing to replace")
				}
				src := kernel(sm80, strings.Replace(copyKernel, c.old, c.repl, 1))
				_, err := launch(t, cfg, src, 1, 64, 2048, bytes32(copyInput()), 256)
				wantFault(t, err, c.want)
			})
		})
	}
}
