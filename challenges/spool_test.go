package challenges

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
)

var errSpool = errors.New("the disk is full")

// memSpool is a spool in memory that can fail.
type memSpool struct {
	bodies [][]byte
	reads  int
	append func(n int) error       // nil: works; asked before frame n is kept
	read   func(n, call int) error // nil: works; call counts all reads
}

func (m *memSpool) Append(body []byte) error {
	if m.append != nil {
		if err := m.append(len(m.bodies)); err != nil {
			return err
		}
	}
	m.bodies = append(m.bodies, slices.Clone(body))
	return nil
}

func (m *memSpool) Read(n int) ([]byte, error) {
	m.reads++
	if m.read != nil {
		if err := m.read(n, m.reads); err != nil {
			return nil, err
		}
	}
	if n < 0 || n >= len(m.bodies) {
		return nil, fmt.Errorf("frame %d of %d", n, len(m.bodies))
	}
	return slices.Clone(m.bodies[n]), nil
}

// failsAt is a hook that fails at one frame.
func failsAt(frame int) func(int) error {
	return func(n int) error {
		if n == frame {
			return errSpool
		}
		return nil
	}
}

// spooled plays the row's test challenge with a spool.
func spooled(t *testing.T, profile uint16, spool Spool, cheat func(*player)) *Session {
	t.Helper()
	e, secret := testChallenge(profile, testClaim(profile))
	s, err := NewSpooled(e, secret, spool)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlayer(e, providerKey)
	if cheat != nil {
		cheat(p)
	}
	return play(t, s, p)
}

// manners of providers, honest and not.
func manners() map[string]func(*player) {
	return map[string]func(*player){
		"honest": nil,
		"wrong": func(p *player) {
			p.spoil = func(round int, c []uint64) {
				if round == p.row.Rounds-1 {
					for i := range c {
						c[i]++
					}
				}
			}
		},
		"silent after half": func(p *player) { p.rounds /= 2 },
		"opening of another request": func(p *player) {
			p.open = func(r int, o []byte) any { return NewOpening(r, Hash{byte(r)}, o) }
		},
		"openings signed by somebody else from the second on": func(p *player) { signsFrom(p, 1, false) },
		"second opening alone signed by somebody else":        func(p *player) { signsFrom(p, 1, true) },
	}
}

// signsFrom lets somebody else sign the opening of a round, and those after it
// unless it is the only one.
func signsFrom(p *player, round int, only bool) {
	p.forge = func(r int, frame []byte) []byte {
		if r == round || r > round && !only {
			frame = slices.Clone(frame)
			frame[len(frame)-1] ^= 1
		}
		return frame
	}
}

func TestSpoolChangesNothing(t *testing.T) {
	for _, profile := range playRows {
		for name, manner := range manners() {
			t.Run(rowName(profile)+", "+name, func(t *testing.T) {
				plain, spool := spooled(t, profile, nil, manner), &memSpool{}
				s := spooled(t, profile, spool, manner)
				if s.Verdict() != plain.Verdict() {
					t.Errorf("got %+v, want %+v", s.Verdict(), plain.Verdict())
				}
				got, want := s.Transcript(), plain.Transcript()
				if !bytes.Equal(Marshal(&got), Marshal(&want)) {
					t.Error("another transcript")
				}
				replays(t, s)
				for i, e := range s.events {
					if e.spooled >= 0 && e.Frame != nil {
						t.Errorf("event %d is spooled and in memory", i)
					}
				}
				openings := 0
				for _, e := range want.Events {
					if e.Stream == StreamBulk && !e.Out && e.End == EndNone {
						openings++
					}
				}
				if len(spool.bodies) < openings || openings == 0 && len(spool.bodies) > 1 {
					t.Errorf("%d frames in the spool, %d in the transcript", len(spool.bodies), openings)
				}
			})
		}
	}
}

// faulty checks a session whose spool failed: it is the checker's fault, and the
// transcript of what is left replays.
func faulty(t *testing.T, s *Session, frames int) {
	t.Helper()
	tr := s.Transcript()
	if v := s.Verdict(); v.Outcome != Unknown || v.Clause != ClauseEnd || tr.Verdict != v {
		t.Errorf("got %+v, recorded %+v", v, tr.Verdict)
	}
	last := tr.Events[len(tr.Events)-1]
	openings := 0
	for _, e := range tr.Events {
		if e.Stream == StreamBulk && !e.Out && e.End == EndNone {
			openings++
		}
	}
	if last.End != EndInternal || openings != frames {
		t.Errorf("ends with %v after %d openings, want internal after %d", last.End, openings, frames)
	}
	replays(t, s)
}

func TestSpoolThatCannotAppend(t *testing.T) {
	for _, profile := range smallRows {
		row := rowOf(profile)
		for frame := range row.Rounds {
			s := spooled(t, profile, &memSpool{append: failsAt(frame)}, nil)
			if v := s.Verdict(); v.Outcome != Unknown || int(v.Samples) != frame*row.Samples { // it ended there
				t.Errorf("frame %d: %+v", frame, v)
			}
			faulty(t, s, frame)
		}
	}
	for _, frame := range []int{0, 15, 16, 79} { // around a warm-up
		faulty(t, spooled(t, 8, &memSpool{append: failsAt(frame)}, nil), frame)
	}
}

func TestSpoolThatCannotRead(t *testing.T) {
	for _, profile := range smallRows {
		row := rowOf(profile)
		for frame := range row.Rounds {
			spool := &memSpool{}
			s := spooled(t, profile, spool, nil)
			if v := s.Verdict(); v.Outcome != Pass { // told before anybody asked for the transcript
				t.Fatalf("got %+v", v)
			}
			spool.read = func(n, _ int) error { return failsAt(frame)(n) }
			faulty(t, s, frame)
			spool.read = nil // it comes back; the transcript that was written stays the last word
			faulty(t, s, frame)
		}
	}
}

// TestSpoolThatCannotReadOnce: the read that fails may be any, those of what is
// judged again among them. Whatever was read before, the transcript replays.
func TestSpoolThatCannotReadOnce(t *testing.T) {
	for name, manner := range manners() {
		for first := 1; first <= 9; first++ {
			for second := first + 1; second <= first+5; second++ {
				for _, profile := range []uint16{2, 502} {
					cannotReadOnce(t, profile, name, manner, first, second)
				}
			}
		}
	}
}

func cannotReadOnce(t *testing.T, profile uint16, name string, manner func(*player), first, second int) {
	t.Helper()
	spool := &memSpool{read: func(_, call int) error {
		if call == first || call == second {
			return errSpool
		}
		return nil
	}}
	s := spooled(t, profile, spool, manner)
	tr := s.Transcript()
	v, err := Replay(tr)
	if err != nil || v != tr.Verdict || v != s.Verdict() {
		t.Errorf("%s, reads %d and %d fail: replays as %+v, %v; recorded %+v", name, first, second, v, err, tr.Verdict)
	}
	if failed := spool.reads >= first; err == nil && failed && v.Outcome != Unknown {
		t.Errorf("%s, reads %d and %d fail: %+v", name, first, second, v)
	}
}

// TestMemoryOfASpooledSession bounds what a checker holds for a challenge in
// flight: 80 rounds of 20 positions, played to 90 %, with openings of 8 chunks. The
// capacity rows for real devices have as many roots and positions, and they are as
// large; but an opening has up to 33 KB in three parts. A part more is an event more
// (48 bytes) and a link of the running hash with its signature (96 bytes), in slices
// that grow by a quarter: 72 x 144 x 1.25 = 13 KB for a second part, as much for a
// third, and 24 KB for the opening in hand. So R = 80 and s = 20 hold some 40 to 50
// KB more than what is measured here, and not the 2 MB of their openings.
func TestMemoryOfASpooledSession(t *testing.T) {
	sample := spooled(t, 8, nil, nil)
	e, secret := testChallenge(8, testClaim(8))
	count := len(sample.events) * 9 / 10
	const sessions = 60
	runtime.GC()
	runtime.GC() // the pools' contents too
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	held := make([]*Session, sessions)
	for i := range held {
		held[i] = replayTo(t, sample, e, secret, count)
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := int(after.HeapAlloc-before.HeapAlloc) / sessions
	opening := mostOpening(sample.script.(*computeScript).row)
	t.Logf("%d bytes a session after %d of %d events; an opening has %d", each, count, len(sample.events), opening)
	if limit := 80<<10 + opening; each > limit {
		t.Errorf("%d bytes a session, limit %d", each, limit)
	}
	runtime.KeepAlive(held)
}

// discard is a spool that keeps nothing here, as one on a disk.
type discard struct{}

func (discard) Append([]byte) error      { return nil }
func (discard) Read(int) ([]byte, error) { return nil, errSpool }

// replayTo plays the first events of a session again, in frames of its own.
func replayTo(t *testing.T, sample *Session, e Envelope, secret Secret, count int) *Session {
	t.Helper()
	s, err := NewSpooled(e, secret, discard{})
	if err != nil {
		t.Fatal(err)
	}
	send := s.Start()
	seen := [streams]int{}
	for _, ev := range sample.events[:count] {
		event := ev.Event
		if event.Out {
			event.Frame, send = send[0].Frame, send[1:]
		} else {
			sig := sample.signed[event.Stream][seen[event.Stream]].signature
			seen[event.Stream]++
			event.Frame = slices.Concat(event.Frame, sig[:])
		}
		more, done := s.Step(event)
		if done {
			t.Fatalf("done: %+v", s.Verdict())
		}
		send = append(send, more...)
	}
	return s
}
