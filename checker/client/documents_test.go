package client

import (
	"encoding/json"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/reputation"
)

// TestDescribeThroughput holds the figures of a provider's document against
// scripts that read it: throughput_ops and claim_ops are int8's, as ever.
func TestDescribeThroughput(t *testing.T) {
	for _, c := range []struct {
		name  string
		rates []reputation.Rate
		want  string
	}{
		{"nothing known", nil, `{"throughput_ops":null,"claim_ops":0,"throughput":[]}`},
		{
			"int8",
			[]reputation.Rate{{Flavour: challenges.Int8, Best: 7, Claim: 9}},
			`{"throughput_ops":7,"claim_ops":9,"throughput":[{"flavour":"int8","ops":7,"claim_ops":9}]}`,
		},
		{
			"int8 without a figure",
			[]reputation.Rate{{Flavour: challenges.Int8, Claim: 9}},
			`{"throughput_ops":null,"claim_ops":9,"throughput":[{"flavour":"int8","ops":null,"claim_ops":9}]}`,
		},
		{
			"fp64fma alone",
			[]reputation.Rate{{Flavour: challenges.FP64, Best: 3, Claim: 4}},
			`{"throughput_ops":null,"claim_ops":0,"throughput":[{"flavour":"fp64fma","ops":3,"claim_ops":4}]}`,
		},
		{
			"all",
			[]reputation.Rate{{Flavour: challenges.Int8, Best: 7, Claim: 9}, {Flavour: challenges.BF16, Claim: 5}, {Flavour: challenges.FP64, Best: 3, Claim: 4}},
			`{"throughput_ops":7,"claim_ops":9,"throughput":[{"flavour":"int8","ops":7,"claim_ops":9},` +
				`{"flavour":"bf16","ops":null,"claim_ops":5},{"flavour":"fp64fma","ops":3,"claim_ops":4}]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := committee.Devnet()
			d := Describe(&reputation.Standing{Rates: c.rates}, &p)
			got, err := json.Marshal(struct {
				ThroughputOps *uint64      `json:"throughput_ops"`
				ClaimOps      uint64       `json:"claim_ops"`
				Throughput    []Throughput `json:"throughput"`
			}{d.ThroughputOps, d.ClaimOps, d.Throughput})
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
			whole, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			var back Provider
			if err := json.Unmarshal(whole, &back); err != nil {
				t.Fatal(err)
			}
			if again, _ := json.Marshal(back); string(again) != string(whole) {
				t.Errorf("read %s\nwrote %s", again, whole)
			}
		})
	}
}

// TestGPU: all kinds cost GPU time but probes.
func TestGPU(t *testing.T) {
	s := reputation.Standing{Kinds: []reputation.KindCount{
		{Kind: challenges.FMA, Outcomes: [8]uint64{challenges.Pass: 1, challenges.Wrong: 2, challenges.Late: 3, challenges.Withheld: 4, challenges.Refused: 5, challenges.Unreachable: 6, challenges.Unknown: 7}},
		{Kind: challenges.Matmul, Outcomes: [8]uint64{challenges.Pass: 10, challenges.Wrong: 20, challenges.Late: 30, challenges.Withheld: 40, challenges.Refused: 50, challenges.Unreachable: 60, challenges.Unknown: 70}},
		{Kind: challenges.Probe, Outcomes: [8]uint64{100, 100, 100, 100, 100, 100, 100, 100}},
	}}
	p := committee.Devnet()
	d := Describe(&s, &p)
	if got, want := d.GPU(), (Outcomes{11, 22, 33, 44, 55, 66, 77}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := d.ByKind["fma"], (Outcomes{1, 2, 3, 4, 5, 6, 7}); got != want {
		t.Errorf("fma: %+v, want %+v", got, want)
	}
	if got := (Provider{}).GPU(); got != (Outcomes{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
