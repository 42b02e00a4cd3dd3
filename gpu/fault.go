package gpu

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/assaynet/assay/gpu/telemetry"
)

// Classes of faults.
const (
	FaultCrash  = "crash"         // what runs the device has died
	FaultHang   = "hang"          // it did not answer in time
	FaultMemory = "out-of-memory" // of the device
	FaultLost   = "lost"          // the device is gone from the machine
	FaultDriver = "driver"        // the driver failed a call
	FaultWrong  = "miscomputes"   // the device computes wrong: it must not be offered
	FaultAbsent = "absent"        // no driver, no worker, no such card, or it is being started
)

// Fault is a device's failure: the provider's own, and honest. It costs a
// challenge, and is never a wrong answer.
type Fault struct {
	Class  string // one of the classes
	Detail string // what the driver or the worker said, at most MaxDetail bytes
	Xid    uint32 // NVIDIA's number of the error that the card reported; 0: none
}

// MaxDetail bounds a fault's detail, in bytes.
const MaxDetail = 512

func (f *Fault) Error() string {
	if f.Xid != 0 {
		return fmt.Sprintf("device %s: Xid %d: %s", f.Class, f.Xid, f.Detail)
	}
	return fmt.Sprintf("device %s: %s", f.Class, f.Detail)
}

// NewFault makes a fault, its detail cut where it is too long.
func NewFault(class, format string, args ...any) *Fault {
	f := &Fault{Class: class, Detail: strings.ToValidUTF8(fmt.Sprintf(format, args...), "?")}
	if len(f.Detail) > MaxDetail {
		f.Detail = strings.ToValidUTF8(f.Detail[:MaxDetail-3], "") + "..."
	}
	return f
}

// Monitor is what can be read of a card beside its work: nothing that it does
// takes the card's memory or time. Each call may be made by several goroutines.
type Monitor interface {
	// Inventory is what the card says it is.
	Inventory(ctx context.Context) (telemetry.Inventory, error)
	// Sample reads the card; the snapshot's At is zero.
	Sample(ctx context.Context) (telemetry.Snapshot, error)
	// Processes lists the compute processes on the card, with this program's own.
	Processes(ctx context.Context) ([]telemetry.Process, error)
	// Attest has the card sign a nonce. Cards that cannot give ErrNoAttestation.
	Attest(ctx context.Context, nonce [32]byte) (Evidence, error)
	// Xid is the number of the latest error that the card reported within a time
	// from now back; 0: none.
	Xid(ctx context.Context, within time.Duration) (uint32, error)
}

// Evidence is what a card signed, as its driver gives it; nobody has looked at it.
type Evidence struct {
	Report       []byte // SPDM request and response
	Certificates []byte // PEM, the card's own first
}
