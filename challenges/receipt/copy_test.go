package receipt_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
)

// keptCopy is one with all fields.
func keptCopy(t testing.TB) receipt.Copy {
	d := newDuel(t, challenges.Matmul)
	d.play()
	c := d.end(nil)
	c.Reason, c.Fault, c.Detail, c.Xid, c.Telemetry = "fault", "lost", "fell off the bus", 79, []byte{1}
	return c
}

func TestCopyRoundTrip(t *testing.T) {
	c := keptCopy(t)
	b := challenges.Marshal(&c)
	var again receipt.Copy
	if err := challenges.Unmarshal(b, &again); err != nil || !bytes.Equal(challenges.Marshal(&again), b) {
		t.Fatal(err)
	}
}

func TestCopyCheck(t *testing.T) {
	frame := func(n int) challenges.Event { return challenges.Event{Out: true, Frame: make([]byte, n)} }
	for _, c := range []struct {
		name   string
		change func(c *receipt.Copy)
		says   string // empty: it is one
	}{
		{"as it is", func(*receipt.Copy) {}, ""},
		{"nothing but a challenge and a result", func(c *receipt.Copy) { *c = receipt.Copy{Challenge: []byte{1}, Result: "left"} }, ""},
		{"cut", func(c *receipt.Copy) {
			c.Events = append(c.Events, challenges.Event{At: time.Hour, End: challenges.EndInternal})
		}, ""},
		{"as much as there may be", func(c *receipt.Copy) {
			c.Detail, c.Result = strings.Repeat("x", receipt.MaxDetail), strings.Repeat("x", 32)
			c.Telemetry, c.Receipt, c.Challenge = make([]byte, receipt.MaxTelemetry), make([]byte, challenges.MaxFrame), make([]byte, challenges.MaxFrame)
		}, ""},
		{"no challenge", func(c *receipt.Copy) { c.Challenge = nil }, "challenge of 0"},
		{"long challenge", func(c *receipt.Copy) { c.Challenge = make([]byte, challenges.MaxFrame+1) }, "challenge of 16385"},
		{"long receipt", func(c *receipt.Copy) { c.Receipt = make([]byte, challenges.MaxFrame+1) }, "receipt of 16385"},
		{"much telemetry", func(c *receipt.Copy) { c.Telemetry = make([]byte, 4097) }, "telemetry of 4097"},
		{"no result", func(c *receipt.Copy) { c.Result = "" }, "no result"},
		{"long result", func(c *receipt.Copy) { c.Result = strings.Repeat("x", 33) }, "result of 33"},
		{"long reason", func(c *receipt.Copy) { c.Reason = strings.Repeat("x", 33) }, "reason of 33"},
		{"long fault", func(c *receipt.Copy) { c.Fault = strings.Repeat("x", 33) }, "fault of 33"},
		{"long detail", func(c *receipt.Copy) { c.Detail = strings.Repeat("x", 513) }, "detail of 513"},
		{"detail of two lines", func(c *receipt.Copy) { c.Detail = "a\nb" }, "detail with the character U+000A"},
		{"ended before it began", func(c *receipt.Copy) { c.Ended = c.At - 1 }, "ended at"},
		{"a signature too few", func(c *receipt.Copy) { c.Signatures = c.Signatures[1:] }, "signatures of"},
		{"a signature too many", func(c *receipt.Copy) { c.Signatures = append(c.Signatures, make([]byte, 64)) }, "signatures of"},
		{"short signature", func(c *receipt.Copy) { c.Signatures[1] = make([]byte, 63) }, "signature 1 of 63"},
		{"times that fall", func(c *receipt.Copy) { c.Events[2].At = c.Events[1].At - 1 }, "event 2 at"},
		{"time before the challenge", func(c *receipt.Copy) { c.Events[0].At = -1 }, "event 0 at"},
		{"another stream", func(c *receipt.Copy) { c.Events[0].Stream = 2 }, "event 0 on stream 2"},
		{"another cause", func(c *receipt.Copy) { c.Events[0].End = 99 }, "event 0 on stream 0, cause(99)|event 0 on stream 1, cause(99)"},
		{"an end before the end", func(c *receipt.Copy) { c.Events[0] = challenges.Event{End: challenges.EndClosed} }, "event 0 is an end"},
		{"an end with a frame", func(c *receipt.Copy) { c.Events = []challenges.Event{{End: challenges.EndClosed, Frame: []byte{1}}} }, "event 0 is an end"},
		{"no frame", func(c *receipt.Copy) { c.Events[1].Frame = nil }, "frame of 0"},
		{"long frame", func(c *receipt.Copy) { c.Events[1].Frame = make([]byte, challenges.MaxFrame+1) }, "frame of 16385"},
		{"many events", func(c *receipt.Copy) {
			c.Events, c.Signatures = nil, nil
			for range challenges.MaxEvents + 1 {
				c.Events = append(c.Events, frame(1))
			}
		}, "4097 events"},
		{"much in the events", func(c *receipt.Copy) {
			c.Events, c.Signatures = nil, nil
			for range receipt.MaxBytes/challenges.MaxFrame + 1 {
				c.Events = append(c.Events, frame(challenges.MaxFrame))
			}
		}, "over 8388608"},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := keptCopy(t)
			c.change(&kept)
			err := kept.Check()
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			found := false
			for says := range strings.SplitSeq(c.says, "|") {
				found = found || err != nil && strings.Contains(err.Error(), says)
			}
			if !found {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

func TestInfo(t *testing.T) {
	c := keptCopy(t)
	f, err := c.Open(vectorNetwork)
	if err != nil {
		t.Fatal(err)
	}
	want := receipt.Info{
		Challenge: f.ID, Checker: challenges.IDOf(vectorChecker), Device: "gpu0", Kind: challenges.Matmul, Epoch: 3, At: c.At, Ended: c.Ended,
		Result: receipt.Answered, Reason: "fault", Fault: "lost", Xid: 79, Outcome: challenges.Pass, Transcript: f.Receipt.Transcript,
		Bytes: uint32(len(challenges.Marshal(&c))),
	}
	if got := c.Info(f); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, c := range []struct {
		result string
		o      challenges.Outcome
		marked bool
	}{
		{receipt.Answered, challenges.Pass, false},
		{"left", challenges.Pass, false},
		{receipt.Answered, 0, false},
		{"left", 0, true},
		{receipt.Answered, challenges.Late, true},
		{"refused_tenant", challenges.Refused, true},
		{receipt.Answered, challenges.Unknown, true},
	} {
		i := receipt.Info{Result: c.result, Outcome: c.o}
		if i.Marked() != c.marked {
			t.Errorf("%s, %v: marked %v", c.result, c.o, i.Marked())
		}
	}
	bad := receipt.Info{Outcome: 99}
	if bad.Check() == nil {
		t.Error("outcome 99 is one")
	}
}

// FuzzCopy: what decodes as a copy can be judged without a panic.
func FuzzCopy(f *testing.F) {
	c := keptCopy(f)
	f.Add(challenges.Marshal(&c))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c receipt.Copy
		if challenges.Unmarshal(data, &c) == nil {
			_, _ = c.Judge(vectorNetwork)
		}
	})
}
