package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/file"
)

// selection is which transcripts, and where from.
type selection struct {
	dir, api, kind, outcome, provider string
	limit                             int
}

func (s *selection) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.dir, "dir", "", "a stopped node's folder, or a stopped devnet's")
	f.StringVar(&s.api, "api", "", "a running checker's API, such as http://127.0.0.1:8420")
	f.StringVar(&s.kind, "kind", "", "only this kind: "+kinds())
	f.StringVar(&s.outcome, "outcome", "", "only this outcome, such as pass or wrong")
	f.StringVar(&s.provider, "provider", "", "only of this provider (64 hex digits)")
	f.IntVar(&s.limit, "limit", 100, "at most so many, newest first")
	cmd.MarkFlagsMutuallyExclusive("dir", "api")
	cmd.MarkFlagsOneRequired("dir", "api")
}

// kinds lists the kinds of challenges, for people.
func kinds() string {
	var names []string
	for _, k := range challenges.Kinds() {
		names = append(names, string(k))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// open opens the source and reads the list.
func (s *selection) open(cmd *cobra.Command) (node.Source, []client.Transcript, error) {
	q := report.Query{Kind: challenges.Kind(s.kind), Limit: s.limit}
	if s.limit < 1 {
		return nil, nil, usageError{fmt.Errorf("--limit %d: want a positive number", s.limit)}
	}
	if q.Kind != "" && !slices.Contains(challenges.Kinds(), q.Kind) {
		return nil, nil, usageError{fmt.Errorf("--kind %q: want %s", s.kind, kinds())}
	}
	if s.outcome != "" {
		o, err := challenges.ParseOutcome(s.outcome)
		if err != nil {
			return nil, nil, usageError{fmt.Errorf("--outcome: %w", err)}
		}
		q.Outcome = o
	}
	if s.provider != "" {
		if err := q.Provider.UnmarshalText([]byte(s.provider)); err != nil {
			return nil, nil, usageError{fmt.Errorf("--provider: %w", err)}
		}
	}
	var src node.Source
	var err error
	if s.api != "" {
		src, err = node.OpenAPI(s.api)
	} else {
		src, err = node.OpenFolder(s.dir)
		if err != nil {
			err = hinted{err, "a running node holds its folder: read it with --api, or stop it first"}
		}
	}
	if err != nil {
		return nil, nil, err
	}
	list, err := src.List(cmd.Context(), q)
	if err != nil {
		return nil, nil, errors.Join(err, src.Close())
	}
	if len(list) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "assay: no transcript matches")
	}
	return src, list, nil
}

func transcriptsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "transcripts",
		Short: "List and export the transcripts that a checker keeps",
	}
	cmd.AddCommand(listCommand(), exportCommand())
	return cmd
}

func listCommand() *cobra.Command {
	var s selection
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list (--dir DIR | --api URL)",
		Short: "List transcripts, newest first",
		Example: "  assay transcripts list --api http://127.0.0.1:8420 --outcome wrong\n" +
			"  assay transcripts list --dir /tmp/assay-devnet-1 --kind matmul --limit 5",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, list, err := s.open(cmd)
			if err != nil {
				return err
			}
			defer src.Close()
			out := cmd.OutOrStdout()
			if asJSON {
				if list == nil {
					list = []client.Transcript{}
				}
				e := json.NewEncoder(out)
				e.SetIndent("", "  ")
				return e.Encode(client.Transcripts{Transcripts: list})
			}
			if len(list) == 0 {
				return nil
			}
			w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TIME\tKIND\tOUTCOME\tPROVIDER\tDEVICE\tEPOCH\tBYTES\tHASH")
			for _, t := range list {
				fmt.Fprintf(w, "%s\t%s\t%v\t%s\t%s\t%d\t%d\t%v\n", t.At.Format(time.RFC3339), t.Kind, t.Outcome,
					t.Provider.Short(), t.Device, t.Epoch, t.Bytes, t.Hash)
			}
			return w.Flush()
		},
	}
	s.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func exportCommand() *cobra.Command {
	var s selection
	var out string
	cmd := &cobra.Command{
		Use:   "export (--dir DIR | --api URL)",
		Short: "Write transcripts to files, HASH.transcript, for assay verify",
		Example: "  assay transcripts export --api http://127.0.0.1:8420 --outcome wrong --out evidence\n" +
			"  assay verify evidence/*.transcript",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, list, err := s.open(cmd)
			if err != nil {
				return err
			}
			defer src.Close()
			if len(list) == 0 {
				return nil
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return err
			}
			for _, t := range list {
				b, err := src.Get(cmd.Context(), t.Hash)
				if errors.Is(err, report.ErrNotFound) {
					fmt.Fprintf(cmd.ErrOrStderr(), "assay: %v is kept as a row only: %v\n", t.Hash, err)
					continue
				}
				if err != nil {
					return err
				}
				path := filepath.Join(out, t.Hash.String()+".transcript")
				if err := file.Write(path, b); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			return nil
		},
	}
	s.flags(cmd)
	cmd.Flags().StringVar(&out, "out", ".", "folder for the files")
	return cmd
}
