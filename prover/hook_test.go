//go:build unix

package prover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hookScript writes a program that a shell runs, as an owner's hook may be one.
func hookScript(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rented")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

var hookCard = Card{Device: "gpu0", UUID: "GPU-1"}

func TestCommand(t *testing.T) {
	const until = "2031-02-03T04:05:06+01:00"
	at, err := time.Parse(time.RFC3339, until)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		body   string
		tenant bool
		by     string // "": hook: rented
		until  time.Time
		err    string
	}{
		{"free", "exit 0", false, "", time.Time{}, ""},
		{"free, and says something", "echo nobody; exit 0", false, "", time.Time{}, ""},
		{"a tenant", "exit 1", true, "", time.Time{}, ""},
		{"a tenant by name", "echo contract 77; echo more; exit 1", true, "hook: rented: contract 77", time.Time{}, ""},
		{"until", "echo until " + until + "; exit 1", true, "", at, ""},
		{"until, nothing after it", "printf 'until " + until + "'; exit 1", true, "", at, ""},
		{"until when?", "echo until tomorrow; exit 1", true, "hook: rented: until tomorrow", time.Time{}, ""},
		{"its arguments", `echo "$@"; exit 1`, true, "hook: rented: -x a b; gpu0 GPU-1", time.Time{}, ""},
		{"its environment", `echo "$ASSAY_DEVICE $ASSAY_CARD"; exit 1`, true, "hook: rented: gpu0 GPU-1", time.Time{}, ""},
		{"its input is empty", "cat; exit 1", true, "", time.Time{}, ""},
		{"what a terminal would obey", `printf 'a\033[2Jb\377c'; exit 1`, true, "hook: rented: a?[2Jb?c", time.Time{}, ""},
		{"a flood", "yes 0123456789abcdef | head -c 2000000; exit 1", true, "hook: rented: 0123456789abcdef", time.Time{}, ""},
		{"a flood in one line", "head -c 100000 /dev/zero | tr '\\0' x; exit 1", true, "hook: rented: " + strings.Repeat("x", 256), time.Time{}, ""},
		{"another exit", "echo no such contract >&2; exit 2", false, "", time.Time{}, "hook rented: exit status 2: no such contract"},
		{"no such command in it", "nosuchcommand", false, "", time.Time{}, "exit status 127"},
		{"killed", "kill -9 $$", false, "", time.Time{}, "signal: killed"},
		{"hangs", "sleep 60", false, "", time.Time{}, "no answer in 1s"},
		{"leaves a child with its output", "sleep 60 & exit 0", false, "", time.Time{}, "WaitDelay"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := Command{Argv: []string{hookScript(t, tt.body), "-x", "a b;"}, Timeout: time.Second}
			got, present, err := h.Tenant(t.Context(), hookCard)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || present {
					t.Errorf("%v, %v; want an error about %q", present, err, tt.err)
				}
				return
			}
			want := Tenant{By: tt.by, Until: tt.until}
			if tt.tenant && tt.by == "" {
				want.By = "hook: rented"
			}
			if err != nil || present != tt.tenant || got.By != want.By || !got.Until.Equal(want.Until) {
				t.Errorf("%+v, %v, %v; want %+v", got, present, err, want)
			}
		})
	}
	var h head
	for range 3 {
		if n, err := h.Write(make([]byte, 1<<20)); n != 1<<20 || err != nil || len(h.b) != maxLine {
			t.Errorf("took %d, keeps %d, %v", n, len(h.b), err)
		}
	}
	for _, h := range []Command{{}, {Argv: []string{filepath.Join(t.TempDir(), "none")}}} {
		if _, present, err := h.Tenant(t.Context(), hookCard); err == nil || present {
			t.Errorf("%v: %v, %v", h.Argv, present, err)
		}
	}
}

// A command that hangs is killed with what it started, at its own time or when
// nobody wants to know any more.
func TestCommandIsKilledWithItsChildren(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration // the command's
		patient time.Duration // the caller
		body    string
	}{
		{"its timeout", 300 * time.Millisecond, time.Minute, "sleep 61 & echo $! > %s; wait"},
		{"the default, the caller leaves", 0, 300 * time.Millisecond, "sleep 61 & echo $! > %s; wait"},
		{"it has ended", time.Minute, time.Minute, "sleep 61 & echo $! > %s; exit 1"},
		{"it has ended, and closed all", time.Minute, time.Minute, "sleep 61 >/dev/null 2>&1 & echo $! > %s; exit 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			note := filepath.Join(t.TempDir(), "pid")
			h := Command{Argv: []string{hookScript(t, fmt.Sprintf(tt.body, note))}, Timeout: tt.timeout}
			ctx, cancel := context.WithTimeout(t.Context(), tt.patient)
			defer cancel()
			start := time.Now()
			_, _, err := h.Tenant(ctx, hookCard)
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			if strings.Contains(tt.body, "wait") != (err != nil) {
				t.Errorf("error %v", err)
			}
			text, err := os.ReadFile(note)
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			for range 200 {
				if !alive(pid) {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Errorf("its child %d still runs", pid)
		})
	}
}

// alive reports a process that is no zombie: nobody may reap an orphan here.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	return !strings.Contains(string(stat), ") Z ")
}

func TestFile(t *testing.T) {
	const until = "2031-02-03T04:05:06Z"
	at, err := time.Parse(time.RFC3339, until)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name    string
		device  string
		prepare func(t *testing.T, path string)
		tenant  bool
		by      string
		until   time.Time
		err     bool
	}{
		{"none", "gpu0", func(*testing.T, string) {}, false, "", time.Time{}, false},
		{"another device's", "gpu1", func(t *testing.T, path string) { write("")(t, path+"0") }, false, "", time.Time{}, false},
		{"empty", "gpu0", write(""), true, "hook: file gpu0.rented", time.Time{}, false},
		{"until", "gpu0", write("until " + until + "\n"), true, "hook: file gpu0.rented", at, false},
		{"words", "gpu0", write("contract 7\nuntil " + until), true, "hook: file gpu0.rented: contract 7", time.Time{}, false},
		{"large", "gpu0", write(strings.Repeat("y", 1<<20)), true, "hook: file gpu0.rented: " + strings.Repeat("y", 256), time.Time{}, false},
		{"a folder", "gpu0", func(t *testing.T, path string) { _ = os.Mkdir(path, 0o700) }, true, "hook: file gpu0.rented", time.Time{}, false},
		{"a pipe that nobody writes", "gpu0", func(t *testing.T, path string) { _ = syscall.Mkfifo(path, 0o600) }, true, "hook: file gpu0.rented", time.Time{}, false},
		{"a link to nowhere", "gpu0", func(t *testing.T, path string) { _ = os.Symlink("nowhere", path) }, true, "hook: file gpu0.rented", time.Time{}, false},
		{"no folder", "gpu0", func(t *testing.T, path string) { _ = os.Remove(filepath.Dir(path)) }, false, "", time.Time{}, true},
		{"the folder is a file", "gpu0", func(t *testing.T, path string) {
			_ = os.Remove(filepath.Dir(path))
			write("")(t, filepath.Dir(path))
		}, false, "", time.Time{}, true},
		{"the folder is a loop", "gpu0", func(t *testing.T, path string) {
			_ = os.Remove(filepath.Dir(path))
			_ = os.Symlink("rent", filepath.Dir(path))
		}, false, "", time.Time{}, true},
		{"a device that is a path", "../x", func(*testing.T, string) {}, false, "", time.Time{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "rent")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			tt.prepare(t, filepath.Join(dir, tt.device+".rented"))
			h := File{Path: filepath.Join(dir, "{device}.rented")}
			got, present, err := h.Tenant(t.Context(), Card{Device: tt.device})
			if (err != nil) != tt.err || present != tt.tenant || got.By != tt.by || !got.Until.Equal(tt.until) {
				t.Errorf("%+v, %v, %v", got, present, err)
			}
		})
	}
	t.Run("a folder that may not be read", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root reads everything")
		}
		dir := t.TempDir()
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
		if _, present, err := (File{Path: dir + "/{device}"}).Tenant(t.Context(), hookCard); err == nil || present {
			t.Errorf("%v, %v", present, err)
		}
	})
}
