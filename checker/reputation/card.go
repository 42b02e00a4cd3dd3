package reputation

import (
	"slices"
	"strings"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
)

// MaxCards bounds the cards of a standing: an offer has no more devices.
const MaxCards = 256

// MaxWords bounds the checkers whose word on one card is kept.
const MaxWords = 64

// Card is what is remembered of one device of a provider: what its results said and
// showed of the card that made them.
type Card struct {
	_      struct{} `cbor:",toarray"`
	Device string
	Words  []Word // ascending by checker
}

// Word is what one checker has of a card. Its transcripts show it. Nothing of it
// counts longer than the parameter CardFor.
type Word struct {
	_       struct{} `cbor:",toarray"`
	Checker challenges.NodeID
	At      uint64          // epoch of its latest challenge of the device
	Model   string          // latest: name in gpu/models, as telemetry has it; empty: none
	Compute Shown           // its latest pass with a figure
	Memory  Shown           // likewise
	Rates   [4]uint64       // best lower bounds under that model: int8, bf16, fp64fma in ops/s, reads in items/s
	Doubts  uint64          // results with something that cannot be true, of the time that counts
	Doubted uint64          // epoch of the latest
	Code    string          // of the latest
	Proof   challenges.Hash // transcript that shows the latest
}

// Shown is what a pass shows of its card.
type Shown struct {
	_        struct{} `cbor:",toarray"`
	Level    evidence.Level
	Identity challenges.Hash // of the card that signed; zeros: none
	At       uint64          // epoch, plus one; 0: there was none
}

// reads is the place of random reads in a word's rates, after the flavours.
const reads = 3

// window is the epochs for which something that is known of a card counts.
func window(p *committee.Params) uint64 { return max(1, uint64(p.CardFor/p.Epoch)) }

// recent reports that an epoch still counts for a standing folded up to next.
func recent(epoch, next uint64, p *committee.Params) bool { return epoch+window(p) >= next }

// card adds what an item says of its device's card.
func (s *Standing) card(epoch uint64, checker challenges.NodeID, it report.Item, p *committee.Params) {
	if it.Outcome == challenges.Unknown || it.Outcome == challenges.Unreachable {
		return
	}
	i, ok := slices.BinarySearchFunc(s.Cards, it.Device, func(c Card, id string) int { return strings.Compare(c.Device, id) })
	if !ok {
		if len(s.Cards) == MaxCards && !s.room(checker) {
			return
		}
		i, _ = slices.BinarySearchFunc(s.Cards, it.Device, func(c Card, id string) int { return strings.Compare(c.Device, id) })
		s.Cards = slices.Insert(s.Cards, i, Card{Device: it.Device})
	}
	c := &s.Cards[i]
	c.Words = slices.Clone(c.Words) // the standing before this one has them too
	w := c.word(checker)
	if w == nil {
		return
	}
	w.At = epoch
	switch it.Outcome {
	case challenges.Pass, challenges.Late, challenges.Wrong:
	default:
		return // no result: nothing new is known of the card
	}
	if m := it.Card.Model; m != "" && m != w.Model {
		w.Model, w.Rates = m, [4]uint64{} // another card
	}
	if it.Card.Contradict != "" {
		if !recent(w.Doubted, epoch, p) {
			w.Doubts = 0
		}
		w.Doubts, w.Doubted, w.Code, w.Proof = w.Doubts+1, epoch, it.Card.Contradict, it.Transcript
	}
	shown, rate := &w.Memory, &w.Rates[reads]
	if flavour, ok := it.Flavour(); ok {
		shown, rate = &w.Compute, &w.Rates[flavour]
	}
	*rate = max(*rate, it.OpsLower)
	// A run without a figure, or one that was late, has marks of its own: that a card
	// signed the one before is not less true for it.
	if it.Outcome == challenges.Pass && it.OpsLower > 0 || it.Card.Contradict != "" {
		*shown = Shown{Level: it.Card.Level, Identity: it.Card.Identity, At: epoch + 1}
	}
}

// room makes room for one more card of a checker, where some checker alone names more
// devices than this one does: whoever invents devices takes room from his own.
func (s *Standing) room(checker challenges.NodeID) bool {
	alone := make(map[challenges.NodeID]int)
	for i := range s.Cards {
		if w := s.Cards[i].Words; len(w) == 1 {
			alone[w[0].Checker]++
		}
	}
	out := -1
	for i := range s.Cards {
		w := s.Cards[i].Words
		if len(w) != 1 || alone[w[0].Checker] <= alone[checker] {
			continue
		}
		if out < 0 || alone[w[0].Checker] >= alone[s.Cards[out].Words[0].Checker] {
			out = i
		}
	}
	if out >= 0 {
		s.Cards = slices.Delete(s.Cards, out, out+1)
	}
	return out >= 0
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

// level is what the latest passes of both kinds show together: above L1 takes compute
// and memory, and from L3 on one card for both.
func (w *Word) level(next uint64, p *committee.Params) evidence.Level {
	at := func(s Shown) evidence.Level {
		if s.At == 0 || !recent(s.At-1, next, p) {
			return 0
		}
		return s.Level
	}
	compute, memory := at(w.Compute), at(w.Memory)
	both := min(compute, memory)
	switch {
	case both < 2:
		return min(1, max(compute, memory))
	case both >= evidence.Attested && w.Compute.Identity != w.Memory.Identity:
		return evidence.Attested - 1
	}
	return both
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

// said is what most checkers say, if enough of them do; the zero value else.
func said[T comparable](values []T, many int, compare func(a, b T) int) (most T) {
	count := make(map[T]int)
	for _, v := range values {
		count[v]++
	}
	best := 0
	for v, n := range count {
		if n >= many && (n > best || n == best && compare(v, most) < 0) {
			most, best = v, n
		}
	}
	return most
}

// words are those that still count.
func (c *Card) words(s *Standing, p *committee.Params) []Word {
	return slices.DeleteFunc(slices.Clone(c.Words), func(w Word) bool { return !recent(w.At, s.Next, p) })
}

// Known is what enough checkers agree on of a card.
type Known struct {
	Level    evidence.Level  // what their latest passes show, of compute and of memory
	Model    string          // in gpu/models, as telemetry has it; empty: none
	Identity challenges.Hash // of the card that signed; zeros: none
	Doubts   uint64          // results with something that cannot be true, over all checkers
	Code     string          // of the latest of them
	Proof    challenges.Hash // transcript that shows it
}

// Know reads off what is known of a card. One checker alone says nothing of it where
// several have seen the provider: neither good nor bad.
func Know(s *Standing, c *Card, p *committee.Params) Known {
	var k Known
	var levels []evidence.Level
	var models []string
	var identities []challenges.Hash
	var latest uint64
	words, many := c.words(s, p), enoughWords(s, p)
	for i := range words {
		w := &words[i]
		levels = append(levels, w.level(s.Next, p))
		if w.Model != "" {
			models = append(models, w.Model)
		}
		for _, shown := range []Shown{w.Memory, w.Compute} {
			if shown.At > 0 && shown.Identity != (challenges.Hash{}) {
				identities = append(identities, shown.Identity)
				break
			}
		}
		if w.Doubts > 0 && recent(w.Doubted, s.Next, p) {
			if k.Doubts += w.Doubts; w.Doubted >= latest {
				k.Code, k.Proof, latest = w.Code, w.Proof, w.Doubted
			}
		}
	}
	k.Level = agreed(levels, many)
	k.Model = said(models, many, strings.Compare)
	k.Identity = said(identities, many, challenges.Hash.Compare)
	if k.Level >= evidence.Attested && s.conflicts(c.Device, p) {
		k.Level = evidence.Attested - 1
	}
	return k
}

// LevelOf is a provider's: that of its least device, of those that enough checkers
// name. One whose results say nothing of a card, or that has none, is at L0.
func LevelOf(s *Standing, p *committee.Params) evidence.Level {
	least, any := evidence.Level(5), false
	for i := range s.Cards {
		if c := &s.Cards[i]; len(c.words(s, p)) >= enoughWords(s, p) {
			least, any = min(least, Know(s, c, p).Level), true
		}
	}
	if !any {
		return 0
	}
	return least
}

// contradicted are the cards of which enough results, of enough checkers, say what
// cannot be true.
func contradicted(s *Standing, p *committee.Params) []Card {
	var out []Card
	for i := range s.Cards {
		c, checkers := &s.Cards[i], 0
		for _, w := range c.words(s, p) {
			if w.Doubts > 0 && recent(w.Doubted, s.Next, p) {
				checkers++
			}
		}
		if checkers >= enoughWords(s, p) && Know(s, c, p).Doubts >= uint64(half(p.BelowFigures)) {
			out = append(out, *c)
		}
	}
	return out
}
