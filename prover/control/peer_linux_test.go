package control

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestPeerIsThisUser(t *testing.T) {
	l, err := Listen(filepath.Join(t.TempDir(), SocketName))
	check(t, err)
	defer l.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", l.path)
	check(t, err)
	defer conn.Close()
	got, err := l.Accept()
	check(t, err)
	defer got.Close()
	if uid, known, err := peerUID(got); err != nil || !known || uid != os.Geteuid() {
		t.Errorf("user %d, known %v, %v; want %d", uid, known, err, os.Geteuid())
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, _, err := peerUID(a); err == nil {
		t.Error("a pipe has a peer")
	}
}

// TestPeerIsAnother connects as another user, through a socket that was opened to
// all: what the mode would keep out, the question of who it is does.
func TestPeerIsAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	f := &fake{}
	s := serve(t, New(Config{Agent: f, Records: f}))
	for dir := s.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		check(t, os.Chmod(dir, 0o755))
	}
	if err := asNobody(s.path); err != syscall.EACCES {
		t.Errorf("the mode let another user in: %v", err)
	}
	check(t, os.Chmod(s.path, 0o666))
	if err := asNobody(s.path); err != nil {
		t.Errorf("connect: %v", err)
	}
	if len(f.told) > 0 {
		t.Errorf("another user told the agent %q", f.told)
	}
}

// asNobody sends a request as user 65534 from a thread that is nobody else's. The
// error is connect's.
func asNobody(path string) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			result <- errno
			return
		}
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err == nil {
			defer syscall.Close(fd)
			err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		}
		if err == nil {
			_, _ = syscall.Write(fd, []byte("POST /v1/resume HTTP/1.1\r\nHost: agent\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"))
			_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: int64(5 * time.Second / time.Second)})
			_, _ = syscall.Read(fd, make([]byte, 512)) // the refusal
		}
		result <- err
	}()
	return <-result
}
