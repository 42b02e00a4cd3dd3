package ptx_test

import (
	"testing"

	"github.com/assaynet/assay/gpu/kernels/ptx"
)

// BenchmarkLaunch reports instructions of threads a second.
func BenchmarkLaunch(b *testing.B) {
	l := layouts[4]
	_, _, image := operands(l, 256, 1, int8bits, 128)
	const loop = "mov.u32 %r9, 0; mov.u32 %r4, %r0;\n$L: "
	const again = "add.s32 %r9, %r9, 1; setp.ne.s32 %p1, %r9, 1000; @%p1 bra $L;"
	tests := []struct {
		name, src string
		shared    int
		in        []byte
	}{
		{"integers", kernel(sm80, loop+"add.s32 %r4, %r4, %r9; xor.b32 %r4, %r4, %r0; shf.l.wrap.b32 %r4, %r4, %r4, 7; add.s32 %r4, %r4, %r9; xor.b32 %r4, %r4, %r0; shf.l.wrap.b32 %r4, %r4, %r4, 7;"+again), 0, []byte{0}},
		{"fma", kernel(sm80, "mov.f64 %fd1, 0d3FF0000000000000;"+loop+"fma.rn.f64 %fd1, %fd1, %fd1, %fd1; fma.rn.f64 %fd1, %fd1, %fd1, %fd1; fma.rn.f64 %fd1, %fd1, %fd1, %fd1;"+again), 0, []byte{0}},
		{"shared memory", kernel(sm80, "mov.u32 %r1, sh; mad.lo.s32 %r2, %r0, 16, %r1;"+loop+"st.shared.v4.u32 [%r2], {%r4, %r4, %r4, %r4}; ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r2];"+again), 2048, []byte{0}},
		{"global memory", kernel(sm80, "mad.wide.u32 %rd3, %r0, 16, %rd1;"+loop+"ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%rd3]; st.global.v4.u32 [%rd3], {%r4, %r4, %r4, %r4};"+again), 0, make([]byte, 2048)},
		{"wgmma", wgmmaKernel(l, 256, "32.s32.s8.s8", "", "r"), wgmmaShared, image},
	}
	for _, c := range tests {
		b.Run(c.name, func(b *testing.B) {
			m := parse(b, c.src)
			mem := ptx.NewMemory()
			in, out := mem.Alloc(len(c.in), 256), mem.Alloc(128*512, 256)
			if err := mem.Write(in, c.in); err != nil {
				b.Fatal(err)
			}
			total := 0
			for b.Loop() {
				s, err := m.LaunchStats(ptx.Config{}, mem, "k", 1, 128, c.shared, in, out)
				if err != nil {
					b.Fatal(err)
				}
				total += s.Threads
			}
			b.ReportMetric(float64(total)/b.Elapsed().Seconds()/1e6, "Minstr/s")
		})
	}
}
