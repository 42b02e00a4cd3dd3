// Package reputation combines what several checkers saw of a provider in an
// epoch, folds it into the provider's standing, and reads flags, availability
// and a provisional score off that.
//
// Every function is pure. Two parties with the same observations compute the
// same standing: a checker its own, the devnet's judge and a customer that of
// all checkers.
package reputation

import (
	"bytes"
	"slices"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

// Seen is an observation and who made it.
type Seen struct {
	Checker     challenges.NodeID
	Observation report.Observation
}

// Aggregate is what the checkers together saw of one provider in one epoch.
type Aggregate struct {
	Epoch     uint64
	Provider  challenges.NodeID
	Simulated bool
	Observers []Observer // ascending by checker
	Slices    []Slice    // one per scheduled probe instant
}

// Observer is one checker's part.
type Observer struct {
	Checker challenges.NodeID
	Probes  [8]uint64 // probe slices by outcome
	RTT     time.Duration
	Items   []report.Item
}

// Slice is the quorum's word on one probe instant.
type Slice uint8

// Words on a slice.
const (
	SliceUncertain Slice = iota // too few valid votes
	SliceUp
	SliceDown      // confirmed by quorum
	SliceContested // a third or more said down, no quorum
)

// Combine merges the observations of one provider in one epoch. Observers that
// the registry does not know, other epochs and other providers are left out. Of
// a checker that made two different ones, the one whose encoding sorts first
// counts, so that the order of seen does not matter.
func Combine(r *committee.Registry, epoch uint64, provider challenges.NodeID, seen []Seen) Aggregate {
	a := Aggregate{Epoch: epoch, Provider: provider}
	seen = slices.Clone(seen)
	slices.SortFunc(seen, func(x, y Seen) int {
		if c := x.Checker.Compare(y.Checker); c != 0 {
			return c
		}
		return bytes.Compare(challenges.Marshal(&x.Observation), challenges.Marshal(&y.Observation))
	})
	votes := make([][]challenges.Outcome, 0, r.Params.Slices())
	for _, s := range seen {
		o := s.Observation
		if o.Epoch != epoch || o.Provider != provider || r.Index(s.Checker) < 0 {
			continue
		}
		if n := len(a.Observers); n > 0 && a.Observers[n-1].Checker == s.Checker {
			continue
		}
		a.Simulated = a.Simulated || o.Simulated
		ob := Observer{Checker: s.Checker, RTT: o.RTT, Items: o.Items}
		for k, b := range o.Slices {
			if k >= r.Params.Slices() {
				break
			}
			if k >= len(votes) {
				votes = append(votes, nil)
			}
			ob.Probes[b]++
			if b != 0 {
				votes[k] = append(votes[k], challenges.Outcome(b))
			}
		}
		ob.Probes[0] = 0
		a.Observers = append(a.Observers, ob)
	}
	for _, v := range votes {
		a.Slices = append(a.Slices, judge(v, len(r.Checkers)))
	}
	return a
}

// judge applies the quorum rule: of five or more valid votes, two thirds
// rounded up; of two to four, all; a single vote confirms nothing, and in a
// registry of five or more fewer than five votes say nothing.
func judge(votes []challenges.Outcome, members int) Slice {
	valid, down := 0, 0
	for _, v := range votes {
		switch v {
		case challenges.Unknown:
		case challenges.Unreachable:
			valid++
			down++
		default:
			valid++
		}
	}
	quorum := valid
	if valid >= 5 {
		quorum = (2*valid + 2) / 3
	}
	switch {
	case valid < 2, members >= 5 && valid < 5:
		return SliceUncertain
	case down >= quorum:
		return SliceDown
	case 3*down >= valid:
		return SliceContested
	}
	return SliceUp
}
