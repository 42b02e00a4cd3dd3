package receipt_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/gpu"
)

// duel is one challenge with both sides in one goroutine: the checker's session,
// and the provider's copy, whose clock is a millisecond behind.
type duel struct {
	t       testing.TB
	env     challenges.Envelope
	ch      challenges.Challenge
	secret  challenges.Secret
	session *challenges.Session
	over    bool // for the checker
	sign    [2]*challenges.FrameSigner
	now     time.Duration
	copy    receipt.Copy

	product gpu.Product                    // nil: exact
	lost    func(stream uint8, n int) bool // of the provider's frames, the number on its stream; nil: none
	count   [2]int
	bend    func(stream uint8, body []byte) []byte // what the provider sends instead
	stop    int                                    // the provider says nothing after so many rounds; 0: it goes on
	step    time.Duration                          // a round
}

const behind = time.Millisecond

func newDuel(t testing.TB, kind challenges.Kind) *duel {
	d := &duel{t: t, secret: challenges.Secret{5}, step: 5 * time.Millisecond}
	d.ch = challenges.Challenge{
		Network: vectorNetwork, Epoch: 3, Provider: challenges.IDOf(vectorProvider), Device: "gpu0", Kind: kind, Commit: d.secret.Commit(),
	}
	if kind == challenges.Memory {
		p := memory.Params{Profile: 502, Items: 6149, RTT: 10 * time.Microsecond}
		d.ch.Params, d.ch.Deadline = challenges.Marshal(&p), p.Dataset().Deadline(p.RTT)
		d.step = p.Dataset().WalkTime() / time.Duration(p.Dataset().Rounds)
	} else {
		p := challenges.ComputeParams{Profile: 2, Window: 1, Claim: 1e6, RTT: 10 * time.Microsecond}
		row, err := challenges.LookupProfile(p.Profile)
		if err != nil {
			t.Fatal(err)
		}
		d.ch.Params, d.ch.Deadline = challenges.Marshal(&p), row.Deadline(p.Claim, p.RTT)
		d.step = row.Expected(p.Claim) / time.Duration(row.Rounds)
	}
	return d
}

// say is a frame of the provider's, and what the checker answers.
func (d *duel) say(stream uint8, body []byte) (answers [][]byte) {
	if d.bend != nil {
		body = d.bend(stream, body)
	}
	frame := d.sign[stream].Sign(body)
	d.copy.Events = append(d.copy.Events, challenges.Event{At: d.now - behind, Stream: stream, Frame: body})
	d.copy.Signatures = append(d.copy.Signatures, frame[len(body):])
	n := d.count[stream]
	d.count[stream]++
	if d.over || d.lost != nil && d.lost(stream, n) {
		return nil
	}
	d.now += 10 * time.Microsecond
	var send []challenges.Out
	if send, d.over = d.session.Step(challenges.Event{At: d.now, Stream: stream, Frame: frame}); d.over {
		return nil
	}
	return d.hear(send)
}

// hear is what the checker sends.
func (d *duel) hear(send []challenges.Out) (frames [][]byte) {
	for _, o := range send {
		_, d.over = d.session.Step(challenges.Event{At: d.now, Stream: o.Stream, Out: true, Frame: o.Frame})
		d.copy.Events = append(d.copy.Events, challenges.Event{At: max(0, d.now-behind), Stream: o.Stream, Out: true, Frame: o.Frame})
		frames = append(frames, o.Frame)
	}
	return frames
}

// open begins the challenge.
func (d *duel) open() {
	d.env = challenges.Seal(vectorNetwork, challenges.KindChallenge, challenges.Marshal(&d.ch), vectorChecker)
	s, err := challenges.NewSession(d.env, d.secret)
	if err != nil {
		d.t.Fatal(err)
	}
	d.session = s
	for i := range d.sign {
		d.sign[i] = challenges.NewFrameSigner(vectorProvider, vectorNetwork, d.env.ID(), uint8(i))
	}
	d.copy.Challenge, d.copy.At, d.copy.Result = challenges.Marshal(&d.env), 1e18, receipt.Answered
	d.hear(s.Start())
	d.now = 2 * behind
}

// play plays all of it.
func (d *duel) play() {
	d.open()
	ctx := context.Background()
	engine := gpu.NewCPU(gpu.CPUConfig{Product: d.product})
	var run gpu.Run
	var err error
	rounds := 0
	switch d.ch.Kind {
	case challenges.Memory:
		p, _ := d.ch.MemoryParams()
		rounds = p.Dataset().Rounds
		var filled gpu.Memory
		if filled, err = engine.Fill(ctx, gpu.MemoryJob{ID: d.env.ID(), Device: d.ch.Device, Set: p.Dataset()}); err != nil {
			break
		}
		d.now += p.Dataset().FillTime()
		answers := d.say(challenges.StreamControl, challenges.NewFilled(d.now))
		if len(answers) == 0 {
			return
		}
		var f challenges.NonceFrame
		if err = challenges.Unmarshal(answers[0], &f); err == nil {
			run, err = filled.Walk(ctx, f.Nonce)
		}
	default:
		p, _ := d.ch.ComputeParams()
		row, _ := challenges.LookupProfile(p.Profile)
		rounds = row.Rounds
		run, err = engine.Start(ctx, gpu.Job{ID: d.env.ID(), Device: d.ch.Device, Profile: row, Window: int(p.Window)})
	}
	if err != nil {
		d.t.Fatal(err)
	}
	defer run.Close()
	core := challenges.Core{Challenge: d.env.ID(), Device: d.ch.Device}
	for n := range rounds {
		if d.stop > 0 && n == d.stop {
			return
		}
		root, err := run.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			d.t.Fatal(err)
		}
		d.now += d.step
		core.Roots = append(core.Roots, root.Root)
		answers := d.say(challenges.StreamControl, challenges.NewRoot(n, root.Root, root.Key, d.now))
		if len(answers) == 0 {
			// The checker is gone, or did not hear: what was computed ahead still goes out.
			d.say(challenges.StreamControl, challenges.NewRoot(n+1, root.Root, root.Key, d.now))
			return
		}
		var f challenges.PositionsFrame
		if err := challenges.Unmarshal(answers[0], &f); err != nil {
			d.t.Fatal(err)
		}
		opening, err := run.Open(ctx, n, challenges.UnpackPositions(f.Positions))
		if err != nil {
			d.t.Fatal(err)
		}
		for _, part := range challenges.NewOpening(n, challenges.FrameHash(answers[0]), opening) {
			d.say(challenges.StreamBulk, part)
		}
	}
	d.say(challenges.StreamControl, challenges.NewResult(core, nil))
}

// end ends it, and gives the receipt; change may alter what the checker says.
func (d *duel) end(change func(r *receipt.Receipt)) receipt.Copy {
	d.t.Helper()
	if !d.over {
		d.now = max(d.now, d.ch.Deadline)
		d.session.Step(challenges.Event{At: d.now, End: challenges.EndTimeout})
	}
	t := d.session.Transcript()
	sealed := challenges.SealTranscript(t, vectorNetwork, vectorChecker)
	r := receipt.Of(d.session, t, sealed.ID())
	if change != nil {
		change(&r)
	}
	e := receipt.Seal(r, vectorNetwork, vectorChecker)
	d.copy.Receipt, d.copy.Ended = challenges.Marshal(&e), d.copy.At+int64(d.now-behind)
	if err := d.copy.Check(); err != nil {
		d.t.Fatal(err)
	}
	return d.copy
}

// spoiled computes with one value off in every row.
type spoiled struct{ gpu.Exact }

func (s spoiled) Compute(ctx context.Context, key challenges.Hash, shape challenges.Shape, c []byte) error {
	err := s.Exact.Compute(ctx, key, shape, c)
	for i := 0; i < len(c); i += shape.Width() {
		c[i] ^= 1
	}
	return err
}

func says(o challenges.Outcome, clause string) func(*receipt.Receipt) {
	return func(r *receipt.Receipt) { r.Outcome, r.Clause = o, clause }
}

func TestJudge(t *testing.T) {
	frames := func(from int) func(uint8, int) bool { return func(_ uint8, n int) bool { return n >= from } }
	for _, c := range []struct {
		name    string
		kind    challenges.Kind
		change  func(d *duel)
		lies    func(r *receipt.Receipt)
		checker challenges.Outcome // what the checker says
		own     challenges.Outcome
		clause  string
		finding receipt.Finding
		says    string
	}{
		{"all is well", challenges.Matmul, nil, nil, challenges.Pass, challenges.Pass, "", receipt.Agrees, "pass"},
		{"memory, all is well", challenges.Memory, nil, nil, challenges.Pass, challenges.Pass, "", receipt.Agrees, "pass"},
		{"wrong", challenges.Matmul, func(d *duel) { d.product = spoiled{} }, nil, challenges.Wrong, challenges.Wrong, "M6", receipt.Agrees, "wrong (M6)"},
		{"called wrong", challenges.Matmul, nil, says(challenges.Wrong, "M6"), challenges.Wrong, challenges.Pass, "", receipt.Contradicts, "all 4 values"},
		{"memory, called wrong", challenges.Memory, nil, says(challenges.Wrong, "M6"), challenges.Wrong, challenges.Pass, "", receipt.Contradicts, "all 6 values"},
		{"called wrong before the end", challenges.Matmul, func(d *duel) { d.stop = 2 }, says(challenges.Wrong, "M6"), challenges.Wrong, challenges.Withheld, "M7", receipt.Contradicts, "all 2 values"},
		{"wrong, called pass", challenges.Matmul, func(d *duel) { d.product = spoiled{} }, says(challenges.Pass, ""), challenges.Pass, challenges.Wrong, "M6", receipt.Contradicts, "a value is wrong"},
		{"wrong, but never judged", challenges.Matmul, func(d *duel) {
			d.product = spoiled{}
			d.lost = func(stream uint8, _ int) bool { return stream == challenges.StreamBulk }
		}, nil, challenges.Withheld, challenges.Wrong, "M6", receipt.Untold, "did not judge"},
		{"slow", challenges.Matmul, func(d *duel) { d.step *= 3 }, nil, challenges.Late, challenges.Late, "M9", receipt.Agrees, "late"},
		{"called late", challenges.Matmul, nil, says(challenges.Late, "M9"), challenges.Late, challenges.Pass, "", receipt.Untold, "only the checker's clock"},
		{"so slow that the time ran out", challenges.Matmul, func(d *duel) { d.step *= 20; d.stop = 2 }, nil, challenges.Late, challenges.Late, "M9", receipt.Agrees, "late (M9)"},
		{"slow, and then the time ran out", challenges.Matmul, func(d *duel) { d.step *= 5; d.stop = 3 }, nil, challenges.Late, challenges.Late, "M9", receipt.Agrees, "late (M9)"},
		{"memory, late by what it proved", challenges.Memory, func(d *duel) { d.step *= 30 }, nil, challenges.Late, challenges.Late, "D5", receipt.Agrees, "late (D5)"},
		{"memory, filled late", challenges.Memory, func(d *duel) {
			d.bend = func(_ uint8, body []byte) []byte {
				if d.now < 2*d.ch.Deadline/3 {
					d.now = 2 * d.ch.Deadline / 3
				}
				return body
			}
		}, nil, challenges.Late, challenges.Late, "D4", receipt.Agrees, "late (D4)"},
		{"silent", challenges.Matmul, func(d *duel) { d.stop = 1 }, nil, challenges.Withheld, challenges.Withheld, "M7", receipt.Agrees, "withheld (M7)"},
		{"openings lost", challenges.Matmul, func(d *duel) {
			d.lost = func(stream uint8, _ int) bool { return stream == challenges.StreamBulk }
		}, nil, challenges.Withheld, challenges.Pass, "", receipt.Untold, "whether they came"},
		{"never reached", challenges.Matmul, func(d *duel) { d.lost = frames(0) }, nil, challenges.Unreachable, challenges.Withheld, "", receipt.Untold, ""},
		{"an opening bent", challenges.Matmul, func(d *duel) {
			d.bend = func(stream uint8, body []byte) []byte {
				if stream == challenges.StreamBulk {
					body = slices.Clone(body)
					body[len(body)-1] ^= 1
				}
				return body
			}
		}, nil, challenges.Withheld, challenges.Withheld, "M5", receipt.Agrees, "withheld (M5)"},
		{"said to be bent", challenges.Matmul, nil, says(challenges.Withheld, "M5"), challenges.Withheld, challenges.Pass, "", receipt.Contradicts, "breaks M5"},
		{"said to have refused", challenges.Matmul, nil, says(challenges.Refused, "S6"), challenges.Refused, challenges.Pass, "", receipt.Contradicts, "no refusal"},
		{"the checker's own fault", challenges.Matmul, nil, says(challenges.Unknown, "S4"), challenges.Unknown, challenges.Pass, "", receipt.Untold, "does not count"},
		{"another secret", challenges.Matmul, nil, func(r *receipt.Receipt) { r.Secret[0]++ }, challenges.Pass, challenges.Unknown, "C1", receipt.Contradicts, "signed both"},
		{"other roots", challenges.Matmul, nil, func(r *receipt.Receipt) { r.Roots[0]++ }, challenges.Pass, challenges.Pass, "", receipt.Contradicts, "other roots"},
		{"the first roots only", challenges.Matmul, func(d *duel) { d.lost = func(s uint8, n int) bool { return s == 0 && n >= 2 } }, nil, challenges.Withheld, challenges.Withheld, "", receipt.Untold, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDuel(t, c.kind)
			if c.change != nil {
				c.change(d)
			}
			d.play()
			kept := d.end(c.lies)
			f, err := kept.Open(vectorNetwork)
			if err != nil {
				t.Fatal(err)
			}
			if f.Receipt.Outcome != c.checker {
				t.Fatalf("the checker says %v (%s), want %v", f.Receipt.Outcome, f.Receipt.Clause, c.checker)
			}
			j, err := kept.Judge(vectorNetwork)
			if err != nil {
				t.Fatal(err)
			}
			if j.Verdict.Outcome != c.own || c.clause != "" && j.Verdict.Clause != c.clause || j.Finding != c.finding || !strings.Contains(j.Says, c.says) {
				t.Errorf("own %v (%s), %v: %q\nwant %v (%s), %v: %q", j.Verdict.Outcome, j.Verdict.Clause, j.Finding, j.Says, c.own, c.clause, c.finding, c.says)
			}
			if c.clause == "C1" {
				return
			}
			// The transcript says the same to anybody who replays it.
			tr, err := kept.Transcript(vectorNetwork)
			if err != nil {
				t.Fatal(err)
			}
			v, err := challenges.Replay(tr)
			if err != nil || v != j.Verdict {
				t.Errorf("replays as %+v, %v; want %+v", v, err, j.Verdict)
			}
		})
	}
}

// TestJudgeOfARefusal: of a refusal, and of an abort with the checker's word on the way.
func TestJudgeOfARefusal(t *testing.T) {
	d := newDuel(t, challenges.Matmul)
	d.open()
	d.say(challenges.StreamControl, challenges.NewRefusal(challenges.ReasonBusy, 0))
	c := d.end(nil)
	j, err := c.Judge(vectorNetwork)
	if err != nil || j.Finding != receipt.Agrees || j.Verdict.Outcome != challenges.Refused {
		t.Errorf("refusal: %+v, %v", j, err)
	}
	d = newDuel(t, challenges.Matmul)
	d.stop = 1
	d.play()
	d.say(challenges.StreamControl, challenges.NewAbort(challenges.AbortFault))
	d.copy.Events = append(d.copy.Events, challenges.Event{At: d.now, Out: true, Frame: []byte("was on its way")})
	d.now += behind
	c = d.end(nil)
	j, err = c.Judge(vectorNetwork)
	if err != nil || j.Finding != receipt.Agrees || j.Verdict.Outcome != challenges.Withheld || j.Verdict.Clause != challenges.ClauseAbort {
		t.Errorf("abort: %+v, %v", j, err)
	}
}

// TestJudgeOfTheCheckersFrames: positions that the checker's own secret does not
// dictate.
func TestJudgeOfTheCheckersFrames(t *testing.T) {
	d := newDuel(t, challenges.Matmul)
	d.play()
	for i := range d.copy.Events {
		if e := &d.copy.Events[i]; e.Out && e.Stream == challenges.StreamControl {
			e.Frame = slices.Clone(e.Frame)
			e.Frame[len(e.Frame)-1] ^= 1
		}
	}
	c := d.end(says(challenges.Withheld, "M3"))
	j, err := c.Judge(vectorNetwork)
	if err != nil || j.Finding != receipt.Contradicts || j.Verdict.Clause != challenges.ClauseSent {
		t.Errorf("%+v, %v", j, err)
	}
}

// TestJudgeOfACopyThatWasCut: what is not there proves nothing.
func TestJudgeOfACopyThatWasCut(t *testing.T) {
	d := newDuel(t, challenges.Matmul)
	d.play()
	frames := 0
	for i, e := range d.copy.Events[:5] {
		if !e.Out {
			frames++
		}
		d.copy.Events[i] = e
	}
	d.copy.Events = append(d.copy.Events[:5:5], challenges.Event{At: d.copy.Events[4].At, End: challenges.EndInternal})
	d.copy.Signatures = d.copy.Signatures[:frames]
	c := d.end(says(challenges.Wrong, "M6"))
	j, err := c.Judge(vectorNetwork)
	if !c.Cut() || err != nil || j.Finding != receipt.Untold || j.Verdict.Outcome != challenges.Unknown {
		t.Errorf("cut %v: %+v, %v", c.Cut(), j, err)
	}
}

func TestNothingToJudge(t *testing.T) {
	d := newDuel(t, challenges.Matmul)
	d.play()
	c := d.end(nil)
	bare, silent := c, c
	bare.Events, bare.Signatures = nil, nil
	silent.Receipt = nil
	for name, p := range map[string]struct {
		c    receipt.Copy
		want error
	}{"no frames": {bare, receipt.ErrNotKept}, "no receipt": {silent, receipt.ErrNoReceipt}} {
		if _, err := p.c.Judge(vectorNetwork); !errors.Is(err, p.want) {
			t.Errorf("%s: judge: %v", name, err)
		}
		if _, err := p.c.Transcript(vectorNetwork); !errors.Is(err, p.want) {
			t.Errorf("%s: transcript: %v", name, err)
		}
	}
	if _, err := c.Judge(challenges.Hash{1}); !errors.Is(err, challenges.ErrNetwork) {
		t.Errorf("another network: %v", err)
	}
	forged := c
	forged.Signatures = slices.Clone(c.Signatures)
	forged.Signatures[0] = make([]byte, 64)
	if j, err := forged.Judge(vectorNetwork); err != nil || j.Verdict.Outcome != challenges.Pass {
		t.Errorf("only the last signature counts: %+v, %v", j, err)
	}
}
