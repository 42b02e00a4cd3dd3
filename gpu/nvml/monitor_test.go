//go:build cgo && linux

package nvml

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/gpus"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

func TestInventory(t *testing.T) {
	full := telemetry.Inventory{
		Name: "NVIDIA H100 80GB HBM3", UUID: testUUID, Serial: "165", PCI: "0001:1b:02.3", Driver: "550.54.15", NVML: "12.550", CUDA: "12.4", VBIOS: "96.00",
		PCIDevice: 0x233010de, PCISubsystem: 0x16c110de, Major: 9, Cores: 16896, BusBits: 5120, PowerMax: 700001, Confidential: "on",
	}
	for _, tt := range []struct {
		name   string
		change func(*machine, *telemetry.Inventory)
	}{
		{"a card that says all", func(*machine, *telemetry.Inventory) {}},
		{"a GeForce", func(m *machine, i *telemetry.Inventory) {
			m.card.GetSerialFunc = never[string](nvml.ERROR_NOT_SUPPORTED)
			m.api.SystemGetConfComputeStateFunc = never[nvml.ConfComputeSystemState](nvml.ERROR_NOT_SUPPORTED)
			i.Serial, i.Confidential = "", ""
		}},
		{"an address without a text", func(m *machine, i *telemetry.Inventory) {
			m.card.GetPciInfoFunc = always(nvml.PciInfo{Bus: 0xff, PciDeviceId: 1})
			i.PCI, i.PCIDevice, i.PCISubsystem = "0000:ff:00.0", 1, 0
		}},
		{"texts that are none", func(m *machine, i *telemetry.Inventory) {
			m.card.GetNameFunc, m.card.GetVbiosVersionFunc = always("\x1b[2J\u00e9"+strings.Repeat("x", 200)), always("a\nb\x7f")
			i.Name, i.VBIOS = "?[2J??"+strings.Repeat("x", 90), "a?b?"
		}},
		{"numbers that are none", func(m *machine, i *telemetry.Inventory) {
			m.card.GetNumGpuCoresFunc = always(1<<40 + 7)
			m.card.GetCudaComputeCapabilityFunc = func() (int, int, nvml.Return) { return 900, -1, nvml.SUCCESS }
			i.Cores, i.Major = 0, 0
		}},
		{"instances", func(m *machine, i *telemetry.Inventory) {
			m.card.GetMigModeFunc = func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_ENABLE, 0, nvml.SUCCESS }
			i.MIG = true
		}},
		{"confidential computing is off", func(m *machine, i *telemetry.Inventory) {
			m.api.SystemGetConfComputeStateFunc = always(nvml.ConfComputeSystemState{})
			i.Confidential = "off"
		}},
		{"with developer tools", func(m *machine, i *telemetry.Inventory) {
			m.api.SystemGetConfComputeStateFunc = always(nvml.ConfComputeSystemState{CcFeature: 1, DevToolsMode: 1})
			i.Confidential = "devtools"
		}},
		{"a library that lacks all", func(m *machine, i *telemetry.Inventory) {
			m.lacks = []string{"all"}
			*i = telemetry.Inventory{}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, want := newMachine(), full
				l, monitor := m.open(t)
				defer l.Close()
				tt.change(m, &want)
				clear(l.symbols.known)
				got, err := monitor.Inventory(t.Context())
				if err != nil || got != want {
					t.Errorf("%+v, %v\nwant %+v", got, err, want)
				}
				if err := got.Check(); err != nil {
					t.Error(err)
				}
				if slices.Equal(m.lacks, []string{"all"}) {
					return // nor can it list them
				}
				if cards, err := l.Cards(); err != nil || len(cards) != 1 || cards[0] != want {
					t.Errorf("cards: %+v, %v", cards, err)
				}
			})
		})
	}
}

// The mocks of go-nvml know nothing of most calls: the library that has no symbol but
// those of what they know is read without a call to another.
func TestServer(t *testing.T) {
	s, err := server.New(server.WithGPUs(gpus.Multiple(2, gpus.H100_SXM5_80GB)...), server.WithDriverVersion("550.54.15"), server.WithNVMLVersion("12.550"), server.WithCUDADriverVersion(12040))
	if err != nil {
		t.Fatal(err)
	}
	s.LookupSymbolFunc = func(name string) error {
		for _, known := range []string{
			"GetCount", "GetHandleBy", "GetUUID", "DeviceGetName", "GetDriverVersion", "GetNVMLVersion", "GetPciInfo", "GetCudaComputeCapability", "GetMigMode", "DeviceGetMemoryInfo\x00",
		} {
			if strings.Contains(name+"\x00", known) {
				return nil
			}
		}
		return errors.New("undefined symbol")
	}
	l, err := open(s)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cards, err := l.Cards()
	if err != nil || len(cards) != 2 {
		t.Fatalf("%v, %v", cards, err)
	}
	for _, c := range cards {
		if c.Name != "NVIDIA H100 80GB HBM3" || !strings.HasPrefix(c.UUID, "GPU-") || c.Major != 9 || c.PCIDevice != 0x233010de || c.Check() != nil {
			t.Errorf("%+v", c)
		}
	}
	monitor, err := l.Monitor(cards[1].UUID)
	if err != nil {
		t.Fatal(err)
	}
	read, err := monitor.Sample(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	differ(t, read, map[telemetry.Kind]int64{telemetry.MemoryTotal: 81920 << 20, telemetry.MemoryUsed: 0, telemetry.MIG: 0})
}

func TestProcesses(t *testing.T) {
	type list = []nvml.ProcessInfo
	for _, tt := range []struct {
		name   string
		change func(*machine)
		want   []telemetry.Process
		err    error
		class  string
	}{
		{"two lists", func(*machine) {}, []telemetry.Process{{PID: 12, Name: "/bin/p12?", Memory: 1 << 30}, {PID: 7}, {PID: 99, Name: "/bin/p99?", Memory: 5}}, nil, ""},
		{"none", func(m *machine) {
			m.card.GetComputeRunningProcessesFunc, m.card.GetMPSComputeRunningProcessesFunc = always(list(nil)), always(list(nil))
		}, nil, nil, ""},
		{"in several instances", func(m *machine) {
			m.card.GetComputeRunningProcessesFunc = always(list{{Pid: 5, UsedGpuMemory: 1}, {Pid: 5, UsedGpuMemory: 2, GpuInstanceId: 1}})
			m.card.GetMPSComputeRunningProcessesFunc = always(list{{Pid: 5, UsedGpuMemory: 3}})
		}, []telemetry.Process{{PID: 5, Name: "/bin/p5?", Memory: 3}}, nil, ""},
		{"no names", func(m *machine) {
			m.lacks = []string{"nvmlSystemGetProcessName"}
		}, []telemetry.Process{{PID: 12, Memory: 1 << 30}, {PID: 7}, {PID: 99, Memory: 5}}, nil, ""},
		{"no MPS", func(m *machine) {
			m.lacks = []string{"nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2", "nvmlDeviceGetMPSComputeRunningProcesses"}
		}, []telemetry.Process{{PID: 12, Name: "/bin/p12?", Memory: 1 << 30}, {PID: 7}}, nil, ""},
		{"an old library", func(m *machine) { m.lacks = []string{"all"} }, nil, ErrUnsupported, ""},
		{"a driver that cannot tell", func(m *machine) { m.card.GetComputeRunningProcessesFunc = never[list](nvml.ERROR_NOT_SUPPORTED) }, nil, ErrUnsupported, ""},
		{"a driver that may not tell", func(m *machine) { m.card.GetComputeRunningProcessesFunc = never[list](nvml.ERROR_NO_PERMISSION) }, nil, nvml.ERROR_NO_PERMISSION, ""},
		{"lost", func(m *machine) { m.card.GetComputeRunningProcessesFunc = never[list](nvml.ERROR_GPU_IS_LOST) }, nil, nil, gpu.FaultLost},
		{"an internal error", func(m *machine) { m.card.GetComputeRunningProcessesFunc = never[list](nvml.ERROR_UNKNOWN) }, nil, nil, gpu.FaultDriver},
		{"lost between the lists", func(m *machine) { m.card.GetMPSComputeRunningProcessesFunc = never[list](nvml.ERROR_GPU_IS_LOST) }, nil, nil, gpu.FaultLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				l, monitor := m.open(t)
				defer l.Close()
				tt.change(m)
				clear(l.symbols.known)
				got, err := monitor.Processes(t.Context())
				f, _ := errors.AsType[*gpu.Fault](err)
				switch {
				case tt.class != "":
					if f == nil || f.Class != tt.class || got != nil {
						t.Errorf("%v, %v", got, err)
					}
				case !errors.Is(err, tt.err) || f != nil || !slices.Equal(got, tt.want):
					t.Errorf("%v, %v", got, err)
				}
				for i := range got {
					if err := got[i].Check(); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
	t.Run("too many", func(t *testing.T) {
		var many list
		for pid := range uint32(1000) {
			many = append(many, nvml.ProcessInfo{Pid: pid})
		}
		if got, err := processes(&reader{symbols: &symbols{lookup: func(string) error { return nil }, known: map[string]bool{}}}, func() nvml.Device {
			m := newMachine()
			m.card.GetComputeRunningProcessesFunc = always(many)
			return m.card
		}()); err != nil || len(got) != 256 {
			t.Errorf("%d processes, %v", len(got), err)
		}
	})
}

func TestAttest(t *testing.T) {
	report := func(size uint32, code nvml.Return) func(*nvml.ConfComputeGpuAttestationReport) nvml.Return {
		return func(r *nvml.ConfComputeGpuAttestationReport) nvml.Return {
			copy(r.AttestationReport[4:], r.Nonce[:])
			r.AttestationReportSize = size
			return code
		}
	}
	chain := func(size uint32, code nvml.Return) func() (nvml.ConfComputeGpuCertificate, nvml.Return) {
		return func() (nvml.ConfComputeGpuCertificate, nvml.Return) {
			return nvml.ConfComputeGpuCertificate{AttestationCertChainSize: size}, code
		}
	}
	off := always(nvml.ConfComputeSystemState{})
	for _, tt := range []struct {
		name   string
		change func(*machine)
		none   bool   // gpu.ErrNoAttestation
		class  string // of a fault
		code   nvml.Return
	}{
		{"a card that can", func(*machine) {}, false, "", 0},
		{"the longest", func(m *machine) {
			m.card.GetConfComputeGpuAttestationReportFunc, m.card.GetConfComputeGpuCertificateFunc = report(8192, 0), chain(5120, 0)
		}, false, "", 0},
		{"no report in the library", func(m *machine) { m.lacks = []string{"nvmlDeviceGetConfComputeGpuAttestationReport"} }, true, "", 0},
		{"no certificate in the library", func(m *machine) { m.lacks = []string{"nvmlDeviceGetConfComputeGpuCertificate"} }, true, "", 0},
		{"not supported", func(m *machine) {
			m.card.GetConfComputeGpuAttestationReportFunc = report(0, nvml.ERROR_NOT_SUPPORTED)
		}, true, "", 0},
		{"the mode is off", func(m *machine) {
			m.card.GetConfComputeGpuAttestationReportFunc = report(0, nvml.ERROR_UNKNOWN)
			m.api.SystemGetConfComputeStateFunc = off
		}, true, "", 0},
		{"the mode is not known", func(m *machine) {
			m.card.GetConfComputeGpuAttestationReportFunc = report(0, nvml.ERROR_INVALID_ARGUMENT)
			m.lacks = []string{"nvmlSystemGetConfComputeState"}
		}, true, "", 0},
		{"not allowed", func(m *machine) {
			m.card.GetConfComputeGpuAttestationReportFunc = report(0, nvml.ERROR_NO_PERMISSION)
		}, false, "", nvml.ERROR_NO_PERMISSION},
		{"an internal error", func(m *machine) {
			m.card.GetConfComputeGpuAttestationReportFunc = report(0, nvml.ERROR_UNKNOWN)
		}, false, gpu.FaultDriver, 0},
		{"lost", func(m *machine) {
			m.card.GetConfComputeGpuAttestationReportFunc = report(0, nvml.ERROR_GPU_IS_LOST)
			m.api.SystemGetConfComputeStateFunc = off
		}, false, gpu.FaultLost, 0},
		{"no certificate", func(m *machine) { m.card.GetConfComputeGpuCertificateFunc = chain(0, nvml.ERROR_NOT_SUPPORTED) }, true, "", 0},
		{"a report beyond its array", func(m *machine) { m.card.GetConfComputeGpuAttestationReportFunc = report(8193, 0) }, false, gpu.FaultDriver, 0},
		{"an empty report", func(m *machine) { m.card.GetConfComputeGpuAttestationReportFunc = report(0, 0) }, false, gpu.FaultDriver, 0},
		{"certificates beyond their array", func(m *machine) { m.card.GetConfComputeGpuCertificateFunc = chain(5121, 0) }, false, gpu.FaultDriver, 0},
		{"no certificates", func(m *machine) { m.card.GetConfComputeGpuCertificateFunc = chain(0, 0) }, false, gpu.FaultDriver, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				tt.change(m)
				l, monitor := m.open(t)
				defer l.Close()
				nonce := [32]byte{1, 2, 3, 31: 9}
				e, err := monitor.Attest(t.Context(), nonce)
				f, _ := errors.AsType[*gpu.Fault](err)
				switch {
				case tt.none:
					if !errors.Is(err, gpu.ErrNoAttestation) || f != nil {
						t.Errorf("%v", err)
					}
				case tt.class != "":
					if f == nil || f.Class != tt.class || errors.Is(err, gpu.ErrNoAttestation) {
						t.Errorf("%v", err)
					}
				case tt.code != 0:
					if !errors.Is(err, tt.code) || f != nil || errors.Is(err, gpu.ErrNoAttestation) {
						t.Errorf("%v", err)
					}
				case err != nil || [32]byte(e.Report[4:36]) != nonce:
					t.Errorf("%x, %v", e.Report, err)
				case tt.name == "a card that can" && (len(e.Report) != 40 || string(e.Certificates) != "PEM"):
					t.Errorf("%x, %q", e.Report, e.Certificates)
				case tt.name == "the longest" && (len(e.Report) != 8192 || len(e.Certificates) != 5120):
					t.Errorf("%d and %d bytes", len(e.Report), len(e.Certificates))
				}
				if err != nil && len(e.Report)+len(e.Certificates) != 0 {
					t.Error("evidence with an error")
				}
			})
		})
	}
}

func TestCards(t *testing.T) {
	handles := func(m *machine, codes ...nvml.Return) {
		m.api.DeviceGetCountFunc = always(len(codes))
		m.api.DeviceGetHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) { return m.card, codes[i] }
	}
	for _, tt := range []struct {
		name   string
		change func(*machine)
		cards  int
		class  string // of a fault; "": none
		err    error
	}{
		{"two", func(m *machine) { handles(m, 0, 0) }, 2, "", nil},
		{"none", func(m *machine) { handles(m) }, 0, "", nil},
		{"one is lost", func(m *machine) { handles(m, nvml.ERROR_GPU_IS_LOST, 0) }, 1, "", nil},
		{"one is not ours", func(m *machine) { handles(m, 0, nvml.ERROR_NO_PERMISSION) }, 1, "", nil},
		{"all are lost", func(m *machine) { handles(m, nvml.ERROR_GPU_IS_LOST) }, 0, gpu.FaultLost, nil},
		{"one is lost while it is read", func(m *machine) {
			handles(m, 0)
			m.card.GetVbiosVersionFunc = never[string](nvml.ERROR_GPU_IS_LOST)
		}, 0, gpu.FaultLost, nil},
		{"more than there can be", func(m *machine) { handles(m, make([]nvml.Return, 1000)...) }, 64, "", nil},
		{"a count below zero", func(m *machine) { m.api.DeviceGetCountFunc = always(-1) }, 0, "", nil},
		{"no count", func(m *machine) { m.api.DeviceGetCountFunc = never[int](nvml.ERROR_UNKNOWN) }, 0, gpu.FaultDriver, nil},
		{"a library that cannot", func(m *machine) { m.lacks = []string{"all"} }, 0, "", ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine()
			tt.change(m)
			l, err := open(m.api)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			cards, err := l.Cards()
			f, _ := errors.AsType[*gpu.Fault](err)
			if len(cards) != tt.cards || (f != nil) != (tt.class != "") || f != nil && f.Class != tt.class {
				t.Errorf("%d cards, %v", len(cards), err)
			}
			if tt.class == "" && !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
		})
	}
}

func TestMonitorOf(t *testing.T) {
	handle := func(code nvml.Return) func(*machine) {
		return func(m *machine) {
			m.api.DeviceGetHandleByUUIDFunc = func(string) (nvml.Device, nvml.Return) { return nil, code }
		}
	}
	for _, tt := range []struct {
		name, card string
		change     func(*machine)
		class      string // of a fault; "": none
		err        error
	}{
		{"by UUID", testUUID, func(*machine) {}, "", nil},
		{"by address", "0000:01:00.0", func(*machine) {}, "", nil},
		{"of no card", "GPU-1", func(*machine) {}, gpu.FaultAbsent, nvml.ERROR_NOT_FOUND},
		{"of a lost card", testUUID, handle(nvml.ERROR_GPU_IS_LOST), gpu.FaultLost, nvml.ERROR_GPU_IS_LOST},
		{"of a card that is not ours", testUUID, handle(nvml.ERROR_NO_PERMISSION), gpu.FaultDriver, nvml.ERROR_NO_PERMISSION},
		{"of one lost just now", "0000:01:00.0", func(m *machine) { m.card.GetUUIDFunc = never[string](nvml.ERROR_GPU_IS_LOST) }, gpu.FaultLost, nil},
		{"without the call", testUUID, func(m *machine) { m.lacks = []string{"nvmlDeviceGetHandleByUUID"} }, "", ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				tt.change(m)
				l, err := open(m.api)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				_, err = l.Monitor(tt.card)
				f, _ := errors.AsType[*gpu.Fault](err)
				if (f != nil) != (tt.class != "") || f != nil && f.Class != tt.class || tt.err != nil && !errors.Is(err, tt.err) || (err == nil) != (tt.class == "" && tt.err == nil) {
					t.Errorf("%v", err)
				}
			})
		})
	}
	for _, name := range []string{"", "0", "MIG-1", "GPU-" + strings.Repeat("x", 93), "GPU-a\x00b", "GPU-\n"} {
		m := newMachine()
		l, err := open(m.api)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Monitor(name); err == nil || len(m.api.DeviceGetHandleByUUIDCalls())+len(m.api.DeviceGetHandleByPciBusIdCalls()) != 0 {
			t.Errorf("a card named %q: %v", name, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		l, monitor := m.open(t)
		again, err := l.Monitor("0000:01:00.0")
		if err != nil || again != monitor {
			t.Errorf("another monitor of the same card: %v, %v", again, err)
		}
		energy, err := l.Energy(testUUID)
		if err != nil {
			t.Error(err)
		}
		if m.sets != 1 {
			t.Errorf("%d event sets", m.sets)
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		if n := len(m.api.ShutdownCalls()); n != 1 || m.sets != 0 {
			t.Errorf("shut down %d times, %d event sets are left", n, m.sets)
		}
		for name, err := range map[string]error{
			"cards": second(l.Cards()), "monitor": second(l.Monitor(testUUID)), "energy": second(l.Energy(testUUID)), "read": second(energy()),
			"inventory": second(monitor.Inventory(t.Context())), "sample": second(monitor.Sample(t.Context())),
			"processes": second(monitor.Processes(t.Context())), "attest": second(monitor.Attest(t.Context(), [32]byte{})),
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A call that the driver keeps does not keep Close, and is not shut down under.
func TestCloseWaitsNotForEver(t *testing.T) {
	for name, keep := range map[string]time.Duration{"a while": time.Second, "too long": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.card.GetPowerUsageFunc = func() (uint32, nvml.Return) { time.Sleep(keep); return 1, nvml.SUCCESS }
				l, monitor := m.open(t)
				sampled := make(chan error)
				go func() { sampled <- second(monitor.Sample(t.Context())) }()
				synctest.Wait()
				from := time.Now()
				err := l.Close()
				if (err == nil) != (keep < patience) || time.Since(from) > patience+xidWait {
					t.Errorf("closed after %v: %v", time.Since(from), err)
				}
				if n := len(m.api.ShutdownCalls()); n != int(flag(err == nil)) {
					t.Errorf("shut down %d times", n)
				}
				if err := <-sampled; err != nil {
					t.Error(err)
				}
				if synctest.Wait(); m.sets != 0 {
					t.Error("the watch goes on")
				}
			})
		})
	}
}

func TestFault(t *testing.T) {
	for _, tt := range []struct {
		err   error
		class string
	}{
		{nil, ""},
		{ErrUnsupported, ""},
		{ErrClosed, ""},
		{gpu.ErrNoAttestation, ""},
		{ErrNoDriver, gpu.FaultAbsent},
		{&codeError{"call", nvml.ERROR_NOT_SUPPORTED}, ""},
		{&codeError{"call", nvml.ERROR_UNKNOWN}, gpu.FaultDriver},
		{&codeError{"call", nvml.ERROR_TIMEOUT}, gpu.FaultDriver},
		{errors.Join(errors.New("x"), &codeError{"call", nvml.ERROR_GPU_IS_LOST}), gpu.FaultLost},
		{gpu.NewFault(gpu.FaultHang, "it hangs"), gpu.FaultHang},
	} {
		f := Fault(tt.err)
		if (f != nil) != (tt.class != "") || f != nil && f.Class != tt.class {
			t.Errorf("%v: %v", tt.err, f)
		}
	}
}
