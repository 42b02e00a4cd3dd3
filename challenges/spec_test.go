package challenges

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/challenges/memory"
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
	for _, m := range regexp.MustCompile(`(?m)^\*\*([ECSMDPTARG]\d+)\.?\*\*`).FindAllStringSubmatch(readSpec(t), -1) {
		defined[m[1]] = true
	}
	quoted := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"commit", "fma", "memory", "receipt", "identity", filepath.Join("..", "checker", "evidence"), filepath.Join("..", "checker"), filepath.Join("..", "checker", "committee")} {
		more, err := filepath.Glob(filepath.Join(pkg, "*.go"))
		if err != nil || len(more) == 0 {
			t.Fatalf("package %s: %v", pkg, err)
		}
		files = append(files, more...)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:SPEC: |Clause\w+ += ")([ECSMDPTARG]\d+)`).FindAllStringSubmatch(string(b), -1) {
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
	var endings []messageVector
	read("endings.json", &endings)
	for _, m := range endings {
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
	var walks memoryVector
	read("memory.json", &walks)
	has("challenge of a proof of memory", walks.ID[:])
	has("key of a dataset", slices.Concat(walks.ID[:], walks.Key[:], walks.Cache[0], walks.Cache[1]))
	has("items", slices.Concat(walks.Items[0].Bytes, walks.Items[5].Bytes))
	has("keys and roots of walks", slices.Concat(walks.Nonce[:], walks.Round[0].Key[:], walks.Round[0].Root[:], walks.Round[1].Key[:], walks.Round[1].Root[:]))
	reads := strings.NewReplacer("[", "", "]", "", " ", ",").Replace(fmt.Sprint(walks.Walk.Items))
	if text := hex.EncodeToString(walks.Walk.Start) + reads + hex.EncodeToString(walks.Walk.Last) + hex.EncodeToString(walks.Walk.Output); !strings.Contains(spec, text) {
		t.Errorf("walk: the specification lacks %s", text)
	}
	has("positions of walks", walks.Round[0].Packed)
	has("outputs", slices.Concat(walks.Round[0].Outputs[0], walks.Round[0].Outputs[1], walks.Round[0].Outputs[2]))
	has("transcript of a proof of memory", walks.Files[0].ID[:])
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

// TestSpecificationHasTheClasses compares the table of classes of proofs of memory.
func TestSpecificationHasTheClasses(t *testing.T) {
	spec := readSpec(t)
	has := func(format string, args ...any) {
		t.Helper()
		if row := fmt.Sprintf(format, args...); !strings.Contains(spec, row) {
			t.Errorf("the specification lacks %q", row)
		}
	}
	for _, p := range memory.Profiles() {
		row := regexp.MustCompile(fmt.Sprintf("(?m)^\\| %d \\| `%s` \\| .*$", p.Number, p.Name)).FindString(spec)
		want := fmt.Sprintf(" | %s | %d | %d | %d | %d | %s | %s | %s | %.1f %% |", thousands(float64(p.Lines)), p.Parents, p.Steps, p.Rounds, p.Samples,
			thousands(float64(p.ReadRate)/1e6), thousands(float64(p.MakeRate)/1e6), thousands(float64(p.LinkRate)/1e6), 100*p.Hidden())
		if !strings.HasSuffix(row, want) {
			t.Errorf("row %q, want %q", row, want)
		}
		if p.Need != 50 || p.Doubt != 3 || p.MinRTTs != 20 || p.Patience != 6 || p.MaxWalks != 1<<26 {
			t.Errorf("%s is not as specified: %+v", p.Name, p)
		}
		name, grace, wait := "others", "1 s", "2 s"
		if p.Simulated {
			name, grace, wait = fmt.Sprint(p.Number), "500 ms", "1 s"
		}
		has("| %s | 2^%d | 2^%d | %d permille | %s | %s |\n", name, bits.Len64(p.Window)-1, bits.Len64(p.Batch)-1, p.LagShare, grace, wait)
		if p.Window&(p.Window-1) != 0 || p.Batch&(p.Batch-1) != 0 || spaced(p.Grace) != grace || spaced(p.OpenWait) != wait {
			t.Errorf("%s is not as specified: %+v", p.Name, p)
		}
	}
	has("For all, Need is 50 %%, doubt 3 %%, MinRTTs 20, Patience 6, MaxWalks 2^26.")
}

// thousands writes a number as the document does.
func thousands(x float64) string {
	text := strconv.FormatFloat(x, 'f', -1, 64)
	if x < 1000 {
		return text
	}
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return whole + rest
}

// spaced writes a duration as the document does.
func spaced(d time.Duration) string {
	return regexp.MustCompile(`[a-z]+$`).ReplaceAllString(d.String(), " $0")
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
