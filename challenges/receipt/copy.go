package receipt

import (
	"errors"
	"fmt"
	"unicode"

	"github.com/assaynet/assay/challenges"
)

// Copy is what a provider keeps of a challenge that came in: enough to say later,
// without asking anybody, how it went and why. Its times are the provider's, since
// it read the challenge.
type Copy struct {
	_          struct{}           `cbor:",toarray"`
	Challenge  []byte             // the envelope, as it came
	Receipt    []byte             // the checker's envelope, as it came; empty: none came
	Signatures [][]byte           // of the provider's frames in Events, one each, in their order
	Events     []challenges.Event // empty for passes: the hash of the transcript is in the receipt
	At, Ended  int64              // Unix time, ns
	Result     string             // how the agent says that it ended: Answered, failed, left, aborted, yielded, refused_...
	Reason     string             // of the agent's refusal or abort; empty: neither
	Fault      string             // class of the device's fault; empty: none
	Detail     string             // what the driver or the worker said, or the refusal's cause
	Xid        uint32             // 0: none
	Telemetry  []byte             // telemetry.Record of the run; empty: none
}

// Answered is the result of a challenge that was answered to its end.
const Answered = "answered"

// Limits of a copy, in bytes.
const (
	MaxBytes     = 8 << 20 // of all frames together
	MaxDetail    = 512
	MaxTelemetry = 4096
	maxName      = 32 // of a result, a reason, a class of faults
)

// Check holds that the fields are within their limits and fit each other: events
// in the order of their times, an end only as the last of them, and a signature
// for every frame of the provider's.
func (c *Copy) Check() error {
	if n := len(c.Challenge); n == 0 || n > challenges.MaxFrame {
		return fmt.Errorf("copy: challenge of %d bytes", n)
	}
	if len(c.Receipt) > challenges.MaxFrame || len(c.Telemetry) > MaxTelemetry {
		return fmt.Errorf("copy: receipt of %d bytes, telemetry of %d", len(c.Receipt), len(c.Telemetry))
	}
	if c.Ended < c.At {
		return fmt.Errorf("copy: ended at %d, before %d", c.Ended, c.At)
	}
	if c.Result == "" {
		return errors.New("copy: no result")
	}
	for _, t := range []struct {
		name, text string
		limit      int
	}{
		{"result", c.Result, maxName}, {"reason", c.Reason, maxName}, {"fault", c.Fault, maxName}, {"detail", c.Detail, MaxDetail},
	} {
		if len(t.text) > t.limit {
			return fmt.Errorf("copy: %s of %d bytes, limit %d", t.name, len(t.text), t.limit)
		}
		for _, r := range t.text {
			if !unicode.IsPrint(r) {
				return fmt.Errorf("copy: %s with the character %U", t.name, r)
			}
		}
	}
	return c.checkEvents()
}

func (c *Copy) checkEvents() error {
	if len(c.Events) > challenges.MaxEvents {
		return fmt.Errorf("copy: %d events, limit %d", len(c.Events), challenges.MaxEvents)
	}
	bytes, frames := 0, 0
	for i, e := range c.Events {
		ends := e.End != challenges.EndNone
		switch {
		case e.Stream > challenges.StreamBulk || e.End > challenges.EndInternal:
			return fmt.Errorf("copy: event %d on stream %d, %v", i, e.Stream, e.End)
		case e.At < 0 || i > 0 && e.At < c.Events[i-1].At:
			return fmt.Errorf("copy: event %d at %v", i, e.At)
		case ends && (i != len(c.Events)-1 || e.Out || len(e.Frame) > 0):
			return fmt.Errorf("copy: event %d is an end, and more", i)
		case !ends && (len(e.Frame) == 0 || len(e.Frame) > challenges.MaxFrame):
			return fmt.Errorf("copy: event %d: frame of %d bytes", i, len(e.Frame))
		}
		if bytes += len(e.Frame); bytes > MaxBytes {
			return fmt.Errorf("copy: frames of over %d bytes", MaxBytes)
		}
		if !e.Out && !ends {
			frames++
		}
	}
	if len(c.Signatures) != frames {
		return fmt.Errorf("copy: %d signatures of %d frames", len(c.Signatures), frames)
	}
	for i, s := range c.Signatures {
		if len(s) != signatureBytes {
			return fmt.Errorf("copy: signature %d of %d bytes", i, len(s))
		}
	}
	return nil
}

const signatureBytes = 64

// Cut reports that the events are not all that there were: recording them reached
// a limit.
func (c *Copy) Cut() bool {
	n := len(c.Events)
	return n > 0 && c.Events[n-1].End == challenges.EndInternal
}

// Facts is what the two envelopes of a copy say.
type Facts struct {
	ID        challenges.Hash // the challenge's
	Checker   challenges.NodeID
	Challenge challenges.Challenge
	Receipt   *Receipt // nil: none came
}

// Open authenticates the challenge and the receipt.
func (c *Copy) Open(network challenges.Hash) (Facts, error) {
	env, err := challenges.DecodeEnvelope(c.Challenge)
	if err != nil {
		return Facts{}, fmt.Errorf("challenge: %w", err)
	}
	ch, err := challenges.OpenChallenge(env, network)
	if err != nil {
		return Facts{}, fmt.Errorf("challenge: %w", err)
	}
	f := Facts{ID: env.ID(), Checker: env.Signer, Challenge: ch}
	if len(c.Receipt) == 0 {
		return f, nil
	}
	if env, err = challenges.DecodeEnvelope(c.Receipt); err != nil {
		return Facts{}, fmt.Errorf("receipt: %w", err)
	}
	r, err := Open(env, network, f.Checker, f.ID)
	if err != nil {
		return Facts{}, fmt.Errorf("receipt: %w", err)
	}
	f.Receipt = &r
	return f, nil
}

// Info is a copy in short, for lists.
type Info struct {
	_          struct{} `cbor:",toarray"`
	Challenge  challenges.Hash
	Checker    challenges.NodeID
	Device     string
	Kind       challenges.Kind
	Epoch      uint64
	At, Ended  int64 // Unix time, ns
	Result     string
	Reason     string
	Fault      string
	Xid        uint32
	Outcome    challenges.Outcome // the receipt's; 0: none came
	Clause     string
	Transcript challenges.Hash // the checker's; zero: no receipt came
	Bytes      uint32          // of the copy
}

// Check holds that the outcome is one, or none.
func (i *Info) Check() error {
	if i.Outcome != 0 && !i.Outcome.Valid() {
		return fmt.Errorf("outcome %d", i.Outcome)
	}
	return nil
}

// Pass reports that the checker said pass.
func (i *Info) Pass() bool { return i.Outcome == challenges.Pass }

// Marked reports a challenge that did not go well: the checker said anything but
// pass, or it said nothing and the challenge was not answered to its end.
func (i *Info) Marked() bool {
	if i.Outcome == 0 {
		return i.Result != Answered
	}
	return !i.Pass()
}

// Info is the copy in short; f is what [Copy.Open] says of it.
func (c *Copy) Info(f Facts) Info {
	i := Info{
		Challenge: f.ID, Checker: f.Checker, Device: f.Challenge.Device, Kind: f.Challenge.Kind, Epoch: f.Challenge.Epoch,
		At: c.At, Ended: c.Ended, Result: c.Result, Reason: c.Reason, Fault: c.Fault, Xid: c.Xid,
		Bytes: uint32(len(challenges.Marshal(c))),
	}
	if r := f.Receipt; r != nil {
		i.Outcome, i.Clause, i.Transcript = r.Outcome, r.Clause, r.Transcript
	}
	return i
}

// Query says which copies to list.
type Query struct {
	Marks bool // only those that did not go well, see [Info.Marked]
	Limit int  // at most so many; 0 or less: the store's default
}
