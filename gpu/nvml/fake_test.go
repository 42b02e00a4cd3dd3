//go:build cgo && linux

package nvml

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/nvml/fakenvml"
	"github.com/assaynet/assay/gpu/telemetry"
)

const fakeUUID = "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadae00"

// TestFake is the one test that opens a library in this process.
func TestFake(t *testing.T) {
	fake := fakenvml.New(t, "cards=2,energy.1=1500")
	l, err := Open(fake.Path)
	if err != nil {
		t.Fatal(err)
	}
	// It may be opened again: the loader keeps what calls are bound to.
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(fake.Path); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	monitor, err := l.Monitor(fakeUUID)
	if err != nil {
		t.Fatal(err)
	}
	reset := func(settings string) {
		t.Helper()
		fake.Configure(settings)
	}

	t.Run("cards", func(t *testing.T) {
		cards, err := l.Cards()
		if err != nil || len(cards) != 2 {
			t.Fatalf("%v, %v", cards, err)
		}
		want := telemetry.Inventory{
			Name: "NVIDIA H100 80GB HBM3", UUID: "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadae01", Serial: "1650123000000", PCI: "0000:02:00.0",
			Driver: "550.54.15", NVML: "12.550.54.15", CUDA: "12.4", VBIOS: "96.00.89.00.01", PCIDevice: 0x233010de, PCISubsystem: 0x16c110de,
			Major: 9, Cores: 16896, BusBits: 5120, PowerMax: 700000, Confidential: "off",
		}
		if cards[1] != want {
			t.Errorf("%+v\nwant %+v", cards[1], want)
		}
		if cards[0].UUID != fakeUUID || cards[0].PCI != "0000:01:00.0" {
			t.Errorf("%+v", cards[0])
		}
		same, err := l.Monitor(cards[0].PCI)
		if err != nil || same != monitor {
			t.Errorf("by address: %v, %v", same, err)
		}
		for _, name := range []string{"GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadae02", "0000:03:00.0"} {
			_, err := l.Monitor(name)
			if f := Fault(err); f == nil || f.Class != gpu.FaultAbsent {
				t.Errorf("no card %s: %v", name, err)
			}
		}
	})
	t.Run("energy", func(t *testing.T) {
		read, err := l.Energy("0000:02:00.0")
		if err != nil {
			t.Fatal(err)
		}
		if j, err := read(); err != nil || j != 1.5 {
			t.Errorf("%v J, %v", j, err)
		}
	})
	t.Run("sample", func(t *testing.T) {
		reset("energy=7000000000000,power=300001,power_limit=650000,clock_sm=1755,clock_memory=2600,clock_sm_max=1981,clock_memory_max=2620,throttle=4,temperature=66," +
			"pstate=1,memory=85520809984,memory_reserved=500000000,memory_used=60000000000,util=97,util_memory=41,ecc=1,ecc_corrected=12,ecc_uncorrected=2," +
			"remapped_corrected=3,remapped_uncorrected=4,remap_pending=1,remap_failed=1,retired_single=5,retired_double=2,pcie_generation=4,pcie_generation_max=5," +
			"pcie_width=8,pcie_width_max=16,pcie_sent=1234,pcie_received=4321,pcie_replays=9,gpm=60,processes=1:a:2;3:b:4,mps=5:c")
		want := map[telemetry.Kind]int64{
			telemetry.Energy: 7000000000000, telemetry.Power: 300001, telemetry.PowerLimit: 650000, telemetry.ClockSM: 1755, telemetry.ClockMemory: 2600,
			telemetry.ClockSMMax: 1981, telemetry.ClockMemoryMax: 2620, telemetry.Throttle: 4, telemetry.Temperature: 66, telemetry.PerformanceState: 1,
			telemetry.MemoryTotal: 85520809984, telemetry.MemoryReserved: 500000000, telemetry.MemoryUsed: 60000000000, telemetry.UtilGPU: 97, telemetry.UtilMemory: 41,
			telemetry.ECC: 1, telemetry.ECCCorrected: 12, telemetry.ECCUncorrected: 2, telemetry.RemappedCorrectable: 3, telemetry.RemappedUncorrectable: 4,
			telemetry.RemapPending: 1, telemetry.RemapFailed: 1, telemetry.RetiredPages: 7, telemetry.PCIeGeneration: 4, telemetry.PCIeGenerationMax: 5,
			telemetry.PCIeWidth: 8, telemetry.PCIeWidthMax: 16, telemetry.PCIeSent: 1234, telemetry.PCIeReceived: 4321, telemetry.PCIeReplays: 9,
			telemetry.MIG: 0, telemetry.Processes: 3,
		}
		s, err := monitor.Sample(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		differ(t, s, want)
		time.Sleep(150 * time.Millisecond)
		if s, err = monitor.Sample(t.Context()); err != nil {
			t.Fatal(err)
		}
		delete(want, telemetry.PCIeSent)
		delete(want, telemetry.PCIeReceived)
		maps.Copy(want, map[telemetry.Kind]int64{
			telemetry.GPMGraphics: 6001, telemetry.GPMSM: 6002, telemetry.GPMOccupancy: 6003, telemetry.GPMInteger: 6004, telemetry.GPMTensor: 6005,
			telemetry.GPMTensorDouble: 6006, telemetry.GPMTensorHalf: 6007, telemetry.GPMTensorInteger: 6009, telemetry.GPMMemory: 6010,
			telemetry.GPMFP64: 6011, telemetry.GPMFP32: 6012, telemetry.GPMFP16: 6013,
		})
		differ(t, s, want)
	})
	t.Run("a GeForce", func(t *testing.T) {
		reset(fakenvml.GeForce + ",retired_single=,retired_double=,fail=nvmlDeviceGetPcieReplayCounter:3")
		i, err := monitor.Inventory(t.Context())
		if err != nil || i.Serial != "" || i.Confidential != "" || i.Name != "NVIDIA GeForce RTX 4090" || i.Minor != 9 {
			t.Errorf("%+v, %v", i, err)
		}
		s, err := monitor.Sample(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		has := readings(s)
		for _, k := range []telemetry.Kind{telemetry.ECC, telemetry.ECCCorrected, telemetry.RemapPending, telemetry.RetiredPages, telemetry.MIG, telemetry.PCIeReplays} {
			if v, ok := has[k]; ok {
				t.Errorf("%v: %d", k, v)
			}
		}
		if len(has) < 20 {
			t.Errorf("%d readings", len(has))
		}
		reset("name=,serial=,capability=,cores=,bus=,pci_device=,pci_subsystem=,vbios=,power_max=,power_limit=,memory=,ecc=,remapped_corrected=,mig=,gpm=,cc=,fail=")
	})
	t.Run("processes", func(t *testing.T) {
		reset("processes=123:ollama:1073741824;456:/usr/bin/python3,mps=789:client:5;123:ollama:1073741824")
		got, err := monitor.Processes(t.Context())
		want := []telemetry.Process{{PID: 123, Name: "ollama", Memory: 1 << 30}, {PID: 456, Name: "/usr/bin/python3"}, {PID: 789, Name: "client", Memory: 5}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v", got, err)
		}
		reset("processes=,mps=,processes.1=9:other:1")
		if got, err := monitor.Processes(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("a free card: %v, %v", got, err)
		}
		var many []string
		for pid := range 40 {
			many = append(many, fmt.Sprintf("%d:p:1", pid+1))
		}
		reset("processes=" + strings.Join(many, ";"))
		if got, err := monitor.Processes(t.Context()); err != nil || len(got) != 40 {
			t.Errorf("40 processes: %v, %v", got, err)
		}
		reset("processes=")
	})
	t.Run("attest", func(t *testing.T) {
		nonce := [32]byte([]byte("0123456789abcdef0123456789ABCDEF"))
		if _, err := monitor.Attest(t.Context(), nonce); !errors.Is(err, gpu.ErrNoAttestation) {
			t.Errorf("mode off: %v", err)
		}
		reset("cc=1")
		e, err := monitor.Attest(t.Context(), nonce)
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Report) != 175+64*55 || [32]byte(e.Report[4:36]) != nonce || e.Report[0] != 0x11 || e.Report[1] != 0xe0 {
			t.Errorf("%d bytes: %x", len(e.Report), e.Report[:40])
		}
		if n := bytes.Count(e.Certificates, []byte("-----BEGIN CERTIFICATE-----\n")); n != 5 || !bytes.HasSuffix(e.Certificates, []byte("-----\n")) {
			t.Errorf("%q", e.Certificates)
		}
		for _, size := range []string{"report_size=8193", "certificate_size=0"} {
			reset(size)
			if _, err := monitor.Attest(t.Context(), nonce); Fault(err) == nil || Fault(err).Class != gpu.FaultDriver {
				t.Errorf("%s: %v", size, err)
			}
			reset("report_size=,certificate_size=")
		}
		reset("cc=")
	})
	t.Run("xid", func(t *testing.T) {
		for _, xid := range []string{"79", "79:again", "31", ""} {
			before := time.Now()
			reset("xid=" + xid)
			eventually(t, func() bool {
				got, err := monitor.Xid(t.Context(), time.Since(before))
				return err == nil && fmt.Sprint(got) == strings.TrimSuffix(xid, ":again") || xid == ""
			})
		}
		reset("xid.1=48") // of the card that nobody watches
		time.Sleep(50 * time.Millisecond)
		if got, err := monitor.Xid(t.Context(), time.Hour); got != 31 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
	})
	t.Run("lost", func(t *testing.T) {
		for settings, class := range map[string]string{
			"lost=1": gpu.FaultLost, "reset=1": gpu.FaultLost, "fail=nvmlDeviceGetPowerUsage:10": gpu.FaultDriver,
		} {
			reset(settings)
			_, err := monitor.Sample(t.Context())
			if f := Fault(err); f == nil || f.Class != class || f.Xid != 31 {
				t.Errorf("%s: %v", settings, err)
			}
			reset("lost=,reset=,fail=")
		}
		reset("lost.0=1")
		if cards, err := l.Cards(); err != nil || len(cards) != 1 || cards[0].PCI != "0000:02:00.0" {
			t.Errorf("%v, %v", cards, err)
		}
		_, err := l.Monitor(fakeUUID)
		if f := Fault(err); f == nil || f.Class != gpu.FaultLost {
			t.Errorf("monitor: %v", err)
		}
		reset("lost.0=")
	})
	t.Run("many at once", func(t *testing.T) {
		reset("processes=1:a:1")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for ctx.Err() == nil {
					_, err := monitor.Sample(ctx)
					_, also := monitor.Processes(ctx)
					_, last := monitor.Inventory(ctx)
					if err := errors.Join(err, also, last); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	})
	t.Run("stuck", func(t *testing.T) {
		reset("stuck=nvmlDeviceGetPowerUsage")
		sampled := make(chan error, 1)
		go func() { sampled <- second(monitor.Sample(context.Background())) }()
		select {
		case err := <-sampled:
			t.Errorf("a call that is stuck returned: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		reset("stuck=")
		if err := <-sampled; err != nil {
			t.Error(err)
		}
	})
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("not in 5 s")
}

// probe uses all of a library, as another process than the tests', and prints what
// it could read.
func probe(path string) int {
	l, err := Open(path)
	if err != nil {
		fmt.Println("open:", err)
		return 0
	}
	cards, err := l.Cards()
	fmt.Println("cards:", len(cards), err)
	if len(cards) > 0 {
		texts := 0
		for _, s := range []string{cards[0].Name, cards[0].UUID, cards[0].Serial, cards[0].PCI, cards[0].Driver, cards[0].NVML, cards[0].CUDA, cards[0].VBIOS, cards[0].Confidential} {
			texts += int(flag(s != ""))
		}
		for _, n := range []uint32{cards[0].PCIDevice, cards[0].PCISubsystem, uint32(cards[0].Major), cards[0].Cores, cards[0].BusBits, cards[0].PowerMax} {
			texts += int(flag(n != 0))
		}
		fmt.Println("inventory:", texts)
	}
	_, err = l.Energy("0000:01:00.0")
	fmt.Println("energy:", err)
	monitor, err := l.Monitor(fakeUUID)
	if err != nil {
		fmt.Println("monitor:", err)
		monitor, err = l.Monitor("0000:01:00.0")
	}
	if err == nil {
		var read telemetry.Snapshot
		for n := range 2 {
			time.Sleep(time.Duration(n) * 110 * time.Millisecond)
			s, err := monitor.Sample(context.Background())
			if err != nil {
				fmt.Println("sample:", err)
			}
			for _, r := range s.Readings {
				read.Set(r.Kind, r.Value)
			}
		}
		fmt.Println("readings:", len(read.Readings))
		running, err := monitor.Processes(context.Background())
		fmt.Println("processes:", running, err)
		e, err := monitor.Attest(context.Background(), [32]byte{1})
		fmt.Println("attest:", len(e.Report), err)
		x, err := monitor.Xid(context.Background(), time.Hour)
		for n := 0; n < 300 && x == 0 && err == nil; n++ {
			time.Sleep(10 * time.Millisecond)
			x, err = monitor.Xid(context.Background(), time.Hour)
		}
		fmt.Println("xid:", x, err)
	}
	if err := l.Close(); err != nil {
		fmt.Println("close:", err)
		return 1
	}
	fmt.Println("done")
	return 0
}

// probed runs probe in another process, and gives what it printed.
func probed(t *testing.T, settings string) string {
	t.Helper()
	return allProbed(t, settings)[0]
}

// allProbed runs several, which mostly wait, at the same time.
func allProbed(t *testing.T, settings ...string) []string {
	t.Helper()
	said := make([]string, len(settings))
	slots := make(chan struct{}, 8)
	var all sync.WaitGroup
	for i, s := range settings {
		fake := fakenvml.New(t, "cc=1,xid=63,processes=5:tenant:7,mps=6:other:8,retired_single=1,retired_double=1,"+s)
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "ASSAY_TEST_NVML="+fake.Path)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("with %s: %v\n%s", s, err, out)
			}
			said[i] = string(out)
		})
	}
	all.Wait()
	return said
}

const probedAll = `cards: 1 <nil>
inventory: 15
energy: <nil>
readings: 44
processes: [{{} 5 tenant 7} {{} 6 other 8}] <nil>
attest: 3695 <nil>
xid: 63 <nil>
done
`

func TestLibraryWithAll(t *testing.T) {
	if got := probed(t, ""); got != probedAll {
		t.Errorf("%s\nwant %s", got, probedAll)
	}
}

// A library may lack any symbol: what is behind it cannot be read, and nothing else
// is different.
func TestLibraryThatLacks(t *testing.T) {
	// Older names of calls, and what is never asked where a newer one is there.
	spare := strings.Fields("nvmlInit nvmlDeviceGetCount nvmlDeviceGetHandleByIndex nvmlDeviceGetHandleByPciBusId nvmlDeviceGetPciInfo_v2 nvmlEventSetWait " +
		"nvmlDeviceGetComputeRunningProcesses nvmlDeviceGetComputeRunningProcesses_v2 nvmlDeviceGetMPSComputeRunningProcesses " +
		"nvmlDeviceGetMPSComputeRunningProcesses_v2 nvmlDeviceGetCurrentClocksThrottleReasons nvmlDeviceGetMemoryInfo nvmlErrorString")
	// Newer names, whose older ones do the same.
	instead := strings.Fields("nvmlInit_v2 nvmlDeviceGetCount_v2 nvmlDeviceGetHandleByIndex_v2 nvmlDeviceGetHandleByPciBusId_v2 nvmlDeviceGetPciInfo_v3 nvmlEventSetWait_v2 " +
		"nvmlDeviceGetComputeRunningProcesses_v3 nvmlDeviceGetMPSComputeRunningProcesses_v3 nvmlDeviceGetCurrentClocksEventReasons")
	names := fakenvml.Symbols(t)
	var settings []string
	for _, name := range names {
		settings = append(settings, "missing="+name)
	}
	for i, got := range allProbed(t, settings...) {
		name := names[i]
		if same := slices.Contains(spare, name) || slices.Contains(instead, name); same != (got == probedAll) {
			t.Errorf("without %s:\n%s", name, got)
		}
		if name != "nvmlShutdown" && !strings.HasSuffix(got, "done\n") {
			t.Errorf("without %s it ended early:\n%s", name, got)
		}
	}
}

func TestLibraryThatLacksHalf(t *testing.T) {
	keep := []string{"nvmlInit_v2", "nvmlShutdown"}
	all := fakenvml.Symbols(t)
	slices.Sort(all)
	for half := range 4 {
		var missing []string
		for i, name := range all {
			if i*2/len(all) == half || half >= 2 && i%2 == half-2 {
				missing = append(missing, name)
			}
		}
		missing = slices.DeleteFunc(missing, func(s string) bool { return slices.Contains(keep, s) })
		if got := probed(t, "missing="+strings.Join(missing, ";")); !strings.HasSuffix(got, "done\n") {
			t.Errorf("half %d: %s", half, got)
		}
	}
	none := slices.DeleteFunc(all, func(s string) bool { return slices.Contains(keep, s) })
	if got := probed(t, "missing="+strings.Join(none, ";")); !strings.HasPrefix(got, "cards: 0 list cards: not supported") || !strings.HasSuffix(got, "done\n") {
		t.Errorf("nothing: %s", got)
	}
	if got := probed(t, "missing=nvmlInit;nvmlInit_v2"); !strings.HasPrefix(got, "open: "+ErrNoDriver.Error()) {
		t.Errorf("no management library: %s", got)
	}
}

func TestOpenFailsInTheLibrary(t *testing.T) {
	for code, want := range map[int]string{9: ErrNoDriver.Error() + ": nvmlInit: driver not loaded", 18: "differ in version", 999: "an internal error of the driver", math.MaxInt16: "code 32767"} {
		if got := probed(t, fmt.Sprintf("fail=nvmlInit_v2:%d", code)); !strings.HasPrefix(got, "open: ") || !strings.Contains(got, want) {
			t.Errorf("code %d: %s", code, got)
		}
	}
}
