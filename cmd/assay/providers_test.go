package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/reputation"
)

// known is what a checker says of a provider that was asked for all flavours, its
// memory and its devices together, and of one that refused the only flavour which
// it offers and was late with its memory.
func known() (full, bare client.Provider) {
	p := committee.Devnet()
	figure := func(checker byte, v, claim uint64) reputation.Figure {
		return reputation.Figure{Checker: challenges.NodeID{checker}, Ops: v, Claim: claim}
	}
	full = client.Describe(&reputation.Standing{
		Provider: challenges.NodeID{0xab, 0xcd}, Next: 6,
		Rates: []reputation.Rate{
			{Flavour: challenges.Int8, Best: 96e6, Claim: 95e6},
			{Flavour: challenges.BF16, Claim: 190e6},
			{Flavour: challenges.FP64, Best: 1_500_000_000_000, Claim: 2_000_000_000_000},
		},
		Kinds: []reputation.KindCount{
			{Kind: challenges.FMA, Outcomes: [8]uint64{challenges.Pass: 2, challenges.Late: 1}},
			{Kind: challenges.Matmul, Outcomes: [8]uint64{challenges.Pass: 3, challenges.Wrong: 1}},
			{Kind: challenges.Memory, Outcomes: [8]uint64{challenges.Pass: 2, challenges.Late: 1}},
			{Kind: challenges.Probe, Outcomes: [8]uint64{challenges.Pass: 60}},
		},
		Memory: []reputation.Figure{figure(1, 40_100_000_000, 72e9), figure(2, 68_100_000_000, 72e9), figure(1, 0, 72e9)}, Reads: 33_500e6,
		Fleets:   []reputation.Figure{figure(1, 285e6, 380e6), figure(2, 290e6, 380e6), figure(1, 280e6, 380e6)},
		Checkers: []reputation.CheckerRate{{Up: 60, Total: 60}}, Slices: 60, Proofs: []challenges.Hash{{0xff}},
	}, &p)
	bare = client.Describe(&reputation.Standing{
		Provider: challenges.NodeID{0x12, 0x34}, Next: 1, Rates: []reputation.Rate{{Flavour: challenges.FP64, Claim: 38e6}},
		Kinds: []reputation.KindCount{
			{Kind: challenges.FMA, Outcomes: [8]uint64{challenges.Refused: 1}},
			{Kind: challenges.Memory, Outcomes: [8]uint64{challenges.Late: 1}},
		},
		Memory: []reputation.Figure{figure(1, 0, 1_887_360)},
	}, &p)
	return full, bare
}

// serve answers as a checker that knows them.
func serve(t *testing.T) (api string) {
	t.Helper()
	full, bare := known()
	p := committee.Devnet()
	unseen := client.Describe(&reputation.Standing{Provider: challenges.NodeID{0x56, 0x78}}, &p)
	played := unseen
	played.ID, played.Level, played.Simulated = challenges.NodeID{0x9a}, 4, true
	mux := http.NewServeMux()
	send := func(doc any) func(w http.ResponseWriter, _ *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(doc); err != nil {
				t.Error(err)
			}
		}
	}
	mux.HandleFunc("GET /v1/providers", send(client.Providers{Providers: []client.Provider{full, bare, unseen, played}}))
	mux.HandleFunc("GET /v1/providers/abcd", send(full))
	mux.HandleFunc("GET /v1/providers/1234", send(bare))
	mux.HandleFunc("GET /v1/providers/5678", send(unseen))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func output(t *testing.T, cmd *cobra.Command, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(t.Context()); err != nil || errs.Len() > 0 {
		t.Fatalf("%v: %v: %s", args, err, &errs)
	}
	return out.String()
}

// Outcomes are those of all kinds that cost GPU time; throughput and claim are
// int8's. No memory that was shown is a finding, unlike none that was asked for.
const providersTable = `PROVIDER  LEVEL   SCORE  PASS  WRONG  LATE  WITHHELD  REFUSED  REACHABLE  THROUGHPUT  CLAIM       MEMORY   FLAGS
abcd0000  L0      0.00   7     1      2     0         0        100.00 %   96.0 Mop/s  95.0 Mop/s  40.1 GB  work-incorrect below-memory oversold
12340000  L0      0.00   0     0      1     0         1        -          -           -           0.0 B
56780000  L0      0.00   0     0      0     0         0        -          -           -           -
9a000000  L4 sim  0.00   0     0      0     0         0        -          -           -           -
`

func TestProviders(t *testing.T) {
	// No flags leave the last column of a line empty.
	got := regexp.MustCompile(" +\n").ReplaceAllString(output(t, providersCommand(), "--api", serve(t)), "\n")
	if got != providersTable {
		t.Errorf("got\n%s\nwant\n%s", got, providersTable)
	}
}

const shown = `provider      abcd000000000000000000000000000000000000000000000000000000000000
level         L0
score         0.000 (provisional)
flags         work-incorrect below-memory oversold
int8          96.0 Mop/s shown, 95.0 Mop/s claimed
bf16          - shown, 190.0 Mop/s claimed
fp64fma       1.5 Top/s shown, 2.0 Top/s claimed
memory        40.1 GB shown, 72.0 GB claimed (of a device, median of 3), 2.1 TB/s read at random
together      75.00 % of the claims of all devices at one time (median of 3)
availability  100.00 % confirmed, 100.00 % reachable, - demonstrated (95 %)
fma           2 pass, 0 wrong, 1 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
matmul        3 pass, 1 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
memory        2 pass, 0 wrong, 1 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
probe         60 pass, 0 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
epochs        6
why           work-incorrect: 1 transcripts prove a wrong value
why           below-memory: its proofs of memory showed 56 % (median of 3 figures of 2 checkers) of the memory that it claims
why           oversold: at one time its devices did 75 % (median of 3 figures of 2 checkers) of what they claim each
proof         ff00000000000000000000000000000000000000000000000000000000000000
`

const shownBare = `provider      1234000000000000000000000000000000000000000000000000000000000000
level         L0
score         0.000 (provisional)
flags         none
fp64fma       - shown, 38.0 Mop/s claimed
memory        0.0 B shown, 1.9 MB claimed (of a device, median of 1), - read at random
availability  - confirmed, - reachable, - demonstrated (95 %)
fma           0 pass, 0 wrong, 0 late, 0 withheld, 1 refused, 0 unreachable, 0 unknown
matmul        0 pass, 0 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
memory        0 pass, 0 wrong, 1 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
probe         0 pass, 0 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
epochs        1
`

// What was never asked for has no row.
const shownUnseen = `provider      5678000000000000000000000000000000000000000000000000000000000000
level         L0
score         0.000 (provisional)
flags         none
availability  - confirmed, - reachable, - demonstrated (95 %)
fma           0 pass, 0 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
matmul        0 pass, 0 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
memory        0 pass, 0 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
probe         0 pass, 0 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
epochs        0
`

func TestShow(t *testing.T) {
	api := serve(t)
	for id, want := range map[string]string{"ABCD": shown, "1234": shownBare, "5678": shownUnseen} {
		if got := output(t, showCommand(), id, "--api", api); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	full, _ := known()
	var back client.Provider
	if err := json.Unmarshal([]byte(output(t, showCommand(), "abcd", "--api", api, "--json")), &back); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(full)
	if b, _ := json.Marshal(back); !bytes.Equal(a, b) {
		t.Errorf("as JSON %s, want %s", b, a)
	}
}

// TestDescribeCards: what a provider's cards say, and what they sign, is told apart.
func TestDescribeCards(t *testing.T) {
	_, p := known()
	for _, tt := range []struct {
		name string
		edit func(p *client.Provider)
		want []string // lines, from the second
	}{
		{"telemetry alone", func(p *client.Provider) {
			p.Level, p.Cards = 2, []client.Card{{Device: "gpu0", Level: 2, Model: new("h100-sxm")}}
		}, []string{"level         L2", "card          gpu0  L2, h100-sxm by its driver's word"}},
		{"signed", func(p *client.Provider) {
			p.Level, p.Attested = 4, true
			p.Cards = []client.Card{{Device: "gpu0", Level: 4, Model: new("h100-sxm"), Identity: &challenges.Hash{0xca}}}
		}, []string{
			"level         L4, attested: its cards sign their results",
			"card          gpu0  L4, h100-sxm by its driver's word, signed by card ca00000000000000",
		}},
		{"signed in a simulation", func(p *client.Provider) {
			p.Level, p.Attested, p.Simulated = 3, true, true
			p.Cards = []client.Card{{Device: "gpu0", Level: 3, Simulated: true, Identity: &challenges.Hash{0xca}}}
		}, []string{
			"level         L3, attested: its cards sign their results, simulated: no card is behind it",
			"card          gpu0  L3 simulated, signed by card ca00000000000000",
		}},
		{"impossible", func(p *client.Provider) {
			p.Cards = []client.Card{{Device: "gpu\x1b0", Contradict: 7, Code: new("cores")}}
		}, []string{"level         L0", "card          gpu?0  L0, 7 results cannot be true (cores)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := p
			tt.edit(&p)
			var b bytes.Buffer
			if err := describe(&b, p); err != nil {
				t.Fatal(err)
			}
			if lines := strings.Split(b.String(), "\n"); !slices.Equal(lines[1:1+len(tt.want)], tt.want) || !strings.HasPrefix(lines[1+len(tt.want)], "score ") {
				t.Errorf("got\n%s\nwant %q", &b, tt.want)
			}
		})
	}
}
