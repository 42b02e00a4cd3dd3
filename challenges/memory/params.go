package memory

import (
	"fmt"
	"math/bits"
	"time"
)

// share is the part of the offered memory that a dataset fills, in percent: a
// driver, its contexts and error correction take some of the rest.
const share = 90

// Items is how many items a dataset has on a device that is offered with so many
// bytes of memory.
func Items(offered uint64) uint64 { return offered / 100 * share / ItemBytes }

// Params are the parameters of a proof of memory. Everything else follows from
// the profile's row.
type Params struct {
	_       struct{}      `cbor:",toarray"`
	Profile uint16        // row of the table
	Items   uint64        // of the dataset
	RTT     time.Duration // least round-trip time that the checker has seen, in nanoseconds
}

// Check bounds the fields against the table.
func (p *Params) Check() error {
	row, err := Lookup(p.Profile)
	if err != nil {
		return err
	}
	if p.Items < 1<<11 || p.Items > 1<<36 {
		return fmt.Errorf("%d items: want 2^11 to 2^36", p.Items)
	}
	if p.RTT < 0 || p.RTT > 10*time.Second {
		return fmt.Errorf("rtt %v: out of range", p.RTT)
	}
	if d := (Dataset{row, p.Items}); d.Deadline(p.RTT) > 4*time.Minute {
		return fmt.Errorf("%d items: too many for %s", p.Items, row.Name)
	}
	return nil
}

// Dataset is the dataset that checked parameters ask for.
func (p *Params) Dataset() Dataset {
	row, _ := Lookup(p.Profile)
	return Dataset{row, p.Items}
}

// FillTime is how long the class takes at best to fill the dataset.
func (d Dataset) FillTime() time.Duration { return took(d.Items, d.MakeRate) }

// WalkTime is how long the class takes at best for all walks.
func (d Dataset) WalkTime() time.Duration { return took(d.Reads(), d.ReadRate) }

// Expected is the device time of a run.
func (d Dataset) Expected() time.Duration { return d.FillTime() + d.WalkTime() }

// took is how long n take at so many a second: at most an hour.
func took(n, rate uint64) time.Duration {
	hi, lo := bits.Mul64(n, 1e9)
	if hi >= rate {
		return time.Hour
	}
	q, _ := bits.Div64(hi, lo, rate)
	return time.Duration(min(q, uint64(time.Hour)))
}

// FillBy is how long a checker waits for the dataset to be filled.
func (d Dataset) FillBy(rtt time.Duration) time.Duration {
	// SPEC: D4. filled MUST come within 3 x fill + 2 x RTT + Grace.
	return fillPatience*d.FillTime() + 2*rtt + d.Grace
}

// Deadline is how long a checker waits from challenge to result.
func (d Dataset) Deadline(rtt time.Duration) time.Duration {
	// SPEC: D4. deadline = (3 x fill + 2 x RTT + Grace) + Patience x walk + 4 x RTT + Grace.
	return d.FillBy(rtt) + time.Duration(d.Patience)*d.WalkTime() + 4*rtt + d.Grace
}

// Rate is how many items a second were read at least, where so many rounds took
// so long; 0 if elapsed <= 0.
func (d Dataset) Rate(rounds int, elapsed time.Duration) uint64 {
	if elapsed <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(rounds)*d.Walks()*uint64(d.Steps), 1e9)
	if hi >= uint64(elapsed) {
		return 1<<64 - 1
	}
	q, _ := bits.Div64(hi, lo, uint64(elapsed))
	return q
}

// Proven is how many bytes of the dataset a responder of the class held, who read
// so many items a second.
func (d Dataset) Proven(rate uint64) uint64 {
	// SPEC: D5. While it read, a responder could make MakeRate items a second again and
	// fetch LinkRate from elsewhere, all at once, and each served 5/4 reads at most:
	// V = D x (1 - that / rate).
	other := d.outside()
	if rate <= other {
		return 0
	}
	hi, lo := bits.Mul64(d.Bytes(), rate-other)
	v, _ := bits.Div64(hi, lo, rate) // hi < rate, as D < 2^64
	return v
}

// outside is how many reads a second a responder may serve without the items in
// memory. Who leads the walks window by window and keeps what it got for a window
// while they are there serves more reads than it gets items: for the memory that it
// saves, what it keeps and the states of all walks taken off, 1.2 at most with the
// windows and walks of the real rows. bench shows it.
func (d Dataset) outside() uint64 { return (d.MakeRate + d.LinkRate) / 4 * 5 }

// Hidden is g*, the share of a dataset that a device of the class can do without
// and still be as fast as its best: what the proof never shows.
func (p Profile) Hidden() float64 {
	d := Dataset{Profile: p}
	return float64(d.outside()) / float64(p.ReadRate)
}
