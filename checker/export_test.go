package checker

// Occupy takes places for challenges in flight; free gives them back.
func (c *Checker) Occupy(n int) (free func()) {
	for range n {
		c.flights <- struct{}{}
	}
	return func() {
		for range n {
			<-c.flights
		}
	}
}

// Flights is how many places are taken.
func (c *Checker) Flights() int { return len(c.flights) }

// NoRoom lets no end wait for the store.
func (c *Checker) NoRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends.bytes = maxEndBytes
}
