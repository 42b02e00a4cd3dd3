package node

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/store"
)

func TestInit(t *testing.T) {
	for _, kind := range []string{KindChecker, KindProvider} {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			id, err := Init(dir, kind, "a \"name\": #1", "")
			check(t, err)
			if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("folder: %v, %v", info.Mode(), err)
			}
			key, err := file.ReadKey(filepath.Join(dir, "key"))
			check(t, err)
			if challenges.IDOf(key) != id {
				t.Errorf("id %v, the key's is %v", id, challenges.IDOf(key))
			}
			// What it writes is a configuration that holds, with the name as it was given.
			c, err := ReadConfig(dir, noEnv)
			check(t, err)
			if c.Kind != kind || c.Name != "a \"name\": #1" || c.Network != filepath.Join(dir, "network.yaml") {
				t.Errorf("configuration %+v", c)
			}
			if other, err := Init(filepath.Join(t.TempDir(), "c"), kind, "x", ""); err != nil || other == id {
				t.Errorf("a second node is %v, %v", other, err)
			}
		})
	}
}

func TestInitNetworkPath(t *testing.T) {
	t.Chdir(t.TempDir())
	wd, err := os.Getwd()
	check(t, err)
	_, err = Init("c", KindChecker, "one", "nets/n.yaml") // relative to here, not to c
	check(t, err)
	c, err := ReadConfig("c", noEnv)
	check(t, err)
	if c.Network != filepath.Join(wd, "nets", "n.yaml") {
		t.Errorf("network %s, want it in %s", c.Network, wd)
	}
}

func TestInitKeepsWhatIsThere(t *testing.T) {
	for _, there := range []string{"key", ConfigName, "db"} {
		dir := t.TempDir()
		check(t, os.WriteFile(filepath.Join(dir, there), []byte("mine"), 0o600))
		_, err := Init(dir, KindChecker, "one", "")
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), filepath.Join(dir, there)) {
			t.Errorf("%s is there: %v", there, err)
		}
		if got := names(t, dir); !slices.Equal(got, []string{there}) {
			t.Errorf("%s was there, now %v", there, got)
		}
		if b, err := os.ReadFile(filepath.Join(dir, there)); err != nil || string(b) != "mine" {
			t.Errorf("%s: %q, %v", there, b, err)
		}
	}
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "network.yaml"), []byte("mine"), 0o600)) // what others hand out
	_, err := Init(dir, KindChecker, "one", "")
	check(t, err)
}

func TestOpenStore(t *testing.T) {
	meta := store.Meta{Kind: store.KindChecker, Network: challenges.Hash{1}, Node: idOf(1)}
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	db, mark := filepath.Join(dir, "db"), filepath.Join(dir, markName)
	opens := func(when string) {
		t.Helper()
		d, err := openStore(dir, meta, log)
		check(t, err)
		if d.Meta() != meta || !file.Exists(mark) {
			t.Errorf("%s: store of %+v, mark %v", when, d.Meta(), file.Exists(mark))
		}
		check(t, d.Close())
	}
	opens("the first start")
	b, err := os.ReadFile(mark)
	check(t, err)
	if string(b) != meta.Network.String()+"\n" {
		t.Errorf("mark %q", b)
	}
	opens("a later start")
	check(t, os.Remove(mark)) // a folder of an earlier version, or a crash before it was written
	opens("without the mark")

	refused := func(when string, meta store.Meta, says ...string) {
		t.Helper()
		d, err := openStore(dir, meta, log)
		if d != nil || err == nil {
			t.Fatalf("%s: store %v, error %v", when, d, err)
		}
		for _, s := range says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: error %v, want one that says %q", when, err, s)
			}
		}
	}
	for name, other := range map[string]store.Meta{
		"another kind's":    {Kind: store.KindProvider, Network: meta.Network, Node: meta.Node},
		"another network's": {Kind: meta.Kind, Network: challenges.Hash{2}, Node: meta.Node},
		"another node's":    {Kind: meta.Kind, Network: meta.Network, Node: idOf(2)},
	} {
		refused(name, other, db, meta.Node.String(), meta.Network.String(), other.Node.String(), other.Network.String(), other.Kind)
	}
	opens("after the refusals, which must have closed it")

	check(t, os.Rename(db, db+".away"))
	refused("the store is lost", meta, "this node had a store", "assay store restore", mark)
	if file.Exists(db) {
		t.Error("a store was made in place of the lost one")
	}
	if _, err := openStore(dir, meta, log); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the store is lost: %v", err)
	}
	check(t, os.Rename(db+".away", db))
	opens("it is back")

	// Whoever wants to start with nothing removes both.
	check(t, os.RemoveAll(db))
	check(t, os.Remove(mark))
	opens("anew")
	check(t, os.RemoveAll(db))
	check(t, os.Mkdir(db, 0o755))
	refused("an empty folder in its place", meta, "this node had a store")
}
