package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/p2p"
)

var (
	hostileRun   = flag.Bool("hostile", false, "attack a checker and a provider over loopback, and print what it cost them")
	hostilePeers = flag.Int("hostile.peers", 1000, "enemies of TestHostileLoad")
	hostileFor   = flag.Duration("hostile.for", time.Minute, "length of TestHostileLoad's attack")
)

// hostileEnv carries an order to the process of the enemies.
const hostileEnv = "ASSAY_HOSTILE"

type order struct {
	Targets []target
	Peers   int
	For     time.Duration
}

// TestHostileLoad prints figures and judges only outcomes. Victims and honest
// work are in this process, the enemies in another.
func TestHostileLoad(t *testing.T) {
	if !*hostileRun {
		t.Skip("a minute of 1,000 enemies: run with -hostile")
	}
	w := newLoaded(t, 4, 1)
	w.agent(0, nil, nil)
	quiet := w.phase(t, 30*time.Second)
	o := order{Peers: *hostilePeers, For: *hostileFor + 20*time.Second}
	for _, s := range []*seat{w.provider[0], w.checkers[0]} {
		id, err := p2p.PeerID(s.host.ID())
		if err != nil {
			t.Fatal(err)
		}
		addrs := s.host.Addrs()
		slices.SortFunc(addrs, func(a, b string) int { return strings.Compare(b, a) }) // udp, tcp
		o.Targets = append(o.Targets, target{ID: id, QUIC: addrs[0], TCP: addrs[1]})
	}
	stop := unleash(t, o)
	time.Sleep(5 * time.Second) // until they have all come
	loud := w.phase(t, *hostileFor)
	provider, victim := w.provider[0].host.Stats(), w.checkers[0].host.Stats()
	enemies := stop()
	time.Sleep(12 * time.Second) // until the last negotiation has timed out
	after := figuresOf(w)

	var b strings.Builder
	fmt.Fprintf(&b, "hostile load: %d enemies of 6 kinds, 1 provider and 1 of 4 checkers attacked for %v, %d cores shared with the enemies\n",
		o.Peers, *hostileFor, runtime.NumCPU())
	fmt.Fprintf(&b, "  go test ./bench -run TestHostileLoad$ -hostile -hostile.peers %d -hostile.for %v -v\n", o.Peers, *hostileFor)
	fmt.Fprintf(&b, "  %-34s %12s %12s %12s\n", "victims' process, highest", "quiet", "attacked", "12 s after")
	row := func(name, format string, get func(figures) any) {
		fmt.Fprintf(&b, "  %-34s %12s %12s %12s\n", name, fmt.Sprintf(format, get(quiet.top)), fmt.Sprintf(format, get(loud.top)), fmt.Sprintf(format, get(after)))
	}
	row("heap in use, MiB", "%.0f", func(f figures) any { return f.heap })
	row("RSS, MiB", "%.0f", func(f figures) any { return f.rss })
	row("descriptors", "%d", func(f figures) any { return f.fds })
	row("goroutines", "%d", func(f figures) any { return f.goroutines })
	row("connections of both victims", "%d", func(f figures) any { return f.conns })
	fmt.Fprintf(&b, "  %-34s %12.2f %12.2f\n", "CPU, cores", quiet.cores, loud.cores)
	for _, d := range []struct {
		name string
		of   func(phase) []time.Duration
	}{
		{"challenge delay", func(p phase) []time.Duration { return p.delays }},
		{"probe round trip", func(p phase) []time.Duration { return p.pings }},
	} {
		q, l := d.of(quiet), d.of(loud)
		for _, at := range []struct {
			name string
			q    float64
		}{{"p50", 0.5}, {"p95", 0.95}, {"max", 1}} {
			fmt.Fprintf(&b, "  %-34s %12v %12v   ratio %.1f\n", d.name+" "+at.name,
				quantile(q, at.q).Round(10*time.Microsecond), quantile(l, at.q).Round(10*time.Microsecond), float64(quantile(l, at.q))/float64(quantile(q, at.q)))
		}
	}
	fmt.Fprintf(&b, "  challenges quiet %v, attacked %v; probes quiet %v, attacked %v\n", quiet.matmuls, loud.matmuls, quiet.probes, loud.probes)
	fmt.Fprintf(&b, "  provider %+v\n  checker  %+v\n  enemies  %s", provider, victim, enemies)
	t.Log("\n" + b.String())
	for _, bad := range []challenges.Outcome{challenges.Wrong, challenges.Withheld, challenges.Unreachable} {
		if loud.matmuls[bad.String()]+loud.probes[bad.String()] > quiet.matmuls[bad.String()]+quiet.probes[bad.String()] {
			t.Errorf("honest work was %v", bad)
		}
	}
	if after.strangers != 0 || after.streams != 0 {
		t.Errorf("left behind: %+v", after)
	}
}

// newLoaded is a world of real sockets, each node on an address of its own.
func newLoaded(t *testing.T, checkers, providers int) *world {
	t.Helper()
	w := &world{t: t, registry: hostileRegistry(checkers)}
	var seats []*seat
	for i := range checkers + providers {
		s := &seat{key: simKey(i)}
		ip := fmt.Sprintf("/ip4/127.1.0.%d", i+1)
		var err error
		s.host, err = p2p.New(p2p.Config{
			Key: s.key, Listen: []string{ip + "/udp/0/quic-v1", ip + "/tcp/0"},
			Limits: challenges.Protocols(), Trusted: members(checkers + providers),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.host.Close() })
		s.db = memoryStore(t, &w.registry, s.host.ID(), i < checkers)
		t.Cleanup(func() { _ = s.db.Close() })
		seats = append(seats, s)
	}
	introduce(t, seats)
	w.checkers, w.provider = seats[:checkers], seats[checkers:]
	return w
}

// unleash starts the enemies in a process of their own. stop ends it and
// returns what it said.
func unleash(t *testing.T, o order) (stop func() string) {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHostileEnemies$", "-test.v")
	cmd.Env = append(os.Environ(), hostileEnv+"="+string(b))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	in, err := cmd.StdinPipe() // closed when this process dies, which ends that one
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() string {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("enemies: %v: %s", err, out.String())
		}
		_, said, _ := strings.Cut(out.String(), "tally: ")
		said, _, _ = strings.Cut(said, "\n")
		return fmt.Sprintf("%s; %.2f cores", said, cmd.ProcessState.UserTime().Seconds()/o.For.Seconds()+cmd.ProcessState.SystemTime().Seconds()/o.For.Seconds())
	}
}

// TestHostileEnemies is the other process of TestHostileLoad.
func TestHostileEnemies(t *testing.T) {
	text := os.Getenv(hostileEnv)
	if text == "" {
		t.Skip("the other process of TestHostileLoad")
	}
	// In the field they have computers of their own. The system call answers 20
	// less the niceness.
	if p, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err == nil {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 20-p+5)
	}
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), o.For)
	defer cancel()
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	var counts tally
	attack(ctx, o.Peers, func(i int) *hostile {
		key, _, err := crypto.GenerateEd25519Key(rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), 1}))
		if err != nil {
			t.Fatal(err)
		}
		ip := net.IPv4(127, 2, byte(i/250), byte(i%250+1))
		group := i / len(kinds)
		return &hostile{
			key: key, target: o.Targets[group%2], useTCP: group/2%2 == 1, tally: &counts,
			pace: 500 * time.Millisecond, flood: 50 * time.Millisecond, redial: 3*time.Second + time.Duration(i%40)*100*time.Millisecond,
			from: &net.TCPAddr{IP: ip}, entropy: rand.NewChaCha8([32]byte{byte(i)}),
			socket: func() (net.PacketConn, error) { return net.ListenUDP("udp4", &net.UDPAddr{IP: ip}) },
		}
	})
	fmt.Printf("tally: %v\n", &counts)
}
