package terminal

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// Progress says at a terminal what takes longer than 2 s.
type Progress struct {
	out   io.Writer // nil: no terminal
	next  time.Time
	timer *time.Timer
	said  bool
}

// NewProgress says nothing where there is no terminal.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{next: time.Now().Add(2 * time.Second)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.out = w
	}
	return p
}

// Say may be called often.
func (p *Progress) Say(format string, args ...any) {
	if p.out == nil || time.Now().Before(p.next) {
		return
	}
	p.said, p.next = true, time.Now().Add(200*time.Millisecond)
	fmt.Fprintf(p.out, "\r\x1b[K"+format, args...)
}

// While says it once, if the end does not come before.
func (p *Progress) While(format string, args ...any) {
	if p.out == nil {
		return
	}
	p.timer = time.AfterFunc(2*time.Second, func() { fmt.Fprintf(p.out, format+"\n", args...) })
}

// End clears the line.
func (p *Progress) End() {
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.said {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
