package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
	"github.com/assaynet/assay/gpu/worker"
)

// Libraries that a fake worker knows.
const (
	noLibrary   = "/nowhere/lib.so" // is not there
	wrongDriver = "/wrong/lib.so"   // of a card that computes wrong
	slowDriver  = "/slow/lib.so"    // opens no card
)

// processesEnv names a file with what runs on every card: [][2]string of number and name.
const processesEnv = "ASSAY_TEST_PROCESSES"

// fakeWorker is assay-gpu worker without cards.
func fakeWorker() int {
	if err := worker.Serve(context.Background(), os.Stdin, os.Stdout, fakeHost{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// fakeCards is assay-gpu cards.
func fakeCards(args []string) int {
	if len(args) == 2 && args[1] == noLibrary {
		fmt.Fprintln(os.Stderr, "assay-gpu: error: no NVIDIA driver: "+noLibrary+" is not on this machine\nassay-gpu: hint: is it mounted?")
		return 3
	}
	return 0
}

type fakeHost struct{}

func (fakeHost) Open(ctx context.Context, s worker.Setup) (worker.Card, error) {
	switch s.Driver {
	case noLibrary:
		return nil, gpu.NewFault(gpu.FaultAbsent, "no NVIDIA driver: %s is not on this machine; hint: is it installed?", s.Driver)
	case wrongDriver:
		return nil, gpu.NewFault(gpu.FaultWrong, "2 of 9 entries differ")
	case slowDriver:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	info := gpu.Info{ID: s.ID, Model: s.Model, Memory: s.Memory, Int8Ops: s.Int8Ops, BF16Ops: s.BF16Ops, FP64Ops: s.FP64Ops}
	return fakeCard{gpu.NewCPU(gpu.CPUConfig{Info: info})}, nil
}

func (fakeHost) Library(s worker.Setup) (worker.Library, error) {
	if s.NVML == noLibrary {
		return nil, gpu.NewFault(gpu.FaultAbsent, "no NVML: %s is not on this machine", s.NVML)
	}
	return fakeLibrary{}, nil
}

func (fakeHost) Fault(err error) *gpu.Fault {
	if f, ok := errors.AsType[*gpu.Fault](err); ok {
		return f
	}
	return gpu.NewFault(gpu.FaultDriver, "%v", err)
}

type fakeCard struct{ gpu.Device }

func (fakeCard) Close() error            { return nil }
func (fakeCard) Failed() <-chan struct{} { return nil }
func (fakeCard) About() string           { return "a card of the tests" }

type fakeLibrary struct{}

func (fakeLibrary) Cards() ([]telemetry.Inventory, error) { return nil, nil }
func (fakeLibrary) Close() error                          { return nil }
func (fakeLibrary) Monitor(string) (gpu.Monitor, error)   { return fakeMonitor{}, nil }

type fakeMonitor struct{}

func (fakeMonitor) Inventory(context.Context) (telemetry.Inventory, error) {
	return telemetry.Inventory{Name: "fake"}, nil
}

func (fakeMonitor) Sample(context.Context) (telemetry.Snapshot, error) {
	return telemetry.Snapshot{}, nil
}

func (fakeMonitor) Attest(context.Context, [32]byte) (gpu.Evidence, error) {
	return gpu.Evidence{}, gpu.ErrNoAttestation
}

func (fakeMonitor) Xid(context.Context, time.Duration) (uint32, error) { return 79, nil }

// Processes is what the file says.
func (fakeMonitor) Processes(context.Context) ([]telemetry.Process, error) {
	path := os.Getenv(processesEnv)
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var list []telemetry.Process
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	return list, err
}

// alive is whether a process is there, and no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
	return err == nil && !strings.Contains(string(b), ") Z ")
}
