package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/reputation"
)

// known is what a checker says of a provider that was asked for all flavours, and
// of one that refused the only one which it offers.
func known() (full, bare client.Provider) {
	p := committee.Devnet()
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
			{Kind: challenges.Probe, Outcomes: [8]uint64{challenges.Pass: 60}},
		},
		Checkers: []reputation.CheckerRate{{Up: 60, Total: 60}}, Slices: 60, Proofs: []challenges.Hash{{0xff}},
	}, &p)
	bare = client.Describe(&reputation.Standing{
		Provider: challenges.NodeID{0x12, 0x34}, Next: 1, Rates: []reputation.Rate{{Flavour: challenges.FP64, Claim: 38e6}},
		Kinds: []reputation.KindCount{{Kind: challenges.FMA, Outcomes: [8]uint64{challenges.Refused: 1}}},
	}, &p)
	return full, bare
}

// serve answers as a checker that knows them.
func serve(t *testing.T) (api string) {
	t.Helper()
	full, bare := known()
	mux := http.NewServeMux()
	send := func(doc any) func(w http.ResponseWriter, _ *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(doc); err != nil {
				t.Error(err)
			}
		}
	}
	mux.HandleFunc("GET /v1/providers", send(client.Providers{Providers: []client.Provider{full, bare}}))
	mux.HandleFunc("GET /v1/providers/abcd", send(full))
	mux.HandleFunc("GET /v1/providers/1234", send(bare))
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
// int8's.
const providersTable = `PROVIDER  LEVEL  SCORE  PASS  WRONG  LATE  WITHHELD  REFUSED  REACHABLE  THROUGHPUT  CLAIM       FLAGS
abcd0000  L0     0.00   5     1      1     0         0        100.00 %   96.0 Mop/s  95.0 Mop/s  work-incorrect
12340000  L0     0.00   0     0      0     0         1        -          -           -
`

func TestProviders(t *testing.T) {
	// No flags leave the last column of a line empty.
	got := strings.ReplaceAll(output(t, providersCommand(), "--api", serve(t)), "           \n", "\n")
	if got != providersTable {
		t.Errorf("got\n%s\nwant\n%s", got, providersTable)
	}
}

const shown = `provider      abcd000000000000000000000000000000000000000000000000000000000000
level         L0
score         0.000 (provisional)
flags         work-incorrect
int8          96.0 Mop/s shown, 95.0 Mop/s claimed
bf16          - shown, 190.0 Mop/s claimed
fp64fma       1.5 Top/s shown, 2.0 Top/s claimed
availability  100.00 % confirmed, 100.00 % reachable, - demonstrated (95 %)
fma           2 pass, 0 wrong, 1 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
matmul        3 pass, 1 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
probe         60 pass, 0 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
epochs        6
proof         ff00000000000000000000000000000000000000000000000000000000000000
`

const shownBare = `provider      1234000000000000000000000000000000000000000000000000000000000000
level         L0
score         0.000 (provisional)
flags         none
fp64fma       - shown, 38.0 Mop/s claimed
availability  - confirmed, - reachable, - demonstrated (95 %)
fma           0 pass, 0 wrong, 0 late, 0 withheld, 1 refused, 0 unreachable, 0 unknown
matmul        0 pass, 0 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
probe         0 pass, 0 wrong, 0 late, 0 withheld, 0 refused, 0 unreachable, 0 unknown
epochs        1
`

func TestShow(t *testing.T) {
	api := serve(t)
	for id, want := range map[string]string{"ABCD": shown, "1234": shownBare} {
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
