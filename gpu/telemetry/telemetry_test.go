package telemetry_test

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/telemetry"
)

func TestKinds(t *testing.T) {
	seen := map[string]telemetry.Kind{}
	kinds := telemetry.Kinds()
	for i, k := range kinds {
		if int(k) != i+1 {
			t.Errorf("kind %d is %d", i, k)
		}
		name := k.String()
		if other, ok := seen[name]; ok || name == "" || strings.Contains(name, "(") {
			t.Errorf("kind %d is named %q, as %d", k, name, other)
		}
		seen[name] = k
	}
	if first, last := kinds[0], kinds[len(kinds)-1]; first != telemetry.Energy || last != telemetry.GPMFP16 {
		t.Errorf("from %v to %v", first, last)
	}
	for _, k := range []telemetry.Kind{0, telemetry.GPMFP16 + 1, math.MaxUint8} {
		if name := k.String(); !strings.HasPrefix(name, "kind(") {
			t.Errorf("no kind %d is named %q", k, name)
		}
	}
	// One of each part of the table, so that a name that slips moves others.
	for k, want := range map[telemetry.Kind]string{
		telemetry.Energy: "energy_mj", telemetry.Throttle: "throttle", telemetry.UtilGPU: "util_gpu_percent", telemetry.RetiredPages: "retired_pages",
		telemetry.PCIeReplays: "pcie_replays", telemetry.MIG: "mig", telemetry.Processes: "processes", telemetry.GPMTensor: "gpm_tensor", telemetry.GPMFP16: "gpm_fp16",
	} {
		if k.String() != want {
			t.Errorf("%d is named %q, want %q", k, k, want)
		}
	}
}

func TestSnapshot(t *testing.T) {
	var s telemetry.Snapshot
	if v, ok := s.Get(telemetry.Power); ok || v != 0 {
		t.Errorf("nothing has a power of %d", v)
	}
	for _, k := range []telemetry.Kind{telemetry.Power, telemetry.MIG, telemetry.Energy, telemetry.Throttle, telemetry.Power} {
		s.Set(k, int64(k)*10)
	}
	s.Set(telemetry.Power, 0) // a reading of zero is one
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	want := []telemetry.Reading{{Kind: telemetry.Energy, Value: 10}, {Kind: telemetry.Power}, {Kind: telemetry.Throttle, Value: 80}, {Kind: telemetry.MIG, Value: 310}}
	if !reflect.DeepEqual(s.Readings, want) {
		t.Errorf("%v, want %v", s.Readings, want)
	}
	if v, ok := s.Get(telemetry.Power); !ok || v != 0 {
		t.Errorf("power %d, %v", v, ok)
	}
	if _, ok := s.Get(telemetry.PowerLimit); ok {
		t.Error("a limit that was not set")
	}
}

func TestSnapshotCheck(t *testing.T) {
	read := func(kinds ...telemetry.Kind) (r []telemetry.Reading) {
		for _, k := range kinds {
			r = append(r, telemetry.Reading{Kind: k, Value: -1})
		}
		return r
	}
	for _, tt := range []struct {
		name string
		s    telemetry.Snapshot
		good bool
	}{
		{"nothing", telemetry.Snapshot{}, true},
		{"all", telemetry.Snapshot{Readings: read(telemetry.Kinds()...)}, true},
		{"falling", telemetry.Snapshot{Readings: read(2, 1)}, false},
		{"twice", telemetry.Snapshot{Readings: read(2, 2)}, false},
		{"kind 0", telemetry.Snapshot{Readings: read(0, 1)}, false},
		{"a kind that is not", telemetry.Snapshot{Readings: read(1, telemetry.GPMFP16+1)}, false},
		{"before the challenge", telemetry.Snapshot{At: -1}, false},
	} {
		if err := tt.s.Check(); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestRecordCheck(t *testing.T) {
	long := strings.Repeat("x", 97)
	for _, tt := range []struct {
		name string
		make func(*telemetry.Record)
		good bool
	}{
		{"an empty one", func(*telemetry.Record) {}, true},
		{"a text that just fits", func(r *telemetry.Record) { r.Inventory.Name = long[1:] }, true},
		{"name", func(r *telemetry.Record) { r.Inventory.Name = long }, false},
		{"uuid", func(r *telemetry.Record) { r.Inventory.UUID = long }, false},
		{"serial", func(r *telemetry.Record) { r.Inventory.Serial = long }, false},
		{"pci", func(r *telemetry.Record) { r.Inventory.PCI = long }, false},
		{"driver", func(r *telemetry.Record) { r.Inventory.Driver = long }, false},
		{"nvml", func(r *telemetry.Record) { r.Inventory.NVML = long }, false},
		{"cuda", func(r *telemetry.Record) { r.Inventory.CUDA = long }, false},
		{"vbios", func(r *telemetry.Record) { r.Inventory.VBIOS = long }, false},
		{"confidential", func(r *telemetry.Record) { r.Inventory.Confidential = long }, false},
		{"an escape", func(r *telemetry.Record) { r.Inventory.Name = "\x1b[2J" }, false},
		{"a delete", func(r *telemetry.Record) { r.Inventory.Serial = "a\x7f" }, false},
		{"a letter beyond ASCII", func(r *telemetry.Record) { r.Inventory.VBIOS = "\u00e9" }, false},
		{"12 snapshots", func(r *telemetry.Record) { r.Snapshots = make([]telemetry.Snapshot, 12) }, true},
		{"13 snapshots", func(r *telemetry.Record) { r.Snapshots = make([]telemetry.Snapshot, 13) }, false},
		{"a bad snapshot", func(r *telemetry.Record) { r.Snapshots = []telemetry.Snapshot{{}, {At: -1}} }, false},
		{"time that stands", func(r *telemetry.Record) { r.Snapshots = []telemetry.Snapshot{{At: 5}, {At: 5}} }, true},
		{"time that falls", func(r *telemetry.Record) { r.Snapshots = []telemetry.Snapshot{{At: 5}, {At: 4}} }, false},
	} {
		var r telemetry.Record
		tt.make(&r)
		if err := r.Check(); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestProcessCheck(t *testing.T) {
	for name, good := range map[string]bool{"": true, "/usr/bin/ollama serve": true, strings.Repeat("x", 96): true, strings.Repeat("x", 97): false, "a\nb": false} {
		if err := (&telemetry.Process{PID: 1, Name: name}).Check(); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A field that Check forgets is found here.
func TestRecordCheckBoundsEveryText(t *testing.T) {
	fields := reflect.TypeFor[telemetry.Inventory]()
	for i := range fields.NumField() {
		if fields.Field(i).Type.Kind() != reflect.String {
			continue
		}
		var r telemetry.Record
		reflect.ValueOf(&r.Inventory).Elem().Field(i).SetString(strings.Repeat("x", 97))
		if r.Check() == nil {
			t.Errorf("%s is not bounded", fields.Field(i).Name)
		}
	}
}

func record() *rapid.Generator[telemetry.Record] {
	text := rapid.StringMatching(`[ -~]{0,96}`)
	return rapid.Custom(func(t *rapid.T) telemetry.Record {
		r := telemetry.Record{Inventory: telemetry.Inventory{
			Name: text.Draw(t, "name"), UUID: text.Draw(t, "uuid"), Serial: text.Draw(t, "serial"), PCI: text.Draw(t, "pci"),
			Driver: text.Draw(t, "driver"), NVML: text.Draw(t, "nvml"), CUDA: text.Draw(t, "cuda"), VBIOS: text.Draw(t, "vbios"),
			PCIDevice: rapid.Uint32().Draw(t, "device"), PCISubsystem: rapid.Uint32().Draw(t, "subsystem"),
			Major: rapid.Uint8().Draw(t, "major"), Minor: rapid.Uint8().Draw(t, "minor"), Cores: rapid.Uint32().Draw(t, "cores"),
			BusBits: rapid.Uint32().Draw(t, "bus"), PowerMax: rapid.Uint32().Draw(t, "power"), MIG: rapid.Bool().Draw(t, "mig"),
			Confidential: rapid.SampledFrom([]string{"", "off", "on", "devtools"}).Draw(t, "cc"),
		}}
		at := time.Duration(0)
		for range rapid.IntRange(0, telemetry.MaxSnapshots).Draw(t, "snapshots") {
			at += time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "later"))
			s := telemetry.Snapshot{At: at}
			for range rapid.IntRange(0, 60).Draw(t, "readings") {
				s.Set(rapid.SampledFrom(telemetry.Kinds()).Draw(t, "kind"), rapid.Int64().Draw(t, "value"))
			}
			r.Snapshots = append(r.Snapshots, s)
		}
		return r
	})
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := record().Draw(t, "record")
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		encoded := challenges.Marshal(&r)
		var back telemetry.Record
		if err := challenges.Unmarshal(encoded, &back); err != nil {
			t.Fatal(err)
		}
		if again := challenges.Marshal(&back); !slices.Equal(again, encoded) {
			t.Errorf("%x, then %x", encoded, again)
		}
		for i, s := range r.Snapshots {
			if back.Snapshots[i].At != s.At || !slices.Equal(back.Snapshots[i].Readings, s.Readings) {
				t.Errorf("snapshot %d: %v, then %v", i, s, back.Snapshots[i])
			}
		}
		if back.Inventory != r.Inventory {
			t.Errorf("%+v, then %+v", r.Inventory, back.Inventory)
		}
	})
}

// Whatever is accepted is what would be sent, and passes its own check.
func FuzzRecord(f *testing.F) {
	f.Add(challenges.Marshal(&telemetry.Record{}))
	f.Add(challenges.Marshal(full(2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r telemetry.Record
		if challenges.Unmarshal(b, &r) != nil {
			return
		}
		if !slices.Equal(challenges.Marshal(&r), b) {
			t.Error("it is encoded otherwise")
		}
		if err := r.Check(); err != nil {
			t.Errorf("accepted, but %v", err)
		}
	})
}

// full is a record as of a busy H100 that has been up for months.
func full(snapshots int) *telemetry.Record {
	r := &telemetry.Record{Inventory: telemetry.Inventory{
		Name: "NVIDIA H100 80GB HBM3", UUID: "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadae00", Serial: "1650123000000", PCI: "0000:1b:00.0",
		Driver: "550.54.15", NVML: "12.550.54.15", CUDA: "12.4", VBIOS: "96.00.89.00.01", PCIDevice: 0x233010de, PCISubsystem: 0x16c110de,
		Major: 9, Cores: 16896, BusBits: 5120, PowerMax: 700000, Confidential: "off",
	}}
	typical := map[telemetry.Kind]int64{
		telemetry.Energy: 9_876_543_210_123, telemetry.Power: 698123, telemetry.PowerLimit: 700000, telemetry.ClockSM: 1980, telemetry.ClockMemory: 2619,
		telemetry.ClockSMMax: 1980, telemetry.ClockMemoryMax: 2619, telemetry.Throttle: 0x104, telemetry.Temperature: 71,
		telemetry.MemoryTotal: 85_520_809_984, telemetry.MemoryReserved: 561_184_768, telemetry.MemoryUsed: 84_000_000_000, telemetry.UtilGPU: 100,
		telemetry.UtilMemory: 100, telemetry.ECC: 1, telemetry.ECCCorrected: 1000, telemetry.ECCUncorrected: 3, telemetry.RemappedCorrectable: 30,
		telemetry.RemappedUncorrectable: 30, telemetry.RetiredPages: 64, telemetry.PCIeGeneration: 5, telemetry.PCIeGenerationMax: 5,
		telemetry.PCIeWidth: 16, telemetry.PCIeWidthMax: 16, telemetry.PCIeSent: 52_000_000, telemetry.PCIeReceived: 52_000_000,
		telemetry.PCIeReplays: 70_000, telemetry.Processes: 30,
	}
	for n := range snapshots {
		s := telemetry.Snapshot{At: time.Duration(n+1) * time.Minute}
		for _, k := range telemetry.Kinds() {
			switch v, ok := typical[k]; {
			case ok:
				s.Set(k, v)
			case k >= telemetry.GPMGraphics:
				s.Set(k, 9999)
			default:
				s.Set(k, 0)
			}
		}
		r.Snapshots = append(r.Snapshots, s)
	}
	return r
}

// maxRecord is what a result has room for.
const maxRecord = 4096

func TestFullRecordFits(t *testing.T) {
	r := full(telemetry.MaxSnapshots)
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	if n := len(challenges.Marshal(r)); n > maxRecord {
		t.Errorf("%d bytes, at most %d", n, maxRecord)
	} else {
		t.Logf("%d bytes", n)
	}
}

func TestTrim(t *testing.T) {
	for _, tt := range []struct {
		of, to int
		want   []time.Duration
	}{
		{0, 3, nil},
		{3, 0, nil},
		{3, -1, nil},
		{3, 3, []time.Duration{0, 1, 2}},
		{3, 9, []time.Duration{0, 1, 2}},
		{9, 1, []time.Duration{8}},
		{9, 2, []time.Duration{0, 8}},
		{9, 3, []time.Duration{0, 4, 8}},
		{10, 4, []time.Duration{0, 3, 6, 9}},
		{13, 12, []time.Duration{0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12}},
	} {
		var all []telemetry.Snapshot
		for i := range tt.of {
			all = append(all, telemetry.Snapshot{At: time.Duration(i)})
		}
		var got []time.Duration
		for _, s := range telemetry.Trim(all, tt.to) {
			got = append(got, s.At)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%d of %d: %v, want %v", tt.to, tt.of, got, tt.want)
		}
	}
}

func TestTrimKeepsEndsAndOrder(t *testing.T) {
	for of := 2; of < 60; of++ {
		all := make([]telemetry.Snapshot, of)
		for i := range all {
			all[i].At = time.Duration(i)
		}
		for n := 2; n <= of; n++ {
			got := telemetry.Trim(all, n)
			if len(got) != n || got[0].At != 0 || got[n-1].At != time.Duration(of-1) {
				t.Fatalf("%d of %d: %v", n, of, got)
			}
			for i := 1; i < n; i++ {
				if got[i].At <= got[i-1].At {
					t.Fatalf("%d of %d: %v", n, of, got)
				}
			}
		}
	}
}

func TestFit(t *testing.T) {
	size := func(r *telemetry.Record) int { return len(challenges.Marshal(r)) }
	long := full(40)
	if !long.Fit(maxRecord, size) || size(long) > maxRecord || long.Check() != nil {
		t.Errorf("%d snapshots, %d bytes, %v", len(long.Snapshots), size(long), long.Check())
	}
	huge := full(12)
	for i := range huge.Snapshots {
		for _, k := range telemetry.Kinds() {
			huge.Snapshots[i].Set(k, math.MinInt64)
		}
	}
	first, last := huge.Snapshots[0].At, huge.Snapshots[11].At
	if !huge.Fit(maxRecord, size) || size(huge) > maxRecord {
		t.Errorf("%d bytes", size(huge))
	}
	if n := len(huge.Snapshots); n < 6 || huge.Snapshots[0].At != first || huge.Snapshots[n-1].At != last {
		t.Errorf("%d snapshots are left", n)
	}
	if r := full(3); r.Fit(100, size) || len(r.Snapshots) != 0 {
		t.Errorf("100 bytes are enough for %d snapshots", len(r.Snapshots))
	}
	if r := full(3); !r.Fit(size(r), size) || len(r.Snapshots) != 3 {
		t.Errorf("%d snapshots are left of what fits", len(r.Snapshots))
	}
}

func TestThrottleWords(t *testing.T) {
	for _, tt := range []struct {
		bits int64
		want string
	}{
		{0, ""},
		{0x4, "power cap"},
		{0x1 | 0x48, "idle, hardware slowdown, hardware thermal slowdown"},
		{0x1ff, "idle, application clocks, power cap, hardware slowdown, sync boost, thermal slowdown, hardware thermal slowdown, power brake, display clocks"},
		{1 << 40, ""},
	} {
		if got := telemetry.ThrottleWords(tt.bits); got != tt.want {
			t.Errorf("%#x: %q, want %q", tt.bits, got, tt.want)
		}
	}
}
