package node

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/cmd/node/file"
)

// buffer is a log that a daemon writes while a test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// daemonDir is a node's folder with the key of a seed and the test's network.
func daemonDir(t *testing.T, text string, seed byte) string {
	t.Helper()
	dir := configDir(t, text)
	check(t, file.WriteKey(filepath.Join(dir, "key"), testKey(seed)))
	check(t, WriteNetwork(filepath.Join(dir, "network.yaml"), testNetwork(committee.Devnet()), "devnet"))
	return dir
}

// edit changes a file of a node's folder.
func edit(t *testing.T, path, old, by string) {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	if !strings.Contains(string(b), old) {
		t.Fatalf("%q is not in %s", old, path)
	}
	check(t, os.WriteFile(path, []byte(strings.Replace(string(b), old, by, 1)), 0o644))
}

func TestDaemonRefuses(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		seed       byte
		change     func(t *testing.T, dir string)
		says       string
	}{
		{"no member", checkerYAML, 9, nil, "is not in network"},
		{"not simulated", providerYAML, 10, func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "network.yaml"), "simulated: true", "simulated: false")
		}, "is not simulated"},
		{"no network", checkerYAML, 1, func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, "network.yaml")))
		}, "network.yaml"},
		{"no key", checkerYAML, 1, func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, "key")))
		}, "read key"},
		{"key for all to read", checkerYAML, 1, func(t *testing.T, dir string) {
			check(t, os.Chmod(filepath.Join(dir, "key"), 0o644))
		}, "chmod 600"},
		{"broken configuration", checkerYAML, 1, func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, ConfigName), "api:", "apis:")
		}, "field apis not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := daemonDir(t, c.yaml, c.seed)
			if c.change != nil {
				c.change(t, dir)
			}
			d := DaemonConfig{Dir: dir, Getenv: noEnv, Stderr: new(buffer), Ready: func(line string) { t.Error("runs:", line) }}
			run := RunChecker
			if c.yaml == providerYAML {
				run = RunProvider
			}
			if err := run(t.Context(), d); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("run: error %v, want %q", err, c.says)
			}
			if err := Check(d, new(buffer)); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("check: error %v, want %q", err, c.says)
			}
			if file.Exists(filepath.Join(dir, "db")) || file.Exists(filepath.Join(dir, markName)) {
				t.Errorf("a refused start left %v", names(t, dir))
			}
		})
	}
	d := DaemonConfig{Dir: daemonDir(t, checkerYAML, 1), Getenv: noEnv, Stderr: new(buffer)}
	if err := RunProvider(t.Context(), d); err == nil || !strings.Contains(err.Error(), "is a checker's folder, not a provider's") {
		t.Errorf("a checker's folder run as a provider: %v", err)
	}
	d.Dir = daemonDir(t, providerYAML, 10)
	if err := RunChecker(t.Context(), d); err == nil || !strings.Contains(err.Error(), "is a provider's folder, not a checker's") {
		t.Errorf("a provider's folder run as a checker: %v", err)
	}
}

// reloading is a daemon's reload loop on its own.
type reloading struct {
	t       *testing.T
	dir     string
	d       DaemonConfig
	log     *buffer
	hup     chan struct{}
	applied chan int // providers of each reload that was taken over
	fails   error    // what apply returns
}

func startReload(t *testing.T, yaml string, seed byte) *reloading {
	r := &reloading{t: t, dir: daemonDir(t, yaml, seed), log: new(buffer), hup: make(chan struct{}), applied: make(chan int, 1)}
	r.d = DaemonConfig{Dir: r.dir, Getenv: noEnv, Stderr: r.log, Reload: r.hup}
	f, err := r.d.read()
	check(t, err)
	log, level := r.d.logger(f.config)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		r.d.reload(ctx, f, log, level, func(n files) error {
			if r.fails == nil {
				r.applied <- len(n.network.Providers)
			}
			return r.fails
		})
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return r
}

// reload asks for it and returns what the log says to it, and how many providers
// were taken over, -1 if none.
func (r *reloading) reload() (said string, providers int) {
	r.t.Helper()
	from := len(r.log.String())
	r.hup <- struct{}{}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		said = r.log.String()[from:]
		if strings.HasSuffix(said, "\n") {
			break
		}
		if time.Now().After(end) {
			r.t.Fatal("no word of the reload")
		}
	}
	select {
	case providers = <-r.applied:
	default:
		providers = -1
	}
	return said, providers
}

func TestReload(t *testing.T) {
	r := startReload(t, checkerYAML, 1)
	config, network := filepath.Join(r.dir, ConfigName), filepath.Join(r.dir, "network.yaml")
	if said, n := r.reload(); n != 2 || !strings.Contains(said, "level=INFO msg=reloaded providers=2 log=info") {
		t.Errorf("the same files: %d providers, %s", n, said)
	}
	edit(t, network, "providers:\n", "providers:\n  - id: "+idOf(12).String()+"\n    addrs: [/ip4/127.0.0.1/udp/3/quic-v1]\n")
	if said, n := r.reload(); n != 3 || !strings.Contains(said, "providers=3") {
		t.Errorf("one more: %d providers, %s", n, said)
	}
	edit(t, config, "name: one", "name: one\nlog: debug")
	if said, n := r.reload(); n != 3 || !strings.Contains(said, "log=debug") {
		t.Errorf("debug: %d providers, %s", n, said)
	}
	// What the daemon cannot take over is refused, and it says so.
	r.fails = errors.New("not these")
	if said, n := r.reload(); n != -1 || !strings.Contains(said, `level=ERROR msg="reload refused" err="not these"`) {
		t.Errorf("refused by the daemon: %d, %s", n, said)
	}
}

func TestReloadChangesTheLevel(t *testing.T) {
	dir := daemonDir(t, checkerYAML, 1)
	d := DaemonConfig{Dir: dir, Getenv: noEnv, Stderr: new(buffer)}
	f, err := d.read()
	check(t, err)
	for _, c := range []struct{ format, level, want string }{
		{"text", "info", "level=INFO msg=i level=ERROR msg=e"},
		{"text", "debug", "level=DEBUG msg=d level=INFO msg=i level=ERROR msg=e"},
		{"text", "error", "level=ERROR msg=e"},
		{"json", "info", `"level":"INFO","msg":"i"} "level":"ERROR","msg":"e"}`},
	} {
		log := new(buffer)
		d.Stderr = log
		f.config.LogFormat, f.config.Log = c.format, "warn"
		logger, level := d.logger(f.config)
		logger.Info("before")
		l, err := (&Config{Log: c.level}).level()
		check(t, err)
		level.Set(l)
		logger.Debug("d")
		logger.Info("i")
		logger.Error("e")
		var got []string
		for line := range strings.Lines(log.String()) {
			got = append(got, strings.TrimSpace(line[max(strings.Index(line, "level="), strings.Index(line, `"level"`)):]))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%+v: %s", c, s)
		}
	}
}

func TestReloadRefuses(t *testing.T) {
	network := func(old, by string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "network.yaml"), old, by) }
	}
	config := func(old, by string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { edit(t, filepath.Join(dir, ConfigName), old, by) }
	}
	for _, c := range []struct {
		name, yaml string
		seed       byte
		change     func(t *testing.T, dir string)
		says       string
	}{
		{"another name of the network", checkerYAML, 1, network("mine", "yours"), "another network"},
		{"another genesis", checkerYAML, 1, network("2023-", "2024-"), "another network"},
		{"a checker more or less", checkerYAML, 1, network(idOf(2).String(), idOf(5).String()), "another network"},
		{"unknown key in the network's file", checkerYAML, 1, network("providers:", "provider:"), "field provider not found"},
		{"no network's file", checkerYAML, 1, func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, "network.yaml")))
		}, "network.yaml"},
		{"unknown key", checkerYAML, 1, config("api:", "apis:"), "field apis not found"},
		{"unknown level", checkerYAML, 1, config("name: one", "name: one\nlog: loud"), "loud"},
		{"another API", checkerYAML, 1, config("8420", "8421"), "addresses have changed"},
		{"another address", checkerYAML, 1, config("udp/4100", "udp/4200"), "addresses have changed"},
		{"metrics", checkerYAML, 1, config("name: one", "name: one\nmetrics: 127.0.0.1:1"), "addresses have changed"},
		{"evidence elsewhere", checkerYAML, 1, func(t *testing.T, dir string) {
			check(t, os.Mkdir(filepath.Join(dir, "rims"), 0o755))
			config("name: one", "name: one\nevidence: rims")(t, dir)
		}, "needs a restart"},
		{"evidence that is not there", checkerYAML, 1, config("name: one", "name: one\nevidence: rims"), "rims"},
		{"another device", providerYAML, 10, config("sim-100", "sim-200"), "devices have changed"},
		{"a device less", providerYAML, 10, config("  - {id: gpu1, model: sim-400}\n", ""), "devices have changed"},
		{"key for all to read", checkerYAML, 1, func(t *testing.T, dir string) {
			check(t, os.Chmod(filepath.Join(dir, "key"), 0o644))
		}, "chmod 600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := startReload(t, c.yaml, c.seed)
			// A good change beside the bad one: nothing of refused files is taken over.
			edit(t, filepath.Join(r.dir, ConfigName), "kind:", "log_format: text\nkind:")
			c.change(t, r.dir)
			said, n := r.reload()
			if n != -1 || !strings.Contains(said, `level=ERROR msg="reload refused"`) || !strings.Contains(said, c.says) {
				t.Errorf("%d providers taken over, %s\nwant a refusal that says %q", n, said, c.says)
			}
			// It goes on: the same again gives the same.
			if again, n := r.reload(); n != -1 || !strings.Contains(again, c.says) {
				t.Errorf("again: %d providers, %s", n, again)
			}
		})
	}
}
