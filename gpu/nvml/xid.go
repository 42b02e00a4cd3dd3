//go:build cgo && linux

package nvml

import (
	"math"
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// How long the driver is waited for at a time, which is what Close may have to wait,
// and how long not to ask again after it has failed.
const (
	xidWait  = 200 * time.Millisecond
	xidPause = time.Second
)

// xids notes the errors that a card reports.
type xids struct {
	ended chan struct{} // closed when nothing is noted any more

	mu     sync.Mutex
	number uint32 // the latest; 0: none
	at     time.Time
}

// watchXids begins to note a card's errors. Where the driver, or what runs around
// this process, does not report them, it notes none.
func watchXids(l *Library, card nvml.Device) *xids {
	x := &xids{ended: make(chan struct{})}
	set := register(l, card)
	if set == nil {
		close(x.ended)
		return x
	}
	go x.run(set, l.closing) // Close waits for it
	return x
}

// register gives a set that reports the card's errors; nil if none can be had.
func register(l *Library, card nvml.Device) nvml.EventSet {
	const wait = "nvmlEventSetWait"
	for _, name := range []string{"nvmlEventSetCreate", "nvmlDeviceRegisterEvents", "nvmlEventSetFree", "nvmlDeviceGetSupportedEventTypes"} {
		if !l.symbols.has(name) {
			return nil
		}
	}
	if !l.symbols.has(wait+"_v2", wait) {
		return nil
	}
	can, code := card.GetSupportedEventTypes()
	if code != nvml.SUCCESS || can&nvml.EventTypeXidCriticalError == 0 {
		return nil
	}
	set, code := l.api.EventSetCreate()
	if code != nvml.SUCCESS {
		return nil
	}
	if card.RegisterEvents(nvml.EventTypeXidCriticalError, set) != nvml.SUCCESS {
		set.Free()
		return nil
	}
	return set
}

// run notes errors until the library is closed, and up to one wait longer.
func (x *xids) run(set nvml.EventSet, closing <-chan struct{}) {
	defer close(x.ended)
	defer set.Free()
	for {
		event, code := set.Wait(uint32(xidWait.Milliseconds()))
		switch code {
		case nvml.SUCCESS:
			if event.EventType == nvml.EventTypeXidCriticalError && event.EventData != 0 {
				x.note(uint32(min(event.EventData, math.MaxUint32)))
			}
		case nvml.ERROR_TIMEOUT: // nothing has happened
		default: // a lost card answers at once, again and again
			select {
			case <-closing:
			case <-time.After(xidPause):
			}
		}
		select {
		case <-closing:
			return
		default:
		}
	}
}

func (x *xids) note(number uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.number, x.at = number, time.Now()
}

// within is the latest error not older than a time; 0: none.
func (x *xids) within(d time.Duration) uint32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.number == 0 || time.Since(x.at) > d {
		return 0
	}
	return x.number
}
