package prover

import (
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
)

// TestEveryResultIsExplained: each way in which the agent says that a challenge
// ended has a remedy of its own, without the checker's word.
func TestEveryResultIsExplained(t *testing.T) {
	if resultAnswered != receipt.Answered {
		t.Errorf("result %q, package receipt says %q", resultAnswered, receipt.Answered)
	}
	results := []string{resultAnswered, resultAborted, resultLeft, resultYielded, resultFailed}
	for _, r := range reasons {
		results = append(results, refused(r))
	}
	seen := make(map[string]string)
	for _, r := range results {
		n := newNoted(t)
		e := Explain(n.rec.id, n.rec.copy(outcome{result: r}), recordNetwork)
		if e.Remedy == "" || strings.Contains(e.Remedy, "log says more.") && r != resultFailed || strings.Contains(e.Remedy, "a reason of its own") {
			t.Errorf("%s: remedy %q", r, e.Remedy)
		}
		if other, ok := seen[e.Remedy]; ok {
			t.Errorf("%s and %s have one remedy", r, other)
		}
		seen[e.Remedy] = r
	}
	e := Explain(challenges.Hash{1}, newNoted(t).rec.copy(outcome{result: "sang"}), recordNetwork)
	if !strings.Contains(e.Remedy, "log says more.") {
		t.Errorf("an unknown result: %q", e.Remedy)
	}
}
