package challenges

import "errors"

// ErrUsed says that a challenge id was accepted before.
var ErrUsed = errors.New("challenge id used before")

// Use is a provider's own record of a challenge that it accepted.
type Use struct {
	_       struct{} `cbor:",toarray"`
	Checker NodeID
	Device  string
	Epoch   uint64
	At      int64  // begin, Unix time, ns
	Ended   int64  // end, Unix time, ns; 0 while it runs
	Outcome string // how it ended, in the provider's words
}
