package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assaynet/assay/gpu"
)

// Bounds of the parent.
const (
	beats    = 5                      // pings in a Silence
	warmUp   = 3                      // Silences that a program may take until its first word
	drain    = 500 * time.Millisecond // for what a dead process has written to be read
	leaving  = 200 * time.Millisecond // between the end of what it writes and its own
	xidLimit = 500 * time.Millisecond // to ask for an Xid
)

// process is one child, from its start until it is reaped. Its goroutines end with
// it; work waits for them.
type process struct {
	cfg  Config
	cmd  *exec.Cmd
	out  *os.File // its standard output
	errs *os.File // its standard error
	said *tail
	work sync.WaitGroup

	write sync.Mutex
	in    *os.File // its standard input

	heard   atomic.Bool   // something, since the last ping
	greeted chan struct{} // closed when it has said that it speaks our version
	ended   chan struct{} // closed at the end of its output
	quiet   chan struct{} // closed at the end of its standard error
	down    chan struct{} // closed when why is set, and no call is open any more
	reaped  chan struct{} // closed when the process is gone: the card is free

	kills sync.Mutex
	gone  bool // reaped: its number may be somebody else's

	mu    sync.Mutex
	dying bool
	asked bool // to end, by us: no fault
	why   *gpu.Fault
	calls map[uint64]*call // nil when down
	last  uint64           // call, run or memory
}

// launch starts a child.
func launch(cfg Config) (*process, error) {
	var files [6]*os.File // its ends of three pipes, and ours
	clean := func(files []*os.File) {
		for _, f := range files {
			if f != nil {
				_ = f.Close()
			}
		}
	}
	for i := range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			clean(files[:])
			return nil, err
		}
		if files[i], files[3+i] = w, r; i == 0 {
			files[i], files[3+i] = r, w
		}
	}
	cmd := exec.Command(cfg.Path, cfg.Args...)
	cmd.Env = cfg.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
	own(cmd)
	err := cmd.Start()
	clean(files[:3])
	if err != nil {
		clean(files[3:])
		return nil, err
	}
	p := &process{
		cfg: cfg, cmd: cmd, in: files[3], out: files[4], errs: files[5], said: &tail{}, greeted: make(chan struct{}),
		ended: make(chan struct{}), quiet: make(chan struct{}), down: make(chan struct{}), reaped: make(chan struct{}),
		calls: map[uint64]*call{},
	}
	p.send(&greeting{Magic: magic, Version: Version}) // the pipe is empty: it fits
	p.work.Go(p.wait)
	p.work.Go(p.read)
	p.work.Go(p.listen)
	p.work.Go(p.watch)
	return p, nil
}

// wait reaps the process, and says what it died of if nobody has said before why
// it had to.
func (p *process) wait() {
	p.reap()
	close(p.reaped)
	// What it wrote last says more than how it ended.
	limit := time.After(drain)
	for _, end := range []chan struct{}{p.ended, p.quiet} {
		select {
		case <-end:
		case <-limit:
		}
	}
	detail := ending(p.cmd.ProcessState)
	if words := p.said.words(); words != "" {
		detail += ": " + words
	}
	p.broke("worker %s", detail)
	for _, f := range []*os.File{p.out, p.errs} {
		_ = f.Close()
	}
}

// broke fails a process that does not do what a worker does.
func (p *process) broke(format string, args ...any) {
	class, detail := gpu.FaultCrash, fmt.Sprintf(format, args...)
	select {
	case <-p.greeted:
	default:
		class, detail = gpu.FaultAbsent, "worker did not come up: "+detail
	}
	p.fail(gpu.NewFault(class, "%s", line(detail, gpu.MaxDetail)))
}

// read takes what the child says.
func (p *process) read() {
	err := p.replies()
	close(p.ended)
	if errors.Is(err, errFrame) {
		p.broke("worker sent what is not a reply: %v", err)
		return
	}
	// Mostly it is dead, and wait knows of what.
	select {
	case <-p.reaped:
	case <-p.down:
	case <-time.After(leaving):
		p.broke("worker closed its output: %v", err)
	}
}

// replies takes a greeting and replies until there are no more.
func (p *process) replies() error {
	f := newFrames(p.out)
	var g greeting
	if err := f.next(&g); err != nil {
		return err
	}
	p.heard.Store(true)
	if g.Magic != magic {
		return fmt.Errorf("%w: a greeting of %q", errFrame, line(g.Magic, 64))
	}
	if g.Version != Version {
		p.fail(gpu.NewFault(gpu.FaultAbsent, "%v", mismatch(g.Version, Version)))
		return nil
	}
	close(p.greeted)
	for {
		var r reply
		if err := f.next(&r); err != nil {
			return err
		}
		p.heard.Store(true)
		if err := p.take(&r); err != nil {
			return err
		}
	}
}

// watch pings, and ends a process that does not answer. It counts pings rather than
// time: a machine that was suspended owes no answers.
func (p *process) watch() {
	t := time.NewTicker(p.cfg.Silence / beats)
	defer t.Stop()
	missed, limit := 0, beats*warmUp
	for {
		select {
		case <-p.down:
			return
		case <-t.C:
		}
		if missed++; p.heard.Swap(false) {
			missed, limit = 0, beats
		}
		if missed > limit {
			p.fail(gpu.NewFault(gpu.FaultHang, "worker did not answer for %v", p.cfg.Silence*time.Duration(limit/beats)))
			return
		}
		p.ping()
	}
}

// ping asks for a sign of life. It does not wait behind somebody whom the process
// lets wait, nor for the process: a write so short is done whole or not at all.
func (p *process) ping() {
	if !p.write.TryLock() {
		return
	}
	defer p.write.Unlock()
	_ = p.in.SetWriteDeadline(time.Now().Add(p.cfg.Silence / beats))
	_, _ = p.in.Write(frame(&request{Op: opPing}))
	_ = p.in.SetWriteDeadline(time.Time{})
}

// send writes a message. An error is the death of the process, of which wait says
// more.
func (p *process) send(v any) {
	b := frame(v)
	p.write.Lock()
	defer p.write.Unlock()
	_, _ = p.in.Write(b)
}

// fail ends the process with a fault, once: all calls fail with it.
func (p *process) fail(f *gpu.Fault) {
	if p.doom(false) {
		p.kill()
		p.fell(f)
	}
}

// release ends it because its card is wanted.
func (p *process) release() {
	first := p.doom(true)
	p.kill() // it may be on its way down more gently
	if first {
		p.fell(gpu.NewFault(gpu.FaultAbsent, "the card was released"))
	}
}

// doom is true for the first who has a reason why the process has to end.
func (p *process) doom(asked bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dying {
		return false
	}
	p.dying, p.asked = true, asked
	return true
}

// fell fails all calls, and wakes who waits to write to a process that cannot die.
func (p *process) fell(f *gpu.Fault) {
	p.addXid(f)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		c.fallen = true
		c.end(nil, f)
	}
	p.calls, p.why = nil, f
	close(p.down)
	_ = p.in.Close()
}

// fallen says whether calls fail at once.
func (p *process) fallen() bool {
	select {
	case <-p.down:
		return true
	default:
		return false
	}
}

// stop lets the process end by itself. Whoever calls it kills what does not.
func (p *process) stop() {
	if p.doom(true) {
		p.fell(gpu.NewFault(gpu.FaultAbsent, "worker is being stopped"))
	}
}

// addXid asks for the number of the error that the card reported.
func (p *process) addXid(f *gpu.Fault) {
	switch {
	case p.cfg.Xid == nil || f.Xid != 0:
		return
	case f.Class == gpu.FaultAbsent || f.Class == gpu.FaultMemory || f.Class == gpu.FaultWrong:
		return // no error of the card
	}
	ctx, cancel := context.WithTimeout(context.Background(), xidLimit)
	defer cancel()
	f.Xid = p.cfg.Xid(ctx)
}

// kill ends the process and its group at once.
func (p *process) kill() {
	p.kills.Lock()
	defer p.kills.Unlock()
	if !p.gone {
		end(p.cmd)
	}
}
