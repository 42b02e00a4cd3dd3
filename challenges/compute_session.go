package challenges

import "time"

// computeScript judges a challenge of kind matmul or fma: it recomputes the
// values that were opened.
type computeScript struct {
	roundScript
	params ComputeParams
	row    Profile
}

func newComputeScript(id Hash, device string, p ComputeParams, secret Secret) *computeScript {
	row, _ := LookupProfile(p.Profile)
	m := &computeScript{params: p, row: row}
	m.roundScript = roundScript{id: id, device: device, secret: secret, rules: m, said: -1, plan: roundPlan{
		rounds: row.Rounds, samples: row.Samples, entries: row.Shape.Entries(), layout: row.Shape.Layout(),
		simulated: row.Simulated, openWait: row.OpenWait, deadline: row.Deadline(p.Claim, p.RTT),
	}}
	return m
}

// key follows from the round before and from positions further back.
func (m *computeScript) key(r int) Hash {
	if r == 0 {
		return FirstKey(m.id, m.device)
	}
	prev := &m.rounds[r-1]
	var packed []byte
	if old := m.row.Feeds(r, int(m.params.Window)); old >= 0 {
		packed = m.rounds[old].packed
	}
	return NextKey(prev.key, prev.root, packed)
}

func (m *computeScript) check(r int, positions []uint32, values []uint64, at time.Duration) bool {
	truth := make([]uint64, len(values))
	m.row.Shape.Values(&m.rounds[r].key, positions, truth)
	for i := range values {
		m.v.Samples++
		// SPEC: M6. An authenticated value that differs from the exact one is wrong.
		if values[i] != truth[i] {
			m.v = Verdict{Outcome: Wrong, Clause: ClauseValue, Elapsed: at, Samples: m.v.Samples}
			return false
		}
	}
	return true
}

// time sets the verdict of a run at time at, whose first n rounds are opened and
// right: the bounds on its rate, and whether it is late. Every duration in it is
// the checker's word.
func (m *computeScript) time(outcome Outcome, n int, at time.Duration) {
	last := m.rounds[n-1]
	v := Verdict{Outcome: outcome, Elapsed: last.in, Samples: m.v.Samples}
	if outcome == Late {
		v.Clause = ClauseLate
	}

	// SPEC: M11. The provider's signed clock and the checker's differ by the path,
	// 2 x RTT + 10 % at most; more is disputed.
	v.Disputed = (last.in - last.mono).Abs() > 2*m.params.RTT+last.in/10

	// SPEC: M9. The measured time starts when the challenge left, after a warm-up
	// when the positions of its last round left.
	start, timed, took := time.Duration(0), n, last.in
	if warm := m.row.Warm; warm > 0 {
		start, timed, took = 0, 0, 0
		if n > warm && m.rounds[warm-1].out >= 0 {
			start = m.rounds[warm-1].out
			timed, took = n-warm, last.in-start
		}
	}
	ops := uint64(timed) * m.row.Shape.Ops()

	// SPEC: M10. A checker whose own answers took more than LagShare permille of
	// the measured time, up to the deadline where that ended it, measured itself:
	// no figure, and late becomes unknown.
	span := took
	if outcome == Late {
		span = at - start
	}
	ours := span > 0 && m.lag(m.row.Warm, at)*1000 > span*time.Duration(m.row.LagShare)

	// SPEC: M9. Nothing is subtracted in a bound: the provider controls its RTT.
	// There is no figure where the timed rounds were to be shorter than MinRTTs round
	// trips: what they were to be, so that a slow run gives none either. Nor does a
	// pulse give one.
	figure := timed > 0 && m.row.Purpose != Pulse &&
		m.row.Measured(m.params.Claim) >= time.Duration(m.row.MinRTTs)*m.params.RTT
	best := m.best(n)
	if figure && !ours {
		v.OpsLower, v.OpsBest = rate(ops, took), best
	}

	// SPEC: M9. The mark late alone gives the benefit of min(RTT, Doubt %), and that
	// of the best interval.
	if outcome == Pass && figure {
		doubt := min(m.params.RTT, took*time.Duration(m.row.Doubt)/100)
		need := m.params.Claim / 100 * uint64(100-m.row.Slack)
		if rate(ops, took-doubt) < need && best < need {
			v.Outcome, v.Clause = Late, ClauseLate
		}
	}
	if ours && v.Outcome == Late {
		v.Outcome, v.Clause = Unknown, ClauseLag
	}
	m.v = v
}

// best is the best bound over an interval, within the first n rounds, of at least
// half of the timed ones: rounds i+W+1 to j were all computed between sending
// pos_i and receiving root_j, since each key needs the positions that
// [Profile.Feeds] names. From the last round of a warm-up on it is all of i+1 to j.
func (m *computeScript) best(n int) uint64 {
	var best uint64
	warm := m.row.Warm
	least := (m.row.Rounds - warm) / 2
	for i := max(warm-1, 0); i < n; i++ {
		from := m.rounds[i].out
		ahead := int(m.params.Window)
		if warm > 0 && i == warm-1 {
			ahead = 0
		}
		for j := i + max(least, ahead+1); from >= 0 && j < n; j++ {
			best = max(best, rate(uint64(j-i-ahead)*m.row.Shape.Ops(), m.rounds[j].in-from))
		}
	}
	return best
}
