package node

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestAmount(t *testing.T) {
	for _, c := range []struct {
		text string
		want uint64
		ok   bool
	}{
		{"0", 0, true},
		{"85899345920", 85899345920, true},
		{"1.2e15", 1200000000000000, true},
		{"1.2E+15", 1200000000000000, true},
		{"2.5e1", 25, true},
		{`"600"`, 600, true},
		{"9223372036854775807", 1<<63 - 1, true},
		{"9e18", 9e18, true},
		{"9223372036854775808", 0, false},
		{"1e19", 0, false},
		{"1e400", 0, false},
		{"2.5", 0, false},
		{"1e-3", 0, false},
		{"-1", 0, false},
		{"-1e3", 0, false},
		{".inf", 0, false},
		{".nan", 0, false},
		{"inf", 0, false},
		{"0x1p4", 0, false},
		{"1_000", 0, false},
		{"80 GiB", 0, false},
		{`""`, 0, false},
		{"[1]", 0, false},
		{"{a: 1}", 0, false},
	} {
		var v struct{ A Amount }
		err := yaml.Unmarshal([]byte("a: "+c.text), &v)
		if (err == nil) != c.ok || uint64(v.A) != c.want {
			t.Errorf("%s: %d, %v; want %d, ok %v", c.text, v.A, err, c.want, c.ok)
		}
	}
	for a, want := range map[Amount]string{0: "0", 25: "25", 1.2e15: "1.2e15", 1234567: "1.23457e06", 6e14: "6e14"} {
		if got := a.String(); got != want {
			t.Errorf("%d: %s, want %s", uint64(a), got, want)
		}
	}
}

func TestReadCards(t *testing.T) {
	dir := configDir(t, cardYAML+`driver: lib/libcuda.so.1
nvml: libnvidia-ml.so.1
cublaslt: none
tenancy: {processes: false, ignore: [nvtop], command: [hooks/tenant, --now], file: "{device}"}
budget: {gpu_per_day: 1h, checker_per_day: 0s}
`)
	c, err := ReadConfig(dir, func(key string) string {
		return map[string]string{"ASSAY_PROVIDER_WORKER": "assay-gpu"}[key]
	})
	check(t, err)
	no, hour, none := false, time.Hour, time.Duration(0)
	want := Config{
		Kind: KindProvider, Name: "two", Network: filepath.Join(dir, "network.yaml"), Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"},
		Devices: []Device{{ID: "gpu0", Model: "h100-sxm", Card: "GPU-5c1b2d3e-1111-2222-3333-444455556666", Int8: 1.2e15, BF16: 6e14}},
		Worker:  "assay-gpu", Driver: filepath.Join(dir, "lib/libcuda.so.1"), NVML: "libnvidia-ml.so.1", CUBLASLt: "none",
		Tenancy: Tenancy{
			Processes: &no, Ignore: []string{"nvtop"}, Command: []string{filepath.Join(dir, "hooks/tenant"), "--now"},
			File: filepath.Join(dir, "{device}"),
		},
		Budget: Budget{GPUPerDay: &hour, CheckerPerDay: &none}, Log: "info", LogFormat: "text",
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("\n%+v, want\n%+v", c, want)
	}
	if m := c.Devices[0].memory(); m != 80<<30 {
		t.Errorf("memory %d, want the model's", m)
	}
}

func TestLimits(t *testing.T) {
	hour, none := time.Hour, time.Duration(0)
	for _, c := range []struct {
		budget     Budget
		simulated  bool
		all, of1st time.Duration
	}{
		{Budget{}, false, 72 * time.Minute, 24 * time.Minute},
		{Budget{}, true, 0, 0},
		{Budget{GPUPerDay: &hour}, false, time.Hour, 24 * time.Minute},
		{Budget{CheckerPerDay: &hour}, true, 0, time.Hour},
		{Budget{GPUPerDay: &none, CheckerPerDay: &none}, false, 0, 0},
	} {
		if all, one := c.budget.limits(c.simulated); all != c.all || one != c.of1st {
			t.Errorf("%+v, simulated %v: %v and %v", c.budget, c.simulated, all, one)
		}
	}
}

func TestReadCardsRefuses(t *testing.T) {
	replace := func(old, by string) string {
		if !strings.Contains(cardYAML, old) {
			t.Fatalf("%q is not in the file", old)
		}
		return strings.Replace(cardYAML, old, by, 1)
	}
	const card = "GPU-5c1b2d3e-1111-2222-3333-444455556666"
	for _, c := range []struct{ name, text, says string }{
		{"no card", replace(", card: "+card, ""), "devices[0].card: missing: h100-sxm is a real card"},
		{"no UUID", replace(card, "0"), `devices[0].card: "0", want a UUID`},
		{"a part of a card", replace(card, "MIG-5c1b2d3e-1111-2222-3333-444455556666"), "devices[0].card: "},
		{"a card twice", cardYAML + "  - {id: gpu1, model: h100-sxm, card: " + strings.ToUpper(card) + "}\n", "devices[1].card: "},
		{"a class without memory", replace("h100-sxm", "other"), "devices[0].memory: missing"},
		{"a claim that is no number", replace("1.2e15", "fast"), `line 6: "fast", want a whole number`},
		{"a negative claim", replace("1.2e15", "-5"), "want a whole number"},
		{"simulated with a card", replace("h100-sxm", "sim-100"), "devices[0]: sim-100 is simulated"},
		{"simulated with a claim", providerYAML + "  - {id: gpu2, model: sim-100, int8: 5}\n", "devices[2]: sim-100 is simulated"},
		{"a worker without cards", providerYAML + "worker: x\n", "worker: there is no card"},
		{"budget without unit", cardYAML + "budget: {gpu_per_day: 72}\n", "cannot unmarshal !!int `72` into time.Duration"},
		{"tiny budget", cardYAML + "budget: {gpu_per_day: 72ns}\n", "budget.gpu_per_day: 72ns, want 1s to 24h"},
		{"negative budget", cardYAML + "budget: {checker_per_day: -1m}\n", "budget.checker_per_day: -1m0s"},
		{"budget of more than a day", cardYAML + "budget: {gpu_per_day: 25h}\n", "budget.gpu_per_day: 25h0m0s"},
		{"unknown key of tenancy", cardYAML + "tenancy: {process: true}\n", "field process not found"},
		{"unknown key of budget", cardYAML + "budget: {per_day: 1h}\n", "field per_day not found"},
		{"empty command", cardYAML + "tenancy: {command: ['']}\n", "tenancy.command[0]: empty"},
		{"checker with a worker", checkerYAML + "worker: x\n", "worker, driver, nvml, cublaslt: a checker has no cards"},
		{"checker with tenants", checkerYAML + "tenancy: {processes: false}\n", "tenancy, budget: a checker has no cards"},
		{"checker with a budget", checkerYAML + "budget: {gpu_per_day: 1h}\n", "tenancy, budget: a checker has no cards"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ReadConfig(configDir(t, c.text), noEnv); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

// TestClaims has a card that claims nothing: a self-test may look at it, but it is
// not offered.
func TestClaims(t *testing.T) {
	dir := cardDir(t, "")
	edit(t, filepath.Join(dir, ConfigName), ", int8: 1.2e15, bf16: 6e14", "")
	if _, err := ReadConfig(dir, noEnv); err != nil {
		t.Errorf("read: %v", err)
	}
	d := DaemonConfig{Dir: dir, Getenv: noEnv, Stderr: new(buffer), Ready: func(line string) { t.Error("runs:", line) }}
	for name, err := range map[string]error{"run": RunProvider(t.Context(), d), "check": Check(d, new(buffer))} {
		if err == nil || !strings.Contains(err.Error(), "devices[0]: gpu0 claims nothing") || !strings.Contains(err.Error(), "assay provider selftest") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTemplateOfCards has the lines on cards in a new provider's file, taken out of
// their comments, as ones that hold.
func TestTemplateOfCards(t *testing.T) {
	dir := t.TempDir() + "/p"
	_, err := Init(dir, KindProvider, "p", "")
	check(t, err)
	path := filepath.Join(dir, ConfigName)
	b, err := os.ReadFile(path)
	check(t, err)
	text := string(b)
	for _, key := range []string{"worker:", "driver:", "nvml:", "cublaslt:", "tenancy:", "  processes:", "  ignore:", "  command:", "  file:", "budget:", "  gpu_per_day:", "  checker_per_day:"} {
		if strings.Count(text, "\n# "+key) != 1 {
			t.Fatalf("# %s is not in the template once", key)
		}
		text = strings.Replace(text, "\n# "+key, "\n"+key, 1)
	}
	text = strings.Replace(text, "  - id: gpu0\n    model: sim-100\n", "", 1)
	for _, key := range []string{"  - id: gpu0", "    model:", "    card:", "    memory:", "    int8:", "    bf16:", "    fp64:"} {
		if strings.Count(text, "\n#"+key) != 1 {
			t.Fatalf("#%s is not in the template once", key)
		}
		text = strings.Replace(text, "\n#"+key, "\n"+key, 1)
	}
	check(t, os.WriteFile(path, []byte(text), 0o600))
	c, err := ReadConfig(dir, noEnv)
	check(t, err)
	if all, one := c.Budget.limits(true); c.claims() != nil || len(c.cards()) != 1 || all != gpuPerDay || one != checkerPerDay || !c.Tenancy.ByProcesses() {
		t.Errorf("%+v", c)
	}
}
