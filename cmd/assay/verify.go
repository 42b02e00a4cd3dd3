package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
)

// maxRegistry bounds a registry file, in bytes.
const maxRegistry = 16 << 20

func verifyCommand() *cobra.Command {
	var (
		registry, expect string
		asJSON           bool
	)
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check offline what transcripts prove",
		Long: "Replays each transcript and compares it with what the checker recorded.\n\n" +
			"Exit code 0: every file proves what it states (a wrong that replays as wrong\n" +
			"too), and OUTCOME if one is given. 1: not; the clause of docs/PROTOCOL.md is\n" +
			"named. 2: a file cannot be read. For late, withheld and unreachable, 0 means\n" +
			"that the file replays: their figures stay the checker's testimony.",
		Example: "  assay verify evidence/*.transcript\n  assay verify --registry registry.cbor --expect wrong --json FILE",
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
			code := 0
			for _, path := range args {
				code = max(code, verifyFile(cmd, path, r, want, asJSON))
			}
			if code != 0 {
				return exit(code)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&registry, "registry", "", "the network's registry.cbor; without it the network is not checked")
	f.StringVar(&expect, "expect", "", "require this outcome")
	f.BoolVar(&asJSON, "json", false, "print one JSON document a file")
	return cmd
}

func verifyFile(cmd *cobra.Command, path string, r *committee.Registry, want challenges.Outcome, asJSON bool) int {
	file, err := readFile(path, challenges.MaxEnvelope)
	var f client.Finding
	if err == nil {
		if f, err = client.Verify(file, r); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "assay: error: %v\n", err)
		return 2
	}
	met := want == 0 || (f.OK && *f.Outcome == want)
	out := cmd.OutOrStdout()
	if asJSON {
		if err := json.NewEncoder(out).Encode(f); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "assay: error: %v\n", err)
			return 1
		}
	} else {
		explain(out, path, f)
	}
	if f.OK && !met {
		fmt.Fprintf(cmd.ErrOrStderr(), "assay: %s: outcome %v, expected %v\n", path, *f.Outcome, want)
	}
	if !f.OK || !met {
		return 1
	}
	return 0
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
	for _, reason := range f.Reasons {
		fmt.Fprintf(w, "      %-8s %s\n", reason.Code, reason.Detail)
	}
	if f.Miss != nil {
		fmt.Fprintf(w, "      %-8s a prover who skipped 1 %% of the entries would pass with probability %.2g\n", "miss", *f.Miss)
	}
	for _, t := range f.Testimony {
		fmt.Fprintf(w, "      %-8s %v (the checker's word)\n", t.Name, t.Value)
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
