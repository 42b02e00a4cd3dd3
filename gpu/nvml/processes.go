//go:build cgo && linux

package nvml

import (
	"context"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/assaynet/assay/gpu/telemetry"
)

// maxProcesses bounds what is told of the processes of a card.
const maxProcesses = 256

// Processes lists the compute processes on the card, each once, with this program's
// own and those that come through MPS; at most 256. A driver that cannot tell is an
// error: nobody knows then whether the card is free.
func (m *monitor) Processes(ctx context.Context) ([]telemetry.Process, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.leave()
	r := &reader{symbols: m.lib.symbols}
	running, err := processes(r, m.card)
	if err != nil {
		return nil, m.explain(fmt.Errorf("processes of card %s: %w", m.name, err))
	}
	for i := range running {
		pid := int(running[i].PID)
		running[i].Name = r.text("nvmlSystemGetProcessName", func() (string, nvml.Return) {
			return m.lib.api.SystemGetProcessName(pid)
		})
	}
	return running, nil
}

// processes lists a card's, without names.
func processes(r *reader, card nvml.Device) ([]telemetry.Process, error) {
	const compute, mps = "nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetMPSComputeRunningProcesses"
	if r.fault != nil {
		return nil, r.fault
	}
	if !r.can(compute+"_v3", compute+"_v2", compute) {
		return nil, ErrUnsupported
	}
	running, code := card.GetComputeRunningProcesses()
	if !r.ok(compute, code) {
		if code == nvml.ERROR_NOT_SUPPORTED {
			return nil, ErrUnsupported
		}
		return nil, failure(compute, code)
	}
	out := add(nil, running)
	if r.can(mps+"_v3", mps+"_v2", mps) {
		// Without MPS there is no such list.
		if clients, code := card.GetMPSComputeRunningProcesses(); r.ok(mps, code) {
			out = add(out, clients)
		}
	}
	if r.fault != nil {
		return nil, r.fault
	}
	return out[:min(len(out), maxProcesses)], nil
}

// add puts the processes of one list to those of others. On a card that is cut into
// instances one process can be in a list several times, with the memory of each; one
// that is in two lists has its memory in both.
func add(to []telemetry.Process, list []nvml.ProcessInfo) []telemetry.Process {
	known := make(map[uint32]int, len(to)+len(list)) // index in to
	for i, p := range to {
		known[p.PID] = i
	}
	others := len(to)
	for _, p := range list {
		memory := p.UsedGpuMemory
		if int64(memory) < 0 { // all ones stands for unknown
			memory = 0
		}
		i, there := known[p.Pid]
		switch {
		case !there:
			known[p.Pid] = len(to)
			to = append(to, telemetry.Process{PID: p.Pid, Memory: memory})
		case i >= others:
			to[i].Memory += memory
		}
	}
	return to
}
