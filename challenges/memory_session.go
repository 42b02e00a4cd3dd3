package challenges

import (
	"encoding/binary"
	"time"

	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/challenges/memory"
)

// DatasetKey is the generator key of the dataset of a proof of memory.
func DatasetKey(id Hash, device string) Hash {
	// SPEC: D1. key = derive_key("assay/memory/dataset/v1", challenge id || device).
	return derive("assay/memory/dataset/v1", id[:], []byte(device))
}

// WalkKey is the generator key of a round of walks; root is that of the round
// before it, zeros in round 0.
func WalkKey(dataset, nonce Hash, round int, root Hash) Hash {
	// SPEC: D2. key_r = derive_key("assay/memory/walk/v1", key || nonce || r || root_{r-1}).
	return derive("assay/memory/walk/v1", dataset[:], nonce[:], binary.LittleEndian.AppendUint64(nil, uint64(round)), root[:])
}

// memoryScript judges a challenge of kind memory: after a signed word that the
// dataset is filled it gives the nonce, then follows the rounds of walks.
type memoryScript struct {
	roundScript
	params memory.Params
	set    memory.Dataset
	cache  Hash // key of the dataset and its cache
	nonce  Hash

	// Walks are checked all together and only for the verdict: the cache is large.
	samples []memory.Sample
	values  []uint64
	judged  bool
	ats     []time.Duration // when each round's values came
}

func newMemoryScript(id Hash, device string, p memory.Params, secret Secret) *memoryScript {
	set := p.Dataset()
	m := &memoryScript{params: p, set: set, cache: DatasetKey(id, device), nonce: secret.WalkNonce(id)}
	m.roundScript = roundScript{id: id, device: device, secret: secret, rules: m, said: -1, begun: -1, plan: roundPlan{
		rounds: set.Rounds, samples: set.Samples, entries: set.Walks(),
		layout:    commit.Layout{Chunks: int(set.Walks() * memory.OutputBytes / commit.ChunkBytes), Width: memory.OutputBytes},
		simulated: set.Simulated, openWait: set.OpenWait, deadline: set.Deadline(p.RTT), beginBy: set.FillBy(p.RTT) + set.Grace,
	}}
	return m
}

func (m *memoryScript) sent(stream uint8, frame []byte, at time.Duration) {
	if stream == StreamControl && m.begun < 0 {
		m.begun = at
		return
	}
	m.roundScript.sent(stream, frame, at)
}

func (m *memoryScript) recv(stream uint8, body []byte, at time.Duration) ([]Out, bool) {
	switch kind := peekType(body); {
	case stream == StreamControl && kind == typeFilled:
		return m.fill(body, at)
	case stream == StreamControl && kind == typeRoot && m.begun < 0:
		// SPEC: D4. No root comes before the nonce was sent.
		return m.bad(ClauseFilled, at)
	}
	return m.roundScript.recv(stream, body, at)
}

// fill answers the provider's word that the dataset is filled.
func (m *memoryScript) fill(body []byte, at time.Duration) ([]Out, bool) {
	// SPEC: D4. filled comes once, first, in time; the nonce answers it.
	var f FilledFrame
	if err := Unmarshal(body, &f); err != nil || m.said >= 0 || f.Mono < 0 {
		return m.bad(ClauseFilled, at)
	}
	m.said = f.Mono
	if at > m.set.FillBy(m.params.RTT) {
		m.v = Verdict{Outcome: Late, Clause: ClauseFilled, Elapsed: at}
		return nil, true
	}
	return []Out{{StreamControl, Marshal(&NonceFrame{Type: typeNonce, Nonce: m.nonce})}}, false
}

func (m *memoryScript) key(r int) Hash {
	var root Hash
	if r > 0 {
		root = m.rounds[r-1].root
	}
	return WalkKey(m.cache, m.nonce, r, root)
}

func (m *memoryScript) check(r int, positions []uint32, values []uint64, at time.Duration) bool {
	for _, w := range positions {
		m.samples = append(m.samples, memory.Sample{Key: m.rounds[r].key, Walk: w})
	}
	m.values = append(m.values, values...)
	m.ats = append(m.ats, at)
	return true
}

// verdict is the arithmetic's, once the walks are checked.
func (m *memoryScript) verdict() Verdict {
	if len(m.samples) > 0 && !m.judged {
		m.judge()
	}
	m.judged = true
	return m.v
}

func (m *memoryScript) judge() {
	truth := make([]uint64, len(m.values))
	key := [32]byte(m.cache)
	m.set.Light(&key, m.set.Cache(&key), m.samples, truth)
	for i := range truth {
		// SPEC: D6. An authenticated output that differs from the walk's is wrong,
		// however the run ended.
		if m.values[i] != truth[i] {
			m.v = Verdict{Outcome: Wrong, Clause: ClauseValue, Elapsed: m.ats[i/m.set.Samples], Samples: uint32(i + 1)}
			return
		}
	}
	m.v.Samples = uint32(len(truth))
}

// time sets the verdict of a run whose first n rounds are opened. Every duration
// in it is the checker's word.
func (m *memoryScript) time(outcome Outcome, n int, at time.Duration) {
	last := m.rounds[n-1]
	v := Verdict{Outcome: outcome, Elapsed: last.in}
	if outcome == Late {
		v.Clause = ClauseProven
	}
	// SPEC: M11. As for proofs of compute.
	v.Disputed = (last.in - last.mono).Abs() > 2*m.params.RTT+last.in/10

	// SPEC: D5. The measured time is from the nonce to the last root; nothing is
	// subtracted. There is no figure where the walks were to be shorter than MinRTTs
	// round trips, nor where the checker's own answers took LagShare of it.
	took := last.in - m.begun
	span := took
	if outcome == Late {
		span = at - m.begun
	}
	ours := span > 0 && m.lag(0, at)*1000 > span*time.Duration(m.set.LagShare)
	figure := m.set.WalkTime() >= time.Duration(m.set.MinRTTs)*m.params.RTT
	if figure && !ours {
		v.OpsLower = m.set.Rate(n, took)
		v.OpsBest = v.OpsLower
	}
	// SPEC: D5. late alone gives the benefit of min(RTT, Doubt %).
	if outcome == Pass && figure {
		doubt := min(m.params.RTT, took*time.Duration(m.set.Doubt)/100)
		if m.set.Proven(m.set.Rate(n, took-doubt)) < m.set.Bytes()/100*uint64(m.set.Need) {
			v.Outcome, v.Clause = Late, ClauseProven
		}
	}
	if ours && v.Outcome == Late {
		v.Outcome, v.Clause = Unknown, ClauseLag
	}
	m.v = v
}
