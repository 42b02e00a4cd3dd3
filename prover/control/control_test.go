package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/prover"
)

func TestCalls(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	of, freed, hash := 4320.0, 12.5, challenges.Hash{1, 2}
	f := &fake{
		freed: 12345 * time.Microsecond, list: make([]prover.Explanation, 2), copies: map[challenges.Hash][]byte{hash: []byte("copy")},
		status: Status{
			ID: challenges.NodeID{7}, Network: challenges.Hash{8}, Agent: "assay/0", PID: 5, Since: at, Draining: true, DrainUntil: &at,
			Devices: []Device{{
				ID: "gpu0", Model: "h100-sxm", Card: "GPU-1", State: "released", About: "words", PID: 6, Starts: 3, Since: &at, BusyWith: &hash,
				Tenant: Tenant{Present: true, Known: true, By: "owner", Since: &at, Until: &at, Error: "", Freed: &freed},
				Fault:  &Fault{"crash", "died", 79, at}, Budget: Budget{1.5, &of},
			}},
			Checks: []prover.Check{{Name: "device", OK: true, Since: at}}, Probes: 9, Offers: 2,
			Challenges: map[string]uint64{"answered": 4}, LastMarks: []Mark{{hash, "gpu0", at, "answered"}},
		},
	}
	s := serve(t, New(Config{Agent: f, Records: f}))
	ctx := t.Context()

	got, err := s.Status(ctx)
	check(t, err)
	if !reflect.DeepEqual(got, f.status) {
		t.Errorf("status\n%+v, want\n%+v", got, f.status)
	}
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	check(t, s.Drain(ctx, time.Time{}))
	check(t, s.Drain(ctx, until))
	check(t, s.Resume(ctx))
	took, err := s.Tenant(ctx, "gpu0", true, until)
	check(t, err)
	if took != 12345*time.Microsecond {
		t.Errorf("freed in %v", took)
	}
	if _, err = s.Tenant(ctx, "gpu1", true, time.Time{}); err != nil {
		t.Error(err)
	}
	if _, err = s.Tenant(ctx, "gpu0", false, time.Time{}); err != nil {
		t.Error(err)
	}
	want := []string{
		"drain for ever", "drain " + stamp(until), "resume", "gpu0 arrives " + stamp(until), "gpu1 arrives for ever", "gpu0 leaves for ever",
	}
	if !reflect.DeepEqual(f.told, want) {
		t.Errorf("told %q, want %q", f.told, want)
	}

	for _, c := range []struct{ q, want WhyQuery }{
		{WhyQuery{}, WhyQuery{Limit: DefaultLimit}},
		{WhyQuery{Challenge: "AB12", Limit: 7, All: true}, WhyQuery{Challenge: "ab12", Limit: 7, All: true}},
	} {
		list, err := s.Why(ctx, c.q)
		if err != nil || len(list) != 2 || f.asked != c.want {
			t.Errorf("why %+v: %d explanations, %v, asked %+v", c.q, len(list), err, f.asked)
		}
	}
	b, err := s.Transcript(ctx, hash)
	if err != nil || string(b) != "copy" {
		t.Errorf("transcript %q, %v", b, err)
	}
}

// TestErrors holds that what went wrong comes through, in the agent's words.
func TestErrors(t *testing.T) {
	f := &fake{}
	s := serve(t, New(Config{Agent: f, Records: f}))
	ctx := t.Context()
	calls := map[string]func() error{
		"drain":  func() error { return s.Drain(ctx, time.Time{}) },
		"resume": func() error { return s.Resume(ctx) },
		"tenant": func() error { _, err := s.Tenant(ctx, "x", true, time.Time{}); return err },
		"why":    func() error { _, err := s.Why(ctx, WhyQuery{}); return err },
	}
	for name, call := range calls {
		f.fails = errors.New("no room for " + name)
		if err := call(); err == nil || err.Error() != f.fails.Error() || errors.Is(err, ErrUnknown) {
			t.Errorf("%s fails: %v", name, err)
		}
		f.fails = errors.Join(ErrUnknown)
		if err := call(); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s of something unknown: %v", name, err)
		}
	}
	if _, err := s.Transcript(ctx, challenges.Hash{9}); !errors.Is(err, ErrUnknown) || !strings.HasPrefix(err.Error(), "no copy") {
		t.Errorf("transcript: %v", err)
	}
	past := time.Now().Add(-time.Minute)
	told := len(f.told)
	for name, err := range map[string]error{
		"drain until the past": s.Drain(ctx, past),
		"a tenant of the past": func() error { _, err := s.Tenant(ctx, "gpu0", true, past); return err }(),
		"a leave with a time":  func() error { _, err := s.Tenant(ctx, "gpu0", false, time.Now().Add(time.Hour)); return err }(),
		"no device":            func() error { _, err := s.Tenant(ctx, "", true, time.Time{}); return err }(),
		"no digits":            func() error { _, err := s.Why(ctx, WhyQuery{Challenge: "xyz"}); return err }(),
		"too few digits":       func() error { _, err := s.Why(ctx, WhyQuery{Challenge: "abc"}); return err }(),
		"too many digits":      func() error { _, err := s.Why(ctx, WhyQuery{Challenge: strings.Repeat("a", 65)}); return err }(),
		"too many":             func() error { _, err := s.Why(ctx, WhyQuery{Limit: MaxLimit + 1}); return err }(),
		"less than none":       func() error { _, err := s.Why(ctx, WhyQuery{Limit: -1}); return err }(),
	} {
		if err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if len(f.told) != told {
		t.Errorf("refused requests reached the agent: %q", f.told[told:])
	}
}

// raw makes a request by hand.
func raw(t *testing.T, s serving, method, target string, body io.Reader) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://agent"+target, body)
	check(t, err)
	resp, err := s.http.Do(r)
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, string(b)
}

func TestRequestsThatDoNotHold(t *testing.T) {
	f := &fake{}
	s := serve(t, New(Config{Agent: f, Records: f}))
	for _, c := range []struct {
		name, method, target, body string
		code                       int
	}{
		{"nothing is an empty request", "POST", "/v1/resume", "", 200},
		{"unknown field", "POST", "/v1/drain", `{"til": 1}`, 400},
		{"field of another request", "POST", "/v1/resume", `{"until": null}`, 400},
		{"no JSON", "POST", "/v1/drain", `{`, 400},
		{"a list", "POST", "/v1/drain", `[]`, 400},
		{"two values", "POST", "/v1/drain", `{} {}`, 400},
		{"no time", "POST", "/v1/drain", `{"until": "tomorrow"}`, 400},
		{"too large", "POST", "/v1/tenant", `{"device": "` + strings.Repeat("a", maxBody) + `"}`, 400},
		{"wrong method", "GET", "/v1/drain", "", 404},
		{"no such page", "GET", "/v2/status", "", 404},
		{"limit", "GET", "/v1/why?limit=many", "", 400},
		{"all", "GET", "/v1/why?all=perhaps", "", 400},
		{"no id", "GET", "/v1/transcript?challenge=12", "", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.told = nil
			code, body := raw(t, s, c.method, c.target, strings.NewReader(c.body))
			var answer trouble
			if code != c.code || c.code != 200 && (json.Unmarshal([]byte(body), &answer) != nil || answer.Error == "") {
				t.Errorf("status %d, %s; want %d", code, body, c.code)
			}
			if c.code != 200 && f.told != nil {
				t.Errorf("the agent was told %q", f.told)
			}
		})
	}
}

// TestLongHeader has a request that must not be read to its end.
func TestLongHeader(t *testing.T) {
	s := serve(t, New(Config{Agent: &fake{}}))
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", s.path)
	check(t, err)
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /v1/status?x=")
	chunk := bytes.Repeat([]byte("a"), 4096)
	for range 1 << 10 { // 4 MiB
		if _, err = conn.Write(chunk); err != nil {
			return // it has hung up
		}
	}
	t.Error("a header of 4 MiB was taken")
}

// TestOthers holds that only the agent's own user and root are served.
func TestOthers(t *testing.T) {
	for _, c := range []struct {
		name  string
		uid   int
		known bool
		err   error
		ok    bool
	}{
		{"its own", 1000, true, nil, true},
		{"root", 0, true, nil, true},
		{"another", 1001, true, nil, false},
		{"not told by the system", 0, false, nil, true},
		{"not known", 1000, true, errors.New("gone"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{}
			server := New(Config{Agent: f, Records: f})
			server.self, server.peer = 1000, func(net.Conn) (int, bool, error) { return c.uid, c.known, c.err }
			s := serve(t, server)
			if err := s.Resume(t.Context()); (err == nil) != c.ok || (len(f.told) == 1) != c.ok {
				t.Errorf("error %v, told %q", err, f.told)
			}
		})
	}
}

// TestEnd has a request under way when the server ends, and half of another one: they
// are given up, nothing hangs, and the socket goes.
func TestEnd(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	s := serve(t, New(Config{Agent: f, Records: f}))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if _, err := s.Tenant(context.WithoutCancel(t.Context()), "gpu0", true, time.Time{}); err == nil {
			t.Error("a request outlived the server")
		}
	})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", s.path)
	check(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("POST /v1/resume HTTP/1.1\r\nHost: agent\r\nContent-Length: 2\r\n\r\n{"))
	check(t, err)
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	check(t, s.stop())
	if d := time.Since(start); d > 3*endTime {
		t.Errorf("ended after %v", d)
	}
	if left := names(t, s.dir); left != "" {
		t.Errorf("left %s", left)
	}
	if _, err := s.Status(t.Context()); !errors.Is(err, ErrNoAgent) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := Dial(t.Context(), s.dir); !errors.Is(err, ErrNoAgent) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := Dial(t.Context(), filepath.Join(s.dir, "nowhere")); !errors.Is(err, ErrNoAgent) {
		t.Errorf("no folder: %v", err)
	}
}

// TestSilent has clients that connect and say nothing, or half a request, take the
// places of others for no longer than the server's patience.
func TestSilent(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the server's patience, 5 s")
	}
	f := &fake{}
	s := serve(t, New(Config{Agent: f, Records: f}))
	for i := range maxConns + 4 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", s.path)
		check(t, err)
		defer conn.Close()
		if i%2 == 0 {
			_, err = conn.Write([]byte("POST /v1/drain HTTP/1.1\r\nHost: agent\r\nContent-Length: 100\r\n\r\n{"))
			check(t, err)
		}
	}
	start := time.Now()
	if err := s.Resume(t.Context()); err != nil || time.Since(start) > 3*readTime {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

// TestForeignAnswers has something else at the socket than an agent.
func TestForeignAnswers(t *testing.T) {
	for _, c := range []struct{ name, answer, says string }{
		{"no HTTP", "hello\r\n", "malformed HTTP"},
		{"no JSON", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "invalid character"},
		{"an error without words", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "500 Internal Server Error"},
		{"without end", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat(" ", 4*maxAnswer), "over 16777216 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			l, err := Listen(filepath.Join(dir, SocketName))
			check(t, err)
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 4096))
					if n, _ := io.Copy(conn, strings.NewReader(c.answer)); n > 2*maxAnswer {
						t.Errorf("the client read %d bytes", n)
					}
					_ = conn.Close()
				}
			})
			defer wg.Wait()
			defer l.Close()
			client, err := Dial(t.Context(), dir)
			check(t, err)
			if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}
