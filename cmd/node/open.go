package node

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/store"
)

// markName stands beside the store from its first day on: a folder with the mark
// and without the store has lost it.
const markName = "db.id"

// openStore opens a node's store. The very first time it makes one; but a node
// never starts empty by accident, and forgets what it has said.
func openStore(dir string, meta store.Meta, log *slog.Logger) (*store.DB, error) {
	path, mark := filepath.Join(dir, "db"), filepath.Join(dir, markName)
	db, err := store.Open(path, store.Options{Log: log})
	switch {
	case errors.Is(err, store.ErrNotFound) && file.Exists(mark):
		return nil, fmt.Errorf("%w: this node had a store; bring it back with assay store restore, or remove %s to start with nothing", err, mark)
	case errors.Is(err, store.ErrNotFound):
		db, err = store.Create(path, meta, store.Options{Log: log})
	}
	if err != nil {
		return nil, err
	}
	if have := db.Meta(); have != meta {
		return nil, errors.Join(fmt.Errorf("%s is the store of %s %v of network %v, want %s %v of network %v",
			path, have.Kind, have.Node, have.Network, meta.Kind, meta.Node, meta.Network), db.Close())
	}
	if !file.Exists(mark) {
		if err := file.Write(mark, []byte(meta.Network.String()+"\n")); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}
