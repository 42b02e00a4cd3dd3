// Package gpu runs challenges on devices: the exact CPU engine, and simulated
// devices that deliver the engine's exact answers at a modelled time.
package gpu

import (
	"context"
	"errors"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
)

// ErrOverrun says that the machine under a simulated device was too slow for
// the device's modelled time: the run says nothing about anybody.
var ErrOverrun = errors.New("simulated device overrun")

// ErrNoAttestation says that a card, or its mode, has nothing that signs.
var ErrNoAttestation = errors.New("the card attests to nothing")

// Info is what a device says of itself: a claim.
type Info struct {
	ID        string // unique within the provider
	Model     string // name in gpu/models
	Memory    uint64 // bytes
	Int8Ops   uint64 // ops/s that the offer claims of each flavour; 0: not offered
	BF16Ops   uint64
	FP64Ops   uint64
	Simulated bool
}

// Offer is the device as a provider offers it.
func (i Info) Offer() challenges.OfferDevice {
	return challenges.OfferDevice{
		ID: i.ID, Model: i.Model, Memory: i.Memory, Int8Ops: i.Int8Ops, BF16Ops: i.BF16Ops, FP64Ops: i.FP64Ops,
	}
}

// Job is one proof of compute for one device.
type Job struct {
	ID      challenges.Hash // of the challenge
	Device  string
	Profile challenges.Profile
	Window  int // W
}

// MemoryJob is one proof of memory for one device.
type MemoryJob struct {
	ID     challenges.Hash // of the challenge
	Device string
	Set    memory.Dataset
}

// Root commits to one round.
type Root struct {
	Round int
	Root  challenges.Hash
	Key   challenges.Hash // of the round's matrices or walks
	Costs Costs           // of a round of walks
}

// Device computes.
type Device interface {
	// Info never changes.
	Info() Info
	// Start begins a job. The run ends with Close or with ctx.
	Start(ctx context.Context, job Job) (Run, error)
	// Fill fills the dataset of a proof of memory, and returns when it is filled.
	Fill(ctx context.Context, job MemoryJob) (Memory, error)
}

// Memory is a filled dataset.
type Memory interface {
	// Walk begins the walks, once. The run ends with Close or with ctx.
	Walk(ctx context.Context, nonce challenges.Hash) (Run, error)
	// Close frees the dataset.
	Close() error
}

// Run is a job in progress. Next may be called by one goroutine and Open by
// another.
type Run interface {
	// Next computes the next round. It waits until the positions that the round's
	// key needs were opened, and may also wait until earlier rounds are opened where
	// it has no room for another. It returns io.EOF after the last round.
	Next(ctx context.Context) (Root, error)
	// Open proves the entries of a round, in the order drawn, once a round; their
	// positions enter the key chain.
	Open(ctx context.Context, round int, at []uint32) ([]byte, error)
	// Close frees what the run holds. It may be called at any time, once.
	Close() error
}

// Product makes the matrix of a round: the engine's inner loop, so that several
// makers can stand behind one engine.
type Product interface {
	// Compute writes shape.Bytes() bytes: the entries as they are committed to.
	Compute(ctx context.Context, key challenges.Hash, shape challenges.Shape, c []byte) error
}

// Costs says where items came from, for a modelled clock.
type Costs struct {
	Held uint64 // read from memory
	Made uint64 // made again from the cache
	Far  uint64 // brought from elsewhere
}

// Add sums costs up.
func (c *Costs) Add(d Costs) { c.Held, c.Made, c.Far = c.Held+d.Held, c.Made+d.Made, c.Far+d.Far }

// Items is what walks read: a dataset, or what passes for one. A run calls it from
// one goroutine.
type Items interface {
	// Fill makes the items; Costs.Made counts them.
	Fill(ctx context.Context) (Costs, error)
	// Read gives items, one for each number.
	Read(ctx context.Context, at []uint64, out []memory.Item) (Costs, error)
	// Close frees them.
	Close() error
}
