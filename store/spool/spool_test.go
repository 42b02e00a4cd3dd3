package spool

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func newFile(t *testing.T, limit int64) *File {
	t.Helper()
	f, err := Create(t.TempDir(), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Whatever is appended to any of several spools is read back from it, whatever
// happens to the others.
func TestSpoolsKeepApart(t *testing.T) {
	f := newFile(t, 64<<20)
	rapid.Check(t, func(t *rapid.T) {
		before := f.Used()
		type user struct {
			s    *Spool
			want [][]byte
		}
		users := []*user{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(users) == 0 || rapid.IntRange(0, 5).Draw(t, "open") == 0 {
				users = append(users, &user{s: f.Open()})
			}
			u := users[rapid.IntRange(0, len(users)-1).Draw(t, "user")]
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0:
				if err := u.s.Close(); err != nil {
					t.Fatal(err)
				}
				u.want = nil
			default:
				body := bytes.Repeat([]byte{byte(rapid.Int().Draw(t, "fill"))}, rapid.IntRange(0, blockBytes).Draw(t, "size"))
				if err := u.s.Append(body); err != nil {
					t.Fatal(err)
				}
				u.want = append(u.want, body)
			}
			for _, u := range users {
				for i, want := range u.want {
					if got, err := u.s.Read(i); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("frame %d: %d bytes, %v; want %d", i, len(got), err, len(want))
					}
				}
			}
		}
		for _, u := range users {
			u.s.Close()
		}
		if f.Used() != before {
			t.Fatalf("%d bytes in use, %d before", f.Used(), before)
		}
	})
}

func TestSpoolIsBounded(t *testing.T) {
	f := newFile(t, 3*blockBytes)
	a, b := f.Open(), f.Open()
	body := make([]byte, blockBytes)
	for range 2 {
		if err := a.Append(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Append(body[:10]); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(body); !errors.Is(err, ErrFull) {
		t.Errorf("a fourth block: %v", err)
	}
	if err := b.Append(body[:20]); err != nil { // there is room in its own block
		t.Error(err)
	}
	if got, err := b.Read(1); err != nil || len(got) != 20 {
		t.Errorf("after a refusal: %d bytes, %v", len(got), err)
	}
	a.Close()
	if err := b.Append(body); err != nil {
		t.Errorf("after another gave its blocks back: %v", err)
	}
	if err := b.Append(make([]byte, blockBytes+1)); err == nil {
		t.Error("a frame over a block was taken")
	}
	for _, n := range []int{-1, 3} {
		if _, err := b.Read(n); err == nil {
			t.Errorf("frame %d was read", n)
		}
	}
}

func TestSpoolAfterClose(t *testing.T) {
	f := newFile(t, 1<<20)
	s := f.Open()
	if err := s.Append([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append([]byte("b")); err == nil {
		t.Error("appended to a closed file")
	}
	if _, err := s.Read(0); err == nil {
		t.Error("read from a closed file")
	}
}

// A crash must leave nothing behind, so the file has no name while it is in use.
func TestSpoolLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := Create(dir+"/none", 1); err == nil {
		t.Error("created in a folder that is not there")
	}
}

func TestSpoolsAtOnce(t *testing.T) {
	f := newFile(t, 64<<20)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for range 20 {
				s := f.Open()
				var want [][]byte
				for range 20 {
					b := bytes.Repeat([]byte{byte(rnd.Uint32())}, rnd.IntN(20_000))
					if err := s.Append(b); err != nil {
						t.Error(err)
						return
					}
					want = append(want, b)
				}
				for k, w := range want {
					if got, err := s.Read(k); err != nil || !bytes.Equal(got, w) {
						t.Errorf("spool %d, frame %d: %v", i, k, err)
					}
				}
				s.Close()
			}
		})
	}
	all.Wait()
	if f.Used() != 0 {
		t.Errorf("%d bytes in use", f.Used())
	}
}
