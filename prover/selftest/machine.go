package selftest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// Key is what is known of the key's file.
type Key struct {
	Path  string
	Mode  fs.FileMode
	Owner int // user id; -1: not known
	User  int // that this program runs as; -1: not known
	ID    challenges.NodeID
	Err   error // why it was not read
}

// Clock is what the kernel says of its clock.
type Clock struct {
	Synchronised bool
	Most         time.Duration // that it may be off
}

// worker looks for what runs cards. It reports whether cards can be opened.
func (t *test) worker(ctx context.Context) bool {
	const check = "worker"
	if t.cfg.Worker == nil {
		t.add(Line{Check: check, Verdict: Skip, Says: "simulated"})
		return true
	}
	t.progress(check)
	about, err := t.cfg.Worker(ctx)
	line := Line{Check: check, Verdict: OK, Says: about}
	switch f, ok := errors.AsType[*gpu.Fault](err); {
	case err != nil && ctx.Err() != nil:
		line.Verdict, line.Says = Skip, "interrupted"
	case ok:
		line.Verdict, line.Says, line.Remedy = Fail, faultText(f), faultRemedy(f)
	case err != nil:
		line.Verdict, line.Says, line.Remedy = Fail, err.Error(), "install assay-gpu of this version beside assay, or name it as worker: in assay.yaml"
	}
	t.add(line)
	return err == nil
}

// machine checks what is nobody's card.
func (t *test) machine(ctx context.Context) {
	t.hooks(ctx)
	if t.cfg.Key != nil {
		verdict, says, remedy := judgeKey(t.cfg.Key())
		t.add(Line{Check: "key", Verdict: verdict, Says: says, Remedy: remedy})
	}
	if t.cfg.Clock == nil && t.cfg.Checker == nil {
		return
	}
	var seen clockSeen
	if t.cfg.Clock != nil {
		seen.kernel, seen.kernelErr = t.cfg.Clock()
		seen.asked = true
	}
	if t.cfg.Checker != nil {
		within, cancel := context.WithTimeout(ctx, hookTime)
		defer cancel()
		seen.ahead, seen.checkerErr = t.cfg.Checker(within)
		seen.checker = true
	}
	verdict, says, remedy := judgeClock(seen)
	t.add(Line{Check: "clock", Verdict: verdict, Says: says, Remedy: remedy})
}

// hookTime is how long a hook, or a checker, may take for an answer.
const hookTime = 10 * time.Second

func (t *test) hooks(ctx context.Context) {
	const check = "hook"
	if len(t.cfg.Hooks) == 0 {
		t.add(Line{Check: check, Verdict: Skip, Says: "none is configured: tenants are seen by their processes alone"})
	}
	for _, h := range t.cfg.Hooks {
		within, cancel := context.WithTimeout(ctx, hookTime)
		begun := time.Now()
		answer, err := h.Ask(within)
		took := time.Since(begun)
		cancel()
		line := Line{Check: check, Verdict: OK, Says: fmt.Sprintf("%s: %s, in %v", h.Name, answer, took.Round(time.Millisecond))}
		switch {
		case err != nil && ctx.Err() != nil:
			line.Verdict, line.Says = Skip, "interrupted"
		case err != nil:
			line.Verdict, line.Says = Fail, fmt.Sprintf("%s: %v", h.Name, err)
			line.Remedy = "repair it, or take it out of tenancy: in assay.yaml; while it fails every challenge is refused as fault"
		}
		t.add(line)
	}
}

// judgeKey decides about the key's file.
func judgeKey(k Key) (verdict, says, remedy string) {
	switch {
	case k.Mode&0o077 != 0:
		return Fail, fmt.Sprintf("%s has mode %#o: others may read it", k.Path, k.Mode), "chmod 600 " + k.Path + "; if others could have read it make a new one"
	case k.Owner >= 0 && k.User >= 0 && k.Owner != k.User:
		return Warn, fmt.Sprintf("%s belongs to user %d, this is user %d", k.Path, k.Owner, k.User), "run as the agent's user, or chown the folder to it"
	case k.Err != nil:
		return Fail, k.Err.Error(), "bring the key back from where you keep it, or make a new node with assay provider init"
	}
	return OK, fmt.Sprintf("mode %#o, provider %v", k.Mode, k.ID), ""
}

// clockSeen is what was learned of the clock.
type clockSeen struct {
	asked      bool
	kernel     Clock
	kernelErr  error
	checker    bool
	ahead      time.Duration
	checkerErr error
}

// mostAhead is how far a clock may be off: offers and challenges are dated.
const mostAhead = 2 * time.Second

// judgeClock decides about the machine's clock.
func judgeClock(c clockSeen) (verdict, says, remedy string) {
	verdict = OK
	var said, todo []string
	switch {
	case !c.asked:
	case c.kernelErr != nil:
		said = append(said, "the kernel does not say: "+c.kernelErr.Error())
	case !c.kernel.Synchronised:
		verdict = Warn
		said = append(said, "not synchronised")
		todo = append(todo, "run chrony or systemd-timesyncd (timedatectl set-ntp true)")
	default:
		said = append(said, fmt.Sprintf("synchronised, at most %v off", c.kernel.Most.Round(time.Millisecond)))
	}
	switch {
	case !c.checker:
	case c.checkerErr != nil:
		verdict = worse(verdict, Warn)
		said = append(said, "the checker does not say: "+c.checkerErr.Error())
		todo = append(todo, "check --checker: it is the address of a checker's API, http://HOST:PORT")
	case c.ahead.Abs() > mostAhead:
		verdict = Fail
		said = append(said, fmt.Sprintf("%v %s the checker", c.ahead.Abs().Round(100*time.Millisecond), way(c.ahead)))
		if todo == nil {
			todo = append(todo, "set this clock, or tell the checker that its own is wrong")
		}
	default:
		said = append(said, "the checker's is the same")
	}
	return verdict, strings.Join(said, "; "), strings.Join(todo, "; ")
}

func way(ahead time.Duration) string {
	if ahead < 0 {
		return "behind"
	}
	return "ahead of"
}

// ahead is how far this clock is ahead of a web server's, by the date of one answer,
// which has whole seconds.
func ahead(ctx context.Context, client *http.Client, url string) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return 0, err
	}
	sent := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	came := time.Now()
	_ = resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("%s: the answer has no date", url)
	}
	return sent.Add(came.Sub(sent) / 2).Sub(date.Add(time.Second / 2)), nil
}
