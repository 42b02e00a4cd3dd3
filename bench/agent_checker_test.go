package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/p2p"
)

// crowd is the checkers of a network, played by the test: each with its key and its
// host, and all of them after one provider. They take turns, so that none asks for more
// than an epoch allows it.
type crowd struct {
	t        *testing.T
	registry *committee.Registry
	keys     []ed25519.PrivateKey
	hosts    []*p2p.Host
	provider challenges.NodeID
	tasks    []task
	lags     *lags

	mu     sync.Mutex
	seq    uint32
	turns  map[string]int // taken, by checker and epoch
	sent   []*sent        // by their start
	probes []probed
}

// task is a kind of challenge that the provider's device allows.
type task struct {
	name     string
	kind     challenges.Kind
	params   []byte
	deadline time.Duration
}

// sent is a challenge that was played to its end.
type sent struct {
	id      challenges.Hash
	task    string
	kind    challenges.Kind
	when    span
	verdict challenges.Verdict
	end     challenges.Cause // of the session; EndNone: by the provider's frames
	reason  string           // of a refusal or an abort
	until   time.Duration    // of a refusal
	ids     []challenges.Hash
	roots   int
	replays error
	ran     time.Duration // of the device, at most: from the challenge to the last word
}

// crowdRegistry is a network that allows simulated rows, with n checkers.
func crowdRegistry(n int, params committee.Params) committee.Registry {
	r := committee.Registry{Name: "crowd", Genesis: uint64(time.Now().Add(-time.Minute).UnixNano()), Simulated: true, Params: params}
	for i := range n {
		r.Checkers = append(r.Checkers, committee.Member{ID: challenges.IDOf(simKey(i)), Name: fmt.Sprint("member-", i), Operator: fmt.Sprint(i)})
	}
	slices.SortFunc(r.Checkers, func(a, b committee.Member) int { return a.ID.Compare(b.ID) })
	return r
}

// newCrowd starts the checkers' hosts.
func newCrowd(t *testing.T, registry *committee.Registry, provider challenges.NodeID, addrs []string, tasks []task, l *lags) *crowd {
	t.Helper()
	c := &crowd{t: t, registry: registry, provider: provider, tasks: tasks, lags: l, turns: make(map[string]int)}
	for i := range registry.Checkers {
		h, err := p2p.New(p2p.Config{Key: simKey(i), Limits: challenges.Protocols()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		if err := h.AddPeer(provider, addrs); err != nil {
			t.Fatal(err)
		}
		c.keys, c.hosts = append(c.keys, simKey(i)), append(c.hosts, h)
	}
	return c
}

// computeTask is a row, with a claim of which one run takes so long: a fake device is well
// faster.
func computeTask(t *testing.T, number uint16, run time.Duration) (k task, claim uint64) {
	t.Helper()
	row, err := challenges.LookupProfile(number)
	if err != nil {
		t.Fatal(err)
	}
	claim = row.TotalOps() * uint64(time.Second) / uint64(run)
	p := challenges.ComputeParams{Profile: number, Window: uint8(row.MaxWindow()), Claim: claim}
	return task{row.Name, row.Shape.Flavour.Kind(), challenges.Marshal(&p), row.Deadline(claim, 0)}, claim
}

// memoryTask is a proof of so many bytes of memory.
func memoryTask(number uint16, bytes uint64) task {
	p := memory.Params{Profile: number, Items: memory.Items(bytes)}
	set := p.Dataset()
	return task{set.Name, challenges.Memory, challenges.Marshal(&p), set.Deadline(0)}
}

// turn gives a checker that has a turn left in this epoch. What is refused takes none.
func (c *crowd) turn() (member int, epoch uint64, key string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	epoch = c.registry.Clock().Epoch(time.Now())
	for i := range c.hosts {
		i = (i + int(c.seq)) % len(c.hosts)
		key := fmt.Sprint(i, " ", epoch)
		if c.turns[key] < int(c.registry.Params.PerEpoch) {
			return i, epoch, key, true
		}
	}
	return 0, epoch, "", false
}

// stream sends challenges back to back until ctx ends: the one that runs then is played
// to its end.
func (c *crowd) stream(ctx context.Context, pick func(n int) int) {
	row := 0 // refusals and the like, one after the other
	for ctx.Err() == nil {
		member, epoch, key, ok := c.turn()
		if !ok {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		s := c.challenge(member, epoch, c.tasks[pick(len(c.tasks))])
		c.mu.Lock()
		if s.verdict.Outcome != challenges.Refused {
			c.turns[key]++
		}
		c.mu.Unlock()
		if s.good() {
			row = 0
			continue
		}
		// A device is given back a moment after its result. Of other refusals, no more than
		// a host's rate of streams allows.
		if row++; row == 1 && s.reason == challenges.ReasonCollision {
			time.Sleep(5 * time.Millisecond)
		} else {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// challenge plays one challenge.
func (c *crowd) challenge(member int, epoch uint64, k task) *sent {
	c.mu.Lock()
	c.seq++
	ch := challenges.Challenge{
		Network: c.registry.Hash(), Epoch: epoch, Provider: c.provider, Device: "gpu0", Kind: k.kind, Seq: c.seq, Deadline: k.deadline, Params: k.params,
	}
	c.mu.Unlock()
	out := &sent{task: k.name, kind: k.kind, when: span{from: time.Now()}}
	s := c.play(member, ch, challenges.ProtoControl, challenges.ProtoBulk)
	out.when.to = time.Now()
	out.id, out.verdict, out.roots = s.ID(), s.Verdict(), len(s.Roots())
	t := s.Transcript()
	out.replays = replays(s)
	out.ran, out.end = t.Events[len(t.Events)-1].At, t.Events[len(t.Events)-1].End
	if r, ok := t.Refusal(); ok {
		out.reason, out.until, out.ids = r.Reason, r.Until, r.IDs
	}
	for _, e := range s.Control() {
		var abort challenges.AbortFrame
		if challenges.Unmarshal(e.Frame, &abort) == nil {
			out.reason = abort.Reason
		}
	}
	c.mu.Lock()
	c.sent = append(c.sent, out)
	c.mu.Unlock()
	return out
}

// play drives a session over real streams, as a checker does, to the receipt.
func (c *crowd) play(member int, ch challenges.Challenge, protos ...string) *challenges.Session {
	var secret challenges.Secret
	_, _ = rand.Read(secret[:])
	ch.Commit = secret.Commit()
	env := challenges.Seal(ch.Network, challenges.KindChallenge, challenges.Marshal(&ch), c.keys[member])
	s, err := challenges.NewSession(env, secret)
	if err != nil {
		c.t.Error(err)
		panic(err)
	}
	life, leave := context.WithCancel(context.Background()) // the streams'
	defer leave()
	ctx, cancel := context.WithTimeout(life, ch.Deadline)
	defer cancel()
	var conns []challenges.Conn
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	for _, proto := range protos {
		conn, err := c.hosts[member].Open(ctx, c.provider, proto)
		if err != nil {
			s.Step(challenges.Event{End: causeOf(err)})
			return s
		}
		conns = append(conns, conn)
	}
	start := time.Now()
	ctx, cancel = context.WithDeadline(life, start.Add(ch.Deadline))
	defer cancel()
	if err := conns[0].Send(ctx, challenges.Marshal(&env)); err != nil {
		s.Step(challenges.Event{End: causeOf(err)})
		return s
	}
	type arrival struct {
		stream uint8
		at     time.Time
		frame  []byte
		err    error
	}
	arrivals := make(chan arrival)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer leave() // before the wait for them
	for i, conn := range conns {
		readers.Go(func() {
			for {
				frame, err := conn.Recv(life)
				select {
				case arrivals <- arrival{uint8(i), time.Now(), frame, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		})
	}
	var last time.Duration
	at := func(t time.Time) time.Duration {
		last = max(last, t.Sub(start))
		return last
	}
	say := func(out []challenges.Out) (done bool) {
		for _, o := range out {
			if _, done := s.Step(challenges.Event{At: at(time.Now()), Stream: o.Stream, Out: true, Frame: o.Frame}); done {
				return true
			}
			if err := conns[o.Stream].Send(ctx, o.Frame); err != nil {
				s.Step(challenges.Event{At: at(time.Now()), Stream: o.Stream, End: causeOf(err)})
				return true
			}
		}
		return false
	}
	done, closed := say(s.Start()), 0
	for !done {
		select {
		case <-ctx.Done():
			s.Step(challenges.Event{At: at(time.Now()), End: challenges.EndTimeout})
			done = true
		case a := <-arrivals:
			switch {
			case errors.Is(a.err, io.EOF) && closed+1 < len(conns):
				closed++ // the other stream may still talk
			case a.err != nil:
				s.Step(challenges.Event{At: at(a.at), Stream: a.stream, End: causeOf(a.err)})
				done = true
			default:
				var out []challenges.Out
				out, done = s.Step(challenges.Event{At: at(a.at), Stream: a.stream, Frame: a.frame})
				done = done || say(out)
			}
		}
	}
	cancel()
	if ch.Kind != challenges.Probe {
		sealed := challenges.SealTranscript(s.Transcript(), ch.Network, c.keys[member])
		word := receipt.Seal(receipt.Of(s, s.Transcript(), sealed.ID()), ch.Network, c.keys[member])
		_ = conns[0].Send(life, challenges.Marshal(&word)) // a courtesy
	}
	for _, conn := range conns {
		_ = conn.Close() // before the readers end: that resets what is not closed
	}
	return s
}

// causeOf is what a stream's error is in a session.
func causeOf(err error) challenges.Cause {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, challenges.ErrIdle):
		return challenges.EndTimeout
	case errors.Is(err, challenges.ErrDial):
		return challenges.EndDial
	case errors.Is(err, challenges.ErrTooLarge), errors.Is(err, challenges.ErrLimit):
		return challenges.EndOversize
	case errors.Is(err, io.EOF):
		return challenges.EndClosed
	case errors.Is(err, challenges.ErrReset):
		return challenges.EndReset
	}
	return challenges.EndInternal
}

// all are the challenges so far.
func (c *crowd) all() []*sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

// passAfter is the first challenge that left after an instant and went well; nil: none yet.
func (c *crowd) passAfter(at time.Time) *sent {
	for _, s := range c.all() {
		if s.good() && s.when.from.After(at) {
			return s
		}
	}
	return nil
}

// within lists challenges that were under way at some time of a span.
func (c *crowd) within(w span) []*sent {
	return slices.DeleteFunc(c.all(), func(s *sent) bool { return s.when.to.Before(w.from) || s.when.from.After(w.to) })
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// endings counts challenges by how they ended.
func endings(all []*sent) string {
	count := make(map[string]int)
	for _, s := range all {
		count[s.word()]++
	}
	var b bytes.Buffer
	for i, k := range slices.Sorted(maps.Keys(count)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", k, count[k])
	}
	return b.String()
}

// word is how a challenge ended, with its reason.
func (s *sent) word() string {
	return strings.TrimSpace(s.verdict.Outcome.String() + " " + s.reason)
}

// good reports a pass. Of a proof of memory it is also one that is right to the end and
// late, which is unknown where the test's own answers were slow: a fake card reads its
// memory slower than any class of cards.
func (s *sent) good() bool {
	late := s.verdict.Outcome == challenges.Late && s.verdict.Clause == challenges.ClauseProven ||
		s.verdict.Outcome == challenges.Unknown && s.verdict.Clause == challenges.ClauseLag
	return s.verdict.Outcome == challenges.Pass || late && s.kind == challenges.Memory && s.end == challenges.EndNone
}
