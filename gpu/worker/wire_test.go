package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

// What a device computes by reaches the child; the rest of a row is the checker's.
func TestJobsOnTheWire(t *testing.T) {
	stays := []string{
		"Purpose", "Simulated", "Slack", "Doubt", "LagShare", "MinRTTs", "Patience", "Grace", "OpenWait",
		"ReadRate", "MakeRate", "LinkRate", "Need",
	}
	numbered := func(v reflect.Value) {
		for i := range v.NumField() {
			switch f := v.Field(i); f.Kind() {
			case reflect.Int, reflect.Int64:
				f.SetInt(int64(i + 2))
			case reflect.Uint16, reflect.Uint64:
				f.SetUint(uint64(i + 2))
			case reflect.String:
				f.SetString("x" + v.Type().Field(i).Name)
			case reflect.Bool:
				f.SetBool(true)
			}
		}
	}
	equal := func(want, got reflect.Value) {
		t.Helper()
		for i := range want.NumField() {
			name := want.Type().Field(i).Name
			w := want.Field(i).Interface()
			for _, s := range stays {
				if s == name {
					w = reflect.Zero(want.Field(i).Type()).Interface()
				}
			}
			if g := got.Field(i).Interface(); !reflect.DeepEqual(g, w) {
				t.Errorf("%s: %v, want %v", name, g, w)
			}
		}
	}
	j := gpu.Job{ID: challenges.Hash{9}, Device: "d", Window: 3}
	numbered(reflect.ValueOf(&j.Profile).Elem())
	j.Profile.Rounds = 40
	j.Profile.Shape = challenges.Shape{Flavour: challenges.BF16, M: 3, N: 256, K: 128}
	m, err := newJob(1, j)
	if err != nil {
		t.Fatal(err)
	}
	m, err = decode[jobMessage](challenges.Marshal(m))
	if err != nil {
		t.Fatal(err)
	}
	got := m.job()
	equal(reflect.ValueOf(j.Profile), reflect.ValueOf(got.Profile))
	if got.ID != j.ID || got.Device != j.Device || got.Window != j.Window {
		t.Errorf("%+v", got)
	}

	fill := gpu.MemoryJob{ID: challenges.Hash{8}, Device: "d", Set: memory.Dataset{Items: 77}}
	numbered(reflect.ValueOf(&fill.Set.Profile).Elem())
	fill.Set.Lines = 64
	n, err := newFill(1, fill)
	if err != nil {
		t.Fatal(err)
	}
	n, err = decode[fillMessage](challenges.Marshal(n))
	if err != nil {
		t.Fatal(err)
	}
	filled := n.job()
	equal(reflect.ValueOf(fill.Set.Profile), reflect.ValueOf(filled.Set.Profile))
	if filled.ID != fill.ID || filled.Device != fill.Device || filled.Set.Items != 77 {
		t.Errorf("%+v", filled)
	}
}

// Every row of both tables is a job that the wire takes.
func TestRowsFitTheWire(t *testing.T) {
	for _, p := range challenges.Profiles() {
		if _, err := newJob(1, gpu.Job{Profile: p, Window: p.MaxWindow()}); err != nil {
			t.Error(err)
		}
	}
	for _, p := range memory.Profiles() {
		if _, err := newFill(1, gpu.MemoryJob{Set: memory.Dataset{Profile: p, Items: 1 << 32}}); err != nil {
			t.Error(err)
		}
	}
}

func TestFrames(t *testing.T) {
	long := frame(&reply{Call: 1, Payload: make([]byte, maxFrame)})
	whole := frame(&reply{Call: 1, Payload: []byte{1}})
	for _, tt := range []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, io.EOF},
		{"half a length", []byte{0, 0}, io.ErrUnexpectedEOF},
		{"no body", []byte{0, 0, 0, 3}, io.EOF},
		{"half a body", whole[:len(whole)-1], io.ErrUnexpectedEOF},
		{"empty", []byte{0, 0, 0, 0}, errFrame},
		{"too long", long, errFrame},
		{"not CBOR", []byte("\x00\x00\x00\x01\xff"), errFrame},
		{"not canonical", []byte("\x00\x00\x00\x05\x83\x18\x01\x00\x40"), errFrame},
		{"more than a message", []byte("\x00\x00\x00\x05\x83\x01\x00\x40\x00"), errFrame},
		{"no such status", []byte("\x00\x00\x00\x04\x83\x01\x06\x40"), errFrame},
		{"no such notice", []byte("\x00\x00\x00\x04\x83\x00\x01\x40"), errFrame},
		{"whole", whole, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r reply
			err := newFrames(bytes.NewReader(tt.in)).next(&r)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		" one\ttwo\n":                  "one two",
		"\x1b[31mred\x00":              "[31mred",
		"caf\xc3":                      "caf?",
		strings.Repeat("é", 300):       strings.Repeat("é", 254) + "...",
		strings.Repeat("x", 513):       strings.Repeat("x", 509) + "...",
		"x" + strings.Repeat("é", 300): "x" + strings.Repeat("é", 254) + "...",
	} {
		got := line(in, gpu.MaxDetail)
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if _, err := decodeFault(encodeFault(&gpu.Fault{Class: gpu.FaultHang, Detail: in})); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{first: time.Second, most: time.Minute}
	near := func(want, got time.Duration) {
		t.Helper()
		if got < want*4/5 || got > want*6/5+1 {
			t.Errorf("%v, want about %v", got, want)
		}
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		near(want*time.Second, b.next(0, false))
	}
	near(time.Minute, b.next(settled-1, false))
	near(time.Second, b.next(settled, false))
	near(2*time.Second, b.next(0, false))
	near(time.Minute, b.next(0, true))
	near(time.Minute, b.next(0, false))
	seen := map[time.Duration]bool{}
	for range 20 {
		seen[(&backoff{first: time.Second, most: time.Minute}).next(0, false)] = true
	}
	if len(seen) < 10 {
		t.Errorf("%d different ones of 20", len(seen))
	}
}

func TestTail(t *testing.T) {
	var said tail
	if said.words() != "" {
		t.Error(said.words())
	}
	for i := range 5000 {
		said.add(strings.Repeat("x", i%100) + "\r\n")
	}
	if said.size > maxTail || len(said.lines) < 10 {
		t.Errorf("%d bytes in %d lines", said.size, len(said.lines))
	}
	said.add("one")
	said.add("")
	said.add("two")
	said.add("\x1b[1mthree")
	if got := said.words(); got != "one | two | [1mthree" {
		t.Error(got)
	}
	said.add("panic: oh")
	said.add("goroutine 1 [running]:")
	if got := said.words(); got != "panic: oh" {
		t.Error(got)
	}
}

// What a child says goes to the log, line by line, and does not stop it.
func TestLog(t *testing.T) {
	var log lockedBuffer
	cfg := config(t, "noisy")
	cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d := running(t, cfg)
	ready(t, d)
	until(t, func() <-chan struct{} {
		soon := make(chan struct{})
		time.AfterFunc(5*time.Millisecond, func() { close(soon) })
		return soon
	}, func() bool { return strings.Contains(log.String(), `line="line 9999 of a great many [31m"`) })
	if !strings.Contains(log.String(), "level=INFO msg=\"worker is ready\" device=gpu0") {
		t.Error("not a word that it is ready")
	}
}

func TestFind(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	program := func(path string, mode os.FileMode) string {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	self := program(filepath.Join(dir, "assay"), 0o700)
	link := filepath.Join(elsewhere, "assay")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	if got, err := Find(link); err == nil || !strings.Contains(err.Error(), "go build ./cmd/assay-gpu") {
		t.Errorf("%s, %v", got, err)
	}
	t.Setenv("PATH", elsewhere)
	inPath := program(filepath.Join(elsewhere, "assay-gpu"), 0o700)
	if got, err := Find(link); got != inPath {
		t.Errorf("%s, %v: want %s", got, err, inPath)
	}
	beside := program(filepath.Join(dir, "assay-gpu"), 0o600)
	if got, err := Find(link); err == nil {
		t.Errorf("%s: it cannot be run", got)
	}
	if err := os.Chmod(beside, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(link); got != beside {
		t.Errorf("%s, %v: want %s", got, err, beside)
	}
}

// talk is a whole child in this process.
func talk(t testing.TB, in []byte) ([]byte, error) {
	t.Helper()
	var out lockedBuffer
	err := Serve(context.Background(), bytes.NewReader(in), &out, &host{})
	return out.bytes(), err
}

func hello() []byte { return frame(&greeting{Magic: magic, Version: Version}) }

func TestServeRefuses(t *testing.T) {
	setup := frame(&request{Call: 1, Op: opSetup, Payload: challenges.Marshal(&Setup{Role: RoleDevice})})
	for _, tt := range []struct {
		name string
		in   [][]byte
		want string // in the error, or, after ok, in a reply
	}{
		{"nothing", nil, "greeting"},
		{"another magic", [][]byte{frame(&greeting{Magic: "x", Version: Version})}, "not assay"},
		{"another version", [][]byte{frame(&greeting{Magic: magic, Version: 7})}, "assay-gpu speaks version 1 of the worker's protocol, assay version 7"},
		{"no frame", [][]byte{hello(), {9, 9, 9, 9}}, "not a frame"},
		{"half a frame", [][]byte{hello(), setup[:9]}, "within a frame"},
		{"an op that there is not", [][]byte{hello(), frame(&request{Call: 1, Op: ops})}, "not a frame"},
		{"call 0", [][]byte{hello(), frame(&request{Op: opNext})}, "not a frame"},
		{"only a greeting", [][]byte{hello()}, "ok"},
		{"a job before the setup", [][]byte{hello(), frame(&request{Call: 1, Op: opStart})}, "ok op 3"},
		{"a setup without a role", [][]byte{hello(), frame(&request{Call: 1, Op: opSetup, Payload: challenges.Marshal(&Setup{})})}, "ok role"},
		{"a call of nothing is cancelled", [][]byte{hello(), frame(&request{Call: 1, Op: opCancel})}, "ok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := talk(t, bytes.Join(tt.in, nil))
			if want, ok := strings.CutPrefix(tt.want, "ok"); ok {
				if err != nil || !bytes.Contains(out, []byte(strings.TrimSpace(want))) {
					t.Errorf("%v, %q", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
