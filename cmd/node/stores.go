package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/store"
)

// CheckReport is what a check of a store found.
type CheckReport = store.CheckReport

// StoresIn finds the databases of a node's folder, of a devnet's, or of a backup.
func StoresIn(dir string) ([]string, error) {
	if db := filepath.Join(dir, "db"); file.Exists(db) {
		return []string{db}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if db := filepath.Join(dir, e.Name(), "db"); e.IsDir() && file.Exists(db) {
			out = append(out, db)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no node's folder, no devnet's and no backup: there is no db in it", dir)
	}
	return out, nil
}

// StoreIn finds the one database of a folder.
func StoreIn(dir string) (string, error) {
	all, err := StoresIn(dir)
	if err == nil && len(all) > 1 {
		err = fmt.Errorf("%s: holds %d nodes; name one, such as %s", dir, len(all), filepath.Dir(all[0]))
	}
	if err != nil {
		return "", err
	}
	return all[0], nil
}

// CheckStore reads all of a stopped node's database. Without a registry standings
// are not folded again.
func CheckStore(ctx context.Context, dir string, r *committee.Registry, progress func(table string, rows uint64)) (_ CheckReport, err error) {
	db, err := store.OpenReadOnly(dir, store.Options{})
	if err != nil {
		return CheckReport{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	report, err := db.Check(ctx, store.CheckOptions{Registry: r, Progress: progress})
	if err != nil {
		err = fmt.Errorf("%s: %w", dir, err)
	}
	return report, err
}

// BackupStore copies a stopped node's database to out/db, and says whose it is.
func BackupStore(dir, out string) (what string, err error) {
	db, err := store.Open(dir, store.Options{})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Backup(filepath.Join(out, "db")); err != nil {
		_ = os.Remove(out) // if nothing else is in it
		return "", err
	}
	m := db.Meta()
	return fmt.Sprintf("%s %v", m.Kind, m.Node), nil
}

// RestoreStore copies a backup's database to dir/db; fs.ErrExist if there is one.
func RestoreStore(backup, dir string) error {
	err := store.Restore(backup, filepath.Join(dir, "db"), time.Now(), store.Options{})
	if errors.Is(err, store.ErrExists) {
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return err
}
