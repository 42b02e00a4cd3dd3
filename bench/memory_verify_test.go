package bench

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

// card is the memory that a class is measured with here, in bytes.
const card = 80e9

// classes are those whose check costs differ: P of 128 with 2 and with 16 MiB of
// cache, and of 384.
func classes(tb testing.TB, items uint64) (out []memory.Dataset) {
	tb.Helper()
	for _, number := range []uint16{5001, 5005, 5004} {
		row, err := memory.Lookup(number)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, memory.Dataset{Profile: row, Items: items})
	}
	return out
}

func classText(d memory.Dataset) string {
	return fmt.Sprintf("class=%s/P=%d/cache=%dMiB", d.Name, d.Parents, d.Lines*memory.ItemBytes>>20)
}

// layout is how a round's outputs are committed to.
func layout(d memory.Dataset) commit.Layout {
	return commit.Layout{Chunks: int(d.Walks() * memory.OutputBytes / commit.ChunkBytes), Width: memory.OutputBytes}
}

// BenchmarkMemoryCache makes the cache of a class.
func BenchmarkMemoryCache(b *testing.B) {
	for _, d := range classes(b, memory.Items(card)) {
		b.Run(classText(d), func(b *testing.B) {
			b.ReportAllocs()
			key := [32]byte{1}
			for b.Loop() {
				d.Cache(&key)
			}
		})
	}
}

// BenchmarkMemoryWalks leads the 128 walks of 32 reads that a checker samples, all
// items of a dataset of 80 GB from the cache.
func BenchmarkMemoryWalks(b *testing.B) {
	for _, d := range classes(b, memory.Items(card)) {
		b.Run(classText(d), func(b *testing.B) {
			b.ReportAllocs()
			key := [32]byte{1}
			cache := d.Cache(&key)
			rnd := rand.New(rand.NewPCG(1, uint64(d.Number)))
			var samples []memory.Sample
			for r := range d.Rounds {
				for range d.Samples {
					samples = append(samples, memory.Sample{Key: [32]byte{2, byte(r)}, Walk: uint32(rnd.Uint64N(d.Walks()))})
				}
			}
			out := make([]uint64, len(samples))
			for b.Loop() {
				d.Light(&key, cache, samples, out)
			}
			b.ReportMetric(float64(len(samples)*d.Steps), "items/op")
		})
	}
}

// BenchmarkMemoryOpenings authenticates the openings of all rounds over a dataset of
// 80 GB. They are made backwards, from invented chunks and siblings to the root.
func BenchmarkMemoryOpenings(b *testing.B) {
	for _, d := range classes(b, memory.Items(card)) {
		b.Run(classText(d), func(b *testing.B) {
			b.ReportAllocs()
			l, rnd := layout(d), rand.New(rand.NewPCG(2, uint64(d.Number)))
			var at [][]uint32
			var openings [][]byte
			var roots [][32]byte
			bytes := 0
			for range d.Rounds {
				pos := drawn(rnd, d)
				opening := make([]byte, l.OpeningBytes(pos))
				for i := range opening {
					opening[i] = byte(rnd.Uint32())
				}
				root, err := l.Root(pos, opening)
				if err != nil {
					b.Fatal(err)
				}
				at, openings, roots, bytes = append(at, pos), append(openings, opening), append(roots, root), bytes+len(opening)
			}
			for b.Loop() {
				for r := range at {
					if _, err := l.Verify(roots[r], at[r], openings[r]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(bytes), "B-openings/op")
		})
	}
}

func drawn(rnd *rand.Rand, d memory.Dataset) []uint32 {
	pos := make([]uint32, d.Samples)
	for i := range pos {
		pos[i] = uint32(rnd.Uint64N(d.Walks()))
	}
	return pos
}

// moreSiblings is how many bytes more the openings of a whole run have over a
// dataset of 80 GB than over d, on average.
func moreSiblings(d memory.Dataset) float64 {
	large := memory.Dataset{Profile: d.Profile, Items: memory.Items(card)}
	rnd := rand.New(rand.NewPCG(3, uint64(d.Number)))
	const runs = 200
	sum := 0
	for range runs * d.Rounds {
		sum += layout(large).OpeningBytes(drawn(rnd, large)) - layout(d).OpeningBytes(drawn(rnd, d))
	}
	return float64(sum) / runs
}

// recordMemory plays an honest provider without a clock: the engine fills a small
// dataset and walks.
func recordMemory(tb testing.TB, d memory.Dataset) recorded {
	tb.Helper()
	network, checkerKey, providerKey := challenges.Hash{1}, simKey(0), simKey(1)
	r := recorded{secret: challenges.Secret{9}}
	p := memory.Params{Profile: d.Number, Items: d.Items}
	c := challenges.Challenge{
		Network: network, Provider: challenges.IDOf(providerKey), Device: "gpu0", Kind: challenges.Memory,
		Commit: r.secret.Commit(), Deadline: d.Deadline(0), Params: challenges.Marshal(&p),
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
	now := d.FillTime()
	provide := func(stream uint8, body []byte) []byte {
		frame := signs[stream].Sign(body)
		r.fromProvider += len(frame)
		r.providerSigns++
		e := challenges.Event{At: now, Stream: stream, Frame: frame}
		r.events = append(r.events, e)
		send, _ := s.Step(e)
		return r.answer(s, send, now)
	}
	r.answer(s, s.Start(), 0)
	filled, err := gpu.NewCPU(gpu.CPUConfig{}).Fill(tb.Context(), gpu.MemoryJob{ID: id, Device: "gpu0", Set: d})
	if err != nil {
		tb.Fatal(err)
	}
	defer filled.Close()
	var nonce challenges.NonceFrame
	if err := challenges.Unmarshal(provide(challenges.StreamControl, challenges.NewFilled(now)), &nonce); err != nil {
		tb.Fatal(err)
	}
	run, err := filled.Walk(tb.Context(), nonce.Nonce)
	if err != nil {
		tb.Fatal(err)
	}
	core := challenges.Core{Challenge: id, Device: "gpu0"}
	for {
		root, err := run.Next(tb.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
		now += d.WalkTime()/time.Duration(d.Rounds) + 1
		core.Roots = append(core.Roots, root.Root)
		ask := provide(challenges.StreamControl, challenges.NewRoot(root.Round, root.Root, root.Key, now))
		var f challenges.PositionsFrame
		if err := challenges.Unmarshal(ask, &f); err != nil {
			tb.Fatal(err)
		}
		opening, err := run.Open(tb.Context(), root.Round, challenges.UnpackPositions(f.Positions))
		if err != nil {
			tb.Fatal(err)
		}
		for _, body := range challenges.NewOpening(root.Round, challenges.FrameHash(ask), opening) {
			provide(challenges.StreamBulk, body)
		}
	}
	provide(challenges.StreamControl, challenges.NewResult(core, nil))
	if v := s.Verdict(); v.Outcome != challenges.Pass || v.OpsLower == 0 {
		tb.Fatalf("verdict %+v", v)
	}
	return r
}

// answer records what the checker sends, and returns its last frame.
func (r *recorded) answer(s *challenges.Session, send []challenges.Out, at time.Duration) (last []byte) {
	for _, o := range send {
		r.fromChecker += len(o.Frame)
		e := challenges.Event{At: at, Stream: o.Stream, Out: true, Frame: o.Frame}
		r.events = append(r.events, e)
		s.Step(e)
		last = o.Frame
	}
	return last
}

// BenchmarkMemoryChallenge is everything that a checker computes for one proof of
// memory: session, openings, cache, walks, signatures, sealed transcript. The rows
// are real, and so are the cache and the walks that are checked; the dataset has
// 2^16 items, so that a test can be its provider, and its trees are 14 levels
// lower than those of 80 GB. B-more/op is what the openings of those have besides;
// BenchmarkMemoryOpenings is what it costs to authenticate them.
func BenchmarkMemoryChallenge(b *testing.B) {
	for _, d := range classes(b, 1<<16) {
		b.Run(classText(d), func(b *testing.B) { memoryChallenge(b, d) })
	}
}

func memoryChallenge(b *testing.B, d memory.Dataset) {
	r := recordMemory(b, d)
	checkerKey := simKey(0)
	b.ReportAllocs()
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
	b.ReportMetric(moreSiblings(d), "B-more/op")
}

// BenchmarkMemoryFill makes items as a host does, one core: what it would take to
// have the dataset in place of the cache.
func BenchmarkMemoryFill(b *testing.B) {
	for _, d := range classes(b, 1<<16) {
		b.Run(classText(d), func(b *testing.B) {
			key := [32]byte{1}
			cache, out := d.Cache(&key), make([]memory.Item, 1<<12)
			for b.Loop() {
				d.Fill(&key, cache, 0, out)
			}
			b.ReportMetric(float64(len(out)), "items/op")
		})
	}
}

// TestMemoryChallengeIsHonest: what is measured above is a pass, and its openings
// have the size that the rows' trees give.
func TestMemoryChallengeIsHonest(t *testing.T) {
	for _, d := range classes(t, 1<<12) {
		r := recordMemory(t, d)
		openings := slices.DeleteFunc(slices.Clone(r.events), func(e challenges.Event) bool {
			return e.Out || e.Stream != challenges.StreamBulk
		})
		if len(openings) < d.Rounds || moreSiblings(d) < 1 {
			t.Errorf("%s: %d parts of %d openings, %.0f bytes more over %v bytes", d.Name, len(openings), d.Rounds, moreSiblings(d), card)
		}
	}
}
