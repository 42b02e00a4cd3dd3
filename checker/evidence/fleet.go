package evidence

import "github.com/assaynet/assay/challenges"

// Member is one of a provider's devices in a run of several.
type Member struct {
	Verdict challenges.Verdict
	Reason  string // of a refusal
	Claim   uint64 // ops/s, or bytes of the dataset
	Course  Course // of a proof of compute
	Proven  uint64 // by a proof of memory, in bytes
}

// FleetSum is what a provider's devices did at one time, as a lower bound, and
// what they should have: ops/s, or bytes held. Zeros: the run says nothing, since
// the provider had a neutral reason, or something may be the checker's own fault,
// or nothing was reached at all.
func FleetSum(members []Member) (sum, claim uint64) {
	var courses []Course
	reached := false
	for _, m := range members {
		switch {
		case m.Verdict.Outcome == challenges.Unknown, m.Verdict.Outcome == challenges.Refused && NeutralReason(m.Reason):
			return 0, 0
		case m.Verdict.Outcome != challenges.Unreachable:
			reached = true
		}
		claim += m.Claim
		sum += m.Proven
		// What is wrong or was withheld is no work.
		if m.Verdict.Outcome == challenges.Pass || m.Verdict.Outcome == challenges.Late {
			courses = append(courses, m.Course)
		}
	}
	if !reached {
		return 0, 0
	}
	return max(sum, Together(courses)), claim
}

// NeutralReason reports a reason of a refusal that is no fault of the provider's:
// rented, draining, or running another challenge.
func NeutralReason(reason string) bool {
	return reason == challenges.ReasonTenant || reason == challenges.ReasonDrain || reason == challenges.ReasonCollision
}
