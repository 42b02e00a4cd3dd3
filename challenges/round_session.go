package challenges

import (
	"slices"
	"time"

	"github.com/assaynet/assay/challenges/commit"
)

// roundScript is what proofs of compute and of memory have in common: a chain of
// rounds, each committed to by a root, then sampled. It follows the key chain,
// draws the positions after each root and authenticates each opening.
type roundScript struct {
	id     Hash
	device string
	secret Secret
	plan   roundPlan
	rules  roundRules

	attached bool          // the bulk stream was opened
	said     time.Duration // the provider's clock in a signed word before the first root; -1: none
	begun    time.Duration // the rounds could begin; -1 before

	rounds []round // one for each root received
	opened int     // rounds whose openings are complete and authentic
	buf    []byte  // parts of the opening of round `opened`
	part   uint16
	result bool // the result frame has come
	v      Verdict
}

// roundPlan is what a row says of the rounds.
type roundPlan struct {
	rounds, samples int
	entries         uint64 // a round
	layout          commit.Layout
	simulated       bool
	openWait        time.Duration
	deadline        time.Duration // of the whole challenge
	beginBy         time.Duration // the checker lets the rounds begin until then
}

// roundRules are a kind's own.
type roundRules interface {
	// key is that of round r, after the rounds before it.
	key(r int) Hash
	// check takes the authenticated values of a round; false: one is wrong, and the
	// verdict says so.
	check(r int, positions []uint32, values []uint64, at time.Duration) bool
	// time sets the verdict of a run whose first n rounds are opened and right.
	time(outcome Outcome, n int, at time.Duration)
}

type round struct {
	key, root Hash
	packed    []byte        // positions
	request   Hash          // of the positions frame
	in        time.Duration // root received
	out       time.Duration // positions sent; -1 before
	mono      time.Duration // provider's clock, signed
}

func (m *roundScript) start() []Out { return []Out{{StreamBulk, NewAttach(m.id)}} }

func (m *roundScript) verdict() Verdict { return m.v }

func (m *roundScript) roots() []Hash {
	out := make([]Hash, len(m.rounds))
	for i, r := range m.rounds {
		out[i] = r.root
	}
	return out
}

// bad ends the session over an answer that breaks a clause: soft, since only
// the checker's word says that the answer came at all.
func (m *roundScript) bad(clause string, at time.Duration) ([]Out, bool) {
	// SPEC: M7. Anything but a value that differs is withheld after a root, or after
	// filled, and unreachable before.
	m.v = Verdict{Outcome: Withheld, Clause: clause, Elapsed: at, Samples: m.v.Samples}
	if len(m.rounds) == 0 && m.said < 0 {
		m.v.Outcome = Unreachable
	}
	return nil, true
}

func (m *roundScript) sent(stream uint8, _ []byte, at time.Duration) {
	if stream == StreamBulk {
		m.attached = true
		return
	}
	for i := range m.rounds {
		if m.rounds[i].out < 0 {
			m.rounds[i].out = at
			return
		}
	}
}

func (m *roundScript) recv(stream uint8, body []byte, at time.Duration) ([]Out, bool) {
	if stream == StreamBulk {
		return m.opening(body, at)
	}
	switch peekType(body) {
	case typeRoot:
		return m.root(body, at)
	case typeResult:
		return m.finish(body, at)
	case typeRefusal:
		// SPEC: S6. A refusal is the first and only frame.
		var f RefusalFrame
		if err := Unmarshal(body, &f); err != nil || len(m.rounds) > 0 || m.said >= 0 {
			return m.bad(ClauseRefusal, at)
		}
		m.v = Verdict{Outcome: Refused, Clause: ClauseRefusal, Elapsed: at}
		return nil, true
	case typeAbort:
		// SPEC: S7. Only the overrun of a simulated profile is neutral.
		var f AbortFrame
		if err := Unmarshal(body, &f); err != nil || !m.plan.simulated || f.Reason != AbortOverrun {
			return m.bad(ClauseAbort, at)
		}
		m.v = Verdict{Outcome: Unknown, Clause: ClauseAbort, Elapsed: at, Samples: m.v.Samples}
		return nil, true
	}
	return m.bad(ClauseSequence, at)
}

func (m *roundScript) root(body []byte, at time.Duration) ([]Out, bool) {
	var f RootFrame
	if err := Unmarshal(body, &f); err != nil {
		return m.bad(ClauseSequence, at)
	}
	r := len(m.rounds)
	// SPEC: M1. Roots come in round order, one a round; the first is final.
	if int64(f.Round) != int64(r) || r >= m.plan.rounds {
		return m.bad(ClauseRootOrder, at)
	}
	// SPEC: M2. key_r follows from what was said before.
	key := m.rules.key(r)
	if f.Key != key {
		return m.bad(ClauseKeyChain, at)
	}
	if f.Mono < max(0, m.said) || (r > 0 && f.Mono < m.rounds[r-1].mono) {
		return m.bad(ClauseSequence, at)
	}
	pos := m.secret.Positions(m.id, r, f.Root, m.plan.entries, m.plan.samples)
	frame := newPositions(r, pos)
	m.rounds = append(m.rounds, round{
		key: key, root: f.Root, packed: PackPositions(pos), request: FrameHash(frame),
		in: at, out: -1, mono: f.Mono,
	})
	return []Out{{StreamControl, frame}}, false
}

func (m *roundScript) opening(body []byte, at time.Duration) ([]Out, bool) {
	var f OpeningFrame
	if peekType(body) != typeOpening || Unmarshal(body, &f) != nil {
		return m.bad(ClauseSequence, at)
	}
	// SPEC: S3. No opening comes before the bulk stream was opened.
	if !m.attached {
		return m.bad(ClauseSent, at)
	}
	// SPEC: M4. Openings come in round order, their parts in order.
	if m.opened >= len(m.rounds) || int64(f.Round) != int64(m.opened) || f.Part != m.part {
		return m.bad(ClauseShape, at)
	}
	r := &m.rounds[m.opened]
	// SPEC: M3. An opening echoes the hash of the request that it answers. It is
	// compared before any value is judged: a checker that recorded other
	// positions than it sent is caught here.
	if r.out < 0 || f.Request != r.request {
		return m.bad(ClauseEcho, at)
	}
	positions := UnpackPositions(r.packed)
	want := m.plan.layout.OpeningBytes(positions)
	if m.buf == nil {
		m.buf = make([]byte, 0, want)
	}
	m.buf = append(m.buf, f.Data...)
	m.part++
	switch {
	case len(m.buf) < want && len(f.Data) == maxPart:
		return nil, false
	case len(m.buf) != want:
		return m.bad(ClauseShape, at)
	}
	values, err := m.plan.layout.Verify(r.root, positions, m.buf)
	if err != nil {
		return m.bad(ClauseAuthentic, at)
	}
	if !m.rules.check(m.opened, positions, values, at) {
		return nil, true
	}
	m.opened++
	m.buf, m.part = nil, 0 // a round that is not being opened holds none
	if m.result && m.opened == m.plan.rounds {
		m.rules.time(Pass, m.plan.rounds, at)
		return nil, true
	}
	return nil, false
}

func (m *roundScript) finish(body []byte, at time.Duration) ([]Out, bool) {
	// SPEC: M8. The result comes last and repeats the challenge, device and roots. What
	// its telemetry says is the provider's claim.
	var f ResultFrame
	if err := Unmarshal(body, &f); err != nil || m.result || len(m.rounds) < m.plan.rounds {
		return m.bad(ClauseResult, at)
	}
	same := slices.EqualFunc(f.Core.Roots, m.rounds, func(h Hash, r round) bool { return h == r.root })
	if f.Core.Challenge != m.id || f.Core.Device != m.device || !same {
		return m.bad(ClauseResult, at)
	}
	// The result is on the control stream and may overtake the last openings.
	m.result = true
	if m.opened < m.plan.rounds {
		return nil, false
	}
	m.rules.time(Pass, m.plan.rounds, at)
	return nil, true
}

func (m *roundScript) end(cause Cause, at time.Duration) {
	// SPEC: D4. A nonce that left later than FillBy + Grace, or never, took the time
	// that ran out: the checker's fault.
	held := m.said >= 0 && cause == EndTimeout && (m.begun < 0 || m.begun > m.plan.beginBy)
	if cause.ours() || held {
		m.v = Verdict{Outcome: Unknown, Clause: ClauseEnd, Elapsed: at, Samples: m.v.Samples}
		return
	}
	// SPEC: M9. At the deadline a run that answered everything it was asked, and is
	// still in step with only rounds left, is late, not withheld: the rounds that
	// were opened give a bound. A root alone shows no work.
	late := cause == EndTimeout && at >= m.plan.deadline && m.opened > 0 && len(m.rounds) < m.plan.rounds
	if late && !m.owes(at) && m.inStep(at) {
		m.rules.time(Late, m.opened, at)
		return
	}
	m.bad(ClauseSilence, at)
}

// owes reports that an opening was asked for so long ago that it is withheld.
func (m *roundScript) owes(at time.Duration) bool {
	wait := min(m.plan.openWait, m.plan.deadline/4)
	for _, r := range m.rounds[m.opened:] {
		if r.out >= 0 && at-r.out >= wait {
			return true
		}
	}
	return false
}

// inStep reports that the next root is not overdue: it may take twice as long as
// the roots before it took on average. A run that fell silent is not slow.
func (m *roundScript) inStep(at time.Duration) bool {
	last := m.rounds[len(m.rounds)-1].in
	return at-last <= 2*(last-m.begun)/time.Duration(len(m.rounds))+min(m.plan.openWait, m.plan.deadline/4)
}

// lag is how long the checker took over the positions of the rounds that are
// timed, those from round warm on, up to time at.
func (m *roundScript) lag(warm int, at time.Duration) time.Duration {
	var lag time.Duration
	for i, r := range m.rounds {
		switch {
		case r.out < 0:
			lag += at - r.in // never answered
		case i < warm: // the clock starts after them
		default:
			lag += r.out - r.in
		}
	}
	return lag
}
