// Package evidence turns one transcript into what it shows: the verdict, four
// claims apart, the level, and the reasons in words.
package evidence

import (
	"fmt"
	"math"
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
)

// Shown is what a transcript says about one claim.
type Shown string

// Values of Shown. Unknown is never good.
const (
	IsShown   Shown = "shown"
	IsRefuted Shown = "refuted"
	IsUnknown Shown = "unknown"
)

// Claims are the four things that a customer wants to know, never mixed.
type Claims struct {
	Genuine    Shown `json:"genuine"`    // the card is what it is called
	Throughput Shown `json:"throughput"` // the responder computes at the claimed rate
	Memory     Shown `json:"memory"`     // it has the claimed memory
	Exclusive  Shown `json:"exclusive"`  // for this customer alone
}

// Testimony is a figure that rests on the checker's word.
type Testimony struct {
	Name  string `json:"name"`
	Value any    `json:"value"` // a number in the unit that the name ends in, or true
}

// Reason is one finding: a clause of docs/PROTOCOL.md or a word, and a sentence.
type Reason struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Assessment is what one transcript shows.
type Assessment struct {
	Verdict   challenges.Verdict
	Claims    Claims
	Grades    Grades
	Card      Card
	Level     Level
	Raise     []string // what would raise the level
	Miss      float64  // probability that a prover who skipped 1 % of the entries would pass these samples; NaN without a pass
	Testimony []Testimony
	Reasons   []Reason
}

// Assess replays a transcript, and judges what its result says of the card. The error
// is a [challenges.ClauseError]: the transcript proves nothing.
func Assess(t challenges.Transcript, c challenges.Challenge, trust Trust) (Assessment, error) {
	v, err := challenges.Replay(t)
	if err != nil {
		return Assessment{}, err
	}
	a := Assessment{
		Verdict: v, Miss: math.NaN(),
		Claims: Claims{IsUnknown, IsUnknown, IsUnknown, IsUnknown},
		Grades: Grades{GradeNone, GradeNone, GradeNone, GradeNone},
	}
	a.testify(t, v, c.Kind)
	a.reason(v, c)
	claim, grade := &a.Claims.Throughput, &a.Grades.Throughput
	switch c.Kind {
	case challenges.Probe:
		a.Raise = []string{"a proof of compute or of memory: a probe shows that somebody answers"}
		return a, nil
	case challenges.Memory:
		p, err := c.MemoryParams()
		if err != nil {
			return Assessment{}, err
		}
		claim, grade = &a.Claims.Memory, &a.Grades.Memory
		a.proven(v, p.Dataset())
	}
	switch v.Outcome {
	case challenges.Pass:
		a.Miss = math.Pow(0.99, float64(v.Samples))
		// The rate needs the checker's clock, the arithmetic does not.
		if v.OpsLower > 0 {
			*claim, *grade = IsShown, GradeTimed
		}
	case challenges.Wrong:
		*claim, *grade = IsRefuted, GradeProof
	}
	a.Card = Look(t, c, v, trust)
	a.Level, a.Raise = a.Card.Level(v, trust)
	a.genuine()
	return a, nil
}

// genuine says what the card's own words and signature show.
func (a *Assessment) genuine() {
	switch k := &a.Card; {
	case len(k.Contradict) > 0:
		a.Claims.Genuine, a.Grades.Genuine = IsRefuted, GradeClaimed
	case a.Level >= Attested:
		a.Claims.Genuine, a.Grades.Genuine = IsShown, GradeSigned
	case k.Plausible:
		a.Grades.Genuine = GradeClaimed
	}
	a.Reasons = append(append(a.Reasons, a.Card.Contradict...), a.Card.Reasons...)
	for _, f := range a.Card.Findings {
		if r := reasonOf(f); !slices.Contains(a.Card.Contradict, r) {
			a.Reasons = append(a.Reasons, r)
		}
	}
}

// proven says how much memory the rate shows, and what it assumes.
func (a *Assessment) proven(v challenges.Verdict, set memory.Dataset) {
	if v.OpsLower == 0 {
		return
	}
	bytes := set.Proven(v.OpsLower)
	a.Testimony = append(a.Testimony, Testimony{"memory_bytes", bytes}, Testimony{"dataset_bytes", set.Bytes()})
	a.Reasons = append(a.Reasons, Reason{challenges.ClauseProven, fmt.Sprintf(
		"%d bytes of a dataset of %d were held, if the responder is of class %s: at this rate it could do without %.1f %% of it, and the fastest of the class without %.1f %%",
		bytes, set.Bytes(), set.Name, 100*(1-float64(bytes)/float64(set.Bytes())), 100*set.Hidden(),
	)})
}

func (a *Assessment) testify(t challenges.Transcript, v challenges.Verdict, kind challenges.Kind) {
	add := func(name string, value any) { a.Testimony = append(a.Testimony, Testimony{name, value}) }
	add("elapsed_s", v.Elapsed.Seconds())
	if v.RTT > 0 {
		add("rtt_s", v.RTT.Seconds())
	}
	switch {
	case v.OpsLower == 0:
	case kind == challenges.Memory:
		add("reads_lower", v.OpsLower)
		add("random_bytes_per_s_lower", v.OpsLower*memory.ItemBytes)
	default:
		add("ops_lower", v.OpsLower)
		add("ops_best_interval", v.OpsBest)
	}
	if n := len(t.Events); n > 0 && t.Events[n-1].End != challenges.EndNone {
		add("end_"+t.Events[n-1].End.String(), true)
	}
	if v.Disputed {
		add("disputed", true)
	}
}

func (a *Assessment) reason(v challenges.Verdict, c challenges.Challenge) {
	var detail string
	switch v.Outcome {
	case challenges.Pass:
		detail = fmt.Sprintf("%d sampled values equal the exact result", v.Samples)
		if c.Kind == challenges.Probe {
			detail = fmt.Sprintf("%d signed pongs to fresh nonces", v.Samples)
		}
	case challenges.Wrong:
		detail = "the provider signed a root, and an opening of it holds a value that is not the exact result"
	case challenges.Late:
		detail = "every value is right, but the run stayed below the claim by more than the slack"
		if c.Kind == challenges.Memory {
			detail = "every value is right, but the walks took so long that less than half of the dataset need have been held"
		}
	case challenges.Withheld:
		detail = "after a signed root the provider fell silent or broke the protocol, by the checker's word"
	case challenges.Refused:
		detail = "the provider signed a refusal"
	case challenges.Unreachable:
		detail = "no usable answer came before any root, by the checker's word"
	case challenges.Unknown:
		detail = "nothing can be said: the checker's own fault, or a simulated device's overrun"
	}
	code := v.Clause
	if code == "" {
		code = v.Outcome.String()
	}
	a.Reasons = append(a.Reasons, Reason{code, detail})
	if v.Disputed {
		a.Reasons = append(a.Reasons, Reason{challenges.ClauseDisputed, "the provider's signed clock contradicts the checker's times"})
	}
}
