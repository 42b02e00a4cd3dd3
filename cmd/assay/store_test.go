package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
)

// A problem is exit code 1, named with its table and key, as text and as JSON.
func TestStoreCheckProblem(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Create(filepath.Join(dir, "db"), store.Meta{Kind: store.KindChecker}, store.Options{})
	if err == nil {
		err = errors.Join(db.Begin(challenges.Hash{7}, report.Begun{Challenge: []byte("no envelope")}), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{
		"--json=false": "problem: begun 0207", "--json": `"table": "begun"`,
	} {
		var out, errs bytes.Buffer
		cmd := storeCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetOut(&out)
		cmd.SetErr(&errs)
		cmd.SetArgs([]string{"check", dir, flag})
		if err := cmd.ExecuteContext(t.Context()); !errors.Is(err, exit(1)) {
			t.Errorf("%s: %v, want exit code 1", flag, err)
		}
		if !strings.Contains(out.String(), want) || errs.Len() > 0 {
			t.Errorf("%s: no %q in %s%s", flag, want, &out, &errs)
		}
	}
}
