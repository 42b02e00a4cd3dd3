package bench

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/gpu"
)

// recorded is one honest challenge of a simulated profile: the events that its
// checker's session saw, and what crossed the wire.
type recorded struct {
	envelope      challenges.Envelope
	secret        challenges.Secret
	events        []challenges.Event // provider frames with signatures
	fromProvider  int                // bytes
	fromChecker   int                // bytes
	providerSigns int
}

// record plays an honest provider without a clock: the engine computes, the
// session draws, the engine opens.
func record(tb testing.TB, profile uint16) recorded {
	tb.Helper()
	network, checkerKey, providerKey := challenges.Hash{1}, simKey(0), simKey(1)
	r := recorded{secret: challenges.Secret{9}}
	row, err := challenges.LookupProfile(profile)
	if err != nil {
		tb.Fatal(err)
	}
	const round = 52 * time.Millisecond
	p := challenges.ComputeParams{Profile: profile, Window: 4, Claim: row.Shape.Ops() * uint64(time.Second) / uint64(round) / 100 * 95}
	c := challenges.Challenge{
		Network: network, Provider: challenges.IDOf(providerKey), Device: "gpu0", Kind: row.Shape.Flavour.Kind(),
		Commit: r.secret.Commit(), Deadline: row.Deadline(p.Claim, 0), Params: challenges.Marshal(&p),
	}
	r.envelope = challenges.Seal(network, challenges.KindChallenge, challenges.Marshal(&c), checkerKey)
	r.fromChecker = len(challenges.Marshal(&r.envelope))
	s, err := challenges.NewSession(r.envelope, r.secret)
	if err != nil {
		tb.Fatal(err)
	}
	id := r.envelope.ID()
	signs := [2]*challenges.FrameSigner{
		challenges.NewFrameSigner(providerKey, network, id, challenges.StreamControl),
		challenges.NewFrameSigner(providerKey, network, id, challenges.StreamBulk),
	}
	now := time.Duration(0)
	feed := func(e challenges.Event) []challenges.Out {
		e.At = now
		r.events = append(r.events, e)
		send, _ := s.Step(e)
		return send
	}
	provide := func(stream uint8, body []byte) []challenges.Out {
		frame := signs[stream].Sign(body)
		r.fromProvider += len(frame)
		r.providerSigns++
		return feed(challenges.Event{Stream: stream, Frame: frame})
	}
	send := func(out []challenges.Out) {
		for _, o := range out {
			r.fromChecker += len(o.Frame)
			feed(challenges.Event{Stream: o.Stream, Out: true, Frame: o.Frame})
		}
	}
	send(s.Start())
	ctx := context.Background()
	run, err := gpu.NewCPU(gpu.CPUConfig{}).Start(ctx, gpu.Job{ID: id, Device: "gpu0", Profile: row, Window: 4})
	if err != nil {
		tb.Fatal(err)
	}
	core := challenges.Core{Challenge: id, Device: "gpu0"}
	for {
		root, err := run.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
		now += round
		core.Roots = append(core.Roots, root.Root)
		out := provide(challenges.StreamControl, challenges.NewRoot(root.Round, root.Root, root.Key, now))
		send(out)
		var f challenges.PositionsFrame
		if err := challenges.Unmarshal(out[0].Frame, &f); err != nil {
			tb.Fatal(err)
		}
		opening, err := run.Open(ctx, root.Round, challenges.UnpackPositions(f.Positions))
		if err != nil {
			tb.Fatal(err)
		}
		for _, body := range challenges.NewOpening(root.Round, challenges.FrameHash(out[0].Frame), opening) {
			provide(challenges.StreamBulk, body)
		}
	}
	provide(challenges.StreamControl, challenges.NewResult(core, nil))
	if v := s.Verdict(); v.Outcome != challenges.Pass {
		tb.Fatalf("verdict %+v", v)
	}
	return r
}

// each runs a benchmark for every simulated profile but the vectors'.
func each(b *testing.B, run func(b *testing.B, profile uint16)) {
	for _, number := range []uint16{1, 3, 4, 7, 8} {
		row, err := challenges.LookupProfile(number)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("profile="+row.Name, func(b *testing.B) { run(b, number) })
	}
}

// BenchmarkCheckerVerify is everything that a checker computes for one challenge:
// session, samples, openings, signatures, transcript.
func BenchmarkCheckerVerify(b *testing.B) { each(b, checkerVerify) }

func checkerVerify(b *testing.B, profile uint16) {
	r := record(b, profile)
	checkerKey := simKey(0)
	var transcript int
	for b.Loop() {
		s, err := challenges.NewSession(r.envelope, r.secret)
		if err != nil {
			b.Fatal(err)
		}
		s.Start()
		for _, e := range r.events {
			s.Step(e)
		}
		if s.Verdict().Outcome != challenges.Pass {
			b.Fatal(s.Verdict())
		}
		env := challenges.SealTranscript(s.Transcript(), r.envelope.Network, checkerKey)
		transcript = len(challenges.Marshal(&env))
	}
	b.ReportMetric(float64(r.fromChecker), "B-sent/op")
	b.ReportMetric(float64(r.fromProvider), "B-received/op")
	b.ReportMetric(float64(transcript), "B-transcript/op")
}

// BenchmarkReplay is a customer's check of the same transcript.
func BenchmarkReplay(b *testing.B) { each(b, replay) }

func replay(b *testing.B, profile uint16) {
	r := record(b, profile)
	s, err := challenges.NewSession(r.envelope, r.secret)
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	for _, e := range r.events {
		s.Step(e)
	}
	t := s.Transcript()
	for b.Loop() {
		if v, err := challenges.Replay(t); err != nil || v.Outcome != challenges.Pass {
			b.Fatal(v, err)
		}
	}
}

// BenchmarkProviderProof is what a provider computes besides the product: trees,
// openings, signatures.
func BenchmarkProviderProof(b *testing.B) { each(b, providerProof) }

func providerProof(b *testing.B, profile uint16) {
	row, err := challenges.LookupProfile(profile)
	if err != nil {
		b.Fatal(err)
	}
	key := challenges.Hash{7}
	c := make([]byte, row.Shape.Bytes())
	if err := (gpu.Exact{}).Compute(b.Context(), key, row.Shape, c); err != nil {
		b.Fatal(err)
	}
	secret := challenges.Secret{1}
	for b.Loop() {
		control := challenges.NewFrameSigner(simKey(1), challenges.Hash{}, challenges.Hash{}, challenges.StreamControl)
		bulk := challenges.NewFrameSigner(simKey(1), challenges.Hash{}, challenges.Hash{}, challenges.StreamBulk)
		for r := range row.Rounds {
			tree := commit.New(c, row.Shape.Width())
			control.Sign(challenges.NewRoot(r, tree.Root(), key, 0))
			pos := secret.Positions(key, r, tree.Root(), row.Shape.Entries(), row.Samples)
			for _, body := range challenges.NewOpening(r, key, tree.Open(pos)) {
				bulk.Sign(body)
			}
		}
	}
}

// BenchmarkProviderProduct is the product itself, all rounds, on one core: what
// a simulated device's modelled time must cover 20 times.
func BenchmarkProviderProduct(b *testing.B) { each(b, providerProduct) }

func providerProduct(b *testing.B, profile uint16) {
	row, err := challenges.LookupProfile(profile)
	if err != nil {
		b.Fatal(err)
	}
	c := make([]byte, row.Shape.Bytes())
	for b.Loop() {
		for r := range row.Rounds {
			if err := (gpu.Exact{}).Compute(b.Context(), challenges.Hash{byte(r)}, row.Shape, c); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSample is one sampled value recomputed from the key, K = 32768: the
// unit of cost of larger profiles.
func BenchmarkSample(b *testing.B) {
	s := challenges.Shape{M: 1, N: 256, K: 32768}
	key := challenges.Hash{3}
	at, out := []uint32{5}, make([]uint64, 1)
	for b.Loop() {
		s.Values(&key, at, out)
	}
}
