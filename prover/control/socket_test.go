package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	l, err := Listen(path)
	check(t, err)
	info, err := os.Lstat(path)
	check(t, err)
	if m := info.Mode(); m.Type() != fs.ModeSocket || m.Perm() != 0o600 {
		t.Errorf("mode %v", m)
	}
	if got := names(t, dir); got != SocketName {
		t.Errorf("the folder has %s", got)
	}
	// A second agent is refused, and harms nothing.
	if second, err := Listen(path); !errors.Is(err, ErrRuns) || second != nil {
		t.Errorf("a second one: %v", err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	check(t, err)
	check(t, conn.Close())
	check(t, l.Close())
	check(t, l.Close())
	if got := names(t, dir); got != "" {
		t.Errorf("after Close the folder has %s", got)
	}
}

// TestModeFromTheFirstInstant looks at the folder while sockets are made: no name in
// it may ever be open to others.
func TestModeFromTheFirstInstant(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if info, err := os.Lstat(path); err == nil && info.Mode().Perm() != 0o600 {
				t.Errorf("the socket had mode %v", info.Mode())
				return
			}
			if info, err := os.Lstat(filepath.Join(dir, nursery)); err == nil && info.Mode().Perm() != 0o700 {
				t.Errorf("the folder of new sockets had mode %v", info.Mode())
				return
			}
		}
	})
	for range 200 {
		l, err := Listen(path)
		check(t, err)
		check(t, l.Close())
	}
	cancel()
	wg.Wait()
}

func TestStaleSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	// A killed agent leaves its socket, or half of its start.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	check(t, err)
	dead.SetUnlinkOnClose(false)
	check(t, dead.Close())
	check(t, os.Mkdir(filepath.Join(dir, nursery), 0o700))
	half, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, nursery, "s"), Net: "unix"})
	check(t, err)
	half.SetUnlinkOnClose(false)
	check(t, half.Close())
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoAgent) {
		t.Errorf("a dead agent's socket: %v", err)
	}
	l, err := Listen(path)
	check(t, err)
	check(t, l.Close())
	if got := names(t, dir); got != "" {
		t.Errorf("the folder has %s", got)
	}
}

// TestNotOurs holds that only sockets are replaced, and only its own one is removed.
func TestNotOurs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	check(t, os.WriteFile(path, []byte("mine"), 0o600))
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file: %v", err)
	}
	b, err := os.ReadFile(path)
	if string(b) != "mine" {
		t.Errorf("the file is %q, %v", b, err)
	}
	check(t, os.Remove(path))
	check(t, os.WriteFile(filepath.Join(dir, nursery), nil, 0o600))
	l, err := Listen(path) // an empty file of that name is a leftover too
	check(t, err)
	check(t, os.Remove(path))
	other, err := Listen(path)
	check(t, err)
	check(t, l.Close())
	if got := names(t, dir); got != SocketName {
		t.Errorf("the folder has %q after the first one's end", got)
	}
	check(t, other.Close())
	if _, err := Listen(filepath.Join(dir, "nowhere", SocketName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func TestLongPath(t *testing.T) {
	dir := t.TempDir()
	pad := maxPath - len(dir) - len(SocketName) - 2
	if pad < 1 || pad > 250 {
		t.Skip("temporary folders have long names here")
	}
	for extra := range 2 {
		deep := filepath.Join(dir, strings.Repeat("d", pad+extra))
		check(t, os.Mkdir(deep, 0o700))
		path := filepath.Join(deep, SocketName)
		l, err := Listen(path)
		if extra == 0 { // the longest that fits
			check(t, err)
			check(t, l.Close())
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "use a folder with a shorter name") {
			t.Errorf("%d bytes: %v", len(path), err)
		}
		if _, err := Dial(t.Context(), deep); err == nil || !strings.Contains(err.Error(), "use a folder with a shorter name") {
			t.Errorf("dial, %d bytes: %v", len(path), err)
		}
	}
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	f := &fake{}
	s := New(Config{Agent: f, Records: f})
	l, err := Listen(filepath.Join(dir, SocketName))
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := Dial(t.Context(), dir)
		if err == nil {
			check(t, c.Resume(t.Context()))
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if _, err := Listen(filepath.Join(dir, SocketName)); !errors.Is(err, ErrRuns) {
		t.Errorf("twice: %v", err)
	}
	cancel()
	check(t, <-ended)
}
