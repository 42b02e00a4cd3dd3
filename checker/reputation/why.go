package reputation

import (
	"fmt"
	"math"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
)

// FlagSharedDevice says that a device slows down exactly when another runs. It
// takes the observations of all checkers, so no standing carries it.
const FlagSharedDevice = "shared-device"

// Why explains each flag of a standing, in their order.
func Why(s *Standing, p *committee.Params) []evidence.Reason {
	out := []evidence.Reason{}
	for _, f := range Flags(s, p) {
		var detail string
		switch f {
		case FlagWorkIncorrect:
			detail = fmt.Sprintf("%d transcripts prove a wrong value", s.gpu(challenges.Wrong))
		case FlagBelowClaim:
			low, of := belowClaim(s, p)
			detail = "it computed " + shares(low) + " of its claims"
			if of != "" {
				detail += " of " + of
			}
		case FlagBelowMemory:
			detail = "its proofs of memory showed " + shares(s.Memory) + " of the memory that it claims"
		case FlagOversold:
			detail = "at one time its devices did " + shares(s.Fleets) + " of what they claim each"
		case FlagCardContradicted:
			c := contradicted(s, p)[0]
			k := Know(s, &c, p)
			detail = fmt.Sprintf("%d results of %s say of their card what cannot be true, the latest by rule %s (transcript %v)", k.Doubts, c.Device, k.Code, k.Proof)
		case FlagUnlikeModel:
			u := unlike(s, p)[0]
			f := u.Findings[0]
			detail = fmt.Sprintf("%s calls itself %s, and its rates do not stand to each other as that model's: %s is %s, expected %s",
				u.Card.Device, u.Model, f.Code, f.Seen, f.Expected)
		case FlagIdentityConflict:
			c := conflicting(s, p)
			detail = c[len(c)-1].explain()
		}
		out = append(out, evidence.Reason{Code: f, Detail: detail})
	}
	return out
}

// shares says of figures what share of the claims they are.
func shares(figures []Figure) string {
	n, checkers := 0, make(map[challenges.NodeID]bool)
	for _, f := range figures {
		if f.Claim > 0 { // as in Share, and in the rule
			n++
			checkers[f.Checker] = true
		}
	}
	median := 0.0
	if m := Share(figures); m != nil {
		median = *m
	}
	return fmt.Sprintf("%.0f %% (median of %d figures of %d checkers)", 100*median, n, len(checkers))
}

// Share is the median share of what was claimed; nil without a figure.
func Share(figures []Figure) *float64 {
	var v []float64
	for _, f := range figures {
		if f.Claim > 0 {
			v = append(v, math.Min(1e6, float64(f.Ops)/float64(f.Claim)))
		}
	}
	if len(v) == 0 {
		return nil
	}
	m := median(v)
	return &m
}
