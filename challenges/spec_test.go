package challenges

import (
	"encoding/hex"
	"encoding/json"
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
	var openings []struct {
		Root    hexBytes
		Opening hexBytes
	}
	read("commitment.json", &openings)
	has("root of an opening", openings[1].Root)
	has("siblings of an opening", openings[1].Opening[commit.ChunkBytes:])
	var transcripts []transcriptVector
	read("transcripts.json", &transcripts)
	has("id of a transcript", transcripts[0].ID[:])
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
