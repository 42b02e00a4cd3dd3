package prover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Card is what a hook is asked about.
type Card struct {
	Device string // its id in the offer
	UUID   string // empty where it has none
}

// Tenant is who has a device, as far as a hook says.
type Tenant struct {
	By    string    // who or what says so
	Until time.Time // zero: not known
}

// Hook asks somebody else whether a device belongs to a tenant. An error means that
// it is not known, which is not the same as no.
type Hook interface {
	Tenant(ctx context.Context, c Card) (Tenant, bool, error)
}

const (
	// maxLine bounds what a hook may say, in bytes.
	maxLine = 256
	// commandTimeout is how long a command may take, unless it is told otherwise.
	commandTimeout = 2 * time.Second
)

// Command is a hook that runs a program: with the arguments that are given, then the
// device's id and the card's UUID; the environment has them too, as ASSAY_DEVICE and
// ASSAY_CARD. It exits with 0 if the device is free and with 1 if it has a tenant;
// anything else is an error. The first line that it prints may be "until" and a time
// (RFC 3339), or says who the tenant is. No shell is involved.
type Command struct {
	Argv    []string
	Timeout time.Duration // then it is killed, with its children; 0: 2 s
}

// Tenant runs the program.
func (h Command) Tenant(ctx context.Context, c Card) (Tenant, bool, error) {
	if len(h.Argv) == 0 {
		return Tenant{}, false, errors.New("hook: no command")
	}
	name := "hook " + filepath.Base(h.Argv[0])
	timeout := h.Timeout
	if timeout <= 0 {
		timeout = commandTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.Argv[0], append(slices.Clone(h.Argv[1:]), c.Device, c.UUID)...)
	cmd.Env = append(os.Environ(), "ASSAY_DEVICE="+c.Device, "ASSAY_CARD="+c.UUID)
	var stdout, stderr head
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ownGroup(cmd)
	// A child that outlives the command may hold its output: exec.ErrWaitDelay.
	cmd.WaitDelay = 100 * time.Millisecond
	err := cmd.Run()
	if cmd.Process != nil {
		killGroup(cmd) // asked again and again, it must leave nothing behind
	}
	exit, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		return Tenant{}, false, fmt.Errorf("%s: no answer in %v", name, timeout)
	case err == nil:
		return Tenant{}, false, nil
	case exited && exit.ExitCode() == 1:
		return said("hook: "+filepath.Base(h.Argv[0]), stdout.String()), true, nil
	}
	if line := stderr.String(); line != "" {
		return Tenant{}, false, fmt.Errorf("%s: %w: %s", name, err, line)
	}
	return Tenant{}, false, fmt.Errorf("%s: %w", name, err)
}

// File is a hook that looks for a file: the device has a tenant while it exists. Its
// first line may be as a command prints it. The file's folder must be there and
// readable: without it nothing is known.
type File struct {
	Path string // {device} stands for the device's id
}

// Tenant looks for the file.
func (h File) Tenant(_ context.Context, c Card) (Tenant, bool, error) {
	if strings.ContainsAny(c.Device, `/\`) || c.Device == ".." {
		return Tenant{}, false, fmt.Errorf("hook: device %q in a path", c.Device)
	}
	path := strings.ReplaceAll(h.Path, "{device}", c.Device)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		dir := filepath.Dir(path)
		if _, err := os.Stat(dir); err != nil {
			return Tenant{}, false, fmt.Errorf("hook: the file's folder: %w", err)
		}
		return Tenant{}, false, nil
	}
	if err != nil {
		return Tenant{}, false, fmt.Errorf("hook: %w", err)
	}
	by := "hook: file " + filepath.Base(path)
	var text head
	// Anything else than a file could block who opens it.
	if info.Mode().IsRegular() {
		if f, err := os.Open(path); err == nil {
			_, _ = io.CopyN(&text, f, maxLine)
			_ = f.Close()
		}
	}
	return said(by, text.String()), true, nil
}

// said reads a hook's line. What is no time is words for the owner.
func said(by, line string) Tenant {
	if at, ok := strings.CutPrefix(line, "until "); ok {
		if until, err := time.Parse(time.RFC3339, strings.TrimSpace(at)); err == nil {
			return Tenant{By: by, Until: until}
		}
	}
	if line != "" {
		by += ": " + line
	}
	return Tenant{By: by}
}

// head keeps the beginning of what is written to it.
type head struct{ b []byte }

func (h *head) Write(b []byte) (int, error) {
	h.b = append(h.b, b[:min(len(b), maxLine-len(h.b))]...)
	return len(b), nil
}

// String is the first line.
func (h *head) String() string {
	line, _, _ := strings.Cut(string(h.b), "\n")
	return printable(strings.TrimSpace(line), maxLine)
}

// printable is a text of somebody else, fit for a terminal, of at most so many bytes.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
