package main

import (
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/cmd/node"
)

func TestPrintSelftest(t *testing.T) {
	r := node.SelftestReport{
		Verdict: node.SelftestFail, TookS: 61.26,
		Lines: []node.SelftestLine{
			{Check: "driver", Device: "card-number-0", Verdict: node.SelftestOK, Says: "sm_90a"},
			{Check: "throughput int8", Device: "card-number-0", Verdict: node.SelftestFail, Says: "too slow", Remedy: "set int8: 7"},
			{Check: "clock", Verdict: node.SelftestWarn, Says: "not synchronised", Remedy: "run chrony"},
			{Check: "attestation", Device: "card-number-0", Verdict: node.SelftestSkip, Says: "none"},
		},
	}
	const want = `CHECK            DEVICE         VERDICT  SAYS
driver           card-number-0  ok       sm_90a
throughput int8  card-number-0  fail     too slow
                                to do: set int8: 7
clock            -              warn     not synchronised
                                to do: run chrony
attestation      card-number-0  skip     none

self-test: fail: 1 failed, 1 warned, 1 ok, 1 skipped, in 1m1.3s
It was ended early: this is what was measured until then.
`
	var plain, coloured strings.Builder
	printSelftest(&plain, r, false)
	if got, _, _ := strings.Cut(plain.String(), "Simulated"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	printSelftest(&coloured, r, true)
	without := strings.NewReplacer("\x1b[32m", "", "\x1b[33m", "", "\x1b[31m", "", "\x1b[0m", "").Replace(coloured.String())
	if without != plain.String() || strings.Count(coloured.String(), "\x1b[31m") != 2 || strings.Count(coloured.String(), "\x1b[0m") != 4 {
		t.Errorf("coloured %q", coloured.String())
	}
	if colourful(&plain, "") {
		t.Error("colours for a file")
	}
}

func TestDoneBar(t *testing.T) {
	for _, tt := range []struct {
		done, of int
		long     time.Duration
		want     string
	}{
		{0, 10, 0, "[" + strings.Repeat(".", 24) + "] 0/10"},
		{5, 10, 0, "[" + strings.Repeat("#", 12) + strings.Repeat(".", 12) + "] 5/10"},
		{90000, 86400, 24 * time.Hour, "[" + strings.Repeat("#", 24) + "] 0s left,"},
		{43200, 86400, 24 * time.Hour, "[" + strings.Repeat("#", 12) + strings.Repeat(".", 12) + "] 12h0m0s left,"},
	} {
		if got := doneBar(tt.done, tt.of, tt.long); got != tt.want {
			t.Errorf("%d of %d: %q, want %q", tt.done, tt.of, got, tt.want)
		}
	}
}
