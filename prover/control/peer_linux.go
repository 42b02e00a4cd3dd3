package control

import (
	"fmt"
	"net"
	"syscall"
)

// peerUID is the user at the other end when it connected.
func peerUID(conn net.Conn) (uid int, known bool, err error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, false, fmt.Errorf("%T has no peer", conn)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	var cred *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return 0, false, fmt.Errorf("who is at the other end: %w", err)
	}
	return int(cred.Uid), true, nil
}
