package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress says at a terminal what takes longer than 2 s.
type progress struct {
	out  io.Writer // nil: no terminal
	next time.Time
	said bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{next: time.Now().Add(2 * time.Second)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.out = w
	}
	return p
}

// say may be called often.
func (p *progress) say(format string, args ...any) {
	if p.out == nil || time.Now().Before(p.next) {
		return
	}
	p.said, p.next = true, time.Now().Add(200*time.Millisecond)
	fmt.Fprintf(p.out, "\r\x1b[K"+format, args...)
}

// end clears the line.
func (p *progress) end() {
	if p.said {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.said = false
	}
}

// bar is how far it has come.
func bar(done, of int) string {
	const width = 24
	n := width * done / max(1, of)
	return fmt.Sprintf("[%s%s] %d/%d", strings.Repeat("#", n), strings.Repeat(".", width-n), done, of)
}
