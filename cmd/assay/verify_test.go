package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/evidence"
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
