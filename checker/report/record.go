package report

import (
	"errors"
	"time"

	"github.com/assaynet/assay/challenges"
)

// ErrNotFound says that a store does not have what was asked for.
var ErrNotFound = errors.New("not found")

// Begun is a challenge that was written down before it was sent.
type Begun struct {
	_         struct{} `cbor:",toarray"`
	Epoch     uint64
	Kind      challenges.Kind
	Provider  challenges.NodeID
	Device    string
	At        int64 // Unix time, ns
	Profile   uint16
	Claim     uint64
	Challenge []byte // envelope
	Secret    challenges.Secret
}

// Pending is a challenge that was begun and has no end.
type Pending struct {
	ID challenges.Hash
	Begun
}

// TranscriptInfo is what lists say about a stored transcript.
type TranscriptInfo struct {
	_         struct{}        `cbor:",toarray"`
	Hash      challenges.Hash // object id of the sealed transcript
	Challenge challenges.Hash // id of the challenge
	Kind      challenges.Kind
	Outcome   challenges.Outcome
	Provider  challenges.NodeID
	Device    string
	Epoch     uint64
	At        int64 // end, Unix time, ns
	Bytes     uint32
}

// Finished is a challenge with its end: the transcript and, unless it was a
// probe, the item for the epoch's observation.
type Finished struct {
	Info       TranscriptInfo
	Transcript []byte // sealed envelope
	Item       *Item
}

// Slices are one provider's probes of one epoch.
type Slices struct {
	_         struct{} `cbor:",toarray"`
	Provider  challenges.NodeID
	Simulated bool
	Slices    []byte        // as in Observation
	RTT       time.Duration // least, ns; 0: none
}

// ProviderEpoch is everything a checker has recorded of a provider in an epoch.
type ProviderEpoch struct {
	Slices
	Items []Item // ascending by challenge id
}

// Query selects transcripts; zero fields match all.
type Query struct {
	Kind     challenges.Kind
	Outcome  challenges.Outcome
	Provider challenges.NodeID
	Limit    int // 0 or less: 100
}
