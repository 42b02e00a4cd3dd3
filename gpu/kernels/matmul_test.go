package kernels_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/kernels"
	"github.com/assaynet/assay/gpu/kernels/ptx"
)

var matmuls = [2]string{kernels.Int8: "matmul_int8", kernels.Short: "matmul_short"}

// TestMatmulEdges runs shapes whose last tile of rows is nearly empty, just full and
// just begun, over fewer slabs than a kernel has stages, as many and more, odd and
// even, whole and half.
func TestMatmulEdges(t *testing.T) {
	shapes := []product{{129, 256, 11}, {3, 256, 3}, {127, 256, 2}, {128, 512, 7}, {200, 256, 4}}
	if testing.Short() {
		shapes = shapes[:2]
	}
	for _, c := range matmulCards(t) {
		t.Run(c.label(), func(t *testing.T) {
			t.Parallel()
			for which, kernel := range matmuls {
				for _, p := range shapes {
					fresh := c.fresh()
					if err := askMatmul(fresh, which, p); err != nil {
						t.Errorf("%s %v: %v", kernel, p, err)
					}
				}
			}
		})
	}
}

// TestMatmulExtremes multiplies the entries of the largest magnitude with each other,
// in all combinations of their signs.
func TestMatmulExtremes(t *testing.T) {
	entries := [2][2][]byte{kernels.Int8: {{0x80}, {0x7f}}, kernels.Short: {{0xff, 0x01}, {0xff, 0x00}}}
	p := product{2, 256, 3}
	for _, c := range matmulCards(t) {
		t.Run(c.label(), func(t *testing.T) {
			t.Parallel()
			for which, kernel := range matmuls {
				line := func(i int) []byte {
					e := entries[which][i&1]
					return bytes.Repeat(e, 64*p.blocks/len(e))
				}
				var a, b []byte
				for i := range rounded(p.m) {
					a = append(a, line(i)...)
				}
				for i := range p.n {
					b = append(b, line(i>>1)...)
				}
				if err := askProduct(c.fresh(), which, p, a, b); err != nil {
					t.Errorf("%s: %v", kernel, err)
				}
			}
		})
	}
}

// TestMatmulIsExact compares with the engine of the CPU, from a round's key on.
func TestMatmulIsExact(t *testing.T) {
	key := challenges.Hash{1, 2, 3}
	shapes := [2]challenges.Shape{
		kernels.Int8:  {Flavour: challenges.Int8, M: 130, N: 256, K: 192},
		kernels.Short: {Flavour: challenges.BF16, M: 130, N: 256, K: 96},
	}
	for _, c := range matmulCards(t) {
		for which, s := range shapes {
			if which == kernels.Short && s.Line()%64 != 0 {
				t.Fatalf("lines of %d bytes", s.Line())
			}
			want := make([]byte, s.Bytes())
			if err := (gpu.Exact{}).Compute(t.Context(), key, s, want); err != nil {
				t.Fatal(err)
			}
			lines := func(entries func(*challenges.Hash, int, []byte)) func(int) []byte {
				return func(i int) []byte {
					line := make([]byte, s.Line())
					entries(&key, i, line)
					if which == kernels.Short {
						shorts(line, c.Half)
					}
					return line
				}
			}
			fresh, g := c.fresh(), c.Products[which]
			a, b := tile(lines(s.RowA), 0, s.M, s.Line()/64), tile(lines(s.ColB), 0, s.N, s.Line()/64)
			at := fresh.room(len(want))
			fresh.launch(matmuls[which], g.Blocks(s.M, s.N), g.Threads, g.Shared,
				fresh.put(a), fresh.put(b), at, uint64(s.M), uint64(s.N), uint64((s.Line()/64+1)/2))
			if err := fresh.same("product", at, want); err != nil {
				t.Errorf("%s: %s: %v", c.label(), matmuls[which], err)
			}
		}
	}
}

// TestMatmulOnFewBlocks: Hopper's blocks go on to further tiles when the grid is
// smaller than the product.
func TestMatmulOnFewBlocks(t *testing.T) {
	for _, c := range matmulCards(t) {
		if c.Target != "sm_90a" {
			continue
		}
		t.Run(c.label(), func(t *testing.T) {
			t.Parallel()
			for which, kernel := range matmuls {
				p := product{129, 512, 5}
				fresh := c.fresh()
				fresh.Products[which].Rows, fresh.Products[which].Cols = p.m, p.n // one block
				if err := askMatmul(fresh, which, p); err != nil {
					t.Errorf("%s: %v", kernel, err)
				}
			}
		})
	}
}

// matmulCard is a module in one of the two modes.
type matmulCard struct{ *card }

func (c matmulCard) label() string {
	if c.cfg.Early {
		return c.Target + "/early"
	}
	return c.Target + "/late"
}

// fresh is the same with nothing in its memory.
func (c matmulCard) fresh() *card { return newCard(c.Module, c.code, c.cfg.Early) }

func matmulCards(t *testing.T) []matmulCard {
	t.Helper()
	var out []matmulCard
	for _, m := range modules() {
		if testing.Short() && m.Target == "sm_75" { // the slowest, and it has one mode
			continue
		}
		code, err := parsed(m.Target)
		if err != nil {
			t.Fatalf("%s: %v", m.Target, err)
		}
		out = append(out, matmulCard{newCard(m, code, false)})
		if m.Target != "sm_75" { // which has nothing asynchronous
			out = append(out, matmulCard{newCard(m, code, true)})
		}
	}
	return out
}

func askMatmul(c *card, which int, p product) error {
	var seed [32]byte
	copy(seed[:], fmt.Sprint(matmuls[which], p))
	r := rand.NewChaCha8(seed)
	return askProduct(c, which, p, random(r, rounded(p.m)*64*p.blocks), random(r, p.n*64*p.blocks))
}

// matmulMutation is an error in a kernel, made in its text: the nth match alone, or all
// matches if nth is 0.
type matmulMutation struct {
	name, target string
	which        []int
	find, put    string
	nth          int
}

var both = []int{kernels.Int8, kernels.Short}

func matmulMutations() []matmulMutation {
	const (
		reg     = `%r\d+`
		four    = `(\{[^{}]*\}, \{)(` + reg + `), (` + reg + `), (` + reg + `), (` + reg + `)\}`
		wait    = `mbarrier\.try_wait\.parity\.shared::cta\.b64 p, \[%r\d+\], %r\d+;`
		arrive  = `\tmbarrier\.arrive\.shared::cta\.b64 _, \[%r\d+\];`
		matrixB = 4611686293305360386 // the second step's bits of a descriptor
	)
	return []matmulMutation{
		{"a1 and a2 swapped", "sm_80", both, `(mma\.sync.* )` + four, "$1$2$3, $5, $4, $6}", 0},
		{"b0 and b1 swapped", "sm_80", both, `(mma\.sync.*\}, \{)(` + reg + `), (` + reg + `)\}, \{`, "$1$3, $2}, {", 1},
		{"unsigned entries", "sm_80", []int{kernels.Int8}, `\.s8\.s8\.`, ".u8.s8.", 0},
		{"one group too many under way", "sm_80", both, `wait_group 2`, "wait_group 3", 0},
		{"first wait missing", "sm_80", both, `cp\.async\.wait_group 2;`, "", 1},
		{"a commit missing", "sm_80", both, `cp\.async\.commit_group;`, "", 5},
		{"first barrier missing", "sm_80", both, `bar\.sync\s+0;`, "", 1},
		{"second barrier missing", "sm_80", both, `bar\.sync\s+0;`, "", 2},
		{"third barrier missing", "sm_80", both, `bar\.sync\s+0;`, "", 3},
		{"swizzle of a step wrong", "sm_80", both, `(xor\.b32\s+%r\d+, %r\d+, )96;`, "${1}64;", 1},
		{"swizzle of a half missing", "sm_80", both, `(xor\.b32\s+%r\d+, %r\d+, )64;`, "${1}0;", 1},
		{"shared memory misaligned", "sm_80", both, `\.align 1024 \.b8 dynamic_shared`, ".align 4 .b8 dynamic_shared", 0},
		{"stages overlap", "sm_80", both, `49152`, "32768", 0},

		{"a and b swapped", "sm_75", []int{kernels.Int8}, `(mma\.sync.*\}, \{)(` + reg + `)\}, \{(` + reg + `)\}`, "$1$3}, {$2}", 0},
		{"a0 and a1 swapped", "sm_75", []int{kernels.Short}, `(mma\.sync.*\}, \{)(` + reg + `), (` + reg + `)\}, \{(%r\d+)\}`, "$1$3, $2}, {$4}", 0},
		{"unsigned entries", "sm_75", []int{kernels.Int8}, `\.s8\.s8\.`, ".s8.u8.", 0},
		{"first barrier missing", "sm_75", both, `bar\.sync\s+0;`, "", 1},
		{"second barrier missing", "sm_75", both, `bar\.sync\s+0;`, "", 2},
		{"third barrier missing", "sm_75", both, `bar\.sync\s+0;`, "", 3},
		{"swizzle of a step wrong", "sm_75", both, `(xor\.b32\s+%r\d+, %r\d+, )96;`, "${1}32;", 1},
		{"shared memory misaligned", "sm_75", both, `\.align 1024 \.b8 dynamic_shared`, ".align 8 .b8 dynamic_shared", 0},

		{"second step of A one too far", "sm_90a", both, fmt.Sprint(matrixB), fmt.Sprint(matrixB + 2), 1},
		{"second step of B missing", "sm_90a", both, fmt.Sprint(matrixB), fmt.Sprint(matrixB - 2), 2},
		{"stride of 512 bytes", "sm_90a", both, fmt.Sprint(matrixB), fmt.Sprint(matrixB - 32<<32), 2},
		{"swizzle of 64 bytes", "sm_90a", both, fmt.Sprint(matrixB), fmt.Sprint(uint64(matrixB + 1<<62)), 1},
		{"unsigned entries", "sm_90a", []int{kernels.Int8}, `\.s8\.s8 `, ".u8.s8 ", 0},
		{"no wait for wgmma before a stage is freed", "sm_90a", both, `wgmma\.wait_group\.sync\.aligned 1;`, "", 0},
		{"wait for wgmma one group short", "sm_90a", both, `wgmma\.wait_group\.sync\.aligned 1;`, "wgmma.wait_group.sync.aligned 2;", 0},
		{"no wait for wgmma before the sums are read", "sm_90a", both, `wgmma\.wait_group\.sync\.aligned 0;`, "", 0},
		{"no wgmma fence", "sm_90a", both, `wgmma\.fence\.sync\.aligned;`, "", 0},
		{"no commit", "sm_90a", both, `wgmma\.commit_group\.sync\.aligned;`, "", 0},
		{"no wait for a full stage", "sm_90a", both, wait, "setp.eq.u32 p, 0, 0;", 1},
		{"no wait for an empty stage", "sm_90a", both, wait, "setp.eq.u32 p, 0, 0;", 2},
		{"a stage never freed", "sm_90a", both, arrive, "", 1},
		{"fewer bytes expected", "sm_90a", both, `mov\.b32 (\s*%r\d+), 49152;`, "mov.b32 $1, 32768;", 0},
		{"more bytes expected", "sm_90a", both, `mov\.b32 (\s*%r\d+), 49152;`, "mov.b32 $1, 49168;", 0},
		{"copies too short", "sm_90a", both, `mov\.b32 (\s*%r\d+), 16384;`, "mov.b32 $1, 16368;", 0},
		{"barriers not made known", "sm_90a", both, `fence\.(mbarrier_init|proxy)\S+;`, "", 0},
		{"shared memory misaligned", "sm_90a", both, `\.align 1024 \.b8 dynamic_shared`, ".align 128 .b8 dynamic_shared", 0},
	}
}

// TestMatmulMutations: each error is seen, as a fault or as a wrong product, when
// asynchronous work comes as late as it may or as early.
func TestMatmulMutations(t *testing.T) {
	if testing.Short() {
		t.Skip("checks of the checks")
	}
	for _, module := range modules() {
		for which, kernel := range matmuls {
			t.Run(module.Target+"/"+kernel, func(t *testing.T) {
				t.Parallel()
				text := onlyKernel(module.PTX, kernel)
				if err := seenMatmul(module, text, which); err != nil {
					t.Fatalf("as shipped: %v", err)
				}
				for _, m := range matmulMutations() {
					if m.target != module.Target || !slices.Contains(m.which, which) {
						continue
					}
					changed, ok := m.apply(text)
					if !ok {
						t.Errorf("%s: the text has no such place", m.name)
						continue
					}
					err := seenMatmul(module, changed, which)
					if err == nil {
						t.Errorf("%s: not seen", m.name)
					}
					t.Logf("%s: %v", m.name, err)
				}
			})
		}
	}
}

// seenMatmul is what is wrong with a kernel's text, in either mode.
func seenMatmul(module kernels.Module, text string, which int) error {
	code, err := ptx.Parse(text)
	if err != nil {
		return err
	}
	for _, early := range []bool{false, true} {
		c := newCard(module, code, early)
		c.cfg.MaxSteps = 1 << 24
		if err := askMatmul(c, which, product{130, 256, 11}); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the error, and says whether its place was found.
func (m matmulMutation) apply(text string) (string, bool) {
	find, n := regexp.MustCompile(m.find), 0
	out := find.ReplaceAllStringFunc(text, func(s string) string {
		if n++; m.nth != 0 && n != m.nth {
			return s
		}
		return find.ReplaceAllString(s, m.put)
	})
	return out, n >= max(m.nth, 1) && out != text
}

// onlyKernel is a module with one of its kernels.
func onlyKernel(text, kernel string) string {
	head, rest, _ := strings.Cut(text, "\n.visible .entry ")
	head = regexp.MustCompile(`(?m)^\s*// -- Begin.*$`).ReplaceAllString(head, "")
	for entry := range strings.SplitSeq(rest, "\n.visible .entry ") {
		if strings.HasPrefix(entry, kernel+"(") {
			return head + "\n.visible .entry " + entry
		}
	}
	return ""
}
