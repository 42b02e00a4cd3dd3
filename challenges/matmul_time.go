package challenges

import "time"

// time sets the verdict of a run at time at, whose first n rounds are opened and
// right: the bounds on its rate, and whether it is late. Every duration in it is
// the checker's word.
func (m *matmulScript) time(outcome Outcome, n int, at time.Duration) {
	last := m.rounds[n-1]
	ops := m.row.Shape.Ops()
	elapsed := last.in
	v := Verdict{Outcome: outcome, Elapsed: elapsed, Samples: m.v.Samples}
	if outcome == Late {
		v.Clause = ClauseLate
	}

	// SPEC: M11. The provider's signed clock and the checker's differ by the path,
	// 2 x RTT + 10 % at most; more is disputed.
	v.Disputed = (elapsed - last.mono).Abs() > 2*m.params.RTT+elapsed/10

	// SPEC: M10. A checker whose own answers took more than LagShare permille of
	// the run measured itself: no figure, and late becomes unknown.
	var lag time.Duration
	for _, r := range m.rounds {
		if r.out < 0 {
			lag += at - r.in // never answered
		} else {
			lag += r.out - r.in
		}
	}
	ours := lag*1000 > elapsed*time.Duration(m.row.LagShare)

	// SPEC: M9. Nothing is subtracted in a bound: the provider controls its RTT.
	// A run shorter than MinRTTs round trips gives no figure.
	if !ours && elapsed >= time.Duration(m.row.MinRTTs)*m.params.RTT {
		v.OpsLower = rate(uint64(n)*ops, elapsed)
		v.OpsBest = m.best(n, ops)
	}

	// SPEC: M9. The mark late alone gives the benefit of min(RTT, Doubt %).
	if outcome == Pass && (v.OpsLower > 0 || ours) {
		doubt := min(m.params.RTT, elapsed*time.Duration(m.row.Doubt)/100)
		need := m.params.Claim / 100 * uint64(100-m.row.Slack)
		if rate(uint64(n)*ops, elapsed-doubt) < need {
			v.Outcome, v.Clause = Late, ClauseLate
		}
	}
	if ours && v.Outcome == Late {
		v.Outcome, v.Clause = Unknown, ClauseLag
	}
	m.v = v
}

// best is the best bound over an interval, within the first n rounds, of at least
// half of the run: rounds
// i+W+1 to j were all computed between sending pos_i and receiving root_j, since
// each key needs the positions W rounds before.
func (m *matmulScript) best(n int, ops uint64) uint64 {
	var best uint64
	w := int(m.params.Window)
	for i, from := range m.rounds[:n] {
		for j := i + max(m.row.Rounds/2, w+1); j < n; j++ {
			best = max(best, rate(uint64(j-i-w)*ops, m.rounds[j].in-from.out))
		}
	}
	return best
}
