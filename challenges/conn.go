package challenges

import (
	"context"
	"errors"
	"time"
)

// What ended a stream, for errors.Is: transports wrap one of these, or io.EOF
// for a clean close between two frames, or the context's error.
var (
	ErrReset    = errors.New("stream reset")
	ErrTooLarge = errors.New("frame too large")
	ErrLimit    = errors.New("stream over its byte limit")
	ErrIdle     = errors.New("no whole frame within the idle limit")
	ErrDial     = errors.New("peer not reached")
)

// Protocol names of the streams.
const (
	ProtoControl = "/assay/challenge/1" // challenge, roots, positions, result, receipt
	ProtoBulk    = "/assay/bulk/1"      // openings, in round order
	ProtoProbe   = "/assay/probe/1"     // pings
	ProtoOffer   = "/assay/offer/1"     // a provider's signed offer
)

// MaxFrame bounds every frame on every stream, in bytes, the signature included.
const MaxFrame = 16 << 10

// Conn is a stream of whole frames to one authenticated peer. Send and Recv may
// be used by one goroutine each; a cancelled context ends the stream.
type Conn interface {
	// Send writes one frame of at most MaxFrame bytes.
	Send(ctx context.Context, frame []byte) error
	// Recv reads the next frame. io.EOF means that the peer closed the stream
	// between two frames.
	Recv(ctx context.Context) ([]byte, error)
	// Relayed reports that the path goes through a relay: its times say nothing.
	Relayed() bool
	// Close ends the stream in both directions.
	Close() error
}

// Limits bound one stream of a protocol.
type Limits struct {
	MaxFrame int           // bytes of one frame
	MaxBytes int           // bytes read from the peer over the stream's life
	Idle     time.Duration // longest wait for the next whole frame
	Total    time.Duration // longest life of the stream
	PerPeer  int           // streams that one peer may have open at once
}

// Protocols gives the limits of each protocol that a provider serves.
func Protocols() map[string]Limits {
	return map[string]Limits{
		// As many as an offer may have devices: all may be asked at once.
		ProtoControl: {MaxFrame: MaxFrame, MaxBytes: 1 << 20, Idle: time.Minute, Total: 5 * time.Minute, PerPeer: maxDevices},
		ProtoBulk:    {MaxFrame: MaxFrame, MaxBytes: 8 << 20, Idle: time.Minute, Total: 5 * time.Minute, PerPeer: maxDevices},
		ProtoProbe:   {MaxFrame: 1 << 10, MaxBytes: 16 << 10, Idle: 10 * time.Second, Total: 30 * time.Second, PerPeer: 8},
		ProtoOffer:   {MaxFrame: MaxFrame, MaxBytes: 32 << 10, Idle: 10 * time.Second, Total: 30 * time.Second, PerPeer: 4},
	}
}
