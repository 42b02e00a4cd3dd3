// Package control is the socket through which the owner of a machine speaks with
// the agent that runs on it: what it does, drain and resume, a tenant who comes and
// goes, and why challenges ended as they did.
//
// It is HTTP with JSON on a unix socket in the agent's folder. Only the user who
// runs the agent, and root, may use it: the socket's mode says so from its first
// instant, and where the system tells who is at the other end, that is asked too.
//
//	GET  /v1/status
//	POST /v1/drain       {"until": TIME}; null: until resume
//	POST /v1/resume
//	POST /v1/tenant      {"device": ID, "present": BOOL, "until": TIME}
//	GET  /v1/why         ?challenge=DIGITS&limit=N&all=BOOL
//	GET  /v1/transcript  ?challenge=ID
//
// Errors are {"error": TEXT}.
package control

import (
	"context"
	"errors"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/prover"
)

// SocketName is the socket's name in the agent's folder.
const SocketName = "control.sock"

// Agent is what the socket controls. Its methods are called by several goroutines.
type Agent interface {
	// Status is what the agent does now.
	Status() Status
	// Drain refuses new work until a time, over restarts; zero: until Resume.
	Drain(until time.Time) error
	// Resume takes work again.
	Resume() error
	// Tenant says that a device belongs to a tenant, until about a time, zero: not
	// known; or that he has left. When it returns the device is his, and freed is how
	// long that took. ErrUnknown if there is no such device.
	Tenant(ctx context.Context, device string, present bool, until time.Time) (freed time.Duration, err error)
}

// Records are the agent's copies of challenges.
type Records interface {
	// Why explains how challenges ended, newest first. ErrUnknown if a challenge was
	// asked for and there is none that begins so.
	Why(q WhyQuery) ([]prover.Explanation, error)
	// Transcript is the agent's copy of a challenge, a receipt.Copy in CBOR: its frames,
	// by its own clock, and the checker's receipt. ErrUnknown if there is no such
	// challenge.
	Transcript(challenge challenges.Hash) ([]byte, error)
}

// WhyQuery says which challenges to explain.
type WhyQuery struct {
	Challenge string // at least MinDigits first digits of its id, in hex; empty: any
	Limit     int    // at most so many, newest first; 0: DefaultLimit
	All       bool   // passes too; else only what did not pass
}

// MinDigits of an id select a challenge.
const MinDigits = 4

// DefaultLimit and MaxLimit bound the answers to one WhyQuery.
const (
	DefaultLimit = 20
	MaxLimit     = 1000
)

// ErrUnknown says that there is no such device or challenge.
var ErrUnknown = errors.New("not known")

// ErrNoAgent says that no agent listens.
var ErrNoAgent = errors.New("no agent runs here")

// Status is what an agent does.
type Status struct {
	ID         challenges.NodeID `json:"id"`
	Network    challenges.Hash   `json:"network"`
	Agent      string            `json:"agent"` // name and version
	PID        int               `json:"pid"`
	Since      time.Time         `json:"since"` // its start
	Draining   bool              `json:"draining"`
	DrainUntil *time.Time        `json:"drain_until"` // null: until resume
	Devices    []Device          `json:"devices"`
	Checks     []prover.Check    `json:"checks"` // as on /readyz
	Probes     uint64            `json:"probes"` // answered since the start
	Offers     uint64            `json:"offers"` // sent since the start
	Challenges map[string]uint64 `json:"challenges"`
	LastMarks  []Mark            `json:"last_marks"` // newest first
}

// Device is a device's state.
type Device struct {
	ID       string           `json:"id"`
	Model    string           `json:"model"`
	Card     string           `json:"card"`      // UUID; empty: simulated
	State    string           `json:"state"`     // simulated, starting, ready, released or waiting
	About    string           `json:"about"`     // kernels, driver, memory
	PID      int              `json:"pid"`       // of its worker; 0: none runs
	Starts   int              `json:"starts"`    // of its worker
	Since    *time.Time       `json:"since"`     // of the state
	BusyWith *challenges.Hash `json:"busy_with"` // challenge
	Tenant   Tenant           `json:"tenant"`
	Fault    *Fault           `json:"fault"` // the last one
	Budget   Budget           `json:"budget"`
}

// Tenant says whether a device belongs to a tenant.
type Tenant struct {
	Present bool       `json:"present"`
	Known   bool       `json:"known"` // false: what should say so fails, and the device is kept from work
	By      string     `json:"by"`    // who or what says so
	Since   *time.Time `json:"since"`
	Until   *time.Time `json:"until"` // about; null: not known
	Error   string     `json:"error"`
	Freed   *float64   `json:"freed_ms"` // how long the last release of the device took
}

// Fault is a failure of a device.
type Fault struct {
	Class  string    `json:"class"`
	Detail string    `json:"detail"`
	Xid    uint32    `json:"xid"` // 0: none
	At     time.Time `json:"at"`
}

// Budget is what challenges have used of a device in the last 24 hours.
type Budget struct {
	Used float64  `json:"used_s"`
	Of   *float64 `json:"of_s"` // null: no limit
}

// Mark is how a late challenge ended.
type Mark struct {
	Challenge challenges.Hash `json:"challenge"`
	Device    string          `json:"device"`
	At        time.Time       `json:"at"`
	Result    string          `json:"result"`
}
