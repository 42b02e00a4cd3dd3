package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/store"
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

// storesIn finds the databases of a node's folder, of a devnet's, or of a backup.
func storesIn(dir string) ([]string, error) {
	if db := filepath.Join(dir, "db"); node.Exists(db) {
		return []string{db}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if db := filepath.Join(dir, e.Name(), "db"); e.IsDir() && node.Exists(db) {
			out = append(out, db)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no node's folder, no devnet's and no backup: there is no db in it", dir)
	}
	return out, nil
}

// storeIn finds the one database of a folder.
func storeIn(dir string) (string, error) {
	all, err := storesIn(dir)
	if err == nil && len(all) > 1 {
		err = fmt.Errorf("%s: holds %d nodes; name one, such as %s", dir, len(all), filepath.Dir(all[0]))
	}
	if err != nil {
		return "", err
	}
	return all[0], nil
}

// checked is one database's part of the JSON document.
type checked struct {
	Folder string             `json:"folder"`
	Error  string             `json:"error,omitempty"` // could not be read
	Report *store.CheckReport `json:"report,omitempty"`
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
			var o store.CheckOptions
			var err error
			if registry != "" {
				if o.Registry, err = anyRegistry(registry); err != nil {
					return usageError{err}
				}
			}
			dirs, err := storesIn(args[0])
			if err != nil {
				return usageError{err}
			}
			code, all := 0, make([]checked, 0, len(dirs))
			for _, dir := range dirs {
				c := checked{Folder: dir}
				r, err := checkStore(cmd, dir, o)
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

func checkStore(cmd *cobra.Command, dir string, o store.CheckOptions) (r store.CheckReport, err error) {
	db, err := store.OpenReadOnly(dir, store.Options{})
	if err != nil {
		return r, err
	}
	p := newProgress(cmd.ErrOrStderr())
	o.Progress = func(table string, rows uint64) { p.say("%s: %s, %d rows", dir, table, rows) }
	defer func() {
		p.end()
		err = errors.Join(err, db.Close())
	}()
	r, err = db.Check(cmd.Context(), o)
	if err != nil {
		err = fmt.Errorf("%s: %w", dir, err)
	}
	return r, err
}

// explainStore says in words what a check found.
func explainStore(w io.Writer, dir string, r *store.CheckReport) {
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
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			dir, err := storeIn(args[0])
			if err != nil {
				return usageError{err}
			}
			if node.Exists(out) {
				return hinted{fmt.Errorf("%s: exists already", out), "a backup goes into a new folder"}
			}
			db, err := store.Open(dir, store.Options{})
			if err != nil {
				return hinted{err, stopFirst}
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			p := newProgress(cmd.ErrOrStderr())
			p.while("copies %s", dir)
			err = db.Backup(filepath.Join(out, "db"))
			p.end()
			if err != nil {
				_ = os.Remove(out) // if nothing else is in it
				return err
			}
			m := db.Meta()
			fmt.Fprintf(cmd.OutOrStdout(), "backup of %s %v: %s\n", m.Kind, m.Node, out)
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
			from, err := storeIn(args[0])
			if err != nil {
				return usageError{err}
			}
			db := filepath.Join(to, "db")
			p := newProgress(cmd.ErrOrStderr())
			p.while("copies %s", from)
			err = store.Restore(from, db, time.Now(), store.Options{})
			p.end()
			switch {
			case errors.Is(err, store.ErrExists):
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

// progress says at a terminal what takes longer than 2 s.
type progress struct {
	out   io.Writer // nil: no terminal
	next  time.Time
	timer *time.Timer
	said  bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{next: time.Now().Add(2 * time.Second)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.out = w
	}
	return p
}

// say may be called often.
func (p *progress) say(format string, args ...any) {
	if p.out == nil || time.Now().Before(p.next) {
		return
	}
	p.said, p.next = true, time.Now().Add(200*time.Millisecond)
	fmt.Fprintf(p.out, "\r\x1b[K"+format, args...)
}

// while says it once, if the end does not come before.
func (p *progress) while(format string, args ...any) {
	if p.out == nil {
		return
	}
	p.timer = time.AfterFunc(2*time.Second, func() { fmt.Fprintf(p.out, format+"\n", args...) })
}

// end clears the line.
func (p *progress) end() {
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.said {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
