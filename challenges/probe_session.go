package challenges

import "time"

// probeScript judges a probe: sequential pings, each with a nonce that only the
// checker knew.
type probeScript struct {
	id     Hash
	params ProbeParams
	secret Secret

	out   time.Duration // current ping sent; -1 before
	pongs int
	boot  [16]byte
	count uint64
	v     Verdict
}

func newProbeScript(id Hash, p ProbeParams, secret Secret) *probeScript {
	return &probeScript{id: id, params: p, secret: secret, out: -1}
}

func (p *probeScript) start() []Out { return p.ping() }

func (p *probeScript) ping() []Out {
	p.out = -1
	return []Out{{StreamControl, newPing(p.pongs, p.secret.Nonce(p.id, p.pongs))}}
}

func (p *probeScript) verdict() Verdict { return p.v }

func (p *probeScript) sent(_ uint8, _ []byte, at time.Duration) { p.out = at }

// stop ends the probe. One signed pong to a fresh nonce is enough to have been
// reached; what came after it is the checker's word.
func (p *probeScript) stop(clause string, at time.Duration) ([]Out, bool) {
	// SPEC: P3. A probe with a valid pong is a pass, without one unreachable.
	p.v.Clause, p.v.Elapsed = clause, at
	p.v.Outcome = Unreachable
	if p.pongs > 0 {
		p.v.Outcome = Pass
	}
	return nil, true
}

func (p *probeScript) recv(stream uint8, body []byte, at time.Duration) ([]Out, bool) {
	if stream == StreamControl && peekType(body) == typeRefusal && p.pongs == 0 {
		var f RefusalFrame
		if err := Unmarshal(body, &f); err != nil {
			return p.stop(ClauseRefusal, at)
		}
		p.v = Verdict{Outcome: Refused, Clause: ClauseRefusal, Elapsed: at}
		return nil, true
	}
	var f PongFrame
	if stream != StreamControl || peekType(body) != typePong || Unmarshal(body, &f) != nil {
		return p.stop(ClauseSequence, at)
	}
	// SPEC: P1. A pong repeats the ping's number and nonce.
	if p.out < 0 || int(f.Seq) != p.pongs || f.Nonce != p.secret.Nonce(p.id, p.pongs) {
		return p.stop(ClauseProbeNonce, at)
	}
	// SPEC: P2. Within a probe the boot id stays and the counter rises.
	if p.pongs > 0 && (f.Boot != p.boot || f.Counter <= p.count) {
		return p.stop(ClauseProbeCount, at)
	}
	p.boot, p.count = f.Boot, f.Counter
	if rtt := at - p.out; p.pongs == 0 || rtt < p.v.RTT {
		p.v.RTT = rtt
	}
	p.pongs++
	p.v.Samples++
	if p.pongs == int(p.params.Pings) {
		return p.stop("", at)
	}
	return p.ping(), false
}

func (p *probeScript) end(cause Cause, at time.Duration) {
	if cause.ours() {
		p.v = Verdict{Outcome: Unknown, Clause: ClauseEnd, Elapsed: at}
		return
	}
	p.stop(ClauseProbeSilent, at)
}
