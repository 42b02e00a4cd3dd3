package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
)

// verifyRow is what a checker does with the openings of one whole challenge of a
// row whose rounds no test can compute: it authenticates them and recomputes
// their samples. The openings are made backwards, from the sampled entries' true
// values and invented siblings to the root, so that they are right.
type verifyRow struct {
	row      challenges.Profile
	keys     []challenges.Hash
	roots    []challenges.Hash
	at       [][]uint32
	openings [][]byte
	bytes    int
}

func newVerifyRow(tb testing.TB, number uint16) *verifyRow {
	tb.Helper()
	row, err := challenges.LookupProfile(number)
	if err != nil {
		tb.Fatal(err)
	}
	v := &verifyRow{row: row}
	rnd := rand.New(rand.NewPCG(uint64(number), 1))
	random := func(b []byte) {
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
	}
	layout := row.Shape.Layout()
	for range row.Rounds {
		var key challenges.Hash
		random(key[:])
		at := make([]uint32, row.Samples)
		for i := range at {
			at[i] = uint32(rnd.Uint64N(row.Shape.Entries()))
		}
		truth := make([]uint64, len(at))
		row.Shape.Values(&key, at, truth)
		opening := make([]byte, layout.OpeningBytes(at))
		random(opening)
		put(row.Shape, at, truth, opening)
		root, err := layout.Root(at, opening)
		if err != nil {
			tb.Fatal(err)
		}
		v.keys, v.roots, v.at, v.openings = append(v.keys, key), append(v.roots, root), append(v.at, at), append(v.openings, opening)
		v.bytes += len(opening)
	}
	return v
}

// put writes values into an opening's chunks, which stand in ascending order and
// once each.
func put(s challenges.Shape, at []uint32, values []uint64, opening []byte) {
	per := uint32(commit.ChunkBytes / s.Width())
	var chunks []uint32
	for _, e := range at {
		chunks = append(chunks, e/per)
	}
	slices.Sort(chunks)
	chunks = slices.Compact(chunks)
	for i, e := range at {
		c, _ := slices.BinarySearch(chunks, e/per)
		s.PutValue(opening[c*commit.ChunkBytes+int(e%per)*s.Width():], values[i])
	}
}

// verify is all of it, once.
func (v *verifyRow) verify(tb testing.TB) {
	truth := make([]uint64, v.row.Samples)
	for r, opening := range v.openings {
		values, err := v.row.Shape.Layout().Verify(v.roots[r], v.at[r], opening)
		if err != nil {
			tb.Fatal(err)
		}
		v.row.Shape.Values(&v.keys[r], v.at[r], truth)
		for i := range values {
			if values[i] != truth[i] {
				tb.Fatalf("round %d: entry %d", r, v.at[r][i])
			}
		}
	}
}

// BenchmarkVerifyOpenings is the checker's arithmetic for one challenge of a real
// row, on one core. Signatures and the transcript come on top: see
// BenchmarkCheckerVerify for a row with as many rounds and samples.
func BenchmarkVerifyOpenings(b *testing.B) {
	for _, number := range []uint16{8, 1104, 1204, 1206, 1208, 1210, 1308, 2208, 3208} {
		v := newVerifyRow(b, number)
		b.Run(fmt.Sprintf("profile=%s", v.row.Name), func(b *testing.B) {
			b.SetBytes(int64(v.bytes))
			for b.Loop() {
				v.verify(b)
			}
			b.ReportMetric(float64(v.bytes), "opening-bytes")
			b.ReportMetric(float64(v.row.Rounds*v.row.Samples), "samples")
		})
	}
}

// BenchmarkSeal is what the size of a transcript costs on top: hashing the frames
// of a row with a warm-up, sealing and encoding.
func BenchmarkSeal(b *testing.B) {
	for _, number := range []uint16{8, 1204} {
		v := newVerifyRow(b, number)
		b.Run("profile="+v.row.Name, func(b *testing.B) { v.seal(b) })
	}
}

func (v *verifyRow) seal(b *testing.B) {
	key := simKey(0)
	for b.Loop() {
		t := challenges.Transcript{Signatures: [][]byte{{}, {}}}
		for r, opening := range v.openings {
			for _, body := range challenges.NewOpening(r, challenges.Hash{}, opening) {
				challenges.FrameHash(body)
				t.Events = append(t.Events, challenges.Event{Stream: challenges.StreamBulk, Frame: body})
			}
		}
		t.Verdict.Outcome = challenges.Pass
		env := challenges.SealTranscript(t, challenges.Hash{}, key)
		b.SetBytes(int64(len(challenges.Marshal(&env))))
	}
}

// BenchmarkProductRow is one row of C against 256 columns on this core: what
// recomputing a product costs, to compare a sample with.
func BenchmarkProductRow(b *testing.B) {
	s := challenges.Shape{M: 1, N: 256, K: 32768}
	key := challenges.Hash{3}
	row, cols := make([]byte, s.Line()), make([]byte, s.N*s.Line())
	s.RowA(&key, 0, row)
	for j := range s.N {
		s.ColB(&key, j, cols[j*s.Line():])
	}
	b.ReportMetric(float64(s.Ops()), "ops/op")
	var sum int32
	for b.Loop() {
		for j := range s.N {
			sum += s.Dot(row, cols[j*s.Line():][:s.Line()])
		}
	}
	_ = sum
}
