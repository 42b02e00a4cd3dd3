//go:build cgo && linux

package nvml

import "sync"

// gate counts the calls that are in the driver, so that the library is not closed
// under them.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	idle   chan struct{} // made by close, closed when nobody is inside
}

// enter lets a call in, which must leave; false after close.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.closed {
		close(g.idle)
	}
}

// close lets nobody in any more. The channel closes when all have left; it is the
// first caller's.
func (g *gate) close() (idle <-chan struct{}, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, false
	}
	g.closed, g.idle = true, make(chan struct{})
	if g.inside == 0 {
		close(g.idle)
	}
	return g.idle, true
}
