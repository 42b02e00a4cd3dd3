package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
)

// Source is where transcripts are read from.
type Source interface {
	// List lists transcripts, newest first.
	List(ctx context.Context, q report.Query) ([]client.Transcript, error)
	// Get reads one sealed transcript.
	Get(ctx context.Context, h challenges.Hash) ([]byte, error)
	Close() error
}

// OpenAPI reads a running checker.
func OpenAPI(api string) (Source, error) {
	c, err := client.New(api)
	if err != nil {
		return nil, err
	}
	return apiSource{c}, nil
}

type apiSource struct{ client *client.Client }

func (a apiSource) List(ctx context.Context, q report.Query) ([]client.Transcript, error) {
	return a.client.Transcripts(ctx, q)
}

func (a apiSource) Get(ctx context.Context, h challenges.Hash) ([]byte, error) {
	return a.client.Transcript(ctx, h)
}

func (a apiSource) Close() error { return nil }

// OpenFolder reads a stopped node's folder, or a stopped devnet's with all of
// its nodes.
func OpenFolder(dir string) (Source, error) {
	stores, err := StoresIn(dir)
	if err != nil {
		return nil, err
	}
	var f folderSource
	for _, path := range stores {
		db, err := store.OpenReadOnly(path, store.Options{})
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", filepath.Dir(path), err)
		}
		f = append(f, db)
	}
	return f, nil
}

type folderSource []*store.DB

func (f folderSource) List(_ context.Context, q report.Query) ([]client.Transcript, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	var out []client.Transcript
	for _, db := range f {
		infos, err := db.Transcripts(q)
		if err != nil {
			return nil, err
		}
		for _, i := range infos {
			out = append(out, client.DescribeTranscript(i))
		}
	}
	slices.SortStableFunc(out, func(a, b client.Transcript) int { return b.At.Compare(a.At) })
	return out[:min(len(out), q.Limit)], nil
}

func (f folderSource) Get(_ context.Context, h challenges.Hash) ([]byte, error) {
	for _, db := range f {
		b, err := db.Transcript(h)
		if err == nil || !errors.Is(err, report.ErrNotFound) {
			return b, err
		}
	}
	return nil, fmt.Errorf("transcript %v: %w", h, report.ErrNotFound)
}

func (f folderSource) Close() error {
	var errs []error
	for _, db := range f {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}
