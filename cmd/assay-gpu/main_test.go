package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/assaynet/assay/gpu/cuda"
	"github.com/assaynet/assay/gpu/cuda/fakecuda"
	"github.com/assaynet/assay/gpu/exam"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// command runs the program.
func command(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, &out, &err)
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
		{"rounds that cannot be", []string{"bench", "--driver", one, "--rounds", "-1"}, 2, []string{"out of range"}},
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
	r, err := c.bench(t.Context(), newProgress(nil), cases()[:1], cuda.Options{Profiles: []uint16{2, 5, 6}, Rounds: 3, Class: 502, Items: 1 << 11})
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
