package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/prover"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fake is an agent that remembers what it was told.
type fake struct {
	mu     sync.Mutex
	status Status
	told   []string
	asked  WhyQuery
	freed  time.Duration
	fails  error
	hold   chan struct{} // Tenant waits for it, if there is one
	list   []prover.Explanation
	copies map[challenges.Hash][]byte
}

func (f *fake) tell(s string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, s)
	return f.fails
}

func (f *fake) Status() Status { return f.status }

func (f *fake) Drain(until time.Time) error { return f.tell("drain " + stamp(until)) }

func (f *fake) Resume() error { return f.tell("resume") }

func (f *fake) Tenant(ctx context.Context, device string, present bool, until time.Time) (time.Duration, error) {
	how := " leaves "
	if present {
		how = " arrives "
	}
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return f.freed, f.tell(device + how + stamp(until))
}

func (f *fake) Why(q WhyQuery) ([]prover.Explanation, error) {
	f.asked = q
	return f.list, f.fails
}

func (f *fake) Transcript(id challenges.Hash) ([]byte, error) {
	b, ok := f.copies[id]
	if !ok {
		return nil, errors.Join(errors.New("no copy"), ErrUnknown)
	}
	return b, f.fails
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "for ever"
	}
	return t.UTC().Format(time.RFC3339)
}

// serving is a server that runs until the test ends.
type serving struct {
	*Client
	dir  string
	stop func() error
}

func serve(t *testing.T, s *Server) serving {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	l, err := Listen(path)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { failed = s.Serve(ctx, l) })
	stop := sync.OnceValue(func() error {
		cancel()
		wg.Wait()
		return failed
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := Dial(t.Context(), dir)
	check(t, err)
	return serving{c, dir, stop}
}

// names lists a folder.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}
