package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress says at a terminal what takes longer than 2 s.
type progress struct {
	out   io.Writer // nil: no terminal
	next  time.Time
	timer *time.Timer
	said  bool
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

// while says it once, if the end does not come before.
func (p *progress) while(format string, args ...any) {
	if p.out == nil {
		return
	}
	p.timer = time.AfterFunc(2*time.Second, func() { fmt.Fprintf(p.out, format+"\n", args...) })
}

// end clears the line.
func (p *progress) end() {
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.said {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
