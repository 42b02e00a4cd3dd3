package prover

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
)

// Day is the time over which a gate's budgets slide.
const Day = 24 * time.Hour

const (
	// maxNamed bounds the challenges that a refusal lists.
	maxNamed = 32
	// maxSpent bounds what is remembered of a device. A job every 1.3 s would go beyond
	// it, and have its oldest forgotten.
	maxSpent = 1 << 16
	// unknownEnd is what a use counts at most whose end nobody recorded: the program
	// died in it.
	unknownEnd = time.Minute
)

// GateConfig says how much a gate lets through.
type GateConfig struct {
	PerEpoch uint8 // challenges that a checker may send to a device in an epoch
	// What challenges may use of a device's time in any 24 h: all of them, and those of
	// one checker. What begins within the budget may end beyond it. 0: no bound.
	GPUPerDay, CheckerPerDay time.Duration
	Uses                     []Used           // of the last 24 h, in any order: a restart frees no budget
	Now                      func() time.Time // nil: time.Now
}

// Used is the time that a challenge used of a device.
type Used struct {
	ID        challenges.Hash
	Checker   challenges.NodeID
	Device    string
	Epoch     uint64
	At, Ended int64 // Unix time, ns; Ended is 0 where no end was recorded
}

// Gate is the default admission: one job a device, so many challenges a checker,
// device and epoch, and so much of a device's time a day.
type Gate struct {
	cfg  GateConfig
	born time.Time // times are counted from it: no step of the clock is a job's length

	mu      sync.Mutex
	drained bool
	until   time.Time // the drain's end; zero: Resume
	running map[string]Used
	spent   map[string][]Used // by device, by rising end
	last    map[visit]turns
}

type visit struct {
	checker challenges.NodeID
	device  string
}

type turns struct {
	epoch uint64
	ids   []challenges.Hash
}

// NewGate makes a gate with nothing running.
func NewGate(cfg GateConfig) *Gate {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	g := &Gate{
		cfg: cfg, born: cfg.Now(), running: make(map[string]Used),
		spent: make(map[string][]Used), last: make(map[visit]turns),
	}
	uses, now := slices.Clone(cfg.Uses), g.now()
	g.cfg.Uses = nil
	for i := range uses {
		// A clock that was set back since has no say in how long ago it was.
		u := &uses[i]
		u.At = min(u.At, now)
		if u.Ended == 0 {
			u.Ended = u.At + int64(unknownEnd)
		}
		u.Ended = min(max(u.Ended, u.At), now)
	}
	slices.SortStableFunc(uses, func(a, b Used) int { return cmp.Compare(a.Ended, b.Ended) })
	for _, u := range uses {
		g.spend(u)
		if t, ok := g.turn(u.Checker, u.Device, u.Epoch); ok {
			t.ids = append(t.ids, u.ID)
			g.last[visit{u.Checker, u.Device}] = t
		}
	}
	return g
}

// now is the Unix time, ns, by the monotonic clock since the gate was made.
func (g *Gate) now() int64 { return g.born.UnixNano() + int64(g.cfg.Now().Sub(g.born)) }

// Admit takes the device if it is free, and the checker has had neither all its
// turns nor all of the budget. The tables are bounded by the registry: only members
// come so far.
func (g *Gate) Admit(r Request) (func(), *Refusal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining() {
		refusal := &Refusal{Reason: challenges.ReasonDrain}
		if !g.until.IsZero() {
			refusal.Until = g.until.Sub(g.cfg.Now())
		}
		return nil, refusal
	}
	device := r.Challenge.Device
	if u, ok := g.running[device]; ok {
		return nil, &Refusal{Reason: challenges.ReasonCollision, IDs: []challenges.Hash{u.ID}}
	}
	used, ok := g.turn(r.Checker, device, r.Challenge.Epoch)
	if !ok {
		return nil, &Refusal{Reason: challenges.ReasonQuota, IDs: slices.Clone(used.ids)}
	}
	now := g.now()
	g.prune(device, now)
	if refusal := g.over(r.Checker, device, now); refusal != nil {
		return nil, refusal
	}
	g.running[device] = Used{ID: r.ID, Checker: r.Checker, Device: device, Epoch: r.Challenge.Epoch, At: now}
	used.ids = append(used.ids, r.ID)
	g.last[visit{r.Checker, device}] = used
	return sync.OnceFunc(func() { g.release(device) }), nil
}

func (g *Gate) release(device string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.running[device]
	u.Ended = g.now()
	delete(g.running, device)
	g.spend(u)
}

// turn is the turns that a checker had in the last epoch that it began; false if it
// may have no more.
func (g *Gate) turn(checker challenges.NodeID, device string, epoch uint64) (turns, bool) {
	t := g.last[visit{checker, device}]
	if t.epoch < epoch {
		t = turns{epoch: epoch}
	}
	// A checker may be an epoch behind: what it sends late counts for the epoch that
	// was begun.
	return t, len(t.ids) < int(g.cfg.PerEpoch)
}

// spend remembers a use that has ended.
func (g *Gate) spend(u Used) {
	g.spent[u.Device] = append(g.spent[u.Device], u)
	g.prune(u.Device, g.now())
}

// prune forgets what is out of the window.
func (g *Gate) prune(device string, now int64) {
	list := g.spent[device]
	gone := max(0, len(list)-maxSpent)
	for gone < len(list) && list[gone].Ended <= now-int64(Day) {
		gone++
	}
	switch {
	case gone == len(list):
		delete(g.spent, device)
	case gone > 0:
		// In place: a slice that only moves on would keep all that it has left behind.
		g.spent[device] = slices.Delete(list, 0, gone)
	}
}

// length is how much of a use is within the window that ends now.
func (u *Used) length(now int64) time.Duration {
	return time.Duration(max(0, u.Ended-max(u.At, now-int64(Day))))
}

// over holds a checker and a device against their budgets: of two that are used up
// it names the one that lasts longer.
func (g *Gate) over(checker challenges.NodeID, device string, now int64) (r *Refusal) {
	for _, budget := range []struct {
		of   time.Duration
		mine func(Used) bool
	}{
		{g.cfg.CheckerPerDay, func(u Used) bool { return u.Checker == checker }},
		{g.cfg.GPUPerDay, func(Used) bool { return true }},
	} {
		if budget.of <= 0 {
			continue
		}
		var used time.Duration
		for _, u := range g.spent[device] {
			if budget.mine(u) {
				used += u.length(now)
			}
		}
		if used < budget.of {
			continue
		}
		var ids []challenges.Hash
		var longest []Used
		var until time.Duration
		excess := used - budget.of + 1 // ns that must leave the window
		for _, u := range g.spent[device] {
			l := u.length(now)
			if !budget.mine(u) || l == 0 {
				continue
			}
			if excess > 0 && l >= excess {
				until = time.Duration(u.Ended-now) - l + excess + Day
			}
			excess -= l
			i, _ := slices.BinarySearchFunc(longest, l, func(b Used, l time.Duration) int { return cmp.Compare(l, b.length(now)) })
			if longest = slices.Insert(longest, i, u); len(longest) > maxNamed {
				longest = longest[:maxNamed]
			}
		}
		for _, u := range longest {
			ids = append(ids, u.ID)
		}
		if r == nil || until > r.Until {
			r = &Refusal{Reason: challenges.ReasonQuota, Until: until, IDs: ids}
		}
	}
	return r
}

// Budget is what challenges used of a device in the last 24 h, with the one that
// runs, and how much they may use; 0: no bound.
func (g *Gate) Budget(device string) (used, of time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.prune(device, now)
	for _, u := range g.spent[device] {
		used += u.length(now)
	}
	if u, ok := g.running[device]; ok {
		u.Ended = now
		used += u.length(now)
	}
	return used, g.cfg.GPUPerDay
}

// Drain refuses everything from now on, with the neutral reason drain, until a
// time; zero: until Resume. The last word counts.
func (g *Gate) Drain(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drained, g.until = true, until
}

// Resume ends a drain.
func (g *Gate) Resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drained, g.until = false, time.Time{}
}

// draining ends a drain whose time is over. The caller holds mu.
func (g *Gate) draining() bool {
	if g.drained && !g.until.IsZero() && !g.cfg.Now().Before(g.until) {
		g.drained, g.until = false, time.Time{}
	}
	return g.drained
}

// Draining reports that everything is refused.
func (g *Gate) Draining() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.draining()
}

// DrainedUntil is when the drain ends by itself; zero: there is none, or only
// Resume ends it.
func (g *Gate) DrainedUntil() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining()
	return g.until
}

// Busy reports a running job.
func (g *Gate) Busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.running) > 0
}

// Running is the challenge that a device works on; false: none.
func (g *Gate) Running(device string) (challenges.Hash, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u, ok := g.running[device]
	return u.ID, ok
}
