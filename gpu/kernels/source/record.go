package source

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Record is what the manifest says.
type Record struct {
	Compiler string            // its first line about itself
	Ptxas    string            // its release; empty where there is no machine code
	Flags    map[string]string // by target
	Hashes   map[string]string // SHA-256 in hex, by the name of the file
}

// Describe records the sources and modules under dir.
func Describe(dir, compiler, ptxas string) (Record, error) {
	r := Record{Compiler: compiler, Ptxas: ptxas, Flags: map[string]string{}, Hashes: map[string]string{}}
	files, err := sources(dir)
	if err != nil {
		return Record{}, err
	}
	for _, t := range Targets() {
		r.Flags[t.Name] = strings.Join(t.Flags(), " ")
		files = append(files, t.File(), t.CubinFile())
	}
	for _, name := range files {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return Record{}, fmt.Errorf("describe: %w", err)
		}
		r.Hashes[name] = Hash(b)
	}
	return r, nil
}

// Hash is SHA-256 in hex.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// sources lists the names of all sources under dir.
func sources(dir string) ([]string, error) {
	var out []string
	for _, pattern := range []string{"c/*.c", "c/*.h"} {
		found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, fmt.Errorf("sources: %w", err)
		}
		for _, f := range found {
			out = append(out, "c/"+filepath.Base(f))
		}
	}
	return out, nil
}

// Text is the manifest.
func (r Record) Text() []byte {
	var b bytes.Buffer
	b.WriteString("# What the modules here were compiled from; written by: go generate ./gpu/kernels\n")
	fmt.Fprintf(&b, "compiler %s\n", r.Compiler)
	if r.Ptxas != "" {
		fmt.Fprintf(&b, "ptxas %s\n", r.Ptxas)
	}
	for _, name := range sorted(r.Flags) {
		fmt.Fprintf(&b, "flags %s %s\n", name, r.Flags[name])
	}
	for _, name := range sorted(r.Hashes) {
		fmt.Fprintf(&b, "sha256 %s %s\n", name, r.Hashes[name])
	}
	return b.Bytes()
}

func sorted(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Read reads the manifest under dir.
func Read(dir string) (Record, error) {
	r := Record{Flags: map[string]string{}, Hashes: map[string]string{}}
	b, err := os.ReadFile(filepath.Join(dir, Manifest))
	if err != nil {
		return r, fmt.Errorf("read: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		kind, rest, _ := strings.Cut(lines.Text(), " ")
		name, value, _ := strings.Cut(rest, " ")
		switch kind {
		case "#":
		case "compiler":
			r.Compiler = rest
		case "ptxas":
			r.Ptxas = rest
		case "flags":
			r.Flags[name] = value
		case "sha256":
			r.Hashes[name] = value
		default:
			return r, fmt.Errorf("read %s: unknown line %q", Manifest, lines.Text())
		}
	}
	return r, lines.Err()
}
