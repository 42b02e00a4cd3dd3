// Package notice is a provider's signed word about a time to come.
package notice

import (
	"fmt"

	"github.com/assaynet/assay/challenges"
)

// Kind is the envelope's kind.
const Kind = "notice"

// Kinds of notices.
const (
	Maintenance = "maintenance" // planned, with notice
	Drain       = "drain"       // leaving, no new work
)

// Notice announces maintenance or an end.
type Notice struct {
	_      struct{} `cbor:",toarray"`
	Seq    uint64   // a higher one replaces a lower one
	Issued uint64   // Unix time, s
	Kind   string
	From   uint64 // Unix time, s
	Until  uint64 // Unix time, s; 0: for good
	Text   string
}

// Check bounds the fields.
func (n *Notice) Check() error {
	if n.Kind != Maintenance && n.Kind != Drain {
		return fmt.Errorf("notice kind %q", n.Kind)
	}
	if n.Until != 0 && n.Until <= n.From {
		return fmt.Errorf("notice until %d, from %d", n.Until, n.From)
	}
	return challenges.Text("text", n.Text, 1024)
}

// Open authenticates and decodes a notice.
func Open(e challenges.Envelope, network challenges.Hash) (Notice, error) {
	payload, err := e.Open(network, Kind)
	if err != nil {
		return Notice{}, err
	}
	var n Notice
	err = challenges.Unmarshal(payload, &n)
	return n, err
}
