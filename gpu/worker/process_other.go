//go:build !linux

package worker

import (
	"os"
	"os/exec"
)

func own(*exec.Cmd) {}

func end(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func (p *process) reap() {
	_ = p.cmd.Wait() // it is in the process' state
	p.kills.Lock()
	defer p.kills.Unlock()
	p.gone = true
}

// ending says how a process ended.
func ending(s *os.ProcessState) string { return "ended: " + s.String() }
