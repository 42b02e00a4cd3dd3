package reputation

import (
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/gpu/telemetry"
)

// MaxCards bounds the cards of a standing: an offer has no more devices.
const MaxCards = 256

// MaxWords bounds the checkers whose word on one card is kept.
const MaxWords = 64

// Card is what is remembered of one device of a provider: what its results said and
// showed of the card that made them.
type Card struct {
	_           struct{} `cbor:",toarray"`
	Device      string
	Model       string          // latest: name in gpu/models, as telemetry has it
	Identity    challenges.Hash // latest of a card that signed; zeros: none
	Words       []Word          // ascending by checker
	Contradicts uint64          // results with something that cannot be true
	Code        string          // of the latest of them
}

// Word is the latest that one checker has of a card. Its transcripts show it.
type Word struct {
	_       struct{} `cbor:",toarray"`
	Checker challenges.NodeID
	Compute evidence.Level // of its latest pass with a figure of each; 0 before the first
	Memory  evidence.Level
	Rates   [4]uint64 // best lower bounds: int8, bf16, fp64fma in ops/s, reads in items/s
	Doubts  uint64    // results with something that cannot be true
}

// level is what the transcripts of both kinds show together: above L1 takes compute
// and memory.
func (w *Word) level() evidence.Level {
	if w.Compute >= 2 && w.Memory >= 2 {
		return min(w.Compute, w.Memory)
	}
	return min(1, max(w.Compute, w.Memory))
}

// card adds what an item says of its device's card.
func (s *Standing) card(checker challenges.NodeID, it report.Item) {
	switch it.Outcome {
	case challenges.Pass, challenges.Late, challenges.Wrong:
	default:
		return // no result: nothing new is known of the card
	}
	i, ok := slices.BinarySearchFunc(s.Cards, it.Device, func(c Card, id string) int { return compareText(c.Device, id) })
	if !ok {
		if len(s.Cards) == MaxCards {
			return
		}
		s.Cards = slices.Insert(s.Cards, i, Card{Device: it.Device})
	}
	c := &s.Cards[i]
	c.Words = slices.Clone(c.Words) // the standing before this one has them too
	w := c.word(checker)
	if w == nil {
		return
	}
	if it.Card.Model != "" {
		c.Model = it.Card.Model
	}
	c.Identity = it.Card.Identity
	if it.Card.Contradict != "" {
		w.Doubts++
		c.Contradicts++
		c.Code = it.Card.Contradict
	}
	level, rate := &w.Memory, &w.Rates[reads]
	if flavour, ok := it.Flavour(); ok {
		level, rate = &w.Compute, &w.Rates[flavour]
	}
	*rate = max(*rate, it.OpsLower)
	// A run without a figure, or one that was late, has marks of its own: that a card
	// signed the one before is not less true for it.
	if it.Outcome == challenges.Pass && it.OpsLower > 0 || it.Card.Contradict != "" {
		*level = it.Card.Level
	}
}

// reads is the place of random reads in a word's rates, after the flavours.
const reads = 3

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// word is a checker's place; nil where there is no room.
func (c *Card) word(id challenges.NodeID) *Word {
	i, ok := slices.BinarySearchFunc(c.Words, id, func(w Word, id challenges.NodeID) int { return w.Checker.Compare(id) })
	if !ok {
		if len(c.Words) == MaxWords {
			return nil
		}
		c.Words = slices.Insert(c.Words, i, Word{Checker: id})
	}
	return &c.Words[i]
}

// enoughWords is how many checkers must say a thing of a card: as many as a flag
// takes, or all where fewer have seen the provider.
func enoughWords(s *Standing, p *committee.Params) int {
	return max(1, min(int(p.BelowCheckers), len(s.Checkers)))
}

// agreed is the largest value that so many say at least; 0 where fewer do.
func agreed[T uint64 | evidence.Level](values []T, many int) T {
	if len(values) < many {
		return 0
	}
	slices.Sort(values)
	return values[len(values)-many]
}

// LevelOfCard is a device's: what enough checkers' latest transcripts show, of compute
// and of memory.
func LevelOfCard(s *Standing, c *Card, p *committee.Params) evidence.Level {
	var levels []evidence.Level
	for i := range c.Words {
		levels = append(levels, c.Words[i].level())
	}
	return agreed(levels, enoughWords(s, p))
}

// LevelOf is a provider's: that of its least device. A device whose results say
// nothing of a card is at L0.
func LevelOf(s *Standing, p *committee.Params) evidence.Level {
	if len(s.Cards) == 0 {
		return 0
	}
	least := evidence.Level(5)
	for i := range s.Cards {
		least = min(least, LevelOfCard(s, &s.Cards[i], p))
	}
	return least
}

// contradicted are the cards of which enough results, of enough checkers, say what
// cannot be true.
func contradicted(s *Standing, p *committee.Params) []Card {
	var out []Card
	for _, c := range s.Cards {
		checkers := 0
		for _, w := range c.Words {
			if w.Doubts > 0 {
				checkers++
			}
		}
		if checkers >= enoughWords(s, p) && c.Contradicts >= uint64(half(p.BelowFigures)) {
			out = append(out, c)
		}
	}
	return out
}

// Unlike is a card whose rates do not stand to each other as those of its model.
type Unlike struct {
	Card     Card
	Findings []telemetry.Finding
}

// unlike compares each card's rates, as far as enough checkers measured them, with the
// model that its telemetry names.
func unlike(s *Standing, p *committee.Params) []Unlike {
	var out []Unlike
	for _, c := range s.Cards {
		var rates [4]float64
		for k := range rates {
			var of []uint64
			for _, w := range c.Words {
				if w.Rates[k] > 0 {
					of = append(of, w.Rates[k])
				}
			}
			rates[k] = float64(agreed(of, enoughWords(s, p)))
		}
		found := telemetry.Ratios(c.Model, telemetry.Rates{Int8: rates[0], BF16: rates[1], FP64: rates[2], Reads: rates[reads]})
		// What a cap or a bad path may make of an honest card is no finding.
		found = slices.DeleteFunc(found, func(f telemetry.Finding) bool { return !f.Hard })
		if len(found) > 0 {
			out = append(out, Unlike{c, found})
		}
	}
	return out
}
