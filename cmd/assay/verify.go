package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/cmd/assay/terminal"
	"github.com/assaynet/assay/cmd/node/trust"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/telemetry"
)

// maxRegistry bounds a registry file, in bytes.
const maxRegistry = 16 << 20

func verifyCommand() *cobra.Command {
	var (
		registry, expect, folder, at string
		asJSON                       bool
	)
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check offline what transcripts prove",
		Long: "Replays each transcript and compares it with what the checker recorded.\n\n" +
			"Exit code 0: every file proves what it states (a wrong that replays as wrong\n" +
			"too), and OUTCOME if one is given. 1: not; the clause of docs/PROTOCOL.md is\n" +
			"named. 2: a file cannot be read. For late, withheld and unreachable, 0 means\n" +
			"that the file replays: their figures stay the checker's testimony.\n\n" +
			"What a result says and shows of its card is judged too, and gives the level.\n" +
			"NVIDIA's roots are pinned; --evidence is a folder with what grades a card beyond\n" +
			"its identity: reference manifests (XML) and OCSP responses, and for a simulated\n" +
			"network its roots (PEM), such as the folder evidence of a devnet. The level never\n" +
			"changes the exit code. Of several files it is said on standard error where one\n" +
			"card signed for two devices, and where a device is another than before.",
		Example: "  assay verify evidence/*.transcript\n  assay verify --registry registry.cbor --expect wrong --json FILE\n" +
			"  assay verify --evidence devnet/evidence --registry devnet/registry.cbor FILE...",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return hinted{usageError{errors.New("verify: no file given")}, "assay transcripts export writes some"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var want challenges.Outcome
			var err error
			if expect != "" {
				if want, err = challenges.ParseOutcome(expect); err != nil {
					return usageError{fmt.Errorf("--expect: %w", err)}
				}
			}
			var r *committee.Registry
			if registry != "" {
				if r, err = readRegistry(registry); err != nil {
					return usageError{err}
				}
			}
			t, err := trust.Load(folder)
			if err != nil {
				return hinted{usageError{err}, "--evidence takes a folder of manifests (XML), OCSP responses, and roots (PEM)"}
			}
			t.Reference.At = time.Now()
			if at != "" {
				if t.Reference.At, err = parseAt(at); err != nil {
					return err
				}
			}
			v := verifier{cmd: cmd, registry: r, trust: t, want: want, json: asJSON, paths: make(map[challenges.Hash]string)}
			code := 0
			for _, path := range args {
				code = max(code, v.file(path))
			}
			v.together()
			if code != 0 {
				return exit(code)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&registry, "registry", "", "the network's registry.cbor; without it the network is not checked")
	f.StringVar(&expect, "expect", "", "require this outcome")
	f.StringVar(&folder, "evidence", "", "folder of reference manifests, OCSP responses and simulated roots")
	f.StringVar(&at, "at", "", "time for the freshness of OCSP responses and manifests, RFC 3339; default: now")
	f.BoolVar(&asJSON, "json", false, "print one JSON document a file")
	return cmd
}

// verifier verifies files, and remembers which cards signed.
type verifier struct {
	cmd      *cobra.Command
	registry *committee.Registry
	trust    evidence.Trust
	want     challenges.Outcome // 0: any
	json     bool
	seen     []evidence.Sighting
	told     []evidence.Telling
	paths    map[challenges.Hash]string // of those, by transcript
}

// file verifies one, prints what it proves, and returns the exit code.
func (v *verifier) file(path string) int {
	file, err := readFile(path, challenges.MaxEnvelope)
	var f client.Finding
	if err == nil {
		if f, err = client.Verify(file, v.registry, v.trust); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}
	stderr := v.cmd.ErrOrStderr()
	if err != nil {
		fmt.Fprintf(stderr, "assay: error: %v\n", err)
		return 2
	}
	met := v.want == 0 || (f.OK && *f.Outcome == v.want)
	out := v.cmd.OutOrStdout()
	if v.json {
		if err := json.NewEncoder(out).Encode(f); err != nil {
			fmt.Fprintf(stderr, "assay: error: %v\n", err)
			return 1
		}
	} else {
		explain(out, path, f)
	}
	if s := f.Sighting(); f.OK && s.Identity != (challenges.Hash{}) {
		v.seen, v.paths[s.Transcript] = append(v.seen, s), path
	}
	if told, ok := f.Telling(); f.OK && ok {
		v.told, v.paths[told.Transcript] = append(v.told, told), path
	}
	if f.OK && !met {
		fmt.Fprintf(stderr, "assay: %s: outcome %v, expected %v\n", path, *f.Outcome, v.want)
	}
	if !f.OK || !met {
		return 1
	}
	return 0
}

// together says what the files say against each other: cards that signed for two
// devices, and devices that changed. Each file proves what it states all the same.
func (v *verifier) together() {
	for _, c := range evidence.Across(v.told) {
		for _, f := range c.Findings {
			fmt.Fprintf(v.cmd.ErrOrStderr(), "assay: %s: %s of %s in %s, then %s: seen %s; expected %s\n",
				f.Code, c.After.Device, c.After.Provider.Short(), v.paths[c.Before.Transcript], v.paths[c.After.Transcript], f.Seen, f.Expected)
		}
	}
	for _, k := range evidence.Conflicts(v.seen) {
		fmt.Fprintf(v.cmd.ErrOrStderr(), "assay: %s: in epoch %d the card %s signed for %s of %s (%s) and for %s of %s (%s)\n",
			evidence.CodeIdentityConflict, k.A.Epoch, k.A.Identity.String()[:16],
			k.A.Device, k.A.Provider.Short(), v.paths[k.A.Transcript], k.B.Device, k.B.Provider.Short(), v.paths[k.B.Transcript])
	}
}

// explain says in words what a file proves.
func explain(w io.Writer, path string, f client.Finding) {
	if f.OK {
		nature := "testimony"
		switch {
		case f.Outcome.Proof():
			nature = "proof"
		case *f.Outcome == challenges.Pass:
			nature = "proof, its times testimony"
		}
		fmt.Fprintf(w, "ok    %v %v (%s)  %s\n", *f.Kind, *f.Outcome, nature, path)
	} else {
		states := "nothing that can be made out"
		if f.Recorded != nil {
			states = f.Recorded.String()
		}
		fmt.Fprintf(w, "FAIL  states %s, breaks clause %s  %s\n", states, *f.Clause, path)
	}
	var notes []terminal.Note
	note := func(c terminal.Colour, name, format string, args ...any) {
		notes = append(notes, terminal.Note{Colour: c, Name: "      " + name, Text: terminal.Clean(fmt.Sprintf(format, args...))})
	}
	for _, reason := range f.Reasons {
		c, weight := weigh(&f, reason.Code)
		note(c, reason.Code, "%s%s", weight, reason.Detail)
	}
	if f.Miss != nil {
		note(terminal.Plain, "miss", "a prover who skipped 1 %% of the entries would pass with probability %.2g", *f.Miss)
	}
	explainCard(note, f)
	for _, t := range f.Testimony {
		note(terminal.Plain, t.Name, "%v (the checker's word)", t.Value)
	}
	var t terminal.Table
	t.Notes(terminal.Width(w), notes...)
	_ = t.Print(w, terminal.Coloured(w))
}

// weigh says what a finding about the card is worth; nothing of other reasons.
func weigh(f *client.Finding, code string) (terminal.Colour, string) {
	i := -1
	if f.Card != nil {
		i = slices.IndexFunc(f.Card.Findings, func(x client.TelemetryFinding) bool { return x.Code == code })
	}
	clocked := func(r telemetry.Rule) bool { return r.Code == code && strings.Contains(r.Needs, "elapsed") }
	switch {
	case i < 0 && code != evidence.CodeIdentityChip:
		return terminal.Plain, ""
	case i >= 0 && !f.Card.Findings[i].Hard:
		return terminal.Yellow, "worth a look: "
	case slices.ContainsFunc(telemetry.Rules(), clocked):
		return terminal.Yellow, "cannot be true by the checker's clock: "
	}
	return terminal.Red, "cannot be true: "
}

// explainCard says what the result shows of its card.
func explainCard(note func(c terminal.Colour, name, format string, args ...any), f client.Finding) {
	if f.Level == nil || *f.Kind == challenges.Probe {
		return
	}
	level := f.Level.String()
	if f.Attested {
		level += ", attested"
	}
	if f.Simulated {
		level += ", simulated"
	}
	if len(f.Raise) > 0 {
		level += "; higher with " + f.Raise[0]
	}
	note(terminal.Plain, "level", "%s", level)
	k := f.Card
	if k == nil {
		return
	}
	if k.Name != "" {
		note(terminal.Plain, "card", "%s, %s, by the provider's word; %d rules looked at it", k.Name, k.UUID, len(k.Applied))
	}
	if a := k.Attestation; a != nil && a.Grade != attest.GradeNone {
		note(terminal.Plain, "identity", "%s signed this result; driver %s, VBIOS %s; evidence: %s", a.Chip, terminal.OrNone(a.Driver), terminal.OrNone(a.VBIOS), a.Grade)
	}
}

func readRegistry(path string) (*committee.Registry, error) {
	b, err := readFile(path, maxRegistry)
	if err != nil {
		return nil, err
	}
	r, err := committee.DecodeRegistry(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &r, nil
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: over %d bytes", path, limit)
	}
	return b, nil
}
