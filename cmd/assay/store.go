package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/cmd/assay/terminal"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/file"
)

func storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Check, back up and restore a node's database",
	}
	cmd.AddCommand(checkCommand(), backupCommand(), restoreCommand())
	return cmd
}

const stopFirst = "a running node holds its folder: stop it first"

// checked is one database's part of the JSON document.
type checked struct {
	Folder string            `json:"folder"`
	Error  string            `json:"error,omitempty"` // could not be read
	Report *node.CheckReport `json:"report,omitempty"`
}

func checkCommand() *cobra.Command {
	var registry string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Read all of a stopped node's database, and look for what is wrong",
		Long: "Reads every row of the database of a stopped node's folder, a stopped devnet's or\n" +
			"a backup, changes nothing, and compares the tables with each other: transcripts\n" +
			"with their index and items, signatures with what was recorded, standings with\n" +
			"what the observations fold to.\n\n" +
			"Exit code 0: clean. 1: problems, each with its table and key. 2: unreadable.",
		Example: "  assay store check ./checker --registry network.yaml\n  assay store check /tmp/assay-devnet-1 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var reg *committee.Registry
			var err error
			if registry != "" {
				if reg, err = anyRegistry(registry); err != nil {
					return usageError{err}
				}
			}
			dirs, err := node.StoresIn(args[0])
			if err != nil {
				return usageError{err}
			}
			code, all := 0, make([]checked, 0, len(dirs))
			for _, dir := range dirs {
				c := checked{Folder: dir}
				r, err := checkStore(cmd, dir, reg)
				switch {
				case cmd.Context().Err() != nil:
					return cmd.Context().Err()
				case err != nil:
					code, c.Error = 2, err.Error()
					fmt.Fprintf(cmd.ErrOrStderr(), "assay: error: %v\n", err)
				default:
					c.Report = &r
					if !r.Clean() {
						code = max(code, 1)
					}
					if !asJSON {
						explainStore(cmd.OutOrStdout(), dir, &r)
					}
				}
				all = append(all, c)
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				if err := e.Encode(map[string][]checked{"stores": all}); err != nil {
					return err
				}
			}
			if code != 0 {
				return exit(code)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&registry, "registry", "", "the network's registry.cbor or network.yaml; without it standings are not folded again")
	f.BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func anyRegistry(path string) (*committee.Registry, error) {
	if ext := filepath.Ext(path); ext == ".yaml" || ext == ".yml" {
		n, err := node.ReadNetwork(path)
		return &n.Registry, err
	}
	return readRegistry(path)
}

func checkStore(cmd *cobra.Command, dir string, r *committee.Registry) (node.CheckReport, error) {
	p := terminal.NewProgress(cmd.ErrOrStderr())
	defer p.End()
	return node.CheckStore(cmd.Context(), dir, r, func(table string, rows uint64) { p.Say("%s: %s, %d rows", dir, table, rows) })
}

// explainStore says in words what a check found.
func explainStore(w io.Writer, dir string, r *node.CheckReport) {
	fmt.Fprintf(w, "%s: %s %s, network %v\n", dir, r.Kind, r.Node.Short(), r.Network)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TABLE\tROWS\tBYTES")
	for _, row := range r.Tables {
		fmt.Fprintf(t, "%s\t%d\t%d\n", row.Name, row.Rows, row.Bytes)
	}
	_ = t.Flush()
	if r.Sealed > 0 {
		fmt.Fprintf(w, "note: epochs below %d are sealed\n", r.Sealed)
	}
	if r.Pending > 0 {
		fmt.Fprintf(w, "note: %d challenges have no end: they would be abandoned at the next start\n", r.Pending)
	}
	if r.Expired > 0 {
		fmt.Fprintf(w, "note: %d transcripts are deleted, their time being over\n", r.Expired)
	}
	if r.Restored != nil {
		fmt.Fprintf(w, "note: restored from a backup on %s: the node stays silent for one full epoch\n", r.Restored.Format(time.RFC3339))
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "note: %s\n", s)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "problem: %s %s: %s\n", p.Table, p.Key, p.What)
	}
	if r.Clean() {
		fmt.Fprintln(w, "clean")
		return
	}
	fmt.Fprintf(w, "%d problems\n", uint64(len(r.Problems))+r.Unlisted)
}

func backupCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "backup DIR --out DIR2",
		Short: "Copy a stopped node's database into a new folder",
		Long: "Copies the database of a stopped node's folder into DIR2, which must not exist,\n" +
			"and verifies that the copy opens. The node's key is no part of it.\n\n" +
			"On the same file system unchanging files are linked, not copied: against a lost\n" +
			"disk, copy DIR2 to another one.",
		Example: "  assay store backup ./checker --out ./checker-backup",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := node.StoreIn(args[0])
			if err != nil {
				return usageError{err}
			}
			if file.Exists(out) {
				return hinted{fmt.Errorf("%s: exists already", out), "a backup goes into a new folder"}
			}
			p := terminal.NewProgress(cmd.ErrOrStderr())
			p.While("copies %s", dir)
			what, err := node.BackupStore(dir, out)
			p.End()
			if err != nil {
				return hinted{err, stopFirst}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "backup of %s: %s\n", what, out)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the new folder")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

func restoreCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "restore BACKUP --to DIR",
		Short: "Copy a backup into a node's folder that has no database",
		Long: "Copies the database of a backup to DIR/db, which must not exist, and notes in it\n" +
			"that it was restored: the node cannot know what it signed since, so a checker\n" +
			"stays silent for one full epoch. The key is no part of a backup: bring it back\n" +
			"to DIR/key yourself. Never run two nodes with one key.",
		Example: "  assay store restore ./checker-backup --to ./checker",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := node.StoreIn(args[0])
			if err != nil {
				return usageError{err}
			}
			db := filepath.Join(to, "db")
			p := terminal.NewProgress(cmd.ErrOrStderr())
			p.While("copies %s", from)
			err = node.RestoreStore(from, to)
			p.End()
			switch {
			case errors.Is(err, fs.ErrExist):
				return hinted{err, "move the old database away first; it may hold what the backup does not"}
			case err != nil:
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "restored to %s\nnext: assay store check %s\n", db, to)
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the node's folder")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}
