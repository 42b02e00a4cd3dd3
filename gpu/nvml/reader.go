//go:build cgo && linux

package nvml

import (
	"math"
	"sync"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// symbols knows which functions the library has. A call without one would kill
// the process.
type symbols struct {
	lookup func(name string) error

	mu    sync.Mutex
	known map[string]bool
}

// has says whether the library has any of some names: the versions of one function,
// of which the binding takes the newest.
func (s *symbols) has(names ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		there, asked := s.known[name]
		if !asked {
			there = s.lookup(name) == nil
			s.known[name] = there
		}
		if there {
			return true
		}
	}
	return false
}

// reader makes calls on one card until one says that the card or its driver has
// failed: those that follow would only take time.
type reader struct {
	*symbols
	fault *gpu.Fault // nil: none yet
	odd   *codeError // the last answer that a card in order does not give
}

// can says whether a call may be made that is known by any of some names.
func (r *reader) can(names ...string) bool { return r.fault == nil && r.has(names...) }

// ok takes a call's answer, and says whether there is a reading.
func (r *reader) ok(call string, code nvml.Return) bool {
	m := meaningOf(code)
	e := &codeError{call, code}
	switch m {
	case gone, broken:
		r.fault = e.Fault()
	case strange:
		r.odd = e
	}
	return m == good
}

// number makes a call that gives one; false where there is no reading.
func number[T ~int | ~int32 | ~uint32 | ~uint64](r *reader, call string, get func() (T, nvml.Return)) (int64, bool) {
	if !r.can(call) {
		return 0, false
	}
	v, code := get()
	if !r.ok(call, code) || v < 0 || uint64(v) > math.MaxInt64 {
		return 0, false
	}
	return int64(v), true
}

// put makes a call that gives a reading, and puts that into a snapshot.
func put[T ~int | ~int32 | ~uint32 | ~uint64](r *reader, s *telemetry.Snapshot, k telemetry.Kind, call string, get func() (T, nvml.Return)) {
	if v, ok := number(r, call, get); ok {
		s.Set(k, v)
	}
}

// text makes a call that gives one; empty where there is none.
func (r *reader) text(call string, get func() (string, nvml.Return)) string {
	if !r.can(call) {
		return ""
	}
	v, code := get()
	if !r.ok(call, code) {
		return ""
	}
	return printable(v)
}

// maxText bounds what is taken of a text, in bytes.
const maxText = 96

// printable is a text without what could do harm to a terminal, a log or a peer.
func printable(s string) string {
	b := []byte(s[:min(len(s), maxText)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}
