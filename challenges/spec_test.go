package challenges

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges/commit"
)

func readSpec(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "PROTOCOL.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSpecificationHasEveryClause holds docs/PROTOCOL.md and the code together:
// what the code quotes, the document defines, and the other way round.
func TestSpecificationHasEveryClause(t *testing.T) {
	defined := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\*\*([ECSMPT]\d+)\.?\*\*`).FindAllStringSubmatch(readSpec(t), -1) {
		defined[m[1]] = true
	}
	quoted := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := filepath.Glob(filepath.Join("commit", "*.go"))
	if err != nil || len(tree) == 0 {
		t.Fatalf("package commit: %v", err)
	}
	files = append(files, tree...)
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:SPEC: |Clause\w+ += ")([ECSMPT]\d+)`).FindAllStringSubmatch(string(b), -1) {
			quoted[m[1]] = true
		}
	}
	for clause := range quoted {
		if !defined[clause] {
			t.Errorf("clause %s is quoted in the code, and not in the specification", clause)
		}
	}
	for clause := range defined {
		if !quoted[clause] {
			t.Errorf("clause %s is in the specification, and nowhere in the code", clause)
		}
	}
}

// TestSpecificationHasTheVectors compares the worked bytes of the document with
// the vectors that they were taken from.
func TestSpecificationHasTheVectors(t *testing.T) {
	spec := strings.Join(strings.Fields(readSpec(t)), "")
	read := func(name string, v any) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	has := func(what string, b []byte) {
		t.Helper()
		if !strings.Contains(spec, hex.EncodeToString(b)) {
			t.Errorf("%s: the specification shows other bytes", what)
		}
	}
	var messages []messageVector
	read("messages.json", &messages)
	for _, m := range messages {
		switch m.Name {
		case "ComputeParams", "ProbeParams", "OpeningFrame": // shown inside others, or not at all
			continue
		}
		has(m.Name, m.Bytes)
	}
	var generator []generatorVector
	read("generator.json", &generator)
	has("generator block", generator[0].Out[:blockBytes])
	var keys keysVector
	read("keys.json", &keys)
	has("challenge id", keys.Challenge[:])
	for _, s := range keys.Steps[:3] {
		has("key", s.Key[:])
	}
	var positions []positionsVector
	read("positions.json", &positions)
	has("secret", positions[0].Secret[:])
	has("commitment", positions[0].Commit[:])
	has("positions", positions[0].Packed)
	has("nonce", positions[0].Nonces[0])
	for _, name := range []string{"commitment.json", "commitment-8.json"} {
		var openings []struct {
			Root    hexBytes
			Opening hexBytes
		}
		read(name, &openings)
		has("root of an opening", openings[1].Root)
		has("siblings of an opening", openings[1].Opening[commit.ChunkBytes:])
	}
	for _, name := range []string{"bf16.json", "fp64fma.json"} {
		var v computeVector
		read(name, &v)
		for _, text := range workedText(v) {
			if !strings.Contains(spec, strings.Join(strings.Fields(text), "")) {
				t.Errorf("%s: the specification lacks %s", name, text)
			}
		}
	}
	var transcripts []transcriptVector
	read("transcripts.json", &transcripts)
	has("id of a transcript", transcripts[0].ID[:])
}

// workedText is what the specification shows of a flavour's vector.
func workedText(v computeVector) []string {
	text := []string{hex.EncodeToString(v.Key[:]), hex.EncodeToString(v.Entries[0].Bytes), v.Files[0].ID.String()}
	if len(v.Lines) > 0 {
		ints := strings.Fields(v.Lines[0].Ints)[:8]
		return append(text, hex.EncodeToString(v.Blocks[0].Out), strings.Join(ints, ", "), v.Entries[0].Value[1:4])
	}
	lane := v.Lanes[0]
	text = append(text, hex.EncodeToString(lane.Bytes), lane.Start+lane.Constant, lane.Last)
	var coefficients strings.Builder
	for _, c := range v.Coefficients[:8] {
		coefficients.WriteString(c[:16])
	}
	step := lane.Steps[0]
	return append(text, coefficients.String(), strings.Join(step.P, ""), step.Rotated+step.Next)
}

// TestSpecificationHasTheTable compares the rows that the document lists, and
// those that it gives by formula, with the table.
func TestSpecificationHasTheTable(t *testing.T) {
	spec := readSpec(t)
	has := func(format string, args ...any) {
		t.Helper()
		if row := fmt.Sprintf(format, args...); !strings.Contains(spec, row) {
			t.Errorf("the specification lacks %q", row)
		}
	}
	sizes := map[Flavour]int{}
	for _, p := range Profiles() {
		s := p.Shape
		if p.Simulated {
			has("| %d | `%s` | %s | %v | %d | %d | %d | %d | %d | %d |\n",
				p.Number, p.Name, p.Purpose, s.Flavour, s.M, s.N, s.K, p.Rounds, p.Warm, p.Samples)
			continue
		}
		flavours := "all"
		if p.Purpose == Pulse {
			flavours = "int8"
		}
		has("| %s | %s | %d | %d | %d |\n", p.Purpose, flavours, p.Rounds, p.Warm, p.Samples)
		// The document's formulas, once more.
		i := int(p.Number % 100)
		n, k, ops := 22+i, 32768, uint64(1)<<(38+i)
		switch {
		case s.Flavour == Int8 && i >= 7:
			n, k = 21+i, 65536
		case s.Flavour == BF16:
			k, ops = 8192, 1<<(36+i)
		case s.Flavour == FP64:
			n, k, ops = 15+i, 4096, 1<<(31+i)
		}
		if s.M*s.N != 1<<n || s.K != k || s.Ops() != ops || s.M < s.N && s.Flavour != FP64 || s.M > 2*s.N && s.Flavour != FP64 {
			t.Errorf("%s: %v with %d operations is not as specified", p.Name, s, s.Ops())
		}
		sizes[s.Flavour] = max(sizes[s.Flavour], i)
	}
	has("| int8 | 7 to %d |", sizes[Int8])
	has("| bf16 | 0 to %d |", sizes[BF16])
	has("| fp64fma | 0 to %d |", sizes[FP64])
}

func TestSpecificationHasTheLimits(t *testing.T) {
	spec := readSpec(t)
	for proto, l := range Protocols() {
		row := regexp.MustCompile(`(?m)^\| ` + "`" + regexp.QuoteMeta(proto) + "`" + `.*$`).FindString(spec)
		want := []string{bytesText(l.MaxFrame), bytesText(l.MaxBytes)}
		for _, w := range want {
			if !strings.Contains(row, "| "+w+" |") {
				t.Errorf("%s: %q lacks %s", proto, row, w)
			}
		}
	}
}

func bytesText(n int) string {
	for _, u := range []struct {
		size int
		name string
	}{{1 << 20, " MiB"}, {1 << 10, " KiB"}} {
		if n%u.size == 0 {
			b, _ := json.Marshal(n / u.size)
			return string(b) + u.name
		}
	}
	return ""
}
