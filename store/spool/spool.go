// Package spool holds what is too large for memory and too short-lived for the
// store: the openings of challenges in flight. All spools of a process share one
// file, which has no name once it is open: a crash leaves nothing behind.
package spool

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// blockBytes is what a spool takes of the file at a time. A frame lies within one
// block.
const blockBytes = 64 << 10

// ErrFull says that all of the file is in use.
var ErrFull = errors.New("spool is full")

// File is the file that spools share.
type File struct {
	f     *os.File
	limit int64 // blocks

	mu   sync.Mutex
	end  int64   // blocks that were ever used
	free []int64 // given back
}

// Create makes a file in dir of at most limit bytes.
func Create(dir string, limit int64) (*File, error) {
	f, err := os.CreateTemp(dir, "spool-*")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	// Where an open file cannot lose its name it keeps it until Close.
	_ = os.Remove(f.Name())
	return &File{f: f, limit: limit / blockBytes}, nil
}

// Close ends the file; spools in use fail from here on.
func (f *File) Close() error {
	err := f.f.Close()
	if rerr := os.Remove(f.f.Name()); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// Used is how much of the file is in use, in bytes.
func (f *File) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return (f.end - int64(len(f.free))) * blockBytes
}

func (f *File) take() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.free); n > 0 {
		b := f.free[n-1]
		f.free = f.free[:n-1]
		return b, nil
	}
	if f.end == f.limit {
		return 0, fmt.Errorf("%w: %d bytes", ErrFull, f.limit*blockBytes)
	}
	f.end++
	return f.end - 1, nil
}

// Spool is one user's part of the file. Its methods must not be called
// concurrently.
type Spool struct {
	file   *File
	blocks []int64
	used   int // of the last block
	frames []place
}

type place struct {
	at  int64
	len int32
}

// Open starts a spool.
func (f *File) Open() *Spool { return &Spool{file: f} }

// Append keeps a copy of body, at most 64 KiB. The first is number 0. A body that
// cannot be kept leaves the spool as it was.
func (s *Spool) Append(body []byte) error {
	if len(body) > blockBytes {
		return fmt.Errorf("spool: %d bytes, limit %d", len(body), blockBytes)
	}
	if len(s.blocks) == 0 || s.used+len(body) > blockBytes {
		b, err := s.file.take()
		if err != nil {
			return err
		}
		s.blocks, s.used = append(s.blocks, b), 0
	}
	at := s.blocks[len(s.blocks)-1]*blockBytes + int64(s.used)
	if _, err := s.file.f.WriteAt(body, at); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	s.used += len(body)
	s.frames = append(s.frames, place{at, int32(len(body))})
	return nil
}

// Read returns the body of that number.
func (s *Spool) Read(n int) ([]byte, error) {
	if n < 0 || n >= len(s.frames) {
		return nil, fmt.Errorf("spool: frame %d of %d", n, len(s.frames))
	}
	b := make([]byte, s.frames[n].len)
	if _, err := s.file.f.ReadAt(b, s.frames[n].at); err != nil {
		return nil, fmt.Errorf("spool: frame %d: %w", n, err)
	}
	return b, nil
}

// Close gives the spool's part of the file back.
func (s *Spool) Close() error {
	s.file.mu.Lock()
	defer s.file.mu.Unlock()
	s.file.free = append(s.file.free, s.blocks...)
	s.blocks, s.frames = nil, nil
	return nil
}
