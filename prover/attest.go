package prover

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/identity"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/attest"
)

// attestWithin is how long a card may take to sign: drivers ask its firmware.
const attestWithin = 3 * time.Second

// How attestations went, for the metrics.
const (
	attestAttached = "attached"
	attestNone     = "none"   // nothing signs
	attestFailed   = "failed" // the card, its driver, or what they gave
)

// attest has the card sign the core of a result. A result does not wait long for it
// and goes without it: identity evidence adds to a result and is no condition of one.
func (w *work) attest(ctx context.Context, core *challenges.Core) []byte {
	m := w.agent.cfg.Monitors[core.Device]
	if m == nil {
		return nil
	}
	// At the deadline a result that is missing is withheld.
	within := min(attestWithin, (w.request.Challenge.Deadline-time.Since(w.start))/2)
	nonce := identity.Nonce(core.Challenge, w.agent.id, identity.CoreHash(core))
	signed, err := w.agent.signer(core.Device).ask(ctx, within, func(ctx context.Context) (gpu.Evidence, error) {
		return m.Attest(ctx, nonce)
	})
	var out []byte
	if err == nil {
		out, err = attestation(core, signed)
	}
	how := attestAttached
	switch {
	case errors.Is(err, gpu.ErrNoAttestation):
		how = attestNone
	case err != nil:
		how = attestFailed
		w.agent.log.WarnContext(ctx, "card did not sign its result", "device", core.Device, "challenge", core.Challenge, "err", err)
	}
	w.agent.metrics.attestations.WithLabelValues(how).Inc()
	return out
}

// signer asks a device's card to sign, one nonce at a time: a driver that never answers
// is not asked again on top of it.
func (a *Agent) signer(device string) *signing {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.signers[device]
	if s == nil {
		s = new(signing)
		if a.signers == nil {
			a.signers = make(map[string]*signing)
		}
		a.signers[device] = s
	}
	return s
}

// signing is an asker for several goroutines, of which one at a time has its turn.
type signing struct {
	turn  sync.Mutex
	asker asker[gpu.Evidence]
}

var errSigning = errors.New("the card is being asked to sign another result")

func (s *signing) ask(ctx context.Context, within time.Duration, f func(context.Context) (gpu.Evidence, error)) (gpu.Evidence, error) {
	if !s.turn.TryLock() {
		return gpu.Evidence{}, errSigning
	}
	defer s.turn.Unlock()
	return s.asker.ask(ctx, within, f)
}

// attestation is what a result carries of what a driver gave. Nobody looks at whether
// it holds: that is the checker's to say.
func attestation(core *challenges.Core, signed gpu.Evidence) ([]byte, error) {
	chain, err := attest.ParseChain(signed.Certificates)
	if err != nil {
		return nil, err
	}
	a := identity.Attestation{Report: signed.Report, Chain: chain.DER()}
	if err := a.Check(); err != nil {
		return nil, err
	}
	out := challenges.Marshal(&a)
	// The frame has room for both but for the longest results.
	if err := (&challenges.ResultFrame{Core: *core, Attestation: out}).Fits(); err != nil {
		return nil, err
	}
	return out, nil
}
