package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/assaynet/assay/gpu/cuda"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/cuda/fakecuda"
	"github.com/assaynet/assay/gpu/exam"
)

func TestMain(m *testing.M) {
	if os.Getenv("ASSAY_GPU_TEST_ENV") != "" { // TestDriverEnv
		againWith(driverEnv())
		fmt.Printf("%s,%s", os.Getenv("CUDA_DEVICE_ORDER"), os.Getenv("CUDA_MODULE_LOADING"))
		os.Exit(0)
	}
	if path := os.Getenv("ASSAY_GPU_TEST_PARENT"); path != "" { // TestWorkerEndsWithItsParent
		parent(path)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		for _, end := range atEnd {
			end()
		}
		os.Exit(code)
	}))
}

// atEnd is what all tests together leave, and how it goes.
var atEnd []func()

// command runs the program.
func command(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, &out, &err, cases())
	return code, out.String(), err.String()
}

func TestRefuses(t *testing.T) {
	none := filepath.Join(t.TempDir(), "libcuda.so.1")
	empty := fakecuda.New(t, "devices=0").Path
	one := fakecuda.New(t, "").Path
	old := fakecuda.New(t, "cc=7.0").Path
	blackwell := fakecuda.New(t, "cc=12.0,nojit=1").Path
	full := fakecuda.New(t, "oom_after=1").Path
	wrong := fakecuda.New(t, "wrong=matmul_short").Path
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		errors []string
	}{
		{"no such command", []string{"burn"}, 2, []string{`unknown command "burn"`, "hint: assay-gpu --help"}},
		{"no such flag", []string{"check", "--fast"}, 2, []string{"unknown flag", "hint:"}},
		{"too many arguments", []string{"cards", "0"}, 2, []string{"hint:"}},
		{"a seed that is none", []string{"check", "--driver", one, "--seed", "12"}, 2, []string{`--seed "12"`}},
		{"a profile that cannot be", []string{"bench", "--driver", one, "--profile", "70000"}, 2, []string{"--profile 70000"}},
		{"a profile that is not there", []string{"bench", "--driver", none, "--profile", "2,999"}, 2, []string{"--profile: profile 999"}},
		{"rounds that cannot be", []string{"bench", "--driver", none, "--rounds", "-1"}, 2, []string{"--rounds -1: out of range"}},
		{"a class that cannot be", []string{"bench", "--driver", none, "--memory", "70000"}, 2, []string{"--memory 70000"}},
		{"a class that is not there", []string{"bench", "--driver", none, "--memory", "999"}, 2, []string{"--memory: memory profile 999"}},
		{"items of no class", []string{"bench", "--driver", none, "--items", "4096"}, 2, []string{"--items: of which class?"}},
		{"too few items", []string{"bench", "--driver", none, "--memory", "502", "--items", "4"}, 2, []string{"--items: 4 items: want 2^11"}},
		{"no driver", []string{"check", "--driver", none}, 3, []string{"no usable NVIDIA driver", "hint: is the NVIDIA driver installed?"}},
		{"no card", []string{"check", "--driver", empty}, 3, []string{"CUDA_ERROR_NO_DEVICE", "hint: assay-gpu cards"}},
		{"no such card", []string{"check", "--driver", one, "--card", "7"}, 3, []string{"card 7: no such card", "shows 1", "hint: assay-gpu cards"}},
		{"a card that is too old", []string{"check", "--driver", old}, 1, []string{"7.0", "no kernels"}},
		{"no compiler", []string{"check", "--driver", blackwell}, 1, []string{"hint: mount libnvidia-ptxjitcompiler"}},
		{"no room", []string{"check", "--driver", full}, 1, []string{"hint: something else holds the card's memory"}},
		{"a card that miscomputes", []string{"bench", "--driver", wrong}, 1, []string{"matmul_short", "hint: do not offer this card"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, said := command(tt.args...)
			if code != tt.code || out != "" {
				t.Errorf("exit code %d, want %d; printed %q, %q", code, tt.code, out, said)
			}
			for _, want := range tt.errors {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in %q", want, said)
				}
			}
		})
	}
}

func TestCards(t *testing.T) {
	f := fakecuda.New(t, "devices=2,cc=9.0")
	code, out, said := command("cards", "--driver", f.Path)
	if lines := strings.Split(out, "\n"); code != 0 || len(lines) != 4 || !strings.HasPrefix(lines[2], "1     Fake 1") || !strings.Contains(lines[2], "other-h100") {
		t.Errorf("exit code %d, %q, %s", code, said, out)
	}
	code, out, said = command("cards", "--driver", f.Path, "--json")
	var got struct {
		CUDA  string `json:"cuda"`
		Cards []card `json:"cards"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s", code, err, said)
	}
	if got.CUDA != "12.4" || len(got.Cards) != 2 || got.Cards[1].Number != 1 || got.Cards[1].Capability != "9.0" || !got.Cards[1].Supported {
		t.Errorf("%+v", got)
	}
	f.Configure("cc=7.0")
	if _, out, _ = command("cards", "--driver", f.Path); !strings.Contains(out, "too old") {
		t.Errorf("a card of 7.0: %s", out)
	}
}

// What another program reads on the standard output is JSON and nothing else.
func TestPureJSON(t *testing.T) {
	f := fakecuda.New(t, "cc=9.0")
	for _, args := range [][]string{
		{"cards", "--json"},
		{"check", "--json", "--cublaslt", "none"},
		{"bench", "--json", "--cublaslt", "none", "--profile", "1200"}, // which it refuses
	} {
		if testing.Short() && args[0] == "bench" {
			continue
		}
		code, out, said := command(append(args, "--driver", f.Path)...)
		if args[0] != "bench" && (code != 0 || said != "") {
			t.Errorf("%v: exit code %d: %s", args, code, said)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Errorf("%v: %v: %q", args, err, out)
			continue
		}
		switch args[0] {
		case "check":
			if got["passed"] != true || len(got["cases"].([]any)) != len(cases()) {
				t.Errorf("%v: %s", args, out)
			}
		case "bench":
			report := got["report"].(map[string]any)
			if code != 1 || !strings.Contains(said, "on this card") || !strings.Contains(fmt.Sprint(report["error"]), "profile 1200") {
				t.Errorf("%v: exit code %d, %s: %s", args, code, said, out)
			}
		}
		f.Leaves(t)
	}
}

func TestVerdict(t *testing.T) {
	of := func(call string, code int) error { return fmt.Errorf("x: %w", &driver.Error{Call: call, Code: code}) }
	stuck := fmt.Errorf("%w (%w)", driver.ErrTimeout, context.Canceled)
	for _, tt := range []struct {
		name string
		err  error
		code int
		hint string
	}{
		{"interrupted", fmt.Errorf("check: %w", context.Canceled), 130, ""},
		{"interrupted, and stuck", stuck, 1, "dmesg"},
		{"usage", usageError{errors.New("x")}, 2, "--help"},
		{"46", of("cuDevicePrimaryCtxRetain", 46), 1, "another process"},
		{"100", of("cuInit", 100), 3, "CUDA_VISIBLE_DEVICES"},
		{"802", of("cuInit", 802), 1, "fabric manager"},
		{"803", of("cuInit", 803), 3, "was updated"},
		{"804", of("cuInit", 804), 3, "is the NVIDIA driver installed"},
		{"999 at the start", of("cuInit", 999), 1, "/dev/nvidia-uvm"},
		{"999 later", of("cuEventQuery", 999), 1, "dmesg"},
		{"another", errors.New("x"), 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if code, hint := verdict(tt.err); code != tt.code || !strings.Contains(hint, tt.hint) || (hint == "") != (tt.hint == "") {
				t.Errorf("exit code %d, hint %q; want %d, %q", code, hint, tt.code, tt.hint)
			}
		})
	}
}

// An error that ends the card is said once.
func TestClosedOnce(t *testing.T) {
	f := fakecuda.New(t, "")
	o := cardOptions{options: &options{library: f.Path}, lt: "none"}
	c, err := o.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.Configure("lost_after=0")
	_, err = c.bench(t.Context(), newProgress(nil), nil, cuda.Options{Profiles: []uint16{2}, Warm: 1})
	if err = c.closed(err); !errors.Is(err, driver.ErrLost) || strings.Count(err.Error(), "CUDA_ERROR") != 1 {
		t.Errorf("%v", err)
	}
}

// The program starts again with what the driver is to find, once, and leaves what
// somebody has set.
func TestDriverEnv(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux")
	}
	for _, tt := range []struct {
		set  []string
		want string
	}{
		{nil, "PCI_BUS_ID,LAZY"},
		{[]string{"CUDA_DEVICE_ORDER=FASTEST_FIRST"}, "FASTEST_FIRST,LAZY"},
		{[]string{"CUDA_MODULE_LOADING="}, "PCI_BUS_ID,"},
		{[]string{"CUDA_DEVICE_ORDER=FASTEST_FIRST", "CUDA_MODULE_LOADING=EAGER"}, "FASTEST_FIRST,EAGER"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CUDA_") }), "ASSAY_GPU_TEST_ENV=1")
		cmd.Env = append(cmd.Env, tt.set...)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != tt.want {
			t.Errorf("%v: %q, %v; want %q", tt.set, out, err, tt.want)
		}
	}
}

// cases are quick on the fake driver.
func cases() []exam.Case {
	var out []exam.Case
	for _, c := range exam.Cases() {
		if c.Shape.M*c.Shape.N*c.Shape.K < 1<<17 && c.Set.Items < 1<<15 {
			out = append(out, c)
		}
	}
	return out
}

// opens gives a card of the fake driver.
func opens(t *testing.T, f *fakecuda.Driver) *opened {
	t.Helper()
	o := cardOptions{options: &options{library: f.Path}, lt: "none", seed: strings.Repeat("5a", 32)}
	c, err := o.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		f.Leaves(t)
	})
	return c
}

func TestCheck(t *testing.T) {
	f := fakecuda.New(t, "")
	c := opens(t, f)
	r, err := c.check(t.Context(), newProgress(nil), cases())
	if err != nil || !r.Passed || len(r.Cases) < 6 || r.Seed != strings.Repeat("5a", 32) {
		t.Fatalf("%+v, %v", r, err)
	}
	f.Configure("wrong=matmul_int8") // from now on
	if r, err = c.check(t.Context(), newProgress(nil), cases()); err != nil || r.Passed {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, one := range r.Cases {
		if (one.Error != nil) != strings.HasPrefix(one.Name, "int8") {
			t.Errorf("%+v", one)
		}
	}
	var text bytes.Buffer
	if err := (&options{}).print(&text, measured{checked: r}); !errors.Is(err, exam.ErrDiffers) || !strings.Contains(text.String(), "root: differs from the CPU engine") {
		t.Errorf("%v: %s", err, text.String())
	}
}

func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("plays whole challenges")
	}
	c := opens(t, fakecuda.New(t, ""))
	r, err := c.bench(t.Context(), newProgress(nil), cases()[:1], cuda.Options{Profiles: []uint16{2, 5, 6}, Rounds: 3, Class: 502, Items: 1 << 11, Warm: 1})
	if err != nil {
		t.Fatal(err)
	}
	var text, js bytes.Buffer
	if err := (&options{}).print(&text, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"int8", "bf16", "fp64fma", "walks:", "memory 502", "OUTCOME"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in %s", want, text.String())
		}
	}
	if err := (&options{json: true}).print(&js, r); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(js.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"card", "cuda", "choice", "seed", "cases", "passed", "energy", "peak", "report"} {
		if _, ok := got[field]; !ok {
			t.Errorf("no %q in the JSON", field)
		}
	}
	t.Log(text.String())

	text.Reset()
	r.Report.Memory, r.Report.Flavours[2].Challenge, r.Report.Error = nil, nil, "broken"
	if err := (&options{}).print(&text, r); err != nil {
		t.Fatal(err)
	}
	if said := text.String(); !strings.Contains(said, "fp64fma") || !strings.Contains(said, "Not all was measured") || strings.Contains(said, "no class") {
		t.Errorf("after an error: %s", said)
	}
}

func TestSI(t *testing.T) {
	for _, tt := range []struct {
		v    float64
		want string
	}{
		{0, "-"},
		{-1, "-"},
		{1, "1.00 x"},
		{9.994, "9.99 x"},
		{9.996, "10.0 x"},
		{99.96, "100 x"},
		{999.4, "999 x"},
		{999.6, "1.00 kx"},
		{1.979e15, "1.98 Px"},
		{0.0443, "44.3 mx"},
		{4e-13, "0.40 px"},
		{1e21, "1000 Ex"},
	} {
		if got := si(tt.v, "x"); got != tt.want {
			t.Errorf("%g: %q, want %q", tt.v, got, tt.want)
		}
	}
}
