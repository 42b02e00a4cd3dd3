package prover

import (
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges"
)

func TestGate(t *testing.T) {
	request := func(id, checker byte, device string, epoch uint64) Request {
		return Request{
			ID: challenges.Hash{id}, Checker: challenges.NodeID{checker},
			Challenge: challenges.Challenge{Device: device, Epoch: epoch},
		}
	}
	// Each step asks with one request; release ends the work of an earlier step.
	type step struct {
		name    string
		release int // step whose work ends first, counted from 1; 0: none
		r       Request
		reason  string
		named   byte // challenge that the refusal names
		busy    bool // after the step
	}
	steps := []step{
		{"first", 0, request(1, 1, "a", 5), "", 0, true},
		{"another checker meets the running one", 0, request(2, 2, "a", 5), challenges.ReasonCollision, 1, true},
		{"the same checker too", 0, request(3, 1, "a", 6), challenges.ReasonCollision, 1, true},
		{"another device is free", 0, request(4, 1, "b", 5), "", 0, true},
		{"free after the release", 1, request(5, 2, "a", 5), "", 0, true},
		{"the first checker had its turn", 5, request(6, 1, "a", 5), challenges.ReasonQuota, 1, true},
		{"an earlier epoch is no new turn", 0, request(7, 1, "a", 4), challenges.ReasonQuota, 1, true},
		{"a refused collision used no turn", 0, request(8, 1, "a", 6), "", 0, true},
		{"the quota names the latest", 8, request(9, 1, "a", 6), challenges.ReasonQuota, 8, true},
		{"the same id again", 0, request(8, 1, "a", 6), challenges.ReasonQuota, 8, true},
		{"the other device's turn is its own", 4, request(10, 2, "b", 5), "", 0, true},
		{"a new epoch", 11, request(11, 2, "b", 6), "", 0, true},
	}
	g := NewGate(GateConfig{PerEpoch: 1})
	if g.Busy() {
		t.Error("busy before anything ran")
	}
	releases := make([]func(), len(steps))
	for i, s := range steps {
		if s.release > 0 {
			releases[s.release-1]()
			releases[s.release-1] = nil
		}
		release, refusal := g.Admit(s.r)
		releases[i] = release
		switch {
		case s.reason == "" && (refusal != nil || release == nil):
			t.Errorf("%s: refused with %+v", s.name, refusal)
		case s.reason != "" && (refusal == nil || release != nil):
			t.Errorf("%s: admitted", s.name)
		case s.reason != "" && (refusal.Reason != s.reason || !slices.Equal(refusal.IDs, []challenges.Hash{{s.named}})):
			t.Errorf("%s: refused with %+v, want %s naming %d", s.name, refusal, s.reason, s.named)
		}
		if refusal != nil {
			// What the gate says must be sendable.
			var f challenges.RefusalFrame
			if err := challenges.Unmarshal(challenges.NewRefusal(refusal.Reason, refusal.Until, refusal.IDs...), &f); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		}
		if g.Busy() != s.busy && s.reason == "" {
			t.Errorf("%s: busy %v", s.name, g.Busy())
		}
	}
	for _, release := range releases {
		if release != nil {
			release()
		}
	}
	if g.Busy() {
		t.Error("busy after every release")
	}
}

// A checker with several turns an epoch has them all, one at a time, and the
// refusal that follows names every one of them.
func TestGateOfSeveralTurns(t *testing.T) {
	request := func(id byte, epoch uint64) Request {
		return Request{ID: challenges.Hash{id}, Checker: challenges.NodeID{1}, Challenge: challenges.Challenge{Device: "a", Epoch: epoch}}
	}
	const turns = 6
	g := NewGate(GateConfig{PerEpoch: turns})
	var ids []challenges.Hash
	quota := func(r Request) {
		t.Helper()
		_, refusal := g.Admit(r)
		if refusal == nil || refusal.Reason != challenges.ReasonQuota || !slices.Equal(refusal.IDs, ids) {
			t.Fatalf("refused with %+v, want a quota that names %v", refusal, ids)
		}
		var f challenges.RefusalFrame
		if err := challenges.Unmarshal(challenges.NewRefusal(refusal.Reason, refusal.Until, refusal.IDs...), &f); err != nil {
			t.Error(err)
		}
		// What a caller does with the list is its own business.
		refusal.IDs[0] = challenges.Hash{99}
	}
	for i := range byte(turns) {
		// The last is late, of the epoch before: it counts all the same.
		r := request(i+1, 5-uint64(i)/(turns-1))
		release, refusal := g.Admit(r)
		if refusal != nil {
			t.Fatalf("turn %d refused with %+v", i+1, refusal)
		}
		if _, refusal := g.Admit(request(50, 5)); refusal == nil || !slices.Equal(refusal.IDs, []challenges.Hash{r.ID}) {
			t.Errorf("turn %d: two at a time, %+v", i+1, refusal)
		}
		release()
		ids = append(ids, r.ID)
	}
	quota(request(20, 5))
	quota(request(20, 4))
	quota(request(1, 5))
	release, refusal := g.Admit(request(21, 6))
	if refusal != nil {
		t.Fatalf("the next epoch: %+v", refusal)
	}
	release()
	ids = []challenges.Hash{{21}}
	for i := range byte(turns - 1) {
		release, refusal := g.Admit(request(30+i, 6))
		if refusal != nil {
			t.Fatalf("turn %d of the next epoch: %+v", i+2, refusal)
		}
		release()
		ids = append(ids, challenges.Hash{30 + i})
	}
	quota(request(22, 6))
}
