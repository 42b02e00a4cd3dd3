package worker

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"
)

// own gives the child a process group of its own: a Ctrl-C at the parent's terminal
// is not for it, and what it starts ends with it.
func own(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// end kills the group of a child that is not reaped.
func end(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// reap waits for the process to die, kills what it left behind in its group, and
// reaps it: in this order the group's number is never somebody else's.
func (p *process) reap() {
	const pid = 1 // P_PID
	var info [128]byte
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pid, uintptr(p.cmd.Process.Pid), uintptr(unsafe.Pointer(&info)),
			syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno != syscall.EINTR {
			break
		}
	}
	p.kills.Lock()
	defer p.kills.Unlock()
	end(p.cmd)
	_ = p.cmd.Wait() // it is in the process' state
	p.gone = true
}

// ending says how a process ended.
func ending(s *os.ProcessState) string {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return fmt.Sprintf("was killed by signal %d", w.Signal())
	}
	return fmt.Sprintf("ended with status %d", s.ExitCode())
}
