package challenges

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/assaynet/assay/challenges/commit"
)

// tableText is the whole table: no published row changes unnoticed.
func tableText() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "number\tname\tpurpose\tsimulated\tflavour\tM\tN\tK\tR\tU\ts\tops a round\tsamples\tmiss at 1 %\t"+
		"slack\tdoubt\tlag\tMinRTTs\tpatience\tgrace\tOpenWait")
	for _, p := range Profiles() {
		fmt.Fprintf(w, "%d\t%s\t%s\t%v\t%v\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.2e\t%d\t%d\t%d\t%d\t%d\t%v\t%v\n",
			p.Number, p.Name, p.Purpose, p.Simulated, p.Shape.Flavour, p.Shape.M, p.Shape.N, p.Shape.K, p.Rounds, p.Warm, p.Samples,
			p.Shape.Ops(), p.Rounds*p.Samples, p.Miss(0.01), p.Slack, p.Doubt, p.LagShare, p.MinRTTs, p.Patience, p.Grace, p.OpenWait)
	}
	w.Flush()
	return b.Bytes()
}

func TestPublishedRowsNeverChange(t *testing.T) {
	path := filepath.Join("testdata", "profiles.txt")
	if *update {
		if err := os.WriteFile(path, tableText(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	was, is := bytes.Split(stored, []byte("\n")), bytes.Split(tableText(), []byte("\n"))
	for i := range max(len(was), len(is)) {
		if i >= len(was) || i >= len(is) || !bytes.Equal(was[i], is[i]) {
			t.Fatalf("line %d of %s differs from the table; a row, once published, never changes", i+1, path)
		}
	}
}

func TestProfileTable(t *testing.T) {
	numbers, names := map[uint16]bool{}, map[string]bool{}
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			if err := p.Shape.Check(); err != nil {
				t.Error(err)
			}
			if numbers[p.Number] || names[p.Name] || p.Number == 0 {
				t.Errorf("number %d or name %q twice", p.Number, p.Name)
			}
			numbers[p.Number], names[p.Name] = true, true
			if got, err := LookupProfile(p.Number); err != nil || got != p {
				t.Errorf("looks up as %+v, %v", got, err)
			}
			if p.Simulated != (p.Number < 1000) {
				t.Errorf("number %d, simulated %v", p.Number, p.Simulated)
			}
			if w := p.MaxWindow(); w < 1 || w > 64 || w > p.Rounds/4 && w != 1 {
				t.Errorf("window up to %d of %d rounds", w, p.Rounds)
			}
			// A warm-up leaves at least as many rounds as the best interval spans.
			if p.Warm < 0 || p.Warm > p.Rounds/4 || p.Samples < 1 || p.Rounds > 256 {
				t.Errorf("%d rounds, %d of warm-up, %d samples", p.Rounds, p.Warm, p.Samples)
			}
			claim := p.TotalOps() // a second
			if p.Expected(claim) != time.Second || p.Deadline(claim, 0) < time.Second {
				t.Errorf("expected %v, deadline %v", p.Expected(claim), p.Deadline(claim, 0))
			}
			if want := time.Second * time.Duration(p.Rounds-p.Warm) / time.Duration(p.Rounds); p.Measured(claim) != want {
				t.Errorf("measures %v, want %v", p.Measured(claim), want)
			}
			miss := 1.0
			for range p.Rounds * p.Samples {
				miss *= 0.99
			}
			if math.Abs(p.Miss(0.01)/miss-1) > 1e-9 {
				t.Errorf("miss %v, want %v", p.Miss(0.01), miss)
			}
		})
	}
	for _, number := range []uint16{0, 11, 999, 1000, 1112, 1312, 2111, 2300, 3300, 4100} {
		if _, err := LookupProfile(number); err == nil {
			t.Errorf("profile %d found", number)
		}
	}
}

// TestNumbersOfRealRows: 1000 x (flavour + 1) + 100, 200 or 300 for spot, capacity
// and pulse + size; each size has twice the work of the one before it.
func TestNumbersOfRealRows(t *testing.T) {
	counts := map[Flavour]int{}
	for _, p := range Profiles() {
		if p.Simulated {
			continue
		}
		f, size := p.Shape.Flavour, int(p.Number%100)
		hundreds := map[Purpose]int{Spot: 100, Capacity: 200, Pulse: 300}[p.Purpose]
		if want := 1000*(int(f)+1) + hundreds + size; hundreds == 0 || int(p.Number) != want {
			t.Errorf("%s has number %d, want %d", p.Name, p.Number, want)
		}
		if want := fmt.Sprintf("%s-%v-%d", p.Purpose, f, size); p.Name != want {
			t.Errorf("%d is %q, want %q", p.Number, p.Name, want)
		}
		first, err := LookupProfile(p.Number - p.Number%100)
		if err != nil || p.Shape.Ops() != first.Shape.Ops()<<size {
			t.Errorf("%s: %d operations a round, %d of size 0", p.Name, p.Shape.Ops(), first.Shape.Ops())
		}
		if p.Purpose == Spot {
			counts[f]++
		}
	}
	if counts[Int8] != 12 || counts[BF16] != 11 || counts[FP64] != 12 {
		t.Errorf("sizes %v", counts)
	}
}

// mostSiblings is the largest number of siblings in an opening of c of n chunks:
// over all ways in which the chunks may fall into the two subtrees.
func mostSiblings(memo map[[2]int]int, n, c int) int {
	if n == 1 {
		return 0
	}
	if most, ok := memo[[2]int{n, c}]; ok {
		return most
	}
	left := 1
	for 2*left < n {
		left *= 2
	}
	most := -1
	for l := max(0, c-(n-left)); l <= min(c, left); l++ {
		sum := 0
		for _, side := range [][2]int{{left, l}, {n - left, c - l}} {
			if side[1] == 0 {
				sum++
			} else {
				sum += mostSiblings(memo, side[0], side[1])
			}
		}
		most = max(most, sum)
	}
	memo[[2]int{n, c}] = most
	return most
}

// mostOpening is the largest opening of a row, in bytes.
func mostOpening(p Profile) int {
	most := 0
	chunks := p.Shape.Bytes() / commit.ChunkBytes
	memo := map[[2]int]int{}
	for c := 1; c <= min(p.Samples, chunks); c++ {
		most = max(most, 1024*c+32*mostSiblings(memo, chunks, c))
	}
	return most
}

// TestLargestOpening: no draw exceeds the bound, and an even spread reaches it.
func TestLargestOpening(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, p := range Profiles() {
		bound, layout := mostOpening(p), p.Shape.Layout()
		for range 50 {
			pos := make([]uint32, p.Samples)
			for i := range pos {
				pos[i] = uint32(rng.Uint64N(p.Shape.Entries()))
			}
			if n := layout.OpeningBytes(pos); n > bound {
				t.Errorf("%s: %d bytes, bound %d", p.Name, n, bound)
			}
		}
		if p.Simulated {
			continue
		}
		// 20 of 32 equal subtrees, no two of the 12 empty ones sisters; 4 of 4.
		var spread []uint32
		for i := range uint64(32) {
			if i%8 < 2 || i%2 == 0 {
				spread = append(spread, uint32(i*(p.Shape.Entries()/32)))
			}
		}
		if p.Samples == 4 {
			spread = []uint32{spread[0], spread[5], spread[10], spread[15]}
		}
		if n := layout.OpeningBytes(spread); n != bound || len(spread) != p.Samples {
			t.Errorf("%s: %d positions in %d bytes, bound %d", p.Name, len(spread), n, bound)
		}
	}
}

// TestLargestTranscriptFits: whatever positions are drawn, every row stays within
// the limits of its streams, of a transcript's events and of an envelope.
func TestLargestTranscriptFits(t *testing.T) {
	worst := 0
	for _, p := range Profiles() {
		worst = max(worst, largest(t, p))
	}
	t.Logf("largest transcript of any row: %d bytes", worst)
}

// largest is the most bytes that a sealed transcript of a row has, with such frames
// before the first round.
func largest(t *testing.T, p Profile, before ...[]byte) int {
	t.Helper()
	var hashes [256]Hash
	ones := Hash(bytes.Repeat([]byte{0xff}, 32))
	parts := NewOpening(1<<30, ones, make([]byte, mostOpening(p)))
	root := NewRoot(1<<30, ones, ones, 1<<62)
	result := NewResult(Core{Challenge: ones, Device: string(make([]byte, 64)), Roots: hashes[:p.Rounds], Boot: [16]byte{}}, nil)
	ask := newPositions(1<<30, make([]uint32, p.Samples))
	var round [][]byte
	bulk, control := 0, len(result)+signatureBytes+3
	for _, part := range parts {
		bulk += p.Rounds * (len(part) + signatureBytes + 3) // a frame's length is 3 bytes at most
	}
	control += p.Rounds * (len(root) + signatureBytes + 3)
	for _, frame := range before {
		control += len(frame) + signatureBytes + 3
	}
	round = append(append(round, root, ask), parts...)
	for _, frame := range append(round, result) {
		if len(frame)+signatureBytes > MaxFrame {
			t.Errorf("%s: a frame of %d bytes", p.Name, len(frame)+signatureBytes)
		}
	}
	limits := Protocols()
	if bulk > limits[ProtoBulk].MaxBytes || control > limits[ProtoControl].MaxBytes {
		t.Errorf("%s: %d bytes of openings, %d of control", p.Name, bulk, control)
	}
	tr := Transcript{
		Challenge: make([]byte, 1<<10), Signatures: [][]byte{make([]byte, 64), make([]byte, 64)},
		Events: []Event{{Out: true, Stream: 1, Frame: NewAttach(ones)}},
	}
	for _, frame := range before {
		tr.Events = append(tr.Events, Event{At: 1 << 62, Frame: frame})
	}
	for range p.Rounds {
		for _, frame := range round {
			tr.Events = append(tr.Events, Event{At: 1 << 62, Stream: 1, Frame: frame})
		}
	}
	tr.Events = append(tr.Events, Event{At: 1 << 62, Frame: result}, Event{At: 1 << 62, End: EndTimeout})
	tr.Verdict = Verdict{Outcome: Withheld, Clause: ClauseSilence, Elapsed: 1 << 62, OpsLower: 1 << 63, OpsBest: 1 << 63}
	size := len(Marshal(&tr)) + 1<<10 // of the envelope around it
	if len(tr.Events) > MaxEvents || size > MaxEnvelope || tr.Check() != nil {
		t.Errorf("%s: %d events, %d bytes, %v", p.Name, len(tr.Events), size, tr.Check())
	}
	return size
}

func TestLayoutAndPurposeOfEveryRow(t *testing.T) {
	for _, p := range Profiles() {
		l := p.Shape.Layout()
		if l.Chunks*1024 != p.Shape.Bytes() || l.Width != p.Shape.Width() || l.Chunks < 1 {
			t.Errorf("%s: %+v of %d bytes", p.Name, l, p.Shape.Bytes())
		}
		if !slices.Contains([]Purpose{Devnet, Vector, Spot, Capacity, Slot, Pulse}, p.Purpose) {
			t.Errorf("%s: purpose %q", p.Name, p.Purpose)
		}
	}
}
