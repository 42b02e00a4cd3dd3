package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/telemetry"
)

// TestVerifyTogether: what several files say against each other is said with the files.
func TestVerifyTogether(t *testing.T) {
	var stderr bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetErr(&stderr)
	a, b := challenges.NodeID{0xaa}, challenges.NodeID{0xbb}
	record := func(uuid string) telemetry.Record {
		return telemetry.Record{Inventory: telemetry.Inventory{UUID: uuid}}
	}
	v := verifier{cmd: cmd, paths: map[challenges.Hash]string{{1}: "one", {2}: "two", {3}: "three"}}
	v.together()
	if stderr.Len() > 0 {
		t.Errorf("of nothing: %s", &stderr)
	}
	v.seen = []evidence.Sighting{
		{Identity: challenges.Hash{0xca}, Provider: a, Device: "gpu0", Epoch: 7, Transcript: challenges.Hash{1}},
		{Identity: challenges.Hash{0xca}, Provider: b, Device: "gpu9", Epoch: 7, Transcript: challenges.Hash{2}},
	}
	v.told = []evidence.Telling{
		{Provider: a, Device: "gpu0", Epoch: 7, Transcript: challenges.Hash{1}, Record: record("GPU-1")},
		{Provider: a, Device: "gpu0", Epoch: 8, Transcript: challenges.Hash{3}, Record: record("GPU-2")},
	}
	v.together()
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), &stderr)
	}
	for i, want := range [][]string{{"device-uuid", "gpu0 of aa0000", "one", "three", "GPU-1", "GPU-2"}, {"identity-conflict", "epoch 7", "gpu0 of aa0000", "one", "gpu9 of bb0000", "two"}} {
		for _, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("%q does not say %q", lines[i], w)
			}
		}
	}
}

// TestVerifyExplain: what is said of the card is there, columns hold whatever a code's
// length, and what cannot be true is told from what a checker's clock says, and from
// what is worth a look.
func TestVerifyExplain(t *testing.T) {
	kind, outcome, level := challenges.Matmul, challenges.Pass, evidence.Level(3)
	rule := func(code string, hard bool) client.TelemetryFinding {
		return client.TelemetryFinding{Code: code, Hard: hard}
	}
	f := client.Finding{
		Kind: &kind, OK: true, Outcome: &outcome, Level: &level, Attested: true, Simulated: true, Miss: new(0.25),
		Raise: []string{"manifests"},
		Reasons: []evidence.Reason{
			{Code: "cores", Detail: "seen 4 cores; expected 16896 cores of h100-sxm"},
			{Code: "compute-capability", Detail: "seen 8.9; expected 9.0"},
			{Code: "times", Detail: "seen the last snapshot after 1m0s; expected at most 12 s"},
			{Code: "ops-high", Detail: "seen this; expected that"},
			{Code: "identity-chip", Detail: "a GH100 signed, and telemetry says \x1b[31mred"},
			{Code: "identity-driver", Detail: "one driver, and another"},
			{Code: "network", Detail: "network not checked: no registry was given"},
		},
		Card: &client.CardFinding{
			Name: "NVIDIA H100", UUID: "GPU-1", Applied: []string{"cores", "times"},
			Findings:    []client.TelemetryFinding{rule("cores", true), rule("compute-capability", true), rule("times", true), rule("ops-high", false)},
			Attestation: &attest.Result{Chip: "GH100", Driver: "550.90.07", Grade: attest.GradeMeasured},
		},
		Testimony: []evidence.Testimony{{Name: "elapsed_s", Value: 1.5}},
	}
	const want = `ok    matmul pass (proof, its times testimony)  FILE
      cores               cannot be true: seen 4 cores; expected 16896 cores of h100-sxm
      compute-capability  cannot be true: seen 8.9; expected 9.0
      times               cannot be true by the checker's clock: seen the last snapshot after 1m0s;
                          expected at most 12 s
      ops-high            worth a look: seen this; expected that
      identity-chip       cannot be true: a GH100 signed, and telemetry says ?[31mred
      identity-driver     one driver, and another
      network             network not checked: no registry was given
      miss                a prover who skipped 1 % of the entries would pass with probability 0.25
      level               L3, attested, simulated; higher with manifests
      card                NVIDIA H100, GPU-1, by the provider's word; 2 rules looked at it
      identity            GH100 signed this result; driver 550.90.07, VBIOS none; evidence: measured
      elapsed_s           1.5 (the checker's word)
`
	var b bytes.Buffer
	explain(&b, "FILE", f)
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
	f.Attested, f.Simulated, f.Raise = false, false, nil
	b.Reset()
	explain(&b, "FILE", f)
	if !strings.Contains(b.String(), " L3\n") {
		t.Errorf("neither attested nor simulated: %s", &b)
	}
}
