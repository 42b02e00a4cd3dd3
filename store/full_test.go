package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/assaynet/assay/store"
)

// smallFS is a disk with so many bytes of room. A write that does not fit is cut
// short, as on a real one.
type smallFS struct {
	vfs.FS
	mu     sync.Mutex
	room   int // bytes; below 0: no limit
	denied int
	only   string // limits only files in folders that begin so
}

func (s *smallFS) give(room int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = room
}

func (s *smallFS) hits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.denied
}

// take is how many of n bytes fit.
func (s *smallFS) take(n int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room < 0 {
		return n, nil
	}
	fits := min(n, s.room)
	s.room -= fits
	if fits < n {
		s.denied++
		return fits, &os.PathError{Op: "write", Path: "file", Err: syscall.ENOSPC}
	}
	return n, nil
}

func (s *smallFS) file(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasPrefix(name, s.only) {
		return f, err
	}
	if _, err := s.take(1); err != nil { // a directory entry
		return nil, errors.Join(err, f.Close())
	}
	return smallFile{f, s}, nil
}

func (s *smallFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.Create(name, c)
	return s.file(name, f, err)
}

func (s *smallFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.ReuseForWrite(from, to, c)
	return s.file(to, f, err)
}

func (s *smallFS) Remove(name string) error {
	if info, err := s.Stat(name); err == nil && strings.HasSuffix(name, ".dbtmp") {
		s.mu.Lock()
		if s.room >= 0 {
			s.room += int(info.Size()) + 1
		}
		s.mu.Unlock()
	}
	return s.FS.Remove(name)
}

type smallFile struct {
	vfs.File
	fs *smallFS
}

func (f smallFile) Write(p []byte) (int, error) {
	fits, full := f.fs.take(len(p))
	n, err := f.File.Write(p[:fits])
	return n, errors.Join(err, full)
}

// plainly fails unless the error says that the disk is full, which folder is, and
// in which call.
func plainly(t *testing.T, s step, dir string, err error) {
	t.Helper()
	call, _, _ := strings.Cut(s.name, " ")
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "disk full: "+dir) || !strings.Contains(err.Error(), call) {
		t.Errorf("%s: error %q", s.name, err)
	}
}

// TestDiskFull fills the disk at every few bytes of every step. What was
// acknowledged is there once there is room again, and nothing is there by half.
func TestDiskFull(t *testing.T) {
	steps, states := life(1000), states(t, 1000)
	total := 0
	for i, s := range steps {
		for room, skip := 0, 1; ; room, skip = room+skip, skip*3 {
			if !diskFull(t, room, steps[:i], s, states[i:i+2]) {
				break
			}
			total++
		}
	}
	if total < 4*len(steps) {
		t.Errorf("the disk was full %d times", total)
	}
	t.Logf("%d full disks", total)
}

// diskFull reports whether so much room was too little.
func diskFull(t *testing.T, room int, before []step, s step, states []string) bool {
	t.Helper()
	mem := vfs.NewCrashableMem()
	fs := &smallFS{FS: mem, room: -1}
	d := world{fs, "db"}.create(t)
	for _, b := range before {
		check(t, b.do(d))
	}
	_, err := d.NextBoot() // syncs the step before
	check(t, err)
	fs.give(room)
	err = s.do(d)
	least := 0
	switch {
	case err != nil:
		plainly(t, s, "db", err)
	case s.synced:
		least = 1
	default:
		// It did not wait; who waits hears of it.
		if _, err := d.NextBoot(); err == nil {
			least = 1
		} else {
			plainly(t, step{name: "next boot"}, "db", err)
		}
	}
	hit := fs.hits() > 0
	if hit && err != nil {
		// Refused until the store is opened again, and it says why.
		for n := range byte(2) {
			plainly(t, step{name: "begin"}, "db", d.Begin(hash(200+n), begun(200)))
			fs.give(-1)
		}
		_ = dump(t, d) // readers live on
	}
	crash := mem.CrashClone(vfs.CrashCloneCfg{})
	if (d.Failed() != nil) != (hit && (err != nil || least == 0)) {
		t.Errorf("%s: hit %v, error %v, Failed: %v", s.name, hit, err, d.Failed())
	}
	fs.give(0)
	closed := make(chan struct{})
	go func() { _ = d.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: Close hangs", s.name)
	}
	for _, room := range []int{0, 1000, 100 << 10} {
		fs.give(room)
		_, err := store.Open("db", store.Options{FS: fs})
		plainly(t, step{name: "open"}, "db", err)
	}
	fs.give(-1)
	for name, fs := range map[string]vfs.FS{"closed": fs, "crashed": crash} {
		d := world{fs, "db"}.open(t)
		at := slices.Index(states, dump(t, d))
		if at < least {
			t.Fatalf("%s, room for %d, %s: state %d, want %d or more:\n%s", s.name, room, name, at, least, dump(t, d))
		}
		if err := s.do(d); err != nil && (at == 0 || !errors.Is(err, s.again)) {
			t.Fatalf("%s again in state %d: %v", s.name, at, err)
		}
		equal(t, dump(t, d), states[1])
		check(t, d.Close())
	}
	return hit
}

// TestDiskFullForGood lives the whole life, with transcripts that change Pebble's
// log, on disks of many sizes, each in a process of its own: Pebble's own
// goroutines may end it, but not silently.
func TestDiskFullForGood(t *testing.T) {
	const env = "ASSAY_STORE_ROOM"
	steps := life(large)
	if room := os.Getenv(env); room != "" {
		size, err := strconv.Atoi(room)
		check(t, err)
		fs := &smallFS{FS: vfs.Default, room: -1}
		d, err := store.Create(os.Getenv(env+"_DIR"), meta(), store.Options{FS: fs, Log: slog.New(slog.NewTextHandler(os.Stdout, nil))})
		check(t, err)
		fs.give(size)
		for i, s := range steps {
			if err := s.do(d); err != nil {
				fmt.Printf("failed: %v\n", err)
				plainly(t, s, os.Getenv(env+"_DIR"), err)
				break
			}
			if s.synced {
				fmt.Printf("acknowledged %d\n", i+1)
			}
		}
		_ = d.Close()
		return
	}
	states := states(t, large)
	full, died := 0, 0
	count := 24
	if testing.Short() {
		count = 6
	}
	for n := range count {
		room := (4<<20)/count*n + 100 + 37*n
		w := world{nil, t.TempDir() + "/db"}
		cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFullForGood$")
		cmd.Env = append(os.Environ(), env+"="+strconv.Itoa(room), env+"_DIR="+w.dir)
		out, err := cmd.CombinedOutput()
		acked := 0
		for i := range states {
			if strings.Contains(string(out), fmt.Sprintf("acknowledged %d\n", i)) {
				acked = i
			}
		}
		if acked < len(steps) {
			full++
			if !strings.Contains(string(out), "disk full: "+w.dir) {
				t.Errorf("room for %d: said nothing of it: %v\n%s", room, err, out)
			}
		}
		if err != nil {
			died++
			if strings.Contains(string(out), "--- FAIL") {
				t.Errorf("room for %d:\n%s", room, out)
			}
		}
		d := w.open(t)
		if at := slices.Index(states, dump(t, d)); at < acked {
			t.Errorf("room for %d: state %d, acknowledged was %d\n%s", room, at, acked, out)
		}
		check(t, d.Close())
	}
	if full < count/2 {
		t.Errorf("the disk was full %d times", full)
	}
	t.Logf("%d full disks of %d, of which %d ended the process", full, count, died)
}

// TestBackupToAFullDisk: the backup fails and says why; the store goes on.
func TestBackupToAFullDisk(t *testing.T) {
	for _, room := range []int{0, 1, 100, 1000, 3000} {
		mem := vfs.NewMem()
		fs := &smallFS{FS: mem, room: -1, only: "backup"}
		d := truth(t, world{fs, "db"})
		fs.give(room)
		plainly(t, step{name: "back"}, "backup", d.Backup("backup"))
		fs.give(-1)
		check(t, d.Begin(hash(200), begun(200)))
		check(t, d.Backup("backup"))
		check(t, d.Close())
		check(t, world{mem, "backup"}.open(t).Close())
	}
}
