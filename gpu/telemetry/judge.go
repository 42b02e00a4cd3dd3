package telemetry

import (
	"fmt"
	"slices"
	"time"

	"github.com/assaynet/assay/gpu/models"
)

// Flavour is the kind of work that a checker counted.
type Flavour uint8

// Flavours. An op is a multiplication or an addition; of Reads it is one read of 64
// bytes at a random place of the card's memory.
const (
	Int8 Flavour = iota
	BF16
	FP64
	Reads
)

// ReadBytes is how many bytes a read brings.
const ReadBytes = 64

func (f Flavour) String() string {
	if words := [...]string{"int8", "bf16", "fp64", "reads"}; int(f) < len(words) {
		return words[f]
	}
	return fmt.Sprintf("flavour(%d)", uint8(f))
}

// Work is what a checker measured while the snapshots were taken.
type Work struct {
	Flavour Flavour
	Ops     uint64        // done in the whole challenge, by the checker's count; 0: not known
	Elapsed time.Duration // checker's clock, challenge out to last root in: an upper bound of the device's time; 0: not known
	Held    uint64        // bytes that a dataset held on the card meanwhile; 0: none
}

// Judgement is how plausible a record is.
type Judgement struct {
	Model    models.Spec // what the record names: a row of the table, or a class; zero: neither
	Known    bool        // Model is a row of the table, not a class
	Applied  []string    // codes of the rules that had what they need
	Findings []Finding   // in the order of the rules

	enough bool
}

// Plausible is whether enough was there to judge, and nothing in it contradicts
// itself, the model or the work: no hard finding. Soft findings do not count; whoever
// reads them may ask again.
//
// Enough is: a name, UUID, driver version, PCI id and compute capability, and of two snapshots at least the memory's total and two of power, clock
// of the SMs, and temperature. Every card of every model has these. Serial, ECC, GPM
// and the energy counter are not asked for: GeForce cards lack them.
func (j Judgement) Plausible() bool { return j.enough && !j.Hard() }

// Hard is whether any finding is.
func (j Judgement) Hard() bool {
	return slices.ContainsFunc(j.Findings, func(f Finding) bool { return f.Hard })
}

// Finding is what a rule found wrong.
type Finding struct {
	Code      string
	Hard      bool   // no card in order says this; else it is worth a look
	Seen      string // what the record says
	Expected  string
	Threshold string // of the rule
	Source    string // where the threshold comes from
}

func (f Finding) String() string {
	return fmt.Sprintf("%s: %s, expected %s", f.Code, f.Seen, f.Expected)
}

// Rule is one thing that records are judged by.
type Rule struct {
	Code      string
	Hard      bool
	Needs     string // what must be there for it to be applied
	Threshold string
	Source    string // a datasheet, NVML's documentation, a measurement, or "proposal, not calibrated"

	judge func(*card) verdict
}

// verdict is what a rule says of one card.
type verdict struct {
	applied        bool
	seen, expected string // empty: nothing is wrong
}

var ( // to be returned; never written
	skip = verdict{}
	fine = verdict{applied: true}
)

// found is a verdict that something is wrong.
func found(seen, expected string) verdict { return verdict{true, seen, expected} }

// Rules lists the rules in their order.
func Rules() []Rule {
	return slices.Concat(identityRules(), modelRules(), memoryRules(), workRules(), energyRules(), stateRules())
}

// Judge holds a record against the model that it names and against the work that was
// done meanwhile. What is missing is never held against a card: rules that lack
// something are not applied. A record that passes Check is never too odd to judge.
//
// Thresholds are meant to be passed by every card in order. They were set from
// datasheets and published dumps; none was calibrated on a fleet.
//
// What a liar gets past the hard rules, of the 3,306 pairs of real models, where a card
// of one says that it is the other and does its best in all flavours: 8 pairs with the
// name alone (they share it), 53 with PCI id and VBIOS too (one chip in two boards), 136
// with the whole inventory, 373 with the memory's total too. More memory than the model
// has is soft: cards are refitted. Telemetry that is another
// card's as a whole, in power and clocks too, is found only where the work is more than
// that card can do: 1,449 pairs pass. No rule can see a card that is slower than it
// says; the challenges measure that. TestSpoofedPairs has the pairs.
func Judge(r Record, w Work) Judgement {
	c := newCard(&r, w)
	j := Judgement{Model: c.model, Known: c.known, enough: c.enough()}
	for _, rule := range Rules() {
		v := rule.judge(c)
		if !v.applied {
			continue
		}
		j.Applied = append(j.Applied, rule.Code)
		if v.seen != "" {
			j.Findings = append(j.Findings, Finding{rule.Code, rule.Hard, v.seen, v.expected, rule.Threshold, rule.Source})
		}
	}
	return j
}

// enough is whether the record has what Plausible asks for.
func (c *card) enough() bool {
	i := c.inventory
	if i.Name == "" || i.UUID == "" || i.Driver == "" || i.PCIDevice == 0 || i.Major == 0 {
		return false
	}
	full := 0
	for n := range c.snapshots {
		s := &c.snapshots[n]
		states := 0
		for _, k := range []Kind{Power, ClockSM, Temperature} {
			if _, ok := s.Get(k); ok {
				states++
			}
		}
		if _, ok := s.Get(MemoryTotal); ok && states >= 2 {
			full++
		}
	}
	return full >= 2
}

// Codes of sources that several rules have.
const (
	proposal = "proposal, not calibrated"
	nvmlDoc  = "NVML documentation"
)
