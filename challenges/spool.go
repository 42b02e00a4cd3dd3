package challenges

// Spool keeps the openings of one session, which are nearly all of its bytes,
// until its transcript is written: a checker with many challenges in flight holds
// them on its disk. A session without one holds them in memory.
type Spool interface {
	// Append keeps a copy of a frame's body. The first is number 0. An error ends
	// the session as the checker's own fault.
	Append(body []byte) error
	// Read returns the body of that number.
	Read(n int) ([]byte, error)
}
