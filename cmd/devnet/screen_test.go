package devnet

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/evidence"
)

// sample is a network of three: fine, flagged, and not seen yet.
func sample() ([]planted, []client.Provider) {
	p := []planted{{Name: "provider-1", Behaviour: Honest}, {Name: "provider-10", Behaviour: Liar}, {Name: "provider-2", Behaviour: Busy}}
	liar := doc(func(d *client.Provider) {
		d.Level = 3
		d.Score, d.ThroughputOps, d.Flags = 0, nil, []string{"work-incorrect", "below-claim"}
		d.Availability.Reachability = new(0.75)
		d.Memory.Bytes, d.Together = new(uint64), client.Together{Share: new(0.7625), Figures: 4}
		d.Reasons = []evidence.Reason{
			{Code: "work-incorrect", Detail: "12 transcripts prove a wrong value"}, {Code: "below-claim", Detail: "it computed 25 % of its claims"},
		}
		d.ByKind = map[string]client.Outcomes{
			"fma":    {Wrong: 2, Late: 3, Refused: 4, Unknown: 1},
			"matmul": {Pass: 1, Wrong: 9, Withheld: 4, Refused: 1, Unknown: 4},
			"memory": {Wrong: 1, Unknown: 1},
			"probe":  {Pass: 6, Unreachable: 2, Unknown: 1},
		}
	})
	unseen := client.Provider{Flags: []string{}}
	return p, []client.Provider{doc(nil), liar, unseen}
}

const plain = `PROVIDER     BEHAVIOUR  SCORE  PASS  WRONG  LATE  WITHHELD  REFUSED  FLAGS                       PROBES  REACHABLE  THROUGHPUT       MEMORY  TOGETHER  LEVEL
provider-1   honest     0.90   3     0      0     0         0                                    10/10   100.0 %    100.0 Mop/s sim  95.0 %  -         L0
provider-10  liar       0.00   1     12     3     4         5        work-incorrect below-claim  6/8     75.0 %     -                0.0 %   76.2 %    L3 sim
provider-2   busy       0.00   0     0      0     0         0                                    0/0     -          -                -       -         L0
`

func TestTable(t *testing.T) {
	p, docs := sample()
	if got := table(p, docs, false, 1<<20); got != plain {
		t.Errorf("got\n%s\nwant\n%s", got, plain)
	}
	if strings.Contains(plain, "\x1b") {
		t.Error("escapes without colours")
	}
	lines := strings.Split(strings.TrimSuffix(plain, "\n"), "\n")
	for column := range strings.FieldsSeq(lines[0]) {
		at := strings.Index(lines[0], column)
		for _, line := range lines[1:] {
			if at > 0 && line[at-1] != ' ' {
				t.Errorf("column %s does not begin at %d of %q", column, at, line)
			}
		}
	}
	if got := table(nil, nil, true, 80); strings.Count(got, "\n") != 1 {
		t.Errorf("without providers: %q", got)
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestTableColours(t *testing.T) {
	p, docs := sample()
	whole := strings.Split(plain, "\n")
	for _, width := range []int{1 << 20, 157, 156, 120, 80, 40, 21, 5, 1} {
		got := strings.Split(table(p, docs, true, width), "\n")
		if len(got) != len(whole) {
			t.Fatalf("width %d: %d lines, want %d: the screen would be repainted at another place", width, len(got), len(whole))
		}
		for i, line := range got {
			body := escapes.ReplaceAllString(line, "")
			if want := whole[i][:min(len(whole[i]), width)]; body != want {
				t.Errorf("width %d: line %q, want %q", width, body, want)
			}
			wantCode := map[int]string{0: "\x1b[1m", 2: "\x1b[31m"}[i]
			if line != "" && wantCode != "" && (!strings.HasPrefix(line, wantCode) || !strings.HasSuffix(line, "\x1b[0m")) {
				t.Errorf("width %d: line %q does not begin with %q and end plain", width, line, wantCode)
			}
			if wantCode == "" && strings.Contains(line, "\x1b") {
				t.Errorf("width %d: line %q is coloured", width, line)
			}
		}
	}
}

func TestNewScreen(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(Config{Out: &out, JSON: true})
	s.line("a line")
	s.finish(&Report{})
	if out.Len() > 0 || s.live {
		t.Errorf("beside JSON: %q, live %v", out.String(), s.live)
	}
	// A pipe is no terminal: no repainting, no colours.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, to := range []io.Writer{&out, w} {
		if newScreen(Config{Out: to}).live {
			t.Errorf("%T is live", to)
		}
	}
	newScreen(Config{Out: &out}).watch(t.Context(), nil) // returns at once
}

func TestPaint(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, live: true}
	s.paint("a\nb\n")
	s.paint("c\n")
	s.paint("d\n")
	if want := "a\nb\n\x1b[2A\x1b[Jc\n\x1b[1A\x1b[Jd\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestFinish(t *testing.T) {
	p, docs := sample()
	r := &Report{
		DurationS: 12.4, Epochs: 3, Checkers: make([]CheckerRow, 2), dir: "/data",
		Expectations: []Expectation{{"provider-1", "no flag", true}, {"provider-10", "outcomes wrong > 0", false}},
	}
	for i, d := range docs {
		r.Providers = append(r.Providers, ProviderRow{
			p[i].Name, d.ID, p[i].Behaviour, d.Level, d.Score, d.ThroughputOps, d.Throughput, d.Memory, d.Together, d.Shared, d.Availability, d.Outcomes, d.ByKind, d.Flags, d.Reasons, d.Attested, d.Cards,
		})
	}
	var out bytes.Buffer
	newScreen(Config{Out: &out}).finish(r)
	want := "\n12 s, 3 epochs sealed by 2 checkers\n" + plain + `
provider-10  work-incorrect: 12 transcripts prove a wrong value
provider-10  below-claim: it computed 25 % of its claims

met     provider-1   no flag
MISSED  provider-10  outcomes wrong > 0

data is kept in /data
evidence: assay transcripts list --dir /data --outcome wrong
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	var live bytes.Buffer
	(&screen{out: &live, live: true}).finish(r)
	if got := live.String(); escapes.ReplaceAllString(got, "") != want || !strings.Contains(got, "\x1b[32mmet") || !strings.Contains(got, "\x1b[31mMISSED") {
		t.Errorf("at a terminal: %q", got)
	}
	// Without a flag there is nothing between the table and what was expected.
	out.Reset()
	r.Providers = r.Providers[:1]
	newScreen(Config{Out: &out}).finish(r)
	if want := "L0\n\nmet     provider-1   no flag\n"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in\n%s", want, out.String())
	}
	// A card that can be read adds a line.
	r.Providers[0].Cards = []client.Card{{Device: "gpu0", Model: new("sim-h100")}}
	out.Reset()
	newScreen(Config{Out: &out}).finish(r)
	if line := "\ncards: assay transcripts export --dir /data --kind matmul --out FOLDER; assay verify --evidence /data/evidence FOLDER/*\n"; !strings.HasSuffix(out.String(), line) {
		t.Errorf("got\n%s\nwant at its end%s", out.String(), line)
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{rate(nil), "-"},
		{rate(new(uint64(0))), "0.0 Mop/s sim"},
		{rate(new(uint64(95_000_000))), "95.0 Mop/s sim"},
		{percent(nil), "-"},
		{percent(new(0.0)), "0.0 %"},
		{percent(new(0.9996)), "100.0 %"},
		{proven(client.Memory{}), "-"},
		{proven(client.Memory{ClaimBytes: 2_000_000}), "-"},
		{proven(client.Memory{Bytes: new(uint64), ClaimBytes: 2_000_000}), "0.0 %"},
		{proven(client.Memory{Bytes: new(uint64(1_900_000)), ClaimBytes: 2_000_000}), "95.0 %"},
		// A claim that is gone is no reason to divide by it.
		{proven(client.Memory{Bytes: new(uint64(1_900_000))}), "-"},
		{colour(false, "31", "x"), "x"},
		{colour(true, "31", "x"), "\x1b[31mx\x1b[0m"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
