package kernels_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/kernels"
	"github.com/assaynet/assay/gpu/kernels/ptx"
)

// mutation is an error that a compiler or an author could have made: the match of
// from, counted from 0, becomes to within a kernel's text, or in all of the text if
// there is no kernel. A negative match counts from the last. The products have their
// own table.
type mutation struct {
	name, kernel string
	from         string
	match        int
	to           string
}

// Patterns that several mutations use.
const (
	guard    = `@!?%p\d+ bra[^;]*;`
	rotation = `(shf\.l\.wrap\.b32 .*), 7;`
	turn     = `(shf\.l\.wrap\.b32 .*), 25;` // by 7 to the right
	subtract = `(sub\.s(?:32|64)\s+%\w+), (%\w+), (%\w+);`
	shuffle  = `(shfl\.sync\.idx\.b32 %\w+, %\w+), %\w+,`
	choice   = `(selp\.b32\s+%\w+), (%\w+), (%\w+),`
)

func mutations() []mutation {
	return []mutation{
		{"wrong rotation", "gen_int8", rotation, 3, "$1, 8;"},
		{"no guard of a store", "gen_int8", guard, -1, ""},
		{"swapped operands of a subtraction", "gen_int8", subtract, 0, "$1, $3, $2;"},
		{"swapped pieces", "gen_int8", choice, 0, "$1, $3, $2,"},
		{"shuffle from oneself", "gen_int8", shuffle, 5, "$1, %tid.x,"},
		{"wrong key word", "gen_int8", `(ld\.global\.v4\.u32 .*)\+16\];`, 0, "$1];"},
		{"no swizzle", "gen_int8", `xor\.b32(\s+%\w+, %\w+), %\w+;(\s+(?:cvt|shl|mul))`, 0, "and.b32$1, -1;$2"},
		{"unsigned sign", "gen_short", `bfe\.s32(.*, 8, 1;)`, 0, "bfe.u32$1"},
		{"another constant", "gen_short", `0fCB400000`, 0, "0fCB400001"},
		{"wrong rotation", "gen_short", rotation, 7, "$1, 6;"},

		{"no guard", "fma_coefficients", guard, 0, ""},
		{"wrong bias", "fma_coefficients", `1064304640`, 0, "1065353216"},
		{"rounding to zero", "fma_lanes", `fma\.rn\.f64`, 9, "fma.rz.f64"},
		{"swapped factors and term", "fma_lanes", `(fma\.rn\.f64\s+%\w+, %\w+), (%\w+), (%\w+);`, 4, "$1, $3, $2;"},
		{"no barrier before a tile is overwritten", "fma_lanes", `bar\.sync\s+0;`, 0, ""},
		{"no barrier before a tile is read", "fma_lanes", `bar\.sync\s+0;`, 1, ""},
		{"wrong rotation of the mantissa", "fma_lanes", `(shf\.l\.wrap\.b32 .*), 17;`, 0, "$1, 16;"},
		{"swapped words of the mantissa", "fma_lanes", `(shf\.l\.wrap\.b32 %\w+), (%\w+), (%\w+), 17;`, 1, "$1, $3, $2, 17;"},
		{"one step less", "fma_lanes", `(min\.u32\s+%\w+, %\w+), 128;`, 0, "$1, 127;"},

		{"wrong rotation", "b3_chunks", turn, 0, "$1, 26;"},
		{"rotation to the other side", "b3_chunks", `shf\.l\.wrap`, 11, "shf.r.wrap"},
		{"no wait for the warp before it reads", "b3_chunks", `bar\.warp\.sync\s+0xffffffff;`, 0, ""},
		{"no guard of the store", "b3_chunks", `@%p\d+ bra\s+(\$L\S+);\s+bra\.uni`, -1, "bra.uni $1;\n\tbra.uni"},
		{"swapped operands of a subtraction", "b3_chunks", subtract, 1, "$1, $3, $2;"},
		{"wrong place of a piece", "b3_chunks", `(st\.shared\.v4\.u32\s+\[%\w+)\+512\]`, 0, "$1+256]"},
		{"no end of a chunk", "b3_chunks", `(setp\.eq\.s32\s+%p\d+, %\w+), 960;`, 0, "$1, 961;"},
		{"shared memory at any address", "", `\.align 1024 \.b8`, 0, ".align 4 .b8"},
		{"no guard", "b3_parents", guard, 0, ""},
		{"an odd last one is hashed", "b3_parents", `setp\.ne\.s64`, 0, "setp.eq.s64"},
		{"wrong flag", "b3_parents", `(\s)4(,|;)`, 0, "${1}5$2"},
		{"wrong rotation", "b3_top", turn, 1, "$1, 24;"},
		{"wrong rotation", "b3_single", turn, 1, "$1, 24;"},
		{"shuffle from a lane too far", "derive_key", `(shfl\.sync\.idx\.b32 %\w+, %\w+), %\w+,`, 4, "$1, 31,"},
		{"a byte too many", "derive_key", `setp\.ge\.u32`, 0, "setp.gt.u32"},
		{"every lane stores", "derive_key", `setp\.ne\.s32`, 0, "setp.eq.s32"},

		{"no guard", "mem_cache", guard, 0, ""},
		{"wrong rotation", "mem_cache", rotation, 33, "$1, 8;"},
		{"wrong matrix", "mem_cache", `(xor\.b32\s+%\w+, %\w+), 4;`, 0, "$1, 5;"},
		{"no mask", "mem_fill", `(and\.b32\s+%\w+, %\w+), %\w+;`, -1, "$1, -1;"},
		{"shuffle from oneself", "mem_fill", shuffle, 110, "$1, %tid.x,"},
		{"no guard of a store", "mem_fill", guard, -1, ""},
		{"swapped words", "mem_fill", choice, -1, "$1, $3, $2,"},
		{"item too large", "mem_fill", `(shl\.b64\s+%\w+, %\w+), 6;`, 0, "$1, 7;"},
		{"low product", "mem_walk", `mul\.hi\.u64`, 2, "mul.lo.u64"},
		{"never another window", "mem_walk", `(and\.b32\s+%\w+, %\w+), 7;`, 0, "$1, 65535;"},
		{"windows do not wrap", "mem_walk", `(selp\.b64\s+%\w+), 0, (%\w+),`, 1, "$1, $2, $2,"},
		{"batches ignored", "mem_walk", `(shr\.u64\s+%\w+, %\w+), %r\w+;`, 1, "$1, 0;"},
		{"no guard of an output", "mem_walk", guard, -1, ""},
		{"shuffle from oneself", "mem_walk", shuffle, 110, "$1, %tid.x,"},
		{"low product", "mem_random", `mul\.hi\.u64`, 1, "mul.lo.u64"},
		{"no guard of the store", "mem_random", `@%p\d+ bra\s+(\$L\S+);\s+bra\.uni`, -1, "bra.uni $1;\n\tbra.uni"},

		{"no guard", "gather", guard, 0, ""},
		{"a piece too many", "gather", `setp\.lt\.u32`, 0, "setp.le.u32"},
		{"twice the stride", "gather", `(add\.s(?:32|64)\s+%\w+, %\w+), 512;`, 0, "$1, 1024;"},
		{"no guard", "to_int32", guard, 0, ""},
		{"one word is left", "to_int32", `cvt\.rzi\.s32\.f32`, 2, "mov.b32"},
	}
}

// apply gives the changed text, or an error if there is nothing to change.
func (m mutation) apply(text string) (string, error) {
	from, to := 0, len(text)
	if m.kernel != "" {
		from = strings.Index(text, ".visible .entry "+m.kernel+"(")
		if from < 0 {
			return "", fmt.Errorf("no kernel %s", m.kernel)
		}
		if next := strings.Index(text[from+1:], ".visible .entry"); next >= 0 {
			to = from + 1 + next
		}
	}
	body := text[from:to]
	re := regexp.MustCompile(m.from)
	all := re.FindAllStringSubmatchIndex(body, -1)
	at := m.match
	if at < 0 {
		at += len(all)
	}
	if at < 0 || at >= len(all) {
		return "", fmt.Errorf("%d matches of %s", len(all), m.from)
	}
	hit := all[at]
	changed := string(re.ExpandString(nil, m.to, body, hit))
	if changed == body[hit[0]:hit[1]] {
		return "", fmt.Errorf("%s changes nothing", m.from)
	}
	return text[:from] + body[:hit[0]] + changed + body[hit[1]:] + text[to:], nil
}

// TestMutationsAreCaught: each error is seen by a check of its kernel, as a wrong
// result, as a fault of the interpreter, or by the parser.
func TestMutationsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("checks of the checks")
	}
	for _, m := range modules() {
		for _, mutation := range mutations() {
			t.Run(m.Target+" "+mutation.kernel+" "+mutation.name, func(t *testing.T) {
				t.Parallel()
				text, err := mutation.apply(m.PTX)
				if err != nil {
					t.Fatal(err)
				}
				caught := mutation.caught(m, text)
				if caught == nil {
					t.Error("not caught")
				}
				t.Log(caught)
			})
		}
	}
}

func (m mutation) caught(module kernels.Module, text string) error {
	code, err := ptx.Parse(text)
	if err != nil {
		return err
	}
	for _, k := range checks() {
		if k.product() || m.kernel != "" && k.kernel != m.kernel {
			continue
		}
		if err := k.run(newCard(module, code, false)); err != nil {
			return err
		}
	}
	return nil
}
