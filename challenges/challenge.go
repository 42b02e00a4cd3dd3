package challenges

import (
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/assaynet/assay/challenges/memory"
)

// Kind is what a challenge measures.
type Kind string

// Kinds of challenges.
const (
	FMA    Kind = "fma"    // proof of compute: chains of binary64 fused multiply-adds
	Matmul Kind = "matmul" // proof of compute: exact products of integer matrices
	Memory Kind = "memory" // proof of memory: walks over a dataset that fills it
	Probe  Kind = "probe"  // reachability and round-trip time
)

// Kinds lists all kinds in their order.
func Kinds() []Kind { return []Kind{FMA, Matmul, Memory, Probe} }

// Challenge is what a checker asks of a provider. Its id is the object id of
// the envelope that carries it; the checker is that envelope's signer.
type Challenge struct {
	_        struct{} `cbor:",toarray"`
	Network  Hash
	Epoch    uint64
	Provider NodeID
	Device   string // the provider's name for the device; empty for kind probe
	Kind     Kind
	Seq      uint32        // number within checker, provider, device, kind and epoch
	Commit   Hash          // of the secret
	Deadline time.Duration // the checker waits so long, in nanoseconds; a function of the parameters
	Params   []byte        // ComputeParams, memory.Params or ProbeParams
}

// Check bounds the fields.
func (c *Challenge) Check() error {
	if len(c.Params) > 256 {
		return fmt.Errorf("params: %d bytes, limit 256", len(c.Params))
	}
	if c.Kind == "" {
		return errors.New("kind: empty")
	}
	return errors.Join(Text("device", c.Device, 64), Text("kind", string(c.Kind), 16), c.Provider.Check())
}

// ComputeParams are the parameters of a proof of compute. Everything else follows
// from the profile's row.
type ComputeParams struct {
	_       struct{}      `cbor:",toarray"`
	Profile uint16        // row of the profile table
	Window  uint8         // W: rounds that the provider may run ahead of the positions
	Claim   uint64        // ops/s of the row's flavour that the provider's offer claims for the device
	RTT     time.Duration // least round-trip time that the checker has seen, in nanoseconds
}

// Check bounds the fields against the profile table.
func (p *ComputeParams) Check() error {
	row, err := LookupProfile(p.Profile)
	if err != nil {
		return err
	}
	// SPEC: C2. W MUST be at least 1, at most R/4 (1 if that is less) and at most 64.
	if p.Window < 1 || int(p.Window) > row.MaxWindow() {
		return fmt.Errorf("window %d: want 1 to %d", p.Window, row.MaxWindow())
	}
	if p.Claim < 1e3 || p.Claim > 1e18 {
		return fmt.Errorf("claim %d ops/s: out of range", p.Claim)
	}
	if p.RTT < 0 || p.RTT > 10*time.Second {
		return fmt.Errorf("rtt %v: out of range", p.RTT)
	}
	if row.Deadline(p.Claim, p.RTT) > 4*time.Minute {
		return fmt.Errorf("claim %d ops/s: too slow for profile %d", p.Claim, p.Profile)
	}
	return nil
}

// ProbeParams are a probe's parameters.
type ProbeParams struct {
	_     struct{} `cbor:",toarray"`
	Pings uint8    // sequential pings on one stream, 1 to 8
}

// Check bounds the fields.
func (p *ProbeParams) Check() error {
	if p.Pings < 1 || p.Pings > 8 {
		return fmt.Errorf("pings %d: want 1 to 8", p.Pings)
	}
	return nil
}

// ProbeDeadline is how long a checker waits for a whole probe.
const ProbeDeadline = 2 * time.Second

// decodeParams reads the parameters and checks them, and the device and the
// deadline, against the tables: a ComputeParams, memory.Params or ProbeParams.
func (c *Challenge) decodeParams() (any, error) {
	// SPEC: C2. Provider and Replay MUST refuse parameters outside the tables.
	// SPEC: C4. The deadline MUST be the one that the parameters give.
	switch c.Kind {
	case Matmul, FMA:
		var p ComputeParams
		err := c.decodeInto(&p, true, func() time.Duration {
			row, _ := LookupProfile(p.Profile)
			return row.Deadline(p.Claim, p.RTT)
		})
		if row, _ := LookupProfile(p.Profile); err == nil && row.Shape.Flavour.Kind() != c.Kind {
			err = breach(ClauseProfile, "profile %d in a challenge of kind %s", p.Profile, c.Kind)
		}
		return p, err
	case Memory:
		var p memory.Params
		err := c.decodeInto(&p, true, func() time.Duration { return p.Dataset().Deadline(p.RTT) })
		return p, err
	case Probe:
		var p ProbeParams
		err := c.decodeInto(&p, false, func() time.Duration { return ProbeDeadline })
		return p, err
	}
	return nil, breach(ClauseProfile, "unknown kind %q", c.Kind)
}

func (c *Challenge) decodeInto(p any, device bool, deadline func() time.Duration) error {
	if err := Unmarshal(c.Params, p); err != nil {
		return &ClauseError{ClauseProfile, err}
	}
	if device != (c.Device != "") {
		return breach(ClauseProfile, "%s of device %q", c.Kind, c.Device)
	}
	if want := deadline(); c.Deadline != want {
		return breach(ClauseDeadline, "deadline %v, want %v", c.Deadline, want)
	}
	return nil
}

// paramsOf returns the parameters of a challenge whose kind carries such.
func paramsOf[P any](c *Challenge) (P, error) {
	var none P
	any, err := c.decodeParams()
	if err != nil {
		return none, err
	}
	p, ok := any.(P)
	if !ok {
		return none, breach(ClauseProfile, "kind %q, not of %T", c.Kind, none)
	}
	return p, nil
}

// ComputeParams returns the parameters of a proof of compute, checked against the
// profile table.
func (c *Challenge) ComputeParams() (ComputeParams, error) { return paramsOf[ComputeParams](c) }

// MemoryParams returns the parameters of a proof of memory, checked against its
// table.
func (c *Challenge) MemoryParams() (memory.Params, error) { return paramsOf[memory.Params](c) }

// ProbeParams returns the parameters of a probe.
func (c *Challenge) ProbeParams() (ProbeParams, error) { return paramsOf[ProbeParams](c) }

// OpenChallenge authenticates a challenge's envelope and checks the challenge
// against the tables. It does not say whether the checker may send it.
func OpenChallenge(e Envelope, network Hash) (Challenge, error) {
	payload, err := e.Open(network, KindChallenge)
	if err != nil {
		return Challenge{}, &ClauseError{clauseOfOpen(err), err}
	}
	var c Challenge
	if err := Unmarshal(payload, &c); err != nil {
		return Challenge{}, &ClauseError{ClauseEncoding, err}
	}
	if c.Network != network {
		return Challenge{}, breach(ClauseNetwork, "challenge of network %v inside an envelope of %v", c.Network, network)
	}
	if _, err := c.decodeParams(); err != nil {
		return Challenge{}, err
	}
	return c, nil
}

// rate is floor(ops x 10^9 / elapsed) in ops/s, saturating; 0 if elapsed <= 0.
// 128-bit integers keep it the same on every machine.
func rate(ops uint64, elapsed time.Duration) uint64 {
	if elapsed <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(ops, 1e9)
	if hi >= uint64(elapsed) {
		return 1<<64 - 1
	}
	q, _ := bits.Div64(hi, lo, uint64(elapsed))
	return q
}
