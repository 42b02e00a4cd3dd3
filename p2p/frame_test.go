package p2p

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/assaynet/assay/challenges"
)

func TestFrameReader(t *testing.T) {
	const maxFrame, maxBytes = 300, 400
	long := appendFrame(nil, bytes.Repeat([]byte{7}, maxFrame))
	tests := []struct {
		name   string
		in     []byte
		frames int
		err    error
	}{
		{"nothing", nil, 0, io.EOF},
		{"one", []byte{2, 'a', 'b'}, 1, io.EOF},
		{"two", []byte{1, 'a', 1, 'b'}, 2, io.EOF},
		{"longest", long, 1, io.EOF},
		{"too long by one", appendFrame(nil, make([]byte, maxFrame+1)), 0, challenges.ErrTooLarge},
		{"too long, no body", []byte{0xff, 0xff, 0x7f}, 0, challenges.ErrTooLarge},
		{"length of four bytes", []byte{0x80, 0x80, 0x80, 0x01}, 0, challenges.ErrTooLarge},
		{"length without end", bytes.Repeat([]byte{0xff}, 20), 0, challenges.ErrTooLarge},
		{"no bytes", []byte{0}, 0, errMalformed},
		{"no bytes after one", []byte{1, 'a', 0}, 1, errMalformed},
		{"length not minimal", []byte{0x81, 0x00, 'a'}, 0, errMalformed},
		{"length not minimal, three bytes", []byte{0x81, 0x80, 0x00, 'a'}, 0, errMalformed},
		{"no bytes, two bytes", []byte{0x80, 0x00}, 0, errMalformed},
		{"end in length", []byte{0x81}, 0, io.ErrUnexpectedEOF},
		{"end after length", []byte{3}, 0, io.ErrUnexpectedEOF},
		{"end in body", []byte{3, 'a', 'b'}, 0, io.ErrUnexpectedEOF},
		{"last byte allowed", append(bytes.Clone(long), appendFrame(nil, make([]byte, 97))...), 2, io.EOF},
		{"one byte over", append(bytes.Clone(long), appendFrame(nil, make([]byte, 98))...), 1, challenges.ErrLimit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{bytes.NewReader(tt.in), iotest.OneByteReader(bytes.NewReader(tt.in)), iotest.DataErrReader(bytes.NewReader(tt.in))} {
				f := frameReader{r: r, maxFrame: maxFrame, left: maxBytes}
				n := 0
				for {
					_, err := f.next()
					if err == nil {
						n++
						continue
					}
					if n != tt.frames || !errors.Is(err, tt.err) {
						t.Errorf("%d frames, then %v; want %d, then %v", n, err, tt.frames, tt.err)
					}
					break
				}
			}
		})
	}
}

// A length over the limit must be refused for what it says, not for what the
// reader finds after it.
func TestFrameReaderStopsAtLength(t *testing.T) {
	r := bytes.NewReader(append([]byte{0xff, 0xff, 0x7f}, make([]byte, 100)...))
	f := frameReader{r: r, maxFrame: 100, left: 1 << 20}
	if allocs := testing.AllocsPerRun(1, func() { _, _ = f.next() }); allocs > 10 {
		t.Errorf("%v allocations", allocs)
	}
	r = bytes.NewReader(append([]byte{0xff, 0xff, 0x7f}, make([]byte, 100)...))
	f.r = r
	if _, err := f.next(); !errors.Is(err, challenges.ErrTooLarge) || r.Len() != 100 {
		t.Errorf("%v with %d bytes left", err, r.Len())
	}
}

func TestErrorTexts(t *testing.T) {
	f := frameReader{r: strings.NewReader("\x05"), maxFrame: 4, left: 100}
	_, err := f.next()
	if got, want := err.Error(), "frame too large: 5 bytes, at most 4"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{2, 'a', 'b', 1, 'c'})
	f.Add([]byte{0x80, 0x01, 'a'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add(appendFrame(nil, make([]byte, 200)))
	f.Fuzz(func(t *testing.T, in []byte) {
		const maxFrame, maxBytes = 200, 500
		r := frameReader{r: bytes.NewReader(in), maxFrame: maxFrame, left: maxBytes}
		var again []byte
		for {
			frame, err := r.next()
			if err != nil {
				if frame != nil {
					t.Fatalf("frame beside %v", err)
				}
				break
			}
			if len(frame) == 0 || cap(frame) > maxFrame {
				t.Fatalf("frame of %d bytes in %d", len(frame), cap(frame))
			}
			again = appendFrame(again, frame)
		}
		if len(again) > maxBytes {
			t.Fatalf("%d bytes accepted, at most %d", len(again), maxBytes)
		}
		// One encoding only: what was accepted is what would be sent.
		if !bytes.HasPrefix(in, again) {
			t.Fatalf("accepted %x, encodes as %x", in, again)
		}
	})
}
