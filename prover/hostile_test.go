package prover

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/telemetry"
)

// A checker sends an old challenge once more. It is refused before anybody looks whether
// its id was used, and that refusal leaves the first copy, with the receipt, where it is.
func TestAnOldChallengeAgain(t *testing.T) {
	for _, how := range []string{"quota", "unsupported", "drain"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := newCopies()
				w := newWorld(t, func(c *Config) { c.Copies = kept })
				w.receipts = true
				first := w.ask(nil)
				if _, err := w.judge(first); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				_, before := kept.only(t)
				switch how {
				case "unsupported":
					time.Sleep(3 * w.registry.Params.Epoch)
				case "drain":
					w.gate.Drain(time.Time{})
				}
				w.receipts = false
				w.refused(first)
				synctest.Wait()
				if _, after := kept.only(t); after.Result != before.Result || len(after.Receipt) == 0 {
					t.Errorf("the copy is %q with a receipt of %d bytes now", after.Result, len(after.Receipt))
				}
			})
		})
	}
}

// What a checker sends after a refusal, while its receipt is waited for, is not kept.
func TestGarbageAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newCopies()
		w := newWorld(t, func(c *Config) { c.Copies = kept })
		w.gate.Drain(time.Time{})
		conn, done := w.send(w.ask(nil))
		if _, err := conn.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 64 {
			if err := conn.Send(t.Context(), make([]byte, 16<<10)); err != nil {
				t.Fatal(err)
			}
		}
		_ = conn.Close()
		<-done
		_, c := kept.only(t)
		n := 0
		for _, e := range c.Events {
			n += len(e.Frame)
		}
		if n > 4096 {
			t.Errorf("%s: %d bytes of %d events are kept", c.Result, n, len(c.Events))
		}
	})
}

// A checker that has everything refused leaves so many copies, and then one a minute.
func TestCopiesOfManyRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newCopies()
		w := newWorld(t, func(c *Config) { c.Copies = kept })
		w.gate.Drain(time.Time{})
		for i := range 40 {
			conn, done := w.send(w.ask(func(a *ask) { a.Seq = uint32(i) }))
			if _, err := conn.Recv(t.Context()); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			<-done
		}
		kept.mu.Lock()
		defer kept.mu.Unlock()
		if n := len(kept.kept); n < 16 || n > 20 {
			t.Errorf("%d copies of 40 refusals", n)
		}
	})
}

// A release that does not end in time, and a tenant who leaves meanwhile: the device
// comes back all the same.
func TestTenantLeavesBeforeTheRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := rent(t, func(l *landlord, _ *TenancyConfig) { l.monitor.ours = nil })
		l.after(time.Second, "free", "")
		l.holder.mu.Lock()
		l.holder.takes = 12 * time.Second // over releaseWithin: a process within a call of the kernel
		l.holder.mu.Unlock()
		l.hook.set(true, time.Time{}, nil)
		time.Sleep(2 * time.Second)
		l.hook.set(false, time.Time{}, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if did := l.holder.did(); did != "release resume resume" && did != "release resume release resume" {
			t.Errorf("not resumed: %s", did)
		}
	})
}

// In a container a tenant without a name comes while our process starts, and is taken
// for it until it shows up. From then on he is a tenant, and stays one.
func TestTenantTakenForOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := rent(t, func(l *landlord, _ *TenancyConfig) { l.holder.inList, l.holder.pid = 900, 4 })
		l.monitor.set(nil, telemetry.Process{PID: 950})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if did := l.holder.did(); did != "release resume release" {
			t.Error(did)
		}
	})
}

// Where the ledger fails the device is not held while the receipt is waited for.
func TestLedgerFailsAndTheDeviceIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newCopies()
		w := newWorld(t, func(c *Config) { c.Copies = kept; c.Ledger.(*fakeLedger).fault = errors.New("disk") })
		conn, done := w.send(w.ask(nil))
		if _, err := conn.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if w.gate.Busy() {
			t.Error("the device is held after the refusal")
		}
		_ = conn.Close()
		<-done
	})
}

// A checker that asks at the last moment and leaves does not make the device a hang.
func TestCheckerLeavesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, nil)
		s := w.begin(of(1))
		bulk := w.attach(checkerKey, s.ask.seal().ID())
		defer func() { <-bulk }()
		began := time.Now()
		s.root(0)
		s.root(1)
		row, err := challenges.LookupProfile(1)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(s.ask.Deadline*95/100 - time.Since(began))
		for r := range uint32(2) {
			s.positions(r, make([]uint32, row.Samples)...)
		}
		time.Sleep(time.Millisecond)
		_ = s.control.Close()
		if err := <-s.done; err == nil {
			t.Error("no error")
		}
		if n := w.value("challenges_total", resultLeft); n != 1 {
			t.Errorf("%v counted as left, failing %v", n, w.failing())
		}
	})
}
