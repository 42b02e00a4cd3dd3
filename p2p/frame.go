package p2p

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/assaynet/assay/challenges"
)

const (
	// maxPrefix bounds the varint before a frame, in bytes.
	maxPrefix = 3
	// maxLength is the longest frame that such a varint can announce, in bytes.
	maxLength = 1<<(7*maxPrefix) - 1
)

// errMalformed says that the peer's bytes are no frame. It wraps ErrReset, for
// that is what follows.
var errMalformed = fmt.Errorf("%w: malformed frame", challenges.ErrReset)

// frameReader cuts a stream into frames. After an error other than io.EOF the
// position in the stream is lost.
type frameReader struct {
	r        io.Reader
	maxFrame int     // bytes of one frame, at most maxLength
	left     int     // bytes that the peer may still send, lengths included
	one      [1]byte // here, so that reading a length allocates nothing
}

// next reads one frame into fresh memory. io.EOF means that the stream ended
// before the frame began, io.ErrUnexpectedEOF that it ended inside.
func (f *frameReader) next() ([]byte, error) {
	length, size, err := f.length()
	if err != nil {
		return nil, err
	}
	if length > f.maxFrame {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", challenges.ErrTooLarge, length, f.maxFrame)
	}
	if size+length > f.left {
		return nil, fmt.Errorf("%w: frame of %d bytes with %d left", challenges.ErrLimit, length, f.left)
	}
	f.left -= size + length
	frame := make([]byte, length)
	if _, err := io.ReadFull(f.r, frame); err != nil {
		return nil, inside(err)
	}
	return frame, nil
}

// length reads a frame's length and says how many bytes it took.
func (f *frameReader) length() (length, size int, err error) {
	for i := range maxPrefix {
		if _, err := io.ReadFull(f.r, f.one[:]); err != nil {
			if i > 0 {
				err = inside(err)
			}
			return 0, 0, err
		}
		b := f.one[0]
		length |= int(b&0x7f) << (7 * i)
		switch {
		case b >= 0x80: // more to come
		case b == 0 && i == 0:
			return 0, 0, fmt.Errorf("%w: no bytes", errMalformed)
		case b == 0:
			return 0, 0, fmt.Errorf("%w: length is not minimal", errMalformed)
		default:
			return length, i + 1, nil
		}
	}
	return 0, 0, fmt.Errorf("%w: length of more than %d bytes", challenges.ErrTooLarge, maxPrefix)
}

// inside turns the end of the stream into the end of it within a frame.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendFrame appends a frame with its length.
func appendFrame(b, frame []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(frame)))
	return append(b, frame...)
}
