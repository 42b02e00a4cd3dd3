package exam

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

// Result is what a whole challenge came to, between a device and a checker in this
// process: no network lies between them.
type Result struct {
	Profile     uint16  `json:"profile"`
	Outcome     string  `json:"outcome"`
	Clause      string  `json:"clause,omitempty"`
	PerSLower   float64 `json:"per_s_lower"` // bounds on ops, or items read, a second; 0: none
	PerSBest    float64 `json:"per_s_best"`
	ElapsedS    float64 `json:"elapsed_s"`
	FillS       float64 `json:"fill_s,omitempty"`
	CheckerS    float64 `json:"checker_s"` // what the checker's judging took, on one core
	Samples     uint32  `json:"samples"`
	BytesOpened uint64  `json:"opened_bytes"`
}

// examiner plays both sides of a challenge, one after the other.
type examiner struct {
	session       *challenges.Session
	id            challenges.Hash
	control, bulk *challenges.FrameSigner
	start         time.Time
	checker       time.Duration
	opened        uint64
	done          bool
}

// newExaminer makes a challenge of a kind for a device.
func newExaminer(device string, kind challenges.Kind, deadline time.Duration, params []byte) (*examiner, error) {
	var secret challenges.Secret
	rand.Read(secret[:])
	_, checker, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	_, provider, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	network := challenges.Hash{}
	e := challenges.Seal(network, challenges.KindChallenge, challenges.Marshal(&challenges.Challenge{
		Network: network, Epoch: 1, Provider: challenges.IDOf(provider), Device: device, Kind: kind, Seq: 1,
		Commit: secret.Commit(), Deadline: deadline, Params: params,
	}), checker)
	s, err := challenges.NewSession(e, secret)
	if err != nil {
		return nil, fmt.Errorf("play: %w", err)
	}
	return &examiner{
		session: s, id: e.ID(),
		control: challenges.NewFrameSigner(provider, network, e.ID(), challenges.StreamControl),
		bulk:    challenges.NewFrameSigner(provider, network, e.ID(), challenges.StreamBulk),
	}, nil
}

// say gives the checker a frame and returns what it sends.
func (x *examiner) say(stream uint8, frame []byte) []challenges.Out {
	begun := time.Now()
	defer func() { x.checker += time.Since(begun) }()
	out, done := x.session.Step(challenges.Event{At: time.Since(x.start), Stream: stream, Frame: frame})
	x.done = x.done || done
	for _, o := range out {
		x.sent(o)
	}
	return out
}

func (x *examiner) sent(o challenges.Out) {
	_, done := x.session.Step(challenges.Event{At: time.Since(x.start), Stream: o.Stream, Out: true, Frame: o.Frame})
	x.done = x.done || done
}

// begin starts the clock.
func (x *examiner) begin() {
	x.start = time.Now()
	for _, o := range x.session.Start() {
		x.sent(o)
	}
}

// rounds plays a run to its end, or to the checker's.
func (x *examiner) rounds(ctx context.Context, device string, run gpu.Run) error {
	core := challenges.Core{Challenge: x.id, Device: device}
	for !x.done {
		root, err := run.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		core.Roots = append(core.Roots, root.Root)
		for _, o := range x.say(challenges.StreamControl, x.control.Sign(challenges.NewRoot(root.Round, root.Root, root.Key, time.Since(x.start)))) {
			var f challenges.PositionsFrame
			if err := challenges.Unmarshal(o.Frame, &f); err != nil {
				return err
			}
			opening, err := run.Open(ctx, root.Round, challenges.UnpackPositions(f.Positions))
			if err != nil {
				return err
			}
			x.opened += uint64(len(opening))
			for _, body := range challenges.NewOpening(root.Round, challenges.FrameHash(o.Frame), opening) {
				x.say(challenges.StreamBulk, x.bulk.Sign(body))
			}
		}
	}
	if !x.done {
		x.say(challenges.StreamControl, x.control.Sign(challenges.NewResult(core, nil)))
	}
	return nil
}

// verdict is the checker's.
func (x *examiner) verdict(profile uint16) *Result {
	begun := time.Now()
	v := x.session.Verdict()
	x.checker += time.Since(begun)
	return &Result{
		Profile: profile, Outcome: v.Outcome.String(), Clause: v.Clause, PerSLower: float64(v.OpsLower), PerSBest: float64(v.OpsBest),
		ElapsedS: v.Elapsed.Seconds(), CheckerS: x.checker.Seconds(), Samples: v.Samples, BytesOpened: x.opened,
	}
}

// Compute plays a proof of compute on a row of the profile table, against a claim
// in ops/s.
func Compute(ctx context.Context, d gpu.Device, row challenges.Profile, claim uint64) (*Result, error) {
	// As checkers do: the window covers some round trips, here none.
	p := challenges.ComputeParams{Profile: row.Number, Window: uint8(min(4, row.MaxWindow())), Claim: claim}
	x, err := newExaminer(idOf(d), row.Shape.Flavour.Kind(), row.Deadline(claim, 0), challenges.Marshal(&p))
	if err != nil {
		return nil, err
	}
	x.begin()
	run, err := d.Start(ctx, gpu.Job{ID: x.id, Device: idOf(d), Profile: row, Window: int(p.Window)})
	if err != nil {
		return nil, err
	}
	err = errors.Join(x.rounds(ctx, idOf(d), run), run.Close())
	if err != nil {
		return nil, err
	}
	return x.verdict(row.Number), nil
}

// Memory plays a proof of memory on a row of the table of classes, with a dataset
// of so many items.
func Memory(ctx context.Context, d gpu.Device, class uint16, items uint64) (*Result, error) {
	p := memory.Params{Profile: class, Items: items}
	if err := p.Check(); err != nil {
		return nil, err
	}
	set := p.Dataset()
	x, err := newExaminer(idOf(d), challenges.Memory, set.Deadline(0), challenges.Marshal(&p))
	if err != nil {
		return nil, err
	}
	x.begin()
	filled, err := d.Fill(ctx, gpu.MemoryJob{ID: x.id, Device: idOf(d), Set: set})
	if err != nil {
		return nil, err
	}
	took := time.Since(x.start)
	err = errors.Join(x.walks(ctx, idOf(d), filled), filled.Close())
	if err != nil {
		return nil, err
	}
	v := x.verdict(class)
	v.FillS = took.Seconds()
	return v, nil
}

// walks says that the dataset is filled and walks under the nonce that answers.
func (x *examiner) walks(ctx context.Context, device string, filled gpu.Memory) error {
	out := x.say(challenges.StreamControl, x.control.Sign(challenges.NewFilled(time.Since(x.start))))
	if len(out) == 0 {
		return nil // the checker ended it
	}
	var f challenges.NonceFrame
	if err := challenges.Unmarshal(out[0].Frame, &f); err != nil {
		return err
	}
	run, err := filled.Walk(ctx, f.Nonce)
	if err != nil {
		return err
	}
	return errors.Join(x.rounds(ctx, device, run), run.Close())
}

// idOf names the device in challenges of this process' own.
func idOf(d gpu.Device) string {
	if id := d.Info().ID; id != "" {
		return id
	}
	return "card"
}
