package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/nvml"
	"github.com/assaynet/assay/gpu/worker"
)

func TestCardFault(t *testing.T) {
	of := func(call string, code int, name string) error {
		return fmt.Errorf("card X: %w", &driver.Error{Call: call, Code: code, Name: name})
	}
	full := of("cuMemAlloc_v2", 2, "CUDA_ERROR_OUT_OF_MEMORY")
	for _, tt := range []struct {
		name    string
		err     error
		class   string
		details []string
	}{
		{"full", full, gpu.FaultMemory, []string{"cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY (2)", "; hint: something else holds"}},
		{"hangs", fmt.Errorf("next: %w", driver.ErrTimeout), gpu.FaultHang, []string{"did not answer in time", "dmesg"}},
		{"hangs, and its caller has gone", fmt.Errorf("%w (%w)", driver.ErrTimeout, context.Canceled), gpu.FaultHang, nil},
		{"off the bus", of("cuEventQuery", 46, "CUDA_ERROR_DEVICE_UNAVAILABLE"), gpu.FaultLost, []string{"(46)", "another process has the card"}},
		{"a kernel that faults", of("cuEventQuery", 700, "CUDA_ERROR_ILLEGAL_ADDRESS"), gpu.FaultDriver, []string{"CUDA_ERROR_ILLEGAL_ADDRESS (700)", "dmesg"}},
		{"memory that fails", of("cuEventQuery", 214, "CUDA_ERROR_ECC_UNCORRECTABLE"), gpu.FaultDriver, []string{"ECC"}},
		{"full, and lost after it", errors.Join(full, of("cuMemFree_v2", 719, "CUDA_ERROR_LAUNCH_FAILED")), gpu.FaultDriver, []string{"(719)"}},
		{"a call that fails", of("cuLaunchKernel", 701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"), gpu.FaultDriver, []string{"(701)"}},
		{"no compiler", of("cuModuleLoadDataEx", 221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND"), gpu.FaultDriver, []string{"hint: mount libnvidia-ptxjitcompiler"}},
		{"wrong", fmt.Errorf("check: kernel b3_top: %w", cuda.ErrMiscomputes), gpu.FaultWrong, []string{"b3_top", "do not offer this card"}},
		{"no driver", fmt.Errorf("%w: load", driver.ErrNoDriver), gpu.FaultAbsent, []string{"is the NVIDIA driver installed?"}},
		{"a driver of another time", of("cuInit", 803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"), gpu.FaultAbsent, []string{"restart the machine"}},
		{"no card", of("cuInit", 100, "CUDA_ERROR_NO_DEVICE"), gpu.FaultAbsent, []string{"CUDA_VISIBLE_DEVICES"}},
		{"not ready", of("cuInit", 802, "CUDA_ERROR_SYSTEM_NOT_READY"), gpu.FaultAbsent, []string{"fabric manager"}},
		{"not that card", fmt.Errorf("card GPU-1: %w", errNoCard), gpu.FaultAbsent, []string{"GPU-1", "CUDA_VISIBLE_DEVICES"}},
		{"anything", errors.New("x"), gpu.FaultDriver, []string{"x"}},
		{"a fault", fmt.Errorf("x: %w", gpu.NewFault(gpu.FaultCrash, "y")), gpu.FaultCrash, []string{"y"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := (&host{}).Fault(tt.err)
			if f == nil || f.Class != tt.class || f.Xid != 0 {
				t.Fatalf("%v, want %s", f, tt.class)
			}
			for _, want := range tt.details {
				if !strings.Contains(f.Detail, want) {
					t.Errorf("%q is not in %q", want, f.Detail)
				}
			}
		})
	}
	for _, err := range []error{nil, fmt.Errorf("next: %w", context.Canceled), context.DeadlineExceeded} {
		if f := (&host{}).Fault(err); f != nil {
			t.Errorf("%v: %v", err, f)
		}
	}
}

func TestWatchFault(t *testing.T) {
	h := &host{}
	if _, err := h.Library(worker.Setup{NVML: filepath.Join(t.TempDir(), "libnvidia-ml.so.1")}); err == nil {
		t.Fatal("loaded what is not there")
	} else if f := h.Fault(err); f == nil || f.Class != gpu.FaultAbsent || !strings.Contains(f.Detail, `hint: is the NVIDIA driver installed? In a container: is the driver's capability "utility"`) {
		t.Errorf("no library: %v", f)
	}
	// From then on errors are NVML's.
	lost := gpu.NewFault(gpu.FaultLost, "x")
	if f := h.Fault(fmt.Errorf("sample: %w", lost)); f != lost {
		t.Errorf("a lost card: %v", f)
	}
	if f := h.Fault(nvml.ErrUnsupported); f != nil {
		t.Errorf("a reading that there is none of: %v", f)
	}
}

// A driver's compiler may say anything, and much of it: the hint stays, the text is
// UTF-8 on one line, and nothing in it moves a terminal's cursor.
func TestFaultIsALine(t *testing.T) {
	for pad := range 4 {
		log := strings.Repeat("y", pad) + "\x1b[2J\r\n\x00\xff\t" + strings.Repeat("\u00e9", gpu.MaxDetail)
		f := cardFault(&driver.Error{Call: "cuModuleLoadDataEx", Code: 221, Name: "CUDA_ERROR_JIT_COMPILER_NOT_FOUND", Log: log})
		if len(f.Detail) > gpu.MaxDetail || len(f.Detail) < gpu.MaxDetail-2 || !utf8.ValidString(f.Detail) || strings.ContainsAny(f.Detail, "\x1b\r\n\x00\t") ||
			!strings.HasSuffix(f.Detail, "into the container") || !strings.Contains(f.Detail, "...; hint: ") {
			t.Errorf("%d bytes: %q", len(f.Detail), f.Detail)
		}
	}
}

func TestNamed(t *testing.T) {
	a := driver.Card{Ordinal: 0, Name: "A", UUID: "GPU-0a"}
	b := driver.Card{Ordinal: 1, Name: "B\n", UUID: "GPU-0b"}
	for _, tt := range []struct {
		name string
		all  []driver.Card
		uuid string
		want string // name; "": none
		says string
	}{
		{"by its UUID", []driver.Card{a, b}, "GPU-0b", b.Name, ""},
		{"in capitals", []driver.Card{a, b}, "GPU-0B", b.Name, ""},
		{"the only one", []driver.Card{b}, "", b.Name, ""},
		{"one of two", []driver.Card{a, b}, "", "", "card without a UUID: no such card: the driver shows 2: GPU-0a (A), GPU-0b (B)"},
		{"another than the only one", []driver.Card{a}, "GPU-0b", "", "card GPU-0b: no such card: the driver shows 1: GPU-0a (A)"},
		{"a card that has none", []driver.Card{{Name: "C"}, a}, "", "", "shows 2"},
		{"none", nil, "", "", "shows 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := named(tt.all, tt.uuid)
			if (err != nil) != (tt.want == "") || got.Name != tt.want {
				t.Errorf("%q, %v", got.Name, err)
			}
			if err != nil && (!errors.Is(err, errNoCard) || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
}
