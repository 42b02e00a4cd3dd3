package bench

import (
	"math/bits"
	"slices"
	"time"

	"github.com/assaynet/assay/challenges"
)

// honestRun is one challenge of an honest provider, with what its verdict rests on.
type honestRun struct {
	profile  challenges.Profile
	params   challenges.ComputeParams
	verdict  challenges.Verdict
	reason   string        // of a refusal
	truth    uint64        // ops/s of the device meanwhile
	complete bool          // every root came in time and was opened: M9 judges it
	took     time.Duration // measured time
	ours     bool          // M10: the checker measured itself
}

// read takes the log apart. What was cut off by the end of the simulation is left
// out.
func (n *honestNet) read() []honestRun {
	n.t.Helper()
	var out []honestRun
	for _, f := range n.log.finished {
		if f.Info.Kind == challenges.Probe {
			continue
		}
		env, err := challenges.DecodeEnvelope(f.Transcript)
		if err != nil {
			n.t.Fatal(err)
		}
		t, c, err := challenges.OpenTranscript(env)
		if err != nil {
			n.t.Fatal(err)
		}
		if len(t.Events) > 0 && t.Events[len(t.Events)-1].End == challenges.EndStopped {
			continue
		}
		p, err := c.ComputeParams()
		if err != nil {
			n.t.Fatal(err)
		}
		i := slices.IndexFunc(n.provider, func(s *honestSeat) bool { return s.host.ID() == c.Provider })
		r := honestRun{params: p, verdict: t.Verdict, truth: n.provider[i].device.rate(f.Info.Challenge)}
		r.profile, _ = challenges.LookupProfile(p.Profile)
		if f, ok := t.Refusal(); ok {
			r.reason = f.Reason
		}
		r.time(t.Events)
		out = append(out, r)
	}
	return out
}

// time reads the times of roots and positions off the events.
func (r *honestRun) time(events []challenges.Event) {
	var in, out []time.Duration
	for _, e := range events {
		var root challenges.RootFrame
		switch {
		case e.Stream != challenges.StreamControl || e.End != challenges.EndNone:
		case e.Out:
			out = append(out, e.At)
		case challenges.Unmarshal(e.Frame, &root) == nil:
			in = append(in, e.At)
		}
	}
	row := r.profile
	judged := r.verdict.Outcome == challenges.Pass || r.verdict.Outcome == challenges.Late || r.verdict.Clause == challenges.ClauseLag
	if !judged || len(in) < row.Rounds || len(out) < row.Rounds {
		return
	}
	r.complete, r.took = true, in[row.Rounds-1]
	if row.Warm > 0 {
		r.took -= out[row.Warm-1]
	}
	var lag time.Duration
	for i := row.Warm; i < row.Rounds; i++ {
		lag += out[i] - in[i]
	}
	r.ours = lag*1000 > r.took*time.Duration(row.LagShare)
}

// ops is the work that the measured time was for.
func (r *honestRun) ops() uint64 {
	return uint64(r.profile.Rounds-r.profile.Warm) * r.profile.Shape.Ops()
}

// gate says whether M9 gives the run a figure: its timed rounds were to take 20
// round trips.
func (r *honestRun) gate() bool {
	return r.profile.Measured(r.params.Claim) >= time.Duration(r.profile.MinRTTs)*r.params.RTT
}

// figure is OpsLower as M9 and M10 give it.
func (r *honestRun) figure() uint64 {
	if !r.complete || r.ours || !r.gate() {
		return 0
	}
	return honestRate(r.ops(), r.took)
}

// under reports that the rate with the benefit of the doubt, which M9 gives before
// it says late, is below the claim less a slack, in percent.
func (r *honestRun) under(slack int) bool {
	return r.fair() < r.least(slack)
}

func (r *honestRun) fair() uint64 {
	return honestRate(r.ops(), r.took-min(r.params.RTT, r.took*time.Duration(r.profile.Doubt)/100))
}

// bestUnder reports it of the best interval; a run without a figure has none.
func (r *honestRun) bestUnder(slack int) bool { return r.verdict.OpsBest < r.least(slack) }

func (r *honestRun) least(slack int) uint64 { return r.params.Claim / 100 * uint64(100-slack) }

// outcome is what the run would have been with another slack: M9 and M10.
func (r *honestRun) outcome(slack int) challenges.Outcome {
	switch {
	case !r.complete:
		return r.verdict.Outcome
	case !r.gate() || !r.under(slack) || !r.bestUnder(slack):
		return challenges.Pass
	case r.ours:
		return challenges.Unknown
	}
	return challenges.Late
}

// slow reports that the device itself ran below the claim less a slack: a mark for
// it is true.
func (r *honestRun) slow(slack int) bool { return r.truth < r.least(slack) }

// wholeLate is late without the best interval, as if a stall always counted.
func (r *honestRun) wholeLate(slack int) bool {
	return r.complete && !r.ours && r.gate() && r.under(slack)
}

// measuredLate is late where the run, and not what it was to be, must take 20 round
// trips: some do only because something was slow.
func (r *honestRun) measuredLate(slack int) bool {
	return r.complete && !r.ours && r.took >= time.Duration(r.profile.MinRTTs)*r.params.RTT && r.under(slack) && r.bestUnder(slack)
}

func honestRate(ops uint64, took time.Duration) uint64 {
	hi, lo := bits.Mul64(ops, 1e9)
	q, _ := bits.Div64(hi, lo, uint64(took))
	return q
}
