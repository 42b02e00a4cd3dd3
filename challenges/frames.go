package challenges

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"lukechampine.com/blake3"
)

// Streams of a challenge.
const (
	StreamControl = 0
	StreamBulk    = 1
	streams       = 2
)

const signatureBytes = ed25519.SignatureSize

// maxPart is the most data, in bytes, in one part of an opening: with its head
// and signature it stays below MaxFrame.
const maxPart = 15 << 10

// Frame types: the first element of every frame but the challenge's envelope.
const (
	typeRoot      = 1
	typePositions = 2
	typeOpening   = 3
	typeResult    = 4
	typeRefusal   = 5
	typeAbort     = 6
	typeAttach    = 7
	typePing      = 8
	typePong      = 9
	typeFilled    = 10
	typeNonce     = 11
)

// RootFrame commits the provider to round r: the first one for a round is final.
type RootFrame struct {
	_     struct{} `cbor:",toarray"`
	Type  uint8
	Round uint32
	Root  Hash
	Key   Hash          // key_r: which matrices these are
	Mono  time.Duration // provider's monotonic clock since it read the challenge, ns
}

// Check checks the type.
func (f *RootFrame) Check() error { return frameType(f.Type, typeRoot) }

// PositionsFrame asks for entries of round r: 4-byte little-endian indices.
type PositionsFrame struct {
	_         struct{} `cbor:",toarray"`
	Type      uint8
	Round     uint32
	Positions []byte
}

// Check checks the type and that the indices are whole.
func (f *PositionsFrame) Check() error {
	if len(f.Positions) == 0 || len(f.Positions)%4 != 0 {
		return fmt.Errorf("positions: %d bytes", len(f.Positions))
	}
	return frameType(f.Type, typePositions)
}

// OpeningFrame is one part of the opening of round r.
type OpeningFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    uint8
	Round   uint32
	Request Hash // BLAKE3 of the positions frame that it answers
	Part    uint16
	Data    []byte
}

// Check checks the type and the size.
func (f *OpeningFrame) Check() error {
	if len(f.Data) == 0 || len(f.Data) > maxPart {
		return fmt.Errorf("opening part of %d bytes", len(f.Data))
	}
	return frameType(f.Type, typeOpening)
}

// Core is the part of a result that identity evidence is bound to.
type Core struct {
	_         struct{} `cbor:",toarray"`
	Challenge Hash
	Device    string
	Roots     []Hash
	Boot      [16]byte
	Telemetry []byte // at most 4096 bytes: the provider's claim, judged by package evidence
}

// ResultFrame ends a challenge on the provider's side.
type ResultFrame struct {
	_           struct{} `cbor:",toarray"`
	Type        uint8
	Core        Core
	Attestation []byte // what the card signed over the core, see package identity; empty: nothing
}

// Check checks the type and the sizes.
func (f *ResultFrame) Check() error {
	if err := errors.Join(f.Fits(), Text("device", f.Core.Device, 64)); err != nil {
		return err
	}
	return frameType(f.Type, typeResult)
}

// Fits checks that the result is one frame.
func (f *ResultFrame) Fits() error {
	// SPEC: M8. Each part is bounded, and so are all together.
	roots, said, signed := len(f.Core.Roots), len(f.Core.Telemetry), len(f.Attestation)
	if roots > 256 || said > 4096 || 34*roots+said+signed > maxPart {
		return fmt.Errorf("result of %d roots, %d bytes of telemetry and %d of attestation", roots, said, signed)
	}
	return nil
}

// Reasons of a refusal.
const (
	ReasonBusy        = "busy"        // no time for the checker now; counts
	ReasonCollision   = "collision"   // the device runs the named challenge; neutral
	ReasonQuota       = "quota"       // the named challenges used the budget
	ReasonTenant      = "tenant"      // rented; neutral
	ReasonDrain       = "drain"       // leaving; neutral
	ReasonUnsupported = "unsupported" // device, profile or claim not as offered
	ReasonNotMember   = "not-member"  // the sender is no checker of this network
	ReasonReplay      = "replay"      // the challenge id was used before
	ReasonFault       = "fault"       // the device, or what runs it, failed; counts
)

// RefusalFrame is a signed no, before any root.
type RefusalFrame struct {
	_      struct{} `cbor:",toarray"`
	Type   uint8
	Reason string
	Until  time.Duration // expected to last so long from now; 0: not known
	IDs    []Hash        // challenges that are the reason, at most 32
}

// Check checks the type, the reason and the sizes.
func (f *RefusalFrame) Check() error {
	switch f.Reason {
	case ReasonBusy, ReasonCollision, ReasonQuota, ReasonTenant, ReasonDrain, ReasonUnsupported, ReasonNotMember, ReasonReplay, ReasonFault:
	default:
		return fmt.Errorf("refusal reason %q", f.Reason)
	}
	if len(f.IDs) > 32 || f.Until < 0 {
		return fmt.Errorf("refusal: %d ids, until %v", len(f.IDs), f.Until)
	}
	// SPEC: S6. A collision MUST name the running challenge.
	if f.Reason == ReasonCollision && len(f.IDs) != 1 {
		return fmt.Errorf("collision naming %d challenges", len(f.IDs))
	}
	return frameType(f.Type, typeRefusal)
}

// Reasons of an abort.
const (
	AbortOverrun = "overrun" // the machine under a simulated device was too slow for the modelled time; neutral there
	AbortTenant  = "tenant"  // a tenant came while the challenge ran; counts
	AbortFault   = "fault"   // the device, or what runs it, failed; counts
)

// AbortFrame gives a run up.
type AbortFrame struct {
	_      struct{} `cbor:",toarray"`
	Type   uint8
	Reason string
}

// Check checks the type and the reason.
func (f *AbortFrame) Check() error {
	if f.Reason != AbortOverrun && f.Reason != AbortTenant && f.Reason != AbortFault {
		return fmt.Errorf("abort reason %q", f.Reason)
	}
	return frameType(f.Type, typeAbort)
}

// FilledFrame says that the dataset of a proof of memory is filled.
type FilledFrame struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	Mono time.Duration // provider's monotonic clock since it read the challenge, ns
}

// Check checks the type.
func (f *FilledFrame) Check() error { return frameType(f.Type, typeFilled) }

// NonceFrame starts the walks of a proof of memory.
type NonceFrame struct {
	_     struct{} `cbor:",toarray"`
	Type  uint8
	Nonce Hash
}

// Check checks the type.
func (f *NonceFrame) Check() error { return frameType(f.Type, typeNonce) }

// StartsWalks reports that a frame of the checker's is the nonce of a proof of
// memory, which starts the measured time.
func StartsWalks(frame []byte) bool { return peekType(frame) == typeNonce }

// IsLast reports that a frame of the provider's is its last word: a result, a
// refusal or an abort. Openings may still be on their way.
func IsLast(frame []byte) bool {
	t := peekType(frame)
	return t == typeResult || t == typeRefusal || t == typeAbort
}

// AttachFrame opens the bulk stream of a challenge.
type AttachFrame struct {
	_         struct{} `cbor:",toarray"`
	Type      uint8
	Challenge Hash
}

// Check checks the type.
func (f *AttachFrame) Check() error { return frameType(f.Type, typeAttach) }

// PingFrame asks for one pong.
type PingFrame struct {
	_     struct{} `cbor:",toarray"`
	Type  uint8
	Seq   uint8
	Nonce [16]byte
}

// Check checks the type.
func (f *PingFrame) Check() error { return frameType(f.Type, typePing) }

// Flags of a pong.
const (
	FlagBusy     = 1 << iota // a job runs, or GPU work is refused
	FlagDraining             // no new work; leaving
)

// PongFrame answers a ping and says, as a claim, what the provider is doing.
type PongFrame struct {
	_       struct{} `cbor:",toarray"`
	Type    uint8
	Seq     uint8
	Nonce   [16]byte
	Boot    [16]byte // changes with every start of the agent
	Counter uint64   // rises with every pong since the boot
	Devices Hash     // of the offer's device list
	Flags   uint8
}

// Check checks the type and the flags.
func (f *PongFrame) Check() error {
	if f.Flags&^(FlagBusy|FlagDraining) != 0 {
		return fmt.Errorf("flags %#x", f.Flags)
	}
	return frameType(f.Type, typePong)
}

func frameType(got, want uint8) error {
	if got != want {
		return fmt.Errorf("frame type %d, want %d", got, want)
	}
	return nil
}

// peekType reads the type of an encoded frame: the first element of a short
// array, a small integer.
func peekType(body []byte) uint8 {
	if len(body) < 2 || body[0]>>5 != 4 || body[0]&0x1f > 23 || body[1] > 23 {
		return 0
	}
	return body[1]
}

// NewRoot makes a root frame.
func NewRoot(round int, root, key Hash, mono time.Duration) []byte {
	return Marshal(&RootFrame{Type: typeRoot, Round: uint32(round), Root: root, Key: key, Mono: mono})
}

// NewFilled makes the frame that says that a dataset is filled.
func NewFilled(mono time.Duration) []byte {
	return Marshal(&FilledFrame{Type: typeFilled, Mono: mono})
}

// NewOpening cuts the opening of a round into its parts.
func NewOpening(round int, request Hash, opening []byte) [][]byte {
	var parts [][]byte
	for i := 0; len(opening) > 0; i++ {
		n := min(len(opening), maxPart)
		parts = append(parts, Marshal(&OpeningFrame{
			Type: typeOpening, Round: uint32(round), Request: request, Part: uint16(i), Data: opening[:n],
		}))
		opening = opening[n:]
	}
	return parts
}

// NewResult makes a result frame.
func NewResult(core Core, attestation []byte) []byte {
	return Marshal(&ResultFrame{Type: typeResult, Core: core, Attestation: attestation})
}

// NewRefusal makes a refusal frame.
func NewRefusal(reason string, until time.Duration, ids ...Hash) []byte {
	return Marshal(&RefusalFrame{Type: typeRefusal, Reason: reason, Until: until, IDs: ids})
}

// NewAbort makes an abort frame.
func NewAbort(reason string) []byte {
	return Marshal(&AbortFrame{Type: typeAbort, Reason: reason})
}

// NewAttach makes the frame that opens a bulk stream.
func NewAttach(id Hash) []byte { return Marshal(&AttachFrame{Type: typeAttach, Challenge: id}) }

// NewPong answers a ping.
func NewPong(ping PingFrame, boot [16]byte, counter uint64, devices Hash, flags uint8) []byte {
	return Marshal(&PongFrame{
		Type: typePong, Seq: ping.Seq, Nonce: ping.Nonce, Boot: boot, Counter: counter, Devices: devices, Flags: flags,
	})
}

func newPositions(round int, pos []uint32) []byte {
	return Marshal(&PositionsFrame{Type: typePositions, Round: uint32(round), Positions: PackPositions(pos)})
}

func newPing(seq int, nonce [16]byte) []byte {
	return Marshal(&PingFrame{Type: typePing, Seq: uint8(seq), Nonce: nonce})
}

// FrameHash identifies a frame, for the echo in an opening.
func FrameHash(frame []byte) Hash { return blake3.Sum256(frame) }

// chain is the running hash of one side's frames on one stream.
type chain struct {
	network Hash
	sum     Hash
}

func newChain(network, id Hash, stream uint8) chain {
	// SPEC: S1. h_0 = derive_key("assay/stream/v1", challenge id || stream index).
	return chain{network, derive("assay/stream/v1", id[:], []byte{stream})}
}

// absorb takes in one frame's body.
func (c *chain) absorb(body []byte) {
	// SPEC: S1. h_{i+1} = BLAKE3(h_i || body_i).
	h := blake3.New(32, nil)
	h.Write(c.sum[:])
	h.Write(body)
	c.sum = Hash(h.Sum(nil))
}

// input is what the signature of the last frame covers.
func (c *chain) input() []byte {
	// SPEC: S1. The frame's last 64 bytes are the Ed25519 signature of h_{i+1} as
	// kind "frame".
	return signInput(c.network, kindFrame, c.sum[:])
}

// FrameSigner signs a provider's frames on one stream of one challenge.
type FrameSigner struct {
	key   ed25519.PrivateKey
	chain chain
}

// NewFrameSigner starts a stream.
func NewFrameSigner(key ed25519.PrivateKey, network, id Hash, stream uint8) *FrameSigner {
	return &FrameSigner{key, newChain(network, id, stream)}
}

// Sign returns the frame: body and signature. Frames must be sent in the order
// in which they are signed.
func (s *FrameSigner) Sign(body []byte) []byte {
	s.chain.absorb(body)
	sig := ed25519.Sign(s.key, s.chain.input())
	return append(body[:len(body):len(body)], sig...)
}
