package checker_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/store"
	"github.com/assaynet/assay/store/spool"
)

var inFlight = flag.Int("inflight", 60, "capacity challenges in flight at once in TestMemoryInFlight")

// A challenge in flight may hold so much, its provider's part in this process
// included.
const heldBytes = 256 << 10

// farm is a network of several providers on wires.
type farm map[challenges.NodeID]*wire

func (f farm) Open(ctx context.Context, to challenges.NodeID, proto string) (challenges.Conn, error) {
	return f[to].Open(ctx, to, proto)
}

// spools is a spool file as a checker sees it.
type spools struct{ *spool.File }

func (s spools) Spool() checker.Spool { return s.Open() }

// A checker with a thousand capacity challenges in flight holds a bounded part of
// each in memory: the openings wait on disk. Everything runs in one process, so
// what the simulated devices hold counts too.
func TestMemoryInFlight(t *testing.T) {
	if testing.Short() {
		t.Skip("computes many rounds")
	}
	dir, err := os.MkdirTemp("", "inflight") // real files stay out of the bubble
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file, err := spool.Create(dir, 4<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, tt := range []struct {
		name   string
		spools checker.Spools
	}{{"openings on disk", spools{file}}, {"openings in memory", nil}} {
		if tt.spools == nil && *inFlight < 250 {
			continue // for comparison only
		}
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				held, spooled := flight(t, *inFlight, tt.spools, file)
				t.Logf("%d in flight: %d KiB each in memory, %d KiB each on disk", *inFlight, held>>10, spooled>>10)
				if tt.spools != nil && held > heldBytes {
					t.Errorf("%d bytes each, want at most %d", held, heldBytes)
				}
				if (spooled > 0) != (tt.spools != nil) {
					t.Errorf("%d bytes each on disk", spooled)
				}
			})
			if file.Used() != 0 {
				t.Errorf("%d bytes of the spool are not given back", file.Used())
			}
		})
	}
}

// flight runs n challenges at once and says what each of them holds in the
// middle, in memory and in the spool.
func flight(t *testing.T, n int, s checker.Spools, file *spool.File) (held, spooled int64) {
	t.Helper()
	key := testKey(1)
	id := challenges.IDOf(key)
	r := committee.Registry{
		Name: "farm", Genesis: uint64(time.Now().Add(time.Second).UnixNano()), Simulated: true, Params: committee.Devnet(),
		Checkers: []committee.Member{{ID: id, Name: "c", Operator: "o"}},
	}
	r.Params.Purpose, r.Params.Epoch, r.Params.ProbeEvery, r.Params.MinSlot = challenges.Capacity, 24*time.Second, 3*time.Second, 12*time.Second
	r.Params.Slots, r.Params.FleetEvery = 0, math.MaxUint16 // each alone, and once
	db, err := store.Create("db", store.Meta{Kind: store.KindChecker, Network: r.Hash(), Node: id}, store.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := models.Lookup("sim-100")
	if err != nil {
		t.Fatal(err)
	}
	spec.Memory = 0 // what simulated datasets hold is the providers'
	net := make(farm)
	cfg := checker.Config{
		Key: key, Registry: &r, Network: net, Challenges: db, Epochs: db, Reports: db, Offers: db, Spools: s,
	}
	for left := n; left > 0; left -= 250 {
		pkey := testKey(byte(100 + left/250))
		w := newWire(id)
		var devices []gpu.Device
		for i := range min(left, 250) {
			d, err := gpu.NewSim(gpu.SimConfig{ID: fmt.Sprint("gpu", i), Claims: spec, Runs: spec})
			if err != nil {
				t.Fatal(err)
			}
			devices = append(devices, d)
		}
		if _, err := prover.New(prover.Config{Key: pkey, Registry: &r, Devices: devices, Network: w, Ledger: ledger{}}); err != nil {
			t.Fatal(err)
		}
		net[challenges.IDOf(pkey)] = w
		cfg.Providers = append(cfg.Providers, challenges.IDOf(pkey))
	}
	c, err := checker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	before := inUse()
	ctx, cancel := context.WithDeadline(t.Context(), r.Clock().Start(1).Add(-time.Millisecond))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	// The last challenges start 7/40 of a slot after the first and each takes 4.2 s.
	time.Sleep(time.Until(r.Clock().Genesis.Add(4 * time.Second)))
	held = (inUse() - before) / int64(n)
	spooled = file.Used() / int64(n)
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, w := range net {
		w.running.Wait()
	}
	infos, err := db.Transcripts(report.Query{Kind: challenges.Matmul, Outcome: challenges.Pass, Limit: 10_000})
	if err != nil || len(infos) != n {
		t.Errorf("%d passes of %d: %v", len(infos), n, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	return held, spooled
}

// inUse is the heap that is reachable, and the stacks.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
