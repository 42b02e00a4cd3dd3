package committee

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
)

// Member is a checker that the registry admits.
type Member struct {
	_        struct{} `cbor:",toarray"`
	ID       challenges.NodeID
	Name     string
	Operator string
}

// Registry is the network's public state: who may check, from when, by which
// parameters. The hash of the genesis registry is the network's id.
type Registry struct {
	_         struct{} `cbor:",toarray"`
	Name      string
	Version   uint64
	Genesis   uint64 // start of epoch 0, Unix time, ns
	Simulated bool   // devices may be simulated, and nothing here says anything about a real card
	Params    Params
	Checkers  []Member // ascending by id
}

// Check bounds the fields.
func (r *Registry) Check() error {
	if r.Name == "" || len(r.Name) > 64 {
		return fmt.Errorf("network name of %d bytes", len(r.Name))
	}
	if r.Genesis == 0 || r.Genesis > 1<<62 {
		return fmt.Errorf("genesis %d", r.Genesis)
	}
	if len(r.Checkers) == 0 || len(r.Checkers) > 10_000 {
		return fmt.Errorf("%d checkers", len(r.Checkers))
	}
	for i, m := range r.Checkers {
		if i > 0 && r.Checkers[i-1].ID.Compare(m.ID) >= 0 {
			return errors.New("checkers not ascending by id")
		}
		if err := m.ID.Check(); err != nil {
			return fmt.Errorf("checker %q: %w", m.Name, err)
		}
		if len(m.Name) > 64 || len(m.Operator) > 128 {
			return fmt.Errorf("checker %s: name or operator too long", m.ID.Short())
		}
	}
	return r.Params.Check()
}

// Hash is BLAKE3 of the registry's encoding.
func (r *Registry) Hash() challenges.Hash {
	return blake3.Sum256(challenges.Marshal(r))
}

// Index is a checker's place in the registry, -1 if it has none.
func (r *Registry) Index(id challenges.NodeID) int {
	i, ok := slices.BinarySearchFunc(r.Checkers, id, func(m Member, id challenges.NodeID) int { return m.ID.Compare(id) })
	if !ok {
		return -1
	}
	return i
}

// DecodeRegistry reads a registry from its encoding.
func DecodeRegistry(data []byte) (Registry, error) {
	var r Registry
	if err := challenges.Unmarshal(data, &r); err != nil {
		return Registry{}, fmt.Errorf("registry: %w", err)
	}
	return r, nil
}

// Clock turns times into epochs.
type Clock struct {
	Genesis time.Time
	Length  time.Duration
}

// Clock is the network's clock.
func (r *Registry) Clock() Clock {
	return Clock{time.Unix(0, int64(r.Genesis)), r.Params.Epoch}
}

// Epoch is the epoch that now falls in; 0 before genesis.
func (c Clock) Epoch(now time.Time) uint64 {
	return uint64(max(0, now.Sub(c.Genesis)/c.Length))
}

// Start is the first instant of an epoch.
func (c Clock) Start(epoch uint64) time.Time {
	epoch = min(epoch, uint64(1<<62/c.Length)) // the end of time, not its beginning
	return c.Genesis.Add(time.Duration(epoch) * c.Length)
}
