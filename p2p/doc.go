// Package p2p carries frames between nodes: hosts, streams, limits and the
// step from a NodeID to a libp2p peer. It never looks inside a frame.
//
// # Streams
//
// A stream belongs to one protocol and one peer whose key the handshake has
// proven. Both directions carry frames: an unsigned varint length (minimal, at
// most three bytes), then that many bytes, at least one. A peer that sends
// anything else is reset.
//
// Every stream lives under the [challenges.Limits] of its protocol:
//
//   - MaxFrame is checked on the length alone, before memory is taken.
//   - MaxBytes counts every byte from the peer, lengths included.
//   - Idle runs from the call of Recv to the last byte of the frame, so a peer
//     that drips bytes gains nothing; the same time bounds one Send to a peer
//     that does not read.
//   - Total bounds the stream whatever is sent on it.
//   - PerPeer bounds what one peer may have open of one protocol on this host,
//     counted from before the handler runs until after it returns.
//
// How often streams may be opened is bounded by [Rate]: by peer, and for those
// not Trusted by IPv4 address or IPv6 /56 too. Loopback has no bound by address,
// for there a whole network may share one.
//
// A limit that is broken ends the stream in both directions. A peer that has
// closed or reset its side does not: what it sent before can still be read,
// such as a refusal that arrives while a Send fails.
//
// # Strangers
//
// Keys cost nothing, so whatever is bounded by peer alone is bounded for nobody.
// All peers that [Config].Trusted does not vouch for share one [Share]: of
// connections, where the oldest gives way to a newcomer once it has had ten
// seconds, and of streams being handled, by protocol. The limits of the resource
// manager (in New) are such that this share, each of its connections at its own
// limit, leaves half of every scope to the others: streams, those that still
// negotiate included, and memory, of which each stream counts one frame. The
// connection manager spares Trusted peers.
//
// Before its handshake a connection is nobody's. What strangers can hold up
// there is bounded by address, /24 and /48, and not by the share.
//
// # Errors
//
// Every error of Send and Recv is io.EOF, the error of the context, or wraps
// one of ErrReset, ErrTooLarge, ErrLimit, ErrIdle and ErrDial of challenges.
// ErrDial after a successful Open means that the peer does not speak the
// protocol: libp2p opens streams to known peers without waiting for the answer.
// It is only reported before the first frame, so that a peer cannot pass off
// silence as absence.
//
// # Measuring
//
// Three courtesies of libp2p would make a checker's own caution look like a
// provider's outage: the backoff after a failed dial, the black hole detector,
// and a connection manager that cuts connections in use. The first is cleared
// at each Open (callers pace their dials), the second is off, and a peer with a
// stream opened here is protected from the third.
package p2p
