package ptx_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/kernels/ptx"
)

// TestRefused has texts that must not be read, each for one reason, and the line
// that the error must name.
func TestRefused(t *testing.T) {
	in := func(header, body string) string { return kernel(header, body) }
	tests := []struct {
		name, src, want string
		line            int
	}{
		{"nothing", "", ".version", 1},
		{"version", strings.Replace(sm80, "7.0", "9.9", 1), "version", 1},
		{"target", strings.Replace(sm80, "sm_80", "sm_35", 1), "target", 2},
		{"32-bit addresses", strings.Replace(sm80, "64", "32", 1), "64", 3},
		{"directive", sm80 + ".func f;", "directive", 4},
		{"character", sm80 + "#", "character", 4},
		{"comment", sm80 + "/* no end", "comment", 4},
		{"two kernels of one name", in(sm80, "") + ".entry k() { ret; }", "declared twice", 19},
		{"kernel without an end", sm80 + ".entry k() { ret;", "", 4},
		{"kernel that runs over its end", sm80 + ".entry k() { .reg .b32 %r; mov.b32 %r, 0; }", "over its end", 4},
		{"empty kernel", sm80 + ".entry k() { }", "over its end", 4},
		{"jump over the end", sm80 + ".entry k() { .reg .pred %p; mov.pred %p, 0; @%p bra L; ret; L: }", "over the end", 4},
		{"local memory", in(sm80, ".local .align 4 .b8 depot[64];"), "local memory", 16},
		{"unknown label", in(sm80, "bra $NOWHERE;"), "no label", 16},
		{"label of an inner scope", in(sm80, "{ $L: mov.u32 %r1, 0; }\nbra $L;"), "no label", 17},
		{"label twice", in(sm80, "$L: $L: ret;"), "set twice", 16},
		{"register twice", in(sm80, ".reg .b32 %x; .reg .b64 %x;"), "declared twice", 16},
		{"unknown register", in(sm80, "mov.u32 %r1, %r300;"), "no register", 16},
		{"unknown special register", in(sm80, "mov.u32 %r1, %tid.y;"), "no register", 16},
		{"pragma", in(sm80, `.pragma "other";`), "pragma", 16},
		{"unknown opcode", in(sm80, "frobnicate.b32 %r1, %r2;"), "unknown opcode", 16},
		{"call", in(sm80, "call f;"), "no label", 16},
		{"atomic", in(sm80, "atom.global.add.u32 %r1, [%rd1], 1;"), "unknown opcode", 16},
		{"unknown modifier", in(sm80, "add.sat.s32 %r1, %r2, %r3;"), "unknown opcode", 16},
		{"contractible f64", in(sm80, "mul.f64 %fd1, %fd2, %fd3;"), "unknown opcode", 16},
		{"approximate division", in(sm80, "div.full.f32 %f1, %f2, %f3;"), "unknown opcode", 16},
		{"flush to zero", in(sm80, "add.rn.ftz.f32 %f1, %f2, %f3;"), "unknown opcode", 16},
		{"signed type of bits", in(sm80, "xor.s32 %r1, %r2, %r3;"), "unknown opcode", 16},
		{"size of a source", in(sm80, "add.s32 %r1, %r2, %rd3;"), "is .b64", 16},
		{"size of a destination", in(sm80, "add.s64 %r1, %rd2, %rd3;"), "is .b32", 16},
		{"float register in an integer instruction", in(sm80, "add.s32 %r1, %f2, %r3;"), "is .f32", 16},
		{"predicate as a number", in(sm80, "add.s32 %r1, %p2, %r3;"), "predicate", 16},
		{"number as a predicate", in(sm80, "selp.b32 %r1, %r2, %r3, %r4;"), "predicate", 16},
		{"too few operands", in(sm80, "add.s32 %r1, %r2;"), "operands", 16},
		{"too many operands", in(sm80, "add.s32 %r1, %r2, %r3, %r4;"), "operands", 16},
		{"number too large", in(sm80, "add.s32 %r1, %r2, 4294967296;"), "does not fit", 16},
		{"negative number too large", in(sm80, "add.s32 %r1, %r2, -2147483649;"), "does not fit", 16},
		{"float literal in an integer instruction", in(sm80, "add.s32 %r1, %r2, 0f3F800000;"), "float", 16},
		{"integer literal in a float instruction", in(sm80, "add.rn.f32 %f1, %f2, 1;"), "a value", 16},
		{"octal", in(sm80, "mov.u32 %r1, 010;"), "literal", 16},
		{"store to a special register", in(sm80, "mov.u32 %tid.x, 1;"), "a register", 16},
		{"vector of three", in(sm80, "ld.global.v4.u32 {%r1, %r2, %r3}, [%rd1];"), "vector", 16},
		{"vector without .v", in(sm80, "ld.global.u32 {%r1, %r2}, [%rd1];"), "", 16},
		{"vector too wide", in(sm80, "ld.global.v4.u64 {%rd3, %rd4, %rd5, %rd6}, [%rd1];"), "vector", 16},
		{"register twice in a vector", in(sm80, "ld.global.v2.u32 {%r1, %r1}, [%rd1];"), "twice", 16},
		{"mov from a vector of the wrong size", in(sm80, "mov.b32 %r1, {%r2, %r3};"), "is .b32", 16},
		{"mov of a typed vector", in(sm80, "mov.u64 %rd3, {%r2, %r3};"), "parts", 16},
		{"generic address", in(sm80, "ld.u32 %r1, [%rd1];"), "state space", 16},
		{"local load", in(sm80, "ld.local.u32 %r1, [%rd1];"), "ld with .local", 16},
		{"parameter that is none", in(sm80, "ld.param.u32 %r1, [%rd1];"), "no parameter", 16},
		{"part of a parameter", in(sm80, "ld.param.u64 %rd3, [k_in+4];"), "offset 4", 16},
		{"unknown parameter", in(sm80, "ld.param.u64 %rd3, [k_none];"), "", 16},
		{"store of nc", in(sm80, "st.global.nc.u32 [%rd1], %r0;"), "st with .nc", 16},
		{"address of a float", in(sm80, "ld.global.u32 %r1, [%f1];"), "32 or 64 bits", 16},
		{"conversion without rounding", in(sm80, "cvt.f32.s32 %f1, %r1;"), "cvt", 16},
		{"exact conversion with rounding", in(sm80, "cvt.rn.f64.f32 %fd1, %f1;"), "cvt", 16},
		{"saturating conversion", in(sm80, "cvt.rni.sat.s32.f32 %r1, %f1;"), "cvt", 16},
		{"comparison of bits", in(sm80, "setp.lt.b32 %p1, %r1, %r2;"), "setp", 16},
		{"barrier seventeen", in(sm80, "bar.sync 16;"), "0 to 15", 16},
		{"barrier of 33", in(sm80, "bar.sync 1, 33;"), "multiple of 32", 16},
		{"operands of mma swapped", in(sm80, "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r1,%r2,%r3,%r4}, {%r5,%r6}, {%r7,%r8,%r9,%r10}, {%r1,%r2,%r3,%r4};"), "vector", 16},
		{"unsigned mma", in(sm80, "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%r1,%r2,%r3,%r4}, {%r5,%r6,%r7,%r8}, {%r9,%r10}, {%r1,%r2,%r3,%r4};"), "unknown opcode", 16},
		{"row.row", in(sm80, "mma.sync.aligned.m16n8k32.row.row.s32.s8.s8.s32 {%r1,%r2,%r3,%r4}, {%r5,%r6,%r7,%r8}, {%r9,%r10}, {%r1,%r2,%r3,%r4};"), "unknown opcode", 16},
		{"saturating mma", in(sm80, "mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32 {%r1,%r2,%r3,%r4}, {%r5,%r6,%r7,%r8}, {%r9,%r10}, {%r1,%r2,%r3,%r4};"), "unknown opcode", 16},
		{"cp.async on sm_75", in(sm75, "cp.async.commit_group;"), "sm_80", 16},
		{"mma of sm_80 on sm_75", in(sm75, "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r1,%r2,%r3,%r4}, {%r5,%r6,%r7,%r8}, {%r9,%r10}, {%r1,%r2,%r3,%r4};"), "sm_80", 16},
		{"shared::cta in PTX 7.0", in(sm80, "ld.shared::cta.u32 %r1, [sh];"), "PTX 7.8", 16},
		{"mbarrier.try_wait on sm_80", in(sm80, "mbarrier.try_wait.parity.shared.b64 %p1, [sh], 0;"), "sm_90", 16},
		{"bulk copy on sm_80", in(sm80, "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%rd1], %r2, [%r3];"), "sm_90", 16},
		{"wgmma on sm_90", in(strings.Replace(sm90, "sm_90a", "sm_90", 1), "wgmma.fence.sync.aligned;"), "sm_90a", 16},
		{"wgmma of 12 columns", in(sm90, "wgmma.mma_async.sync.aligned.m64n12k32.s32.s8.s8 {%r1,%r2,%r3,%r4,%r5,%r6}, %rd1, %rd2, %p1;"), "unknown opcode", 16},
		{"wgmma int8 of 40 columns", in(sm90, "wgmma.mma_async.sync.aligned.m64n40k32.s32.s8.s8 "+list("r", 1, 20)+", %rd1, %rd2, %p1;"), "unknown opcode", 16},
		{"wgmma with too few sums", in(sm90, "wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {%r1,%r2,%r3}, %rd1, %rd2, %p1;"), "vector of 3", 16},
		{"wgmma that scales by -1", in(sm90, "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1,%f2,%f3,%f4}, %rd1, %rd2, %p1, -1, 1, 0, 0;"), "scale", 16},
		{"wgmma that transposes", in(sm90, "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1,%f2,%f3,%f4}, %rd1, %rd2, %p1, 1, 1, 0, 1;"), "transposition", 16},
		{"cp.async.cg of 8 bytes", in(sm80, "cp.async.cg.shared.global [%r1], [%rd1], 8;"), "8 bytes", 16},
		{"shared memory after the dynamic", sm80 + ".extern .shared .align 16 .b8 a[];\n.shared .align 16 .b8 b[16];\n", "after the dynamic", 6},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_, err := ptx.Parse(c.src)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if !strings.Contains(err.Error(), fmt.Sprintf("line %d:", c.line)) {
				t.Fatalf("error %v, want line %d", err, c.line)
			}
		})
	}
}

// TestVariables reads constants and static shared memory.
func TestVariables(t *testing.T) {
	src := strings.Replace(kernel(sm80, `
		mov.u64 %rd3, table;
		mad.wide.u32 %rd3, %r0, 4, %rd3;
		ld.global.nc.u32 %r1, [%rd3];
		ld.const.u16 %r2, [short];
		st.shared.u32 [fixed], %r1;
		ld.shared.u32 %r3, [fixed];
		add.s32 %r4, %r3, %r2;
		st.global.u32 [%rd2], %r4;`), ".extern", `.global .align 4 .b8 table[8] = {1, 2, 3, 4, 0xff, 0, 0, 0};
.const .u16 short = 513;
.shared .align 4 .b8 fixed[4];
.extern`, 1)
	if got := words32(must(t, ptx.Config{}, src, 1, 1, 16, []byte{0}, 4)); got[0] != 0x04030201+513 {
		t.Fatalf("%#x", got)
	}
	if _, err := launch(t, ptx.Config{}, strings.Replace(src, "ld.const", "ld.global", 1), 1, 1, 16, []byte{0}, 4); err == nil {
		t.Fatal("a constant is read as global memory")
	}
	if _, err := launch(t, ptx.Config{}, strings.Replace(src, "[fixed], %r1", "[fixed+-4], %r1", 1), 1, 1, 16, []byte{0}, 4); err == nil {
		t.Fatal("a store before shared memory")
	}
}

// TestParameters packs parameters of several widths.
func TestParameters(t *testing.T) {
	src := sm75 + `.entry k(.param .u32 a, .param .u64 b, .param .u16 c, .param .u32 d) {
		.reg .b32 %r<4>; .reg .b64 %rd<2>; .reg .b16 %h;
		ld.param.u32 %r0, [a];
		ld.param.u64 %rd0, [b];
		ld.param.u16 %h, [c];
		ld.param.u32 %r1, [d];
		cvt.u32.u16 %r2, %h;
		add.s32 %r0, %r0, %r1;
		add.s32 %r0, %r0, %r2;
		st.global.u32 [%rd0], %r0;
		ret; }`
	mem := ptx.NewMemory()
	out := mem.Alloc(4, 4)
	if err := parse(t, src).Launch(ptx.Config{}, mem, "k", 1, 1, 0, 1<<32|5, out, 1<<16|6, 7); err != nil {
		t.Fatal(err)
	}
	if b, err := mem.Read(out, 4); err != nil || b[0] != 18 {
		t.Fatal(b, err)
	}
}

func TestModuleString(t *testing.T) {
	if got := parse(t, kernel(sm90, "")).String(); got != "sm_90a, PTX 8.0, 1 kernels" {
		t.Fatal(got)
	}
}

// FuzzParse reads mutated texts: an error or a module, never a panic; and runs what
// it reads, which ends in a result or a fault.
func FuzzParse(f *testing.F) {
	f.Add(kernel(sm80, copyKernel))
	f.Add(kernel(sm90, ring))
	f.Add(wgmmaKernel(layouts[4], 8, "32.s32.s8.s8", "", "r"))
	f.Add(mmaKernel(mmas[0]))
	f.Add(ldmatrixKernel("ldmatrix.sync.aligned.m8n8.x4.shared.b16", 4))
	var all strings.Builder
	for _, s := range scalars {
		all.WriteString(strings.NewReplacer("$d", "%r1", "$a", "%r2", "$b", "%r3", "$c", "%r4").Replace(s.text) + "\n")
	}
	f.Add(kernel(sm80, all.String()))
	f.Fuzz(func(t *testing.T, src string) {
		m, err := ptx.Parse(src)
		if err != nil {
			return
		}
		mem := ptx.NewMemory()
		a := mem.Alloc(4096, 256)
		for _, shared := range []int{0, 2048} {
			_ = m.Launch(ptx.Config{MaxSteps: 2000}, mem, "k", 1, 64, shared, a, a)
		}
	})
}
