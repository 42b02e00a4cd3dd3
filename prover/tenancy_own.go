package prover

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/assaynet/assay/gpu/telemetry"
)

const (
	// listGrace is how long a card's process list may name our process after its end.
	listGrace = 2 * time.Second
	// listStart is how long our process may take until the list names it.
	listStart = time.Minute
	// workerName is what runs a device.
	workerName = "assay-gpu"
)

// ownership tells our device process's entry in a card's process list from those of
// others. It is a value: what happened so far.
//
// An entry is ours if it has our process's number, and was not in the list before
// our process was there. In a container the list has the host's numbers: there it is
// ours if it is the only one that appeared while our process was starting, and its
// name is no other's. Whatever is ambiguous is somebody else's: then our process is
// ended, and what stays in the list was never ours.
type ownership struct {
	pids   []uint32 // our process's, as the system numbers them here
	since  time.Time
	before []uint32 // the list's, before our process was there
	known  bool     // before was read
	last   []uint32 // the list's, when it was last read
	read   bool     // it was
	mine   []uint32 // the list's for our process; none: not seen yet
	unsure bool     // mine was found by no number, and another like it came soon after
	ended  []ended  // what was ours
}

// ended is an entry whose process we ended.
type ended struct {
	pid   uint32
	until time.Time // it may be in the list so long
}

// runs notes which process is ours now; none: ours was ended.
func (o ownership) runs(pids []uint32, now time.Time) ownership {
	o.ended = slices.DeleteFunc(slices.Clone(o.ended), func(e ended) bool { return !now.Before(e.until) })
	if slices.Equal(pids, o.pids) {
		return o
	}
	stays := slices.ContainsFunc(o.pids, func(pid uint32) bool { return slices.Contains(pids, pid) })
	gone := slices.DeleteFunc(slices.Clone(o.pids), func(pid uint32) bool { return slices.Contains(o.before, pid) })
	if !stays && !o.unsure {
		gone = append(gone, o.mine...)
	}
	for _, pid := range gone {
		if !slices.Contains(pids, pid) {
			o.ended = append(o.ended, ended{pid, now.Add(listGrace)})
		}
	}
	if o.pids = slices.Clone(pids); !stays {
		o.since, o.before, o.known, o.mine, o.unsure = now, o.last, o.read, nil, false
	}
	return o
}

// sort finds the entries of others in a list that was just read.
func (o ownership) sort(list []telemetry.Process, now time.Time) (ownership, []telemetry.Process) {
	var others, fresh []telemetry.Process
	o.last, o.read = nil, true
	starts := len(o.pids) > 0 && len(o.mine) == 0 && o.known && now.Sub(o.since) <= listStart
	foreign := slices.ContainsFunc(o.mine, func(pid uint32) bool { return !slices.Contains(o.pids, pid) })
	for _, p := range list {
		o.last = append(o.last, p.PID)
		isNew := !slices.Contains(o.before, p.PID)
		switch {
		case slices.Contains(o.mine, p.PID):
		case slices.ContainsFunc(o.ended, func(e ended) bool { return e.pid == p.PID }):
		case isNew && !foreign && slices.Contains(o.pids, p.PID), isNew && starts && oursByName(p.Name):
			fresh = append(fresh, p)
		default:
			o.unsure = o.unsure || isNew && foreign && oursByName(p.Name) && now.Sub(o.since) <= listStart
			others = append(others, p)
		}
	}
	return o.adopt(fresh, others)
}

// adopt decides about the new entries that could be ours.
func (o ownership) adopt(fresh, others []telemetry.Process) (ownership, []telemetry.Process) {
	byNumber := func(p telemetry.Process) bool { return slices.Contains(o.pids, p.PID) }
	numbered := slices.ContainsFunc(fresh, byNumber)
	var found []uint32
	for _, p := range fresh {
		if (!numbered || byNumber(p)) && !slices.Contains(found, p.PID) {
			found = append(found, p.PID)
		}
	}
	if len(found) > 1 && !numbered {
		return o, append(others, fresh...)
	}
	o.mine = append(slices.Clone(o.mine), found...)
	for _, p := range fresh {
		if !slices.Contains(found, p.PID) {
			others = append(others, p)
		}
	}
	return o, others
}

func oursByName(name string) bool { return name == "" || baseName(name) == workerName }

// baseName is a process's name as it is matched: without its folder and arguments.
func baseName(name string) string {
	name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
	return path.Base(name)
}

// ignored reports that the owner said of a process that it is no tenant's.
func ignored(patterns []string, name string) bool {
	return name != "" && slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, baseName(name))
		return ok && err == nil
	})
}

// processes finds a tenant in a card's process list.
func (t *Tenancy) processes(card TenancyCard) func(context.Context) (Tenant, bool, error) {
	var own ownership
	ours := func() {
		var pids []uint32
		if card.Own != nil {
			pids = card.Own()
		}
		own = own.runs(pids, time.Now())
	}
	return func(ctx context.Context) (Tenant, bool, error) {
		// Ours may start or end while the list is read.
		ours()
		list, err := card.Monitor.Processes(ctx)
		if err != nil {
			return Tenant{}, false, fmt.Errorf("process list: %w", err)
		}
		ours()
		list = slices.DeleteFunc(slices.Clone(list), func(p telemetry.Process) bool { return ignored(t.cfg.Ignore, p.Name) })
		var others []telemetry.Process
		if own, others = own.sort(list, time.Now()); len(others) == 0 {
			return Tenant{}, false, nil
		}
		return Tenant{By: describe(others)}, true, nil
	}
}

// describe names the first of some processes.
func describe(list []telemetry.Process) string {
	p := list[0]
	s := fmt.Sprintf("process %d", p.PID)
	if p.Name != "" {
		s += " " + printable(baseName(p.Name), 64)
	}
	if p.Memory > 0 {
		s += fmt.Sprintf(", %.1f GB", float64(p.Memory)/1e9)
	}
	if n := len(list) - 1; n > 0 {
		s += fmt.Sprintf(", and %d more", n)
	}
	return s
}
