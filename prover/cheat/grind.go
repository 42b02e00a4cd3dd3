package cheat

import (
	"context"
	"encoding/binary"
	"slices"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// Grind is a liar's product that looks for a root whose positions miss its lies.
// It takes the checker's secret to be Secret, and tries variants of an invented
// entry until the positions that would follow are all honest ones. It must stand
// behind a [Grinder]; with the secret of the challenge, a round of s samples
// passes with 1 - (1 - h^s)^Tries, where h is the honest share.
type Grind struct {
	Liar
	Secret challenges.Secret
	Tries  int // variants of each round, the first included
}

// Compute makes the matrix that suits best.
func (g Grind) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	if err := g.Liar.Compute(ctx, key, s, c); err != nil {
		return err
	}
	lies := g.Skips(key, s)
	at, known := ctx.Value(placeKey{}).(place)
	lie := slices.Index(lies, true)
	if !known || lie < 0 {
		return nil
	}
	variant := c[lie*s.Width():]
	for range g.Tries - 1 {
		root := blake3.Sum256(c) // as the engine will commit to it
		pos := g.Secret.Positions(at.job.ID, at.round, root, s.Entries(), at.job.Profile.Samples)
		if !slices.ContainsFunc(pos, func(e uint32) bool { return lies[e] }) {
			return nil
		}
		binary.LittleEndian.PutUint32(variant, binary.LittleEndian.Uint32(variant)+1)
	}
	return nil
}

// place is where in its job a product is made; a product's context carries it.
type place struct {
	job   gpu.Job
	round int
}

type placeKey struct{}

// Grinder is a device that computes with a [Grind] and tells it which round of
// which challenge it makes.
type Grinder struct{ gpu.Device }

// Start begins a job whose product knows its place.
func (g Grinder) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	run, err := g.Device.Start(ctx, job)
	if err != nil {
		return nil, err
	}
	return &grinderRun{Run: run, at: place{job: job}}, nil
}

type grinderRun struct {
	gpu.Run
	at place // of the next round
}

func (g *grinderRun) Next(ctx context.Context) (gpu.Root, error) {
	root, err := g.Run.Next(context.WithValue(ctx, placeKey{}, g.at))
	if err == nil {
		g.at.round++
	}
	return root, err
}
