package selftest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// wrongly is a product with one wrong entry.
type wrongly struct{ f challenges.Flavour }

func (w wrongly) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	err := gpu.Exact{}.Compute(ctx, key, s, c)
	if s.Flavour == w.f {
		c[0] ^= 1
	}
	return err
}

// want is what a line is to be: verdict, a part of what it says, a part of its remedy.
type want struct{ verdict, says, remedy string }

// good are the lines of a machine on which all is well.
func good() map[string]want {
	return map[string]want{
		"worker":           {OK, "/usr/bin/assay-gpu, version 1", ""},
		"driver":           {OK, "kernels sm_90a", ""},
		"card":             {OK, "NVIDIA H100 80GB HBM3, " + testUUID + ", driver 550.90.07: h100-sxm", ""},
		"exactness int8":   {OK, "1 case bit for bit", ""},
		"exactness bf16":   {OK, "1 case bit for bit", ""},
		"exactness fp64":   {OK, "1 case bit for bit", ""},
		"exactness memory": {OK, "1 case bit for bit", ""},
		"throughput int8":  {OK, "90 % of the model's reference", ""},
		"throughput bf16":  {OK, "90 % of the model's reference", ""},
		"throughput fp64":  {OK, "90 % of the model's reference", ""},
		"memory":           {OK, "GB filled in", ""},
		"load":             {OK, "1700 MHz on average at most 1980 MHz, 650 W, 61 C at most", ""},
		"processes":        {OK, "nobody else's", ""},
		"hook":             {OK, "file /run/tenant: free", ""},
		"key":              {OK, "mode 0600, provider ab00", ""},
		"clock":            {OK, "synchronised, at most 12ms off; the checker's is the same", ""},
		"attestation":      {OK, "GH100 signed a nonce: card ", ""},
	}
}

// check holds a report against the good lines with some changed. Every line that is
// not as wanted is an error, and so is one that is missing or there twice.
func check(t *testing.T, r Report, changed map[string]want) {
	t.Helper()
	wanted := good()
	maps.Copy(wanted, changed)
	seen := map[string]bool{}
	last := -1
	for _, l := range r.Lines {
		at := -1
		for i, o := range order {
			if o == l.Check {
				at = i
			}
		}
		if at < 0 || at < last || seen[l.Check] {
			t.Errorf("line %q is unknown, there twice, or not in its place", l.Check)
		}
		last, seen[l.Check] = at, true
		w := wanted[l.Check]
		if l.Verdict != w.verdict || !strings.Contains(l.Says, w.says) || (l.Remedy == "") != (w.remedy == "") || !strings.Contains(l.Remedy, w.remedy) {
			t.Errorf("%s: %s %q, remedy %q; want %s %q, remedy %q", l.Check, l.Verdict, l.Says, l.Remedy, w.verdict, w.says, w.remedy)
		}
		t.Logf("%-17s %-5s %s -> %s", l.Check, l.Verdict, l.Says, l.Remedy)
	}
	if len(seen) != len(order) {
		t.Errorf("%d lines, want %d", len(seen), len(order))
	}
}

func TestRun(t *testing.T) {
	lost := &gpu.Fault{Class: gpu.FaultLost, Detail: "CUDA_ERROR_DEVICE_UNAVAILABLE", Xid: 79}
	crash := gpu.NewFault(gpu.FaultCrash, "signal: segmentation fault")
	every := func(verdict, says, remedy string, checks ...string) map[string]want {
		out := map[string]want{}
		for _, c := range checks {
			out[c] = want{verdict, says, remedy}
		}
		return out
	}
	join := func(ms ...map[string]want) map[string]want {
		out := map[string]want{}
		for _, m := range ms {
			maps.Copy(out, m)
		}
		return out
	}
	one := func(check, verdict, says, remedy string) map[string]want {
		return every(verdict, says, remedy, check)
	}
	work := []string{
		"exactness int8", "exactness bf16", "exactness fp64", "exactness memory", "throughput int8", "throughput bf16", "throughput fp64", "memory",
	}
	for _, tt := range []struct {
		name    string
		spoil   func(w *world)
		verdict string
		changed map[string]want
	}{
		{"all is well", func(*world) {}, OK, nil},
		{"no worker", func(w *world) {
			w.cfg.Worker = func(context.Context) (string, error) {
				return "", gpu.NewFault(gpu.FaultAbsent, "assay-gpu is not beside assay and not in PATH")
			}
		}, Fail, join(
			one("worker", Fail, "absent: assay-gpu is not beside", "install assay-gpu of this version"),
			one("driver", Skip, "needs worker", ""), every(Skip, "needs driver", "", work...),
			one("load", Skip, "needs throughput", ""),
		)},
		{"no driver", func(w *world) {
			w.cfg.Devices[0].Open = func(context.Context) (string, error) {
				return "", gpu.NewFault(gpu.FaultAbsent, "libcuda.so.1: no such file")
			}
		}, Fail, join(
			one("driver", Fail, "absent: libcuda.so.1", "install NVIDIA's driver"), every(Skip, "needs driver", "", work...),
			one("load", Skip, "needs throughput", ""),
		)},
		{"another card", func(w *world) { w.monitor.inventory.UUID = "GPU-1" }, Fail, one("card", Fail, "shows GPU-1, configured is "+testUUID, "correct card: in assay.yaml")},
		{
			"another model", func(w *world) {
				w.monitor.inventory.Name, w.monitor.inventory.PCIDevice = "NVIDIA H100 PCIe", 0x233110de
			}, Fail,
			one("card", Fail, "not the configured model h100-sxm", "set model: h100-pcie in assay.yaml"),
		},
		{
			"a model that nobody knows", func(w *world) { w.monitor.inventory.Name, w.monitor.inventory.PCIDevice = "NVIDIA H123", 0x239910de }, Fail,
			one("card", Fail, "not the configured model h100-sxm", "set model: other-h100 in assay.yaml"),
		},
		{
			"too old a card", func(w *world) { w.monitor.inventory.Name, w.monitor.inventory.Major = "Tesla V100-SXM2-16GB", 7 }, Fail,
			one("card", Fail, "the kernels do not run on compute capability 7.0", "do not offer"),
		},
		{"MIG", func(w *world) { w.monitor.inventory.MIG = true }, Fail, one("card", Fail, "slices", "switch MIG off")},
		{"no monitor", func(w *world) { w.cfg.Devices[0].Monitor = nil }, Fail, join(
			one("card", Fail, "nothing can be read", "check nvml:"), every(Skip, "needs card", "", "load", "processes", "attestation"))},
		{"NVML fails", func(w *world) { w.monitor.inventoryErr = gpu.NewFault(gpu.FaultDriver, "ERROR_GPU_IS_LOST") }, Fail, join(
			one("card", Fail, "driver: ERROR_GPU_IS_LOST", "reset the card"), every(Skip, "needs card", "", "load", "processes", "attestation"))},
		{"int8 wrong", func(w *world) { w.card.CPU = gpu.NewCPU(gpu.CPUConfig{Product: wrongly{challenges.Int8}}) }, Fail, join(
			one("exactness int8", Fail, "differs from the CPU engine", "do not offer this card"),
			one("throughput int8", Skip, "needs exactness int8", ""))},
		{"fp64 wrong", func(w *world) { w.card.CPU = gpu.NewCPU(gpu.CPUConfig{Product: wrongly{challenges.FP64}}) }, Fail, join(
			one("exactness fp64", Fail, "differs from the CPU engine", "do not offer this card"),
			one("throughput fp64", Skip, "needs exactness fp64", ""))},
		{"memory wrong", func(w *world) {
			w.card.CPU = gpu.NewCPU(gpu.CPUConfig{Items: func(set memory.Dataset, key challenges.Hash) gpu.Items {
				key[0]++
				return gpu.NewHeld(set, key)
			}})
		}, Fail, join(one("exactness memory", Fail, "differs from the CPU engine", "do not offer this card"), one("memory", Skip, "needs exactness memory", ""))},
		{"a fault in a comparison", func(w *world) {
			w.card.start = once(func(j gpu.Job) bool { return j.Profile.Shape.Flavour == challenges.BF16 }, crash)
		}, Fail, join(one("exactness bf16", Fail, "crash: signal", "assay-gpu check"), one("throughput bf16", Skip, "needs exactness bf16", ""))},
		{"lost for good in a comparison", func(w *world) {
			w.card.start = once(func(j gpu.Job) bool { return j.Profile.Shape.Flavour == challenges.BF16 }, lost)
			n := 0
			w.cfg.Devices[0].Open = func(context.Context) (string, error) {
				if n++; n > 1 {
					return "", lost
				}
				return "kernels sm_90a", nil
			}
		}, Fail, join(one("exactness bf16", Fail, "lost, Xid 79", "left the bus"),
			every(Skip, "the device is gone since exactness bf16", "", "exactness fp64", "exactness memory", "throughput int8", "throughput bf16", "throughput fp64", "memory"),
			one("load", Skip, "needs throughput", ""))},
		{"a fault at work", func(w *world) {
			w.card.start = once(func(j gpu.Job) bool { return j.Profile.Number > 2000 && j.Profile.Number < 3000 }, crash)
			w.monitor.xid = 31
			w.cfg.For = time.Minute
		}, Fail, one("throughput bf16", Fail, "1 fault, the first: crash, Xid 31: signal", "Xid in dmesg")},
		{"slow", func(w *world) {
			w.card.rates[challenges.BF16] *= 0.5
			w.card.info.BF16Ops /= 2
		}, Warn, one("throughput bf16", Warn, "45 % of the model's reference", "look at the lines of load")},
		{
			"a claim too high", func(w *world) { w.card.info.FP64Ops = w.card.info.FP64Ops * 10 / 8 }, Fail,
			one("throughput fp64", Fail, "configured are 30", "set fp64: 27"),
		},
		{"no memory", func(w *world) {
			w.card.fill = func(set memory.Dataset) error {
				if set.Number == 0 {
					return nil
				}
				return gpu.NewFault(gpu.FaultMemory, "cuMemAlloc: 2 GiB")
			}
		}, Fail, one("memory", Fail, "out-of-memory: cuMemAlloc", "set memory: 803")},
		{
			"memory taken", func(w *world) { w.monitor.readings[telemetry.MemoryUsed] = 40 << 30 }, Fail,
			one("memory", Fail, "a dataset takes 77.3 GB, 42.6 GB are free", "set memory: 46562"),
		},
		{"slow memory", func(w *world) { w.card.walks /= 30 }, Fail, one("memory", Fail, "are needed", "check that model:")},
		{"slow fill", func(w *world) { w.card.makes /= 4 }, Fail, one("memory", Fail, "checkers wait", "check that model:")},
		{"hot", throttled(telemetry.ThrottlePowerCap | telemetry.ThrottleHWThermal), Warn, one("load", Warn, "hardware thermal slowdown in 100 % of the samples", "cool the card")},
		{"power brake", throttled(telemetry.ThrottlePowerBrake), Warn, one("load", Warn, "power brake in", "supply is overloaded")},
		{"ECC", reading(telemetry.ECCUncorrected, 2), Fail, one("load", Fail, "2 uncorrected memory errors", "reset the card")},
		{"a row pending", reading(telemetry.RemapPending, 1), Fail, one("load", Fail, "waits to be remapped", "reset the card")},
		{"a row lost", reading(telemetry.RemapFailed, 1), Fail, one("load", Fail, "could not be remapped", "replace the card")},
		{"a narrow slot", reading(telemetry.PCIeWidth, 8), Warn, one("load", Warn, "PCIe x8 of x16", "another slot")},
		{"a slow slot", reading(telemetry.PCIeGeneration, 3), Warn, one("load", Warn, "PCIe generation 3 of 5", "another slot")},
		{"no samples", func(w *world) { w.monitor.sampleErr = errors.New("Unknown Error") }, Warn, one("load", Warn, "could not be sampled: Unknown Error", "check nvml:")},
		{"somebody else", func(w *world) {
			w.monitor.processes = append(w.monitor.processes, telemetry.Process{PID: 4242, Name: "/usr/bin/python3"})
		}, Fail, one("processes", Fail, "1 process of others: 4242 python3", "end them before the test")},
		{"no list", func(w *world) { w.monitor.processesErr = errors.New("Insufficient Permissions") }, Fail, one("processes", Fail, "cannot be read", "--pid=host")},
		{"a list without us", func(w *world) { w.monitor.processes = nil }, Warn, one("processes", Warn, "does not even show this program", "--pid=host")},
		{"an agent beside", func(w *world) {
			w.monitor.processes = append(w.monitor.processes, telemetry.Process{PID: 78, Name: "/usr/bin/assay-gpu"})
		}, Warn, one("processes", Warn, "another assay-gpu", "stop it before")},
		{"a hook fails", func(w *world) {
			w.cfg.Hooks[0].Ask = func(context.Context) (string, error) { return "", errors.New("exit status 3") }
		}, Fail, one("hook", Fail, "file /run/tenant: exit status 3", "take it out of tenancy:")},
		{"a hook hangs", func(w *world) {
			w.cfg.Hooks[0].Ask = func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
		}, Fail, one("hook", Fail, "deadline exceeded", "take it out of tenancy:")},
		{"no hook", func(w *world) { w.cfg.Hooks = nil }, OK, one("hook", Skip, "none is configured", "")},
		{"a key for all", func(w *world) {
			w.cfg.Key = func() Key { return Key{Path: "p/key", Mode: 0o644, Owner: 1, User: 1, Err: errors.New("mode")} }
		}, Fail, one("key", Fail, "p/key has mode 0644", "chmod 600 p/key")},
		{
			"another's key", func(w *world) {
				w.cfg.Key = func() Key { return Key{Path: "p/key", Mode: 0o600, Owner: 0, User: 1000} }
			}, Warn,
			one("key", Warn, "belongs to user 0, this is user 1000", "chown"),
		},
		{"no key", func(w *world) {
			w.cfg.Key = func() Key {
				return Key{Path: "p/key", Owner: -1, User: 1000, Err: errors.New("read key: no such file")}
			}
		}, Fail, one("key", Fail, "no such file", "bring the key back")},
		{"a clock on its own", func(w *world) { w.cfg.Clock = func() (Clock, error) { return Clock{}, nil } }, Warn, one("clock", Warn, "not synchronised", "chrony")},
		{"a clock ahead", func(w *world) {
			w.cfg.Checker = func(context.Context) (time.Duration, error) { return 5200 * time.Millisecond, nil }
		}, Fail, one("clock", Fail, "5.2s ahead of the checker", "set this clock")},
		{"a clock behind", func(w *world) {
			w.cfg.Checker = func(context.Context) (time.Duration, error) { return -2100 * time.Millisecond, nil }
		}, Fail, one("clock", Fail, "2.1s behind the checker", "set this clock")},
		{"no answer", func(w *world) {
			w.cfg.Checker = func(context.Context) (time.Duration, error) { return 0, errors.New("connection refused") }
		}, Warn, one("clock", Warn, "connection refused", "check --checker")},
		{"signs nothing", func(w *world) { w.monitor.attestErr = gpu.ErrNoAttestation }, OK, one("attestation", Skip, "levels above L2 need it", "")},
		{"signs another nonce", func(w *world) { w.monitor.forgets = true }, Warn, one("attestation", Warn, "does not have the nonce", "update the driver")},
		{"signs another report", func(w *world) { w.monitor.forged = true }, Warn, one("attestation", Warn, "does not verify: signature-invalid", "no level above L2")},
		{"signs with keys of nobody's", func(w *world) { w.cfg.Roots = attest.NVIDIA() }, Warn, one("attestation", Warn, "does not verify: chain-root", "no level above L2")},
		{"says what no card says", func(w *world) { w.monitor.inventory.Cores = 4 }, Warn, one("card", Warn, "will not believe it: cores", "a rule is wrong about this card")},
		{"cannot sign", func(w *world) { w.monitor.attestErr = errors.New("GPU is lost") }, Warn, one("attestation", Warn, "did not sign: GPU is lost", "confidential")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				tt.spoil(w)
				r, err := Run(t.Context(), w.cfg)
				if err != nil {
					t.Fatal(err)
				}
				if r.Verdict != tt.verdict || !r.Complete {
					t.Errorf("verdict %s, complete %v; want %s", r.Verdict, r.Complete, tt.verdict)
				}
				if w.card.memories != 0 {
					t.Errorf("%d datasets left open", w.card.memories)
				}
				check(t, r, tt.changed)
			})
		})
	}
}

// once fails the first job of a kind.
func once(which func(gpu.Job) bool, err error) func(gpu.Job) error {
	done := false
	return func(j gpu.Job) error {
		if done || !which(j) {
			return nil
		}
		done = true
		return err
	}
}

func reading(k telemetry.Kind, v int64) func(*world) {
	return func(w *world) { w.monitor.readings[k] = v }
}

func throttled(bits int64) func(*world) { return reading(telemetry.Throttle, bits) }

func TestClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.card.info.Int8Ops, w.card.info.BF16Ops, w.card.info.FP64Ops = 0, 0, 0 // nothing is configured yet
		// Every eighth round takes twice as long: the slowest tenth begins there.
		w.card.next = func(j gpu.Job, round int) error {
			if j.Profile.Shape.Flavour == challenges.Int8 && j.Profile.Rounds > 3 && round%8 == 7 {
				time.Sleep(sleepOf(float64(j.Profile.Shape.Ops()), w.card.rates[challenges.Int8]))
			}
			return nil
		}
		r, err := Run(t.Context(), w.cfg)
		if err != nil || r.Verdict != Warn { // int8 reaches 45 % of the reference
			t.Fatal(r.Verdict, err)
		}
		spec := w.cfg.Devices[0].Model
		near := func(what string, got uint64, want float64) {
			t.Helper()
			if float64(got) > want || float64(got) < 0.998*want {
				t.Errorf("%s: %d, want at most %.0f, and near it", what, got, want)
			}
		}
		c := r.Claims[0]
		near("int8", c.Int8, 0.45*float64(spec.Int8Ops))
		near("bf16", c.BF16, 0.9*float64(spec.BF16Ops))
		near("fp64", c.FP64, 0.9*float64(spec.FP64Ops))
		if c.Memory != spec.Memory {
			t.Errorf("memory %d, want %d", c.Memory, spec.Memory)
		}
		want := fmt.Sprintf("devices:\n  - id: gpu0\n    model: h100-sxm\n    card: %s\n    memory: %d\n    int8: %d\n    bf16: %d\n    fp64: %d\n",
			testUUID, c.Memory, c.Int8, c.BF16, c.FP64)
		if got := YAML(r.Claims); got != want {
			t.Errorf("YAML\n%s\nwant\n%s", got, want)
		}
		int8 := r.Figures[0].Flavours[0]
		if int8.Windows != 1 || int8.Rounds < 50 || int8.OpsPerS < 1.5*int8.OpsPerSP10 {
			t.Errorf("int8: %+v", int8)
		}
		if l := r.Figures[0].Load; l.Samples < 100 || l.Throttled["power cap"] != 1 || len(r.Samples) != l.Samples {
			t.Errorf("load: %+v, %d samples kept", l, len(r.Samples))
		}
	})
}

// TestLong measures for hours: windows in turn, a fault now and then, all samples'
// figures and only so many samples.
func TestLong(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of thousands of rounds")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.For = 3 * time.Hour
		w.cfg.Every = 100 * time.Millisecond
		begun := time.Now()
		slow := func() bool { since := time.Since(begun); return since > time.Hour && since < time.Hour+15*time.Minute }
		faults, starts := 0, 0
		w.card.start = func(j gpu.Job) error {
			if j.Profile.Number/1000 != 1 || !slow() {
				return nil
			}
			if starts++; starts%2 == 0 && faults < 7 { // a good window comes between
				faults++
				return gpu.NewFault(gpu.FaultHang, "no round in 20 s")
			}
			return nil
		}
		// For an hour's quarter the card is at 60 %: more than a tenth of the time is not
		// that slow, so the claim does not show it, but the slowest window does.
		w.card.next = func(j gpu.Job, _ int) error {
			if j.Profile.Number/1000 == 3 && slow() {
				time.Sleep(sleepOf(float64(j.Profile.Shape.Ops())*2/3, w.card.rates[challenges.FP64]))
			}
			return nil
		}
		var last, of int
		w.cfg.Progress = func(d, o int, _ string) {
			if d < last {
				t.Errorf("progress fell from %d to %d", last, d)
			}
			last, of = d, o
		}
		r, err := Run(t.Context(), w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		check(t, r, map[string]want{"throughput int8": {Fail, "7 faults, the first: hang: no round in 20 s", "Xid in dmesg"}})
		f := r.Figures[0].Flavours
		if f[0].FaultCount != 7 || len(f[0].Faults) != 7 || f[0].Windows < 100 || f[1].FaultCount != 0 {
			t.Errorf("%+v", f[0])
		}
		if ratio := f[2].Worst / f[2].OpsPerSP10; ratio < 0.55 || ratio > 0.65 {
			t.Errorf("slowest window %.2f of the p10", ratio)
		}
		if n := r.Figures[0].Load.Samples; n < 100_000 || len(r.Samples) > mostKept || len(r.Samples) < mostKept/3 {
			t.Errorf("%d samples, %d kept", n, len(r.Samples))
		}
		if r.TookS < 3*3600 || r.TookS > 3*3600+120 || of != 3*3600 || last < of-60 {
			t.Errorf("took %v s, progress %d of %d", r.TookS, last, of)
		}
	})
}

// TestFaultsForEver gives a card up that only faults.
func TestFaultsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.For = time.Hour
		w.card.start = func(j gpu.Job) error {
			if j.Profile.Number/1000 == 1 {
				return gpu.NewFault(gpu.FaultDriver, "error 999")
			}
			return nil
		}
		r, err := Run(t.Context(), w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		check(t, r, map[string]want{"throughput int8": {Fail, "5 faults, the first: driver: error 999; 5 faults in a row", "reset the card"}})
		if c := r.Claims[0]; c.Int8 != 0 || c.BF16 == 0 {
			t.Errorf("claims %+v", c)
		}
	})
}

// TestInterrupted keeps what was measured.
func TestInterrupted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration
		want  map[string]want
	}{
		{"at once", 0, nil},
		{"at work", 20 * time.Minute, map[string]want{
			"memory": {Skip, "interrupted", ""}, "processes": {Skip, "interrupted", ""}, "attestation": {Skip, "interrupted", ""},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.cfg.For = 24 * time.Hour
				ctx, cancel := context.WithTimeout(t.Context(), tt.after)
				defer cancel()
				r, err := Run(ctx, w.cfg)
				if err != nil {
					t.Fatal(err)
				}
				if r.Complete || r.Verdict != Incomplete || r.TookS > tt.after.Seconds()+1 {
					t.Errorf("verdict %s, complete %v after %v s", r.Verdict, r.Complete, r.TookS)
				}
				if tt.want != nil {
					check(t, r, tt.want)
					if c := r.Claims[0]; c.Int8 == 0 || c.Memory != 0 {
						t.Errorf("claims %+v", c)
					}
				}
			})
		})
	}
}

// TestSimulated runs a simulated device: no card is asked for, all else works.
func TestSimulated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfg Config
		for _, id := range []string{"gpu0", "gpu1"} {
			spec, err := models.Lookup("sim-200")
			if err != nil {
				t.Fatal(err)
			}
			sim, err := gpu.NewSim(gpu.SimConfig{ID: id, Claims: spec, Runs: spec})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Devices = append(cfg.Devices, Device{Device: sim, Model: spec})
		}
		calls := 0
		cfg.Progress = func(done, of int, _ string) {
			if calls++; done > of || of != 2*stepsOfLane {
				t.Errorf("progress %d of %d", done, of)
			}
		}
		r, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, l := range r.Lines {
			got[l.Check+" "+l.Verdict]++
			if strings.HasPrefix(l.Check, "exactness") && !strings.HasPrefix(l.Says, "1 case ") {
				t.Errorf("%+v: cases that a modelled clock is too coarse for", l)
			}
		}
		want := map[string]int{
			"worker skip": 1, "driver skip": 2, "card skip": 2, "exactness int8 ok": 2, "exactness bf16 ok": 2, "exactness fp64 ok": 2,
			"exactness memory ok": 2, "throughput int8 ok": 2, "throughput bf16 ok": 2, "throughput fp64 ok": 2, "memory ok": 2,
			"load skip": 2, "processes skip": 2, "hook skip": 1, "attestation skip": 2,
		}
		if !maps.Equal(got, want) || r.Verdict != OK || calls == 0 {
			t.Errorf("verdict %s, lines %v, want %v", r.Verdict, got, want)
		}
		if c := r.Claims[1]; c.Int8 != 190_000_000 || c.Memory != 3<<20 || YAML(r.Claims) != "" {
			t.Errorf("claims %+v", c)
		}
	})
}

func TestNothing(t *testing.T) {
	if _, err := Run(t.Context(), Config{}); err == nil {
		t.Error("a test of no device")
	}
}
