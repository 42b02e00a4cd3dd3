package bench

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var soak = flag.Duration("soak", 0, "how long TestProcessSoak runs; 0: 2 min where CI is true, else not at all")

// sample is what a process holds at a moment.
type sample struct {
	at                                 time.Time
	rss, fds, threads, goroutines, cpu float64 // MiB, three numbers, s
	files                              float64 // of the store; Pebble keeps its tables open, and bounds their number
}

// column is one figure of samples. It grows without measure if the median of the
// last quarter is over factor times that of the second quarter, plus slack: a
// noisy machine is far from it, a leak that matters is over it in an hour.
type column struct {
	name          string
	of            func(sample) float64
	factor, slack float64
}

func columns() []column {
	return []column{
		{"RSS MiB", func(s sample) float64 { return s.rss }, 1.5, 32},
		{"fds", func(s sample) float64 { return s.fds }, 1, 20}, // but the store's files
		{"store files", func(s sample) float64 { return s.files }, math.Inf(1), 0},
		{"goroutines", func(s sample) float64 { return s.goroutines }, 1.5, 50},
		{"threads", func(s sample) float64 { return s.threads }, 1.5, 20},
	}
}

// TestProcessSoak runs a network of processes for long and watches what they
// hold: go test ./bench -run ProcessSoak -soak 30m -timeout 40m -v
func TestProcessSoak(t *testing.T) {
	length := *soak
	switch {
	case length > 0:
	case testing.Short() || os.Getenv("CI") != "true":
		t.Skip("-soak 30m runs it")
	default:
		length = 2 * time.Minute
	}
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	c := newCluster(t, 2, 3, 3)
	began := time.Now()
	c.startAll(c.all()...)
	c.until(40*time.Second, "every checker sees every provider pass", c.passes(began, c.checkers, c.providers))
	watch := c.watch()
	defer watch.close()

	samples := make([][]sample, len(c.all()))
	every := min(max(length/100, time.Second), 5*time.Second)
	start := time.Now()
	for next := start; time.Since(start) < length; next = next.Add(every) {
		time.Sleep(time.Until(next))
		for i, p := range c.all() {
			s, err := p.sample()
			if err != nil {
				t.Fatalf("%s after %v: %v", p.name, time.Since(start), err)
			}
			samples[i] = append(samples[i], s)
		}
	}
	c.until(40*time.Second, "all still pass at the end", c.passes(time.Now(), c.checkers, c.providers))
	watch.close()
	stopped := c.stopAll()
	a := c.audit(watch)

	var b strings.Builder
	fmt.Fprintf(&b, "soak of %v: %d checkers, %d providers, epochs of %v, a sample every %v; %s %s/%s, %d CPUs; stopped in %.1f s\n",
		length, len(c.checkers), len(c.providers), c.network.Registry.Params.Epoch, every,
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), stopped.Seconds())
	fmt.Fprintf(&b, "%-11s %-11s %9s %9s %9s %9s  %s\n", "process", "figure", "2nd qtr", "last qtr", "max", "per hour", "(slope over the second half)")
	for i, p := range c.all() {
		for _, col := range columns() {
			if line, ok := col.judge(samples[i]); line != "" {
				fmt.Fprintf(&b, "%-11s %s\n", p.name, line)
				if !ok {
					t.Errorf("%s: %s grows: last quarter over %.1f x the second + %.0f: %s", p.name, col.name, col.factor, col.slack, line)
				}
			}
		}
		last := samples[i][len(samples[i])-1]
		fmt.Fprintf(&b, "%-11s CPU         %.2f %% of a core\n", p.name, 100*last.cpu/time.Since(began).Seconds())
	}
	t.Logf("%s%v", b.String(), a)
}

// judge describes a figure's course; no line if it was never to be had.
func (c column) judge(all []sample) (line string, ok bool) {
	values := make([]float64, len(all))
	for i, s := range all {
		values[i] = c.of(s)
	}
	if len(values) < 8 || slices.Max(values) == 0 {
		return "", true
	}
	n := len(values)
	second, last := median(values[n/4:n/2]), median(values[3*n/4:])
	line = fmt.Sprintf("%-11s %9.1f %9.1f %9.1f %+9.1f", c.name, second, last, slices.Max(values), slope(all[n/2:], c.of))
	return line, last <= c.factor*second+c.slack
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// slope is the least-squares line's rise in an hour.
func slope(all []sample, of func(sample) float64) float64 {
	var mx, my, sxy, sxx float64
	for _, s := range all {
		mx += s.at.Sub(all[0].at).Hours() / float64(len(all))
		my += of(s) / float64(len(all))
	}
	for _, s := range all {
		dx := s.at.Sub(all[0].at).Hours() - mx
		sxy += dx * (of(s) - my)
		sxx += dx * dx
	}
	if sxx == 0 {
		return 0
	}
	return sxy / sxx
}

// sample reads what the process holds now.
func (p *process) sample() (sample, error) {
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return sample{}, err
	}
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		return sample{}, err
	}
	stat, err := os.ReadFile(proc + "stat")
	if err != nil {
		return sample{}, err
	}
	s := sample{at: time.Now(), goroutines: p.goroutines()}
	for _, fd := range fds {
		// One that was closed meanwhile has no target, and does not count.
		switch to, err := os.Readlink(proc + "fd/" + fd.Name()); {
		case strings.HasPrefix(to, p.dir):
			s.files++
		case err == nil:
			s.fds++
		}
	}
	s.rss = number(status, `(?m)^VmRSS:\s+(\d+) kB`) / 1024
	s.threads = number(status, `(?m)^Threads:\s+(\d+)`)
	// After the command's name: state, 10 numbers, then user and system time in 1/100 s.
	if f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(f) > 12 {
		user, _ := strconv.ParseFloat(f[11], 64)
		system, _ := strconv.ParseFloat(f[12], 64)
		s.cpu = (user + system) / 100
	}
	return s, nil
}

func number(text []byte, pattern string) float64 {
	m := regexp.MustCompile(pattern).FindSubmatch(text)
	if m == nil {
		return 0
	}
	f, _ := strconv.ParseFloat(string(m[1]), 64)
	return f
}

// goroutines reads the process's metrics; 0 if it has none.
func (p *process) goroutines() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.page+"/metrics", nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		return 0
	}
	return number(b, `(?m)^go_goroutines (\d+)`)
}

// TestSoakJudge: the rule sees a leak and lets noise pass.
func TestSoakJudge(t *testing.T) {
	rss := columns()[0]
	course := func(f func(i int) float64) (all []sample) {
		for i := range 400 {
			all = append(all, sample{at: time.Unix(int64(5*i), 0), rss: f(i)})
		}
		return all
	}
	for _, tt := range []struct {
		name string
		rss  func(i int) float64
		ok   bool
	}{
		{"flat", func(int) float64 { return 50 }, true},
		{"warms up", func(i int) float64 { return 150 - 100/float64(1+i) }, true},
		{"saw-tooth", func(i int) float64 { return 50 + float64(i%40)*3 }, true},
		{"one spike", func(i int) float64 { return 50 + 1000*float64(i/390) }, true},
		{"leaks 20 MiB a minute", func(i int) float64 { return 50 + float64(i)*20/12 }, false},
	} {
		line, ok := rss.judge(course(tt.rss))
		if ok != tt.ok || line == "" {
			t.Errorf("%s: %s: ok %v", tt.name, line, ok)
		}
	}
	if got := slope(course(func(i int) float64 { return float64(i) }), rss.of); got < 719.9 || got > 720.1 {
		t.Errorf("one a sample, 5 s apart: %v an hour, want 720", got)
	}
}
