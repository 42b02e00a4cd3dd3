// Package worker runs a card in a process of its own, so that whatever a driver
// does ends that process alone: no crash and no hang of a card reaches its parent,
// or another card.
//
// [Serve] is the child: it puts a [Host], which knows the driver, behind two pipes.
// [Device] and [Monitor] are the parent: they start the child, watch it, start it
// again when it is gone, and turn each failure into a [gpu.Fault].
//
// # Wire
//
// The child reads its standard input and writes its standard output. A frame is a
// length, 4 bytes big-endian, at most 8 MiB, and so much canonical CBOR. Both sides
// begin with a greeting, an array of a magic text and the version, whose form never
// changes. Then the parent sends requests [call, op, payload] and the child replies
// [call, status, payload], in any order. The parent numbers calls, runs and
// memories. Call 0 is a ping or, from the child, the fault that it ends with.
package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
	"unicode/utf8"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Version is the protocol's. Parent and child have the same, or do not talk.
const Version = 1

// Roles of a child.
const (
	RoleDevice  = "device"  // runs one card
	RoleMonitor = "monitor" // reads all cards, and takes nothing of them
)

// Setup is what a child is told when it starts.
type Setup struct {
	_     struct{} `cbor:",toarray"`
	Role  string   // one of the roles
	ID    string   // of the device
	Model string   // name in gpu/models
	Card  string   // the card's UUID

	Memory  uint64 // bytes that are offered; 0: all of the card's
	Int8Ops uint64 // ops/s that the offer claims of each flavour; 0: not offered
	BF16Ops uint64
	FP64Ops uint64

	Driver   string // path of the driver's library; "": where systems have it
	NVML     string // likewise
	CUBLASLt string // likewise; "none": not used

	Patience time.Duration // without anything finished: the card hangs; 0: default
}

// maxText bounds each text of a setup, in bytes: paths are the longest.
const maxText = 4096

// Check bounds a setup.
func (s *Setup) Check() error {
	if s.Role != RoleDevice && s.Role != RoleMonitor {
		return fmt.Errorf("setup: role %q", s.Role)
	}
	for _, t := range []string{s.ID, s.Model, s.Card, s.Driver, s.NVML, s.CUBLASLt} {
		if len(t) > maxText || !utf8.ValidString(t) {
			return fmt.Errorf("setup: a text of %d bytes, at most %d of UTF-8", len(t), maxText)
		}
	}
	if s.Patience < 0 {
		return fmt.Errorf("setup: patience %v", s.Patience)
	}
	return nil
}

// Card is a card that the child has opened.
type Card interface {
	gpu.Device
	Close() error
	// Failed is closed when nothing works on the card any more in this process.
	Failed() <-chan struct{}
	// About says in a line what the card runs with.
	About() string
}

// Library reads all cards beside their work.
type Library interface {
	Cards() ([]telemetry.Inventory, error)
	Monitor(uuid string) (gpu.Monitor, error)
	Close() error
}

// Host is what the child's machine has. Its methods may be called by several
// goroutines.
type Host interface {
	Open(ctx context.Context, s Setup) (Card, error)
	Library(s Setup) (Library, error)
	// Fault says what an error means; nil: it is not the card's doing.
	Fault(err error) *gpu.Fault
}

// program is the child's.
const program = "assay-gpu"

// Find looks for assay-gpu beside the program at path self, symbolic links
// followed, then in PATH.
func Find(self string) (string, error) {
	name := program
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	beside := filepath.Join(filepath.Dir(self), name)
	if path, err := exec.LookPath(beside); err == nil {
		return path, nil
	} else if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("find %s: %w", program, err)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s: neither %s nor in PATH: build it with go build ./cmd/%s and put it beside assay: %w",
			program, beside, program, err)
	}
	return path, nil
}
