package worker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// maxFrame bounds a frame, in bytes: the opening of a round is some tens of KiB.
const maxFrame = 8 << 20

// magic begins both greetings.
const magic = "assay-gpu worker"

// greeting is the first frame of each side, the same in every version.
type greeting struct {
	_       struct{} `cbor:",toarray"`
	Magic   string
	Version uint64
}

// ops are what the parent asks for.
const (
	opPing uint8 = iota
	opCancel
	opSetup
	opStart
	opFill
	opWalk
	opNext
	opOpen
	opClose
	opFree
	opCards
	opInventory
	opSample
	opProcesses
	opAttest
	opXid
	ops
)

// statuses are how a call ended.
const (
	statusOK         uint8 = iota
	statusEOF              // after the last round
	statusFault            // payload: a fault
	statusCancelled        // by its context
	statusFailed           // payload: a text; the caller's doing
	statusUnattested       // the card attests to nothing
	statuses
)

type request struct {
	_       struct{} `cbor:",toarray"`
	Call    uint64
	Op      uint8
	Payload []byte
}

// Check holds that the call is one.
func (r *request) Check() error {
	if r.Op >= ops || (r.Call == 0) != (r.Op == opPing) {
		return fmt.Errorf("request %d with op %d", r.Call, r.Op)
	}
	return nil
}

type reply struct {
	_       struct{} `cbor:",toarray"`
	Call    uint64
	Status  uint8
	Payload []byte
}

// Check holds that the status is one.
func (r *reply) Check() error {
	if r.Status >= statuses || r.Call == 0 && r.Status != statusOK && r.Status != statusFault {
		return fmt.Errorf("reply %d with status %d", r.Call, r.Status)
	}
	return nil
}

// frame writes a message with its length before it.
func frame(v any) []byte {
	body := challenges.Marshal(v)
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...)
}

// frames reads them.
type frames struct {
	in  *bufio.Reader
	buf []byte // of the last frame
}

func newFrames(in io.Reader) *frames { return &frames{in: bufio.NewReaderSize(in, 64<<10)} }

// errFrame says that the other side does not keep to the protocol.
var errFrame = errors.New("not a frame")

// keep is the most that a buffer holds on to between frames.
const keep = 256 << 10

// next reads a frame into v. It is io.EOF between frames.
func (f *frames) next(v any) error {
	var head [4]byte
	if _, err := io.ReadFull(f.in, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxFrame {
		return fmt.Errorf("%w: %d bytes long, at most %d", errFrame, n, maxFrame)
	}
	if cap(f.buf) > keep {
		f.buf = nil
	}
	f.buf = slices.Grow(f.buf[:0], int(n))[:n]
	if _, err := io.ReadFull(f.in, f.buf); err != nil {
		return fmt.Errorf("within a frame: %w", err)
	}
	// What is decoded shares no memory with the buffer.
	if err := challenges.Unmarshal(f.buf, v); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	return nil
}

// decode reads a payload.
func decode[T any](payload []byte) (*T, error) {
	v := new(T)
	if err := challenges.Unmarshal(payload, v); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return v, nil
}

// faultMessage is a fault on the wire.
type faultMessage struct {
	_      struct{} `cbor:",toarray"`
	Class  string
	Detail string
	Xid    uint32
}

// Check holds that the class is one.
func (m *faultMessage) Check() error {
	switch m.Class {
	case gpu.FaultCrash, gpu.FaultHang, gpu.FaultMemory, gpu.FaultLost, gpu.FaultDriver, gpu.FaultWrong, gpu.FaultAbsent:
	default:
		return fmt.Errorf("class %q", m.Class)
	}
	if len(m.Detail) > gpu.MaxDetail {
		return fmt.Errorf("detail of %d bytes, at most %d", len(m.Detail), gpu.MaxDetail)
	}
	return nil
}

// encodeFault makes sure that the other side takes it.
func encodeFault(f *gpu.Fault) []byte {
	m := faultMessage{Class: f.Class, Detail: line(f.Detail, gpu.MaxDetail), Xid: f.Xid}
	if err := m.Check(); err != nil {
		m.Class = gpu.FaultDriver
	}
	return challenges.Marshal(&m)
}

func decodeFault(payload []byte) (*gpu.Fault, error) {
	m, err := decode[faultMessage](payload)
	if err != nil {
		return nil, err
	}
	return &gpu.Fault{Class: m.Class, Detail: line(m.Detail, gpu.MaxDetail), Xid: m.Xid}, nil
}

// line makes one printable line of at most limit bytes of a text that somebody else
// wrote.
func line(s string, limit int) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-3], "") + "..."
	}
	return s
}
