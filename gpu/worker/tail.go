package worker

import (
	"bufio"
	"errors"
	"log/slog"
	"strings"
	"sync"
)

// maxTail bounds what is kept of a child's standard error, in bytes.
const maxTail = 8 << 10

// tail is the end of what a child said, in printable lines.
type tail struct {
	mu    sync.Mutex
	lines []string
	size  int
	panic string // how Go began to say why it dies: a page of goroutines follows
}

func (t *tail) add(s string) {
	if s = line(s, maxTail/8); s == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.panic == "" && (strings.HasPrefix(s, "panic: ") || strings.HasPrefix(s, "fatal error: ")) {
		t.panic = s
	}
	t.lines, t.size = append(t.lines, s), t.size+len(s)
	for t.size > maxTail {
		t.size -= len(t.lines[0])
		t.lines = t.lines[1:]
	}
}

// words are the last that a child had to say.
func (t *tail) words() string {
	const last = 3
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.panic != "" {
		return t.panic
	}
	return strings.Join(t.lines[max(0, len(t.lines)-last):], " | ")
}

// listen keeps the end of what the child says on its standard error, and logs it.
func (p *process) listen() {
	defer close(p.quiet)
	in := bufio.NewReaderSize(p.errs, 4<<10)
	for {
		s, err := in.ReadSlice('\n') // a line, or as much of it as fits
		p.said.add(string(s))
		if text := line(string(s), maxTail/8); text != "" {
			p.cfg.Log.Debug("worker says", slog.Int("pid", p.cmd.Process.Pid), slog.String("line", text))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}
