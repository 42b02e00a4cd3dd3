package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxPath bounds a socket's path, in bytes: the system's field, less its last zero.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// nursery is a folder beside the socket in which it is made.
const nursery = ".control"

// ErrRuns says that another agent has the socket.
var ErrRuns = errors.New("an agent runs here already")

// Listener is a socket whose name goes when it is closed.
type Listener struct {
	*net.UnixListener
	path string
	made os.FileInfo
}

// Listen makes the socket. One that a dead agent left is replaced; one of a living
// agent is ErrRuns.
//
// It is made in a folder that nobody else may enter, and gets its mode there before
// it gets its name: there is no instant at which others could connect.
func Listen(path string) (*Listener, error) {
	if err := fits(path); err != nil {
		return nil, err
	}
	if err := vacant(path); err != nil {
		return nil, err
	}
	dir := filepath.Join(filepath.Dir(path), nursery)
	inner := filepath.Join(dir, "s") // shorter than path: it fits
	// What a start that was killed has left.
	_ = os.Remove(inner)
	_ = os.Remove(dir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer os.Remove(dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: inner, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // by a name that it will not have
	made, err := settle(inner, path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", errors.Join(err, l.Close(), os.Remove(inner)))
	}
	return &Listener{l, path, made}, nil
}

// settle gives a new socket its mode and its name.
func settle(inner, path string) (os.FileInfo, error) {
	if err := os.Chmod(inner, 0o600); err != nil {
		return nil, err
	}
	made, err := os.Lstat(inner)
	if err != nil {
		return nil, err
	}
	return made, os.Rename(inner, path)
}

// Close ends it, and removes the socket unless another one has its name by now.
func (l *Listener) Close() error {
	err := l.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	if there, e := os.Lstat(l.path); e == nil && os.SameFile(there, l.made) {
		err = errors.Join(err, os.Remove(l.path))
	}
	return err
}

// vacant holds that nobody listens at path, and that what is there is a socket.
func vacant(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("control socket: %s is there, and is no socket", path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("%s: %w", path, ErrRuns)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil // of a dead one, or it has ended meanwhile
	case errors.Is(err, syscall.EAGAIN), ctx.Err() != nil:
		return fmt.Errorf("%s: %w, and does not answer", path, ErrRuns)
	}
	return fmt.Errorf("control socket: %w", err)
}

// fits holds that the system takes a path for a socket's.
func fits(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("control socket: %s has %d bytes, and a socket's path at most %d: use a folder with a shorter name", path, len(path), maxPath)
	}
	return nil
}
