// Build compiles the kernels to the PTX that is part of the repository, and records
// what it was made from. It is started by go generate, or from the repository's root.
//
// With -ptxas it makes machine code as well, for providers whose driver came without
// its compiler. Without, machine code is kept while it is that of the PTX, and else
// becomes empty: there is none rather than an old one.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/assaynet/assay/gpu/kernels/source"
)

func main() {
	ptxas := flag.String("ptxas", "", "NVIDIA's assembler, to make machine code as well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, folder(), *ptxas); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// folder is that of the package, from itself or from the repository's root.
func folder() string {
	if _, err := os.Stat("c/all.c"); err == nil {
		return "."
	}
	return filepath.Join("gpu", "kernels")
}

func run(ctx context.Context, dir, ptxas string) error {
	version, err := source.Version(ctx)
	if err != nil {
		return err
	}
	old, err := source.Read(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	same, err := compile(ctx, dir, old)
	if err != nil {
		return err
	}
	release := old.Ptxas
	if ptxas != "" || !same {
		if release, err = assemble(ctx, dir, ptxas); err != nil {
			return err
		}
	}
	record, err := source.Describe(dir, version, release)
	if err != nil {
		return err
	}
	return write(dir, source.Manifest, record.Text())
}

// compile makes all modules, and says whether they are those that were there.
func compile(ctx context.Context, dir string, old source.Record) (same bool, err error) {
	// All or nothing: a module is not to stand beside those of other sources.
	targets := source.Targets()
	made := make([][]byte, len(targets))
	same = true
	for i, t := range targets {
		if made[i], err = source.Compile(ctx, dir, t); err != nil {
			return false, err
		}
		same = same && old.Hashes[t.File()] == source.Hash(made[i])
	}
	for i, t := range targets {
		if err := write(dir, t.File(), made[i]); err != nil {
			return false, err
		}
	}
	return same, nil
}

// assemble makes all machine code, or empties it, and says what release made it.
func assemble(ctx context.Context, dir, ptxas string) (release string, err error) {
	if ptxas != "" {
		if release, err = source.AssemblerVersion(ctx, ptxas); err != nil {
			return "", err
		}
	}
	for _, t := range source.Targets() {
		var packed []byte
		if ptxas != "" {
			code, err := source.Assemble(ctx, dir, ptxas, t)
			if err != nil {
				return "", err
			}
			if packed, err = pack(code); err != nil {
				return "", err
			}
		}
		if err := write(dir, t.CubinFile(), packed); err != nil {
			return "", err
		}
	}
	return release, nil
}

// pack compresses, always to the same bytes.
func pack(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func write(dir, name string, b []byte) error {
	fmt.Printf("%s: %d bytes\n", name, len(b))
	return os.WriteFile(filepath.Join(dir, name), b, 0o644)
}
