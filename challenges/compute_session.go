package challenges

import (
	"bytes"
	"slices"
	"time"
)

// computeScript judges a challenge of kind matmul or fma: it follows the key
// chain, draws the positions after each root, authenticates each opening and
// recomputes the values in it.
type computeScript struct {
	id     Hash
	device string
	params ComputeParams
	row    Profile
	secret Secret

	deadline time.Duration // of the whole challenge
	attached bool          // the bulk stream was opened

	rounds []computeRound // one for each root received
	opened int            // rounds whose openings are complete and right
	buf    []byte         // parts of the opening of round `opened`
	part   uint16
	result bool // the result frame has come
	v      Verdict
}

type computeRound struct {
	key, root Hash
	packed    []byte        // positions
	request   Hash          // of the positions frame
	in        time.Duration // root received
	out       time.Duration // positions sent; -1 before
	mono      time.Duration // provider's clock, signed
}

func newComputeScript(id Hash, device string, p ComputeParams, secret Secret) *computeScript {
	row, _ := LookupProfile(p.Profile)
	return &computeScript{
		id: id, device: device, params: p, row: row, secret: secret, deadline: row.Deadline(p.Claim, p.RTT),
	}
}

func (m *computeScript) start() []Out { return []Out{{StreamBulk, NewAttach(m.id)}} }

func (m *computeScript) verdict() Verdict { return m.v }

// bad ends the session over an answer that breaks a clause: soft, since only
// the checker's word says that the answer came at all.
func (m *computeScript) bad(clause string, at time.Duration) ([]Out, bool) {
	// SPEC: M7. Anything but a value that differs is withheld after a root, and
	// unreachable before.
	m.v = Verdict{Outcome: Withheld, Clause: clause, Elapsed: at, Samples: m.v.Samples}
	if len(m.rounds) == 0 {
		m.v.Outcome = Unreachable
	}
	return nil, true
}

func (m *computeScript) sent(stream uint8, _ []byte, at time.Duration) {
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

func (m *computeScript) recv(stream uint8, body []byte, at time.Duration) ([]Out, bool) {
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
		if err := Unmarshal(body, &f); err != nil || len(m.rounds) > 0 {
			return m.bad(ClauseRefusal, at)
		}
		m.v = Verdict{Outcome: Refused, Clause: ClauseRefusal, Elapsed: at}
		return nil, true
	case typeAbort:
		// SPEC: S7. Only a simulated profile has a neutral abort.
		var f AbortFrame
		if err := Unmarshal(body, &f); err != nil || !m.row.Simulated {
			return m.bad(ClauseAbort, at)
		}
		m.v = Verdict{Outcome: Unknown, Clause: ClauseAbort, Elapsed: at, Samples: m.v.Samples}
		return nil, true
	}
	return m.bad(ClauseSequence, at)
}

func (m *computeScript) root(body []byte, at time.Duration) ([]Out, bool) {
	var f RootFrame
	if err := Unmarshal(body, &f); err != nil {
		return m.bad(ClauseSequence, at)
	}
	r := len(m.rounds)
	// SPEC: M1. Roots come in round order, one a round; the first is final.
	if int64(f.Round) != int64(r) || r >= m.row.Rounds {
		return m.bad(ClauseRootOrder, at)
	}
	// SPEC: M2. key_r follows from what was said before.
	key := FirstKey(m.id, m.device)
	if r > 0 {
		prev := &m.rounds[r-1]
		var packed []byte
		if old := m.row.Feeds(r, int(m.params.Window)); old >= 0 {
			packed = m.rounds[old].packed
		}
		key = NextKey(prev.key, prev.root, packed)
	}
	if f.Key != key {
		return m.bad(ClauseKeyChain, at)
	}
	if f.Mono < 0 || (r > 0 && f.Mono < m.rounds[r-1].mono) {
		return m.bad(ClauseSequence, at)
	}
	pos := m.secret.Positions(m.id, r, f.Root, m.row.Shape.Entries(), m.row.Samples)
	frame := newPositions(r, pos)
	m.rounds = append(m.rounds, computeRound{
		key: key, root: f.Root, packed: PackPositions(pos), request: FrameHash(frame),
		in: at, out: -1, mono: f.Mono,
	})
	return []Out{{StreamControl, frame}}, false
}

func (m *computeScript) opening(body []byte, at time.Duration) ([]Out, bool) {
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
	layout := m.row.Shape.Layout()
	positions := UnpackPositions(r.packed)
	want := layout.OpeningBytes(positions)
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
	values, err := layout.Verify(r.root, positions, m.buf)
	if err != nil {
		return m.bad(ClauseAuthentic, at)
	}
	truth := make([]uint64, len(values))
	m.row.Shape.Values(&r.key, positions, truth)
	for i := range values {
		m.v.Samples++
		// SPEC: M6. An authenticated value that differs from the exact one is wrong.
		if values[i] != truth[i] {
			m.v = Verdict{Outcome: Wrong, Clause: ClauseValue, Elapsed: at, Samples: m.v.Samples}
			return nil, true
		}
	}
	m.opened++
	m.buf, m.part = nil, 0 // a round that is not being opened holds none
	if m.result && m.opened == m.row.Rounds {
		m.time(Pass, m.row.Rounds, at)
		return nil, true
	}
	return nil, false
}

func (m *computeScript) finish(body []byte, at time.Duration) ([]Out, bool) {
	// SPEC: M8. The result comes last and repeats the challenge, device and roots.
	var f ResultFrame
	if err := Unmarshal(body, &f); err != nil || m.result || len(m.rounds) < m.row.Rounds {
		return m.bad(ClauseResult, at)
	}
	same := slices.EqualFunc(f.Core.Roots, m.rounds, func(h Hash, r computeRound) bool { return h == r.root })
	if f.Core.Challenge != m.id || f.Core.Device != m.device || !same || !bytes.Equal(f.Core.Telemetry, nil) {
		return m.bad(ClauseResult, at)
	}
	// The result is on the control stream and may overtake the last openings.
	m.result = true
	if m.opened < m.row.Rounds {
		return nil, false
	}
	m.time(Pass, m.row.Rounds, at)
	return nil, true
}

func (m *computeScript) end(cause Cause, at time.Duration) {
	if cause.ours() {
		m.v = Verdict{Outcome: Unknown, Clause: ClauseEnd, Elapsed: at, Samples: m.v.Samples}
		return
	}
	// SPEC: M9. At the deadline a run that answered everything it was asked, and is
	// still in step with only rounds left, is late, not withheld: the rounds that
	// were opened give a bound. A root alone shows no work.
	late := cause == EndTimeout && at >= m.deadline && m.opened > 0 && len(m.rounds) < m.row.Rounds
	if late && !m.owes(at) && m.inStep(at) {
		m.time(Late, m.opened, at)
		return
	}
	m.bad(ClauseSilence, at)
}

// owes reports that an opening was asked for so long ago that it is withheld.
func (m *computeScript) owes(at time.Duration) bool {
	wait := min(m.row.OpenWait, m.deadline/4)
	for _, r := range m.rounds[m.opened:] {
		if r.out >= 0 && at-r.out >= wait {
			return true
		}
	}
	return false
}

// inStep reports that the next root is not overdue: it may take twice as long as
// the roots before it took on average. A run that fell silent is not slow.
func (m *computeScript) inStep(at time.Duration) bool {
	last := m.rounds[len(m.rounds)-1].in
	return at-last <= 2*last/time.Duration(len(m.rounds))+min(m.row.OpenWait, m.deadline/4)
}
