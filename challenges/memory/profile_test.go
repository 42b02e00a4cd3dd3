package memory

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"text/tabwriter"
	"time"
)

var update = flag.Bool("update", false, "write testdata anew")

// tableText is the whole table: no published row changes unnoticed.
func tableText() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "number\tname\tsimulated\tL\tP\twindow\tbatch\tmost walks\tsteps\tR\ts\tread\tmake\tlink\tg*\tmiss at 5 %\t"+
		"need\tdoubt\tlag\tMinRTTs\tpatience\tgrace\tOpenWait")
	for _, p := range Profiles() {
		fmt.Fprintf(w, "%d\t%s\t%v\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.4f\t%.2e\t%d\t%d\t%d\t%d\t%d\t%v\t%v\n",
			p.Number, p.Name, p.Simulated, p.Lines, p.Parents, p.Window, p.Batch, p.MaxWalks, p.Steps, p.Rounds, p.Samples,
			p.ReadRate, p.MakeRate, p.LinkRate, p.Hidden(), p.Miss(0.05), p.Need, p.Doubt, p.LagShare, p.MinRTTs, p.Patience, p.Grace, p.OpenWait)
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
	if !bytes.Equal(stored, tableText()) {
		t.Errorf("%s differs from the table; a row, once published, never changes:\n%s", path, tableText())
	}
}

func TestProfileTable(t *testing.T) {
	numbers, names := map[uint16]bool{}, map[string]bool{}
	last := uint16(0)
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			if numbers[p.Number] || names[p.Name] || p.Number <= last {
				t.Errorf("number %d or name %q twice, or out of order", p.Number, p.Name)
			}
			numbers[p.Number], names[p.Name], last = true, true, p.Number
			if got, err := Lookup(p.Number); err != nil || got != p {
				t.Errorf("looks up as %+v, %v", got, err)
			}
			if p.Simulated != (p.Number < 1000) || !p.Simulated && p.Number/1000 != 5 {
				t.Errorf("number %d, simulated %v", p.Number, p.Simulated)
			}
			if p.Lines < 1 || p.Lines&(p.Lines-1) != 0 || p.Parents < 1 || p.Steps%hop != 0 {
				t.Errorf("%d lines, %d parents, %d steps", p.Lines, p.Parents, p.Steps)
			}
			// Whole chunks of outputs, 4-byte positions, roots that fit a result.
			if p.MaxWalks%128 != 0 || p.MaxWalks > 1<<32 || p.Rounds < 2 || p.Rounds > 256 || p.Samples < 1 {
				t.Errorf("%d walks, %d rounds, %d samples", p.MaxWalks, p.Rounds, p.Samples)
			}
			// 128 walks of a real class are checked, of 4,096 items: 5 % of the walks
			// invented pass with 1.4e-3, 10 % with 1.4e-6.
			if !p.Simulated && (p.Rounds*p.Samples != 128 || p.Steps != 32 || p.Miss(0.05) > 1.5e-3 || p.Miss(0.1) > 1.5e-6) {
				t.Errorf("%d x %d walks of %d items, %.2g", p.Rounds, p.Samples, p.Steps, p.Miss(0.05))
			}
			miss := 1.0
			for range p.Rounds * p.Samples {
				miss *= 0.99
			}
			if math.Abs(p.Miss(0.01)/miss-1) > 1e-9 {
				t.Errorf("miss %v, want %v", p.Miss(0.01), miss)
			}
			// Less than all that is read can be made: P is chosen for a 40th.
			if p.MakeRate*40 > p.ReadRate || p.MakeRate == 0 {
				t.Errorf("makes %d items a second, reads %d", p.MakeRate, p.ReadRate)
			}
			if p.Need != 50 || p.Doubt != 3 || p.MinRTTs != 20 || p.Patience != 6 || p.OpenWait <= 0 || p.Grace <= 0 {
				t.Errorf("%+v", p)
			}
		})
	}
	for _, number := range []uint16{0, 1, 500, 503, 1000, 4999, 5013} {
		if _, err := Lookup(number); err == nil {
			t.Errorf("profile %d found", number)
		}
	}
}

// TestHidden: g* is what the best of the class hides, the least that the proof
// leaves open.
func TestHidden(t *testing.T) {
	want := map[uint16]float64{
		501: 6.25, 502: 6.25, 5000: 11.46, 5001: 11.46, 5002: 8.66, 5003: 20.54, 5004: 8.31, 5005: 5.56,
		5006: 6.33, 5007: 5.36, 5008: 21.35, 5009: 4.47, 5010: 14.06, 5011: 13.875, 5012: 8.78,
	}
	for _, p := range Profiles() {
		if math.Abs(100*p.Hidden()-want[p.Number]) > 0.005 {
			t.Errorf("%s hides %.3f %%, want %.2f", p.Name, 100*p.Hidden(), want[p.Number])
		}
		d := Dataset{p, 1 << 30}
		best := float64(d.Proven(p.ReadRate)) / float64(d.Bytes())
		if math.Abs(1-best-p.Hidden()) > 1e-6 {
			t.Errorf("%s: the best shows %.6f, g* is %.6f", p.Name, best, p.Hidden())
		}
		// Two thirds of the best still show most of it, or the class says nothing.
		if slow := float64(d.Proven(p.ReadRate*2/3)) / float64(d.Bytes()); slow < 0.67 {
			t.Errorf("%s: two thirds of the best rate show %.2f", p.Name, slow)
		}
	}
}

// TestTimesOfRealCards: the walks of each class take 1 to 5 s on its cards, long
// enough for a figure over any path of 50 ms, and a run ends within 4 minutes even
// at its deadline.
func TestTimesOfRealCards(t *testing.T) {
	covered := map[uint16]bool{}
	for _, c := range []struct {
		profile uint16
		card    string
		bytes   uint64
	}{
		{5000, "1 GB of a host", 1e9},
		{5001, "T4", 16e9},
		{5002, "A10", 24e9},
		{5002, "RTX 3090", 24e9},
		{5003, "L4", 24e9},
		{5004, "RTX 4090", 24e9},
		{5004, "L40S", 48e9},
		{5005, "A100 40 GB", 40e9},
		{5005, "A100 80 GB", 80 << 30},
		{5006, "H100", 80 << 30},
		{5006, "H100 NVL", 94e9},
		{5007, "H200", 141e9},
		{5008, "GH200 96 GB", 96e9},
		{5008, "GH200 144 GB", 144e9},
		{5009, "B200", 180e9},
		{5009, "B200, all of it", 192e9},
		{5010, "GB200", 186e9},
		{5011, "RTX 5070", 12 << 30},
		{5011, "RTX 5080", 16 << 30},
		{5012, "RTX 5090", 32 << 30},
		{5012, "RTX PRO 6000", 96 << 30},
	} {
		p := Params{Profile: c.profile, Items: Items(c.bytes), RTT: 50 * time.Millisecond}
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", c.card, err)
			continue
		}
		d := p.Dataset()
		covered[c.profile] = true
		t.Logf("%-16s %2d windows, %8d walks, fill %6.2f s by %6.2f s, walks %5.2f s, deadline %6.2f s", c.card, d.Windows(), d.Walks(),
			d.FillTime().Seconds(), d.FillBy(p.RTT).Seconds(), d.WalkTime().Seconds(), d.Deadline(p.RTT).Seconds())
		if d.WalkTime() < time.Second || d.WalkTime() > 5*time.Second {
			t.Errorf("%s: the walks take %v", c.card, d.WalkTime())
		}
		if d.WalkTime() < time.Duration(d.MinRTTs)*p.RTT {
			t.Errorf("%s: no figure at %v", c.card, p.RTT)
		}
		if d.Deadline(10*time.Second) > 4*time.Minute {
			t.Errorf("%s: deadline %v", c.card, d.Deadline(10*time.Second))
		}
		// While a dataset is filled nothing is said: the streams' idle limit is a minute.
		if d.FillBy(p.RTT) > time.Minute {
			t.Errorf("%s: may fill for %v", c.card, d.FillBy(p.RTT))
		}
	}
	for _, p := range Profiles() {
		if !p.Simulated && !covered[p.Number] {
			t.Errorf("%s: no card", p.Name)
		}
	}
}
