package worker

import (
	"fmt"
	"math"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Bounds of what is on the wire. Each is far above what the tables have.
const (
	maxRounds    = 1 << 20
	maxPositions = 1 << 17       // of a round
	maxCards     = 256           // of a machine
	maxProcesses = 4096          // of a card
	maxEvidence  = 1 << 20       // bytes of each part
	maxSide      = math.MaxInt32 // of a matrix
)

// jobMessage starts a run. Of a row of the profile table it has what a device
// computes by: what a checker judges by stays with the parent.
type jobMessage struct {
	_       struct{} `cbor:",toarray"`
	Run     uint64   // as the parent numbers it
	ID      challenges.Hash
	Device  string
	Window  uint32
	Number  uint16
	Name    string
	Flavour uint8
	M, N, K uint32
	Rounds  uint32
	Warm    uint32
	Samples uint32
}

func newJob(run uint64, j gpu.Job) (*jobMessage, error) {
	p := j.Profile
	for _, n := range []int{j.Window, p.Shape.M, p.Shape.N, p.Shape.K, p.Rounds, p.Warm, p.Samples} {
		if n < 0 || n > maxSide {
			return nil, fmt.Errorf("start: %v, %d rounds, %d before the clock, %d samples, window %d: not a job", p.Shape, p.Rounds, p.Warm, p.Samples, j.Window)
		}
	}
	m := &jobMessage{
		Run: run, ID: j.ID, Device: j.Device, Window: uint32(j.Window), Number: p.Number, Name: p.Name,
		Flavour: uint8(p.Shape.Flavour), M: uint32(p.Shape.M), N: uint32(p.Shape.N), K: uint32(p.Shape.K),
		Rounds: uint32(p.Rounds), Warm: uint32(p.Warm), Samples: uint32(p.Samples),
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return m, nil
}

// Check bounds a job.
func (m *jobMessage) Check() error {
	if m.Run == 0 || len(m.Device) > maxText || len(m.Name) > maxText {
		return fmt.Errorf("job: run %d, texts of %d and %d bytes", m.Run, len(m.Device), len(m.Name))
	}
	if m.Rounds < 1 || m.Rounds > maxRounds || m.Warm >= m.Rounds || m.Window > maxRounds || m.Samples > maxPositions {
		return fmt.Errorf("job: %d rounds, %d before the clock, window %d, %d samples", m.Rounds, m.Warm, m.Window, m.Samples)
	}
	return m.shape().Check()
}

func (m *jobMessage) shape() challenges.Shape {
	return challenges.Shape{Flavour: challenges.Flavour(m.Flavour), M: int(m.M), N: int(m.N), K: int(m.K)}
}

func (m *jobMessage) job() gpu.Job {
	return gpu.Job{ID: m.ID, Device: m.Device, Window: int(m.Window), Profile: challenges.Profile{
		Number: m.Number, Name: m.Name, Shape: m.shape(), Rounds: int(m.Rounds), Warm: int(m.Warm), Samples: int(m.Samples),
	}}
}

// fillMessage fills a dataset. Of a class it has what a device computes by.
type fillMessage struct {
	_        struct{} `cbor:",toarray"`
	Memory   uint64   // as the parent numbers it
	ID       challenges.Hash
	Device   string
	Items    uint64
	Number   uint16
	Name     string
	Lines    uint32
	Parents  uint32
	Window   uint64
	Batch    uint64
	MaxWalks uint64
	Steps    uint32
	Rounds   uint32
	Samples  uint32
}

func newFill(number uint64, j gpu.MemoryJob) (*fillMessage, error) {
	p := j.Set.Profile
	for _, n := range []int{p.Lines, p.Parents, p.Steps, p.Rounds, p.Samples} {
		if n < 0 || n > maxSide {
			return nil, fmt.Errorf("fill: class %d: %d is not a size", p.Number, n)
		}
	}
	m := &fillMessage{
		Memory: number, ID: j.ID, Device: j.Device, Items: j.Set.Items, Number: p.Number, Name: p.Name,
		Lines: uint32(p.Lines), Parents: uint32(p.Parents), Window: p.Window, Batch: p.Batch, MaxWalks: p.MaxWalks,
		Steps: uint32(p.Steps), Rounds: uint32(p.Rounds), Samples: uint32(p.Samples),
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	return m, nil
}

// Check bounds a dataset: what a device divides by is not zero.
func (m *fillMessage) Check() error {
	if m.Memory == 0 || len(m.Device) > maxText || len(m.Name) > maxText {
		return fmt.Errorf("dataset: memory %d, texts of %d and %d bytes", m.Memory, len(m.Device), len(m.Name))
	}
	if m.Lines < 1 || m.Lines&(m.Lines-1) != 0 || m.Window < 1 || m.Batch < 1 || m.Items < 1 || m.Items > 1<<40 ||
		m.Window > 1<<40 || m.Rounds < 1 || m.Rounds > maxRounds || m.Samples > maxPositions {
		return fmt.Errorf("dataset: %d items, %d lines, windows of %d, batches of %d, %d rounds, %d samples",
			m.Items, m.Lines, m.Window, m.Batch, m.Rounds, m.Samples)
	}
	return nil
}

func (m *fillMessage) job() gpu.MemoryJob {
	return gpu.MemoryJob{ID: m.ID, Device: m.Device, Set: memory.Dataset{Items: m.Items, Profile: memory.Profile{
		Number: m.Number, Name: m.Name, Lines: int(m.Lines), Parents: int(m.Parents), Window: m.Window, Batch: m.Batch,
		MaxWalks: m.MaxWalks, Steps: int(m.Steps), Rounds: int(m.Rounds), Samples: int(m.Samples),
	}}}
}

// walkMessage starts the walks of a memory.
type walkMessage struct {
	_      struct{} `cbor:",toarray"`
	Memory uint64
	Run    uint64
	Nonce  challenges.Hash
}

// handleMessage names a run or a memory.
type handleMessage struct {
	_      struct{} `cbor:",toarray"`
	Number uint64
}

// openMessage opens a round of a run.
type openMessage struct {
	_         struct{} `cbor:",toarray"`
	Run       uint64
	Round     uint32
	Positions []byte // as in a positions frame
}

// Check holds that positions are whole.
func (m *openMessage) Check() error {
	if len(m.Positions)%4 != 0 || len(m.Positions) > 4*maxPositions {
		return fmt.Errorf("open: positions of %d bytes", len(m.Positions))
	}
	return nil
}

// rootMessage is a root.
type rootMessage struct {
	_               struct{} `cbor:",toarray"`
	Round           uint32
	Root, Key       challenges.Hash
	Held, Made, Far uint64
}

func newRoot(r gpu.Root) *rootMessage {
	return &rootMessage{Round: uint32(r.Round), Root: r.Root, Key: r.Key, Held: r.Costs.Held, Made: r.Costs.Made, Far: r.Costs.Far}
}

func (m *rootMessage) root() gpu.Root {
	return gpu.Root{Round: int(m.Round), Root: m.Root, Key: m.Key, Costs: gpu.Costs{Held: m.Held, Made: m.Made, Far: m.Far}}
}

// aboutMessage says what a card runs with.
type aboutMessage struct {
	_    struct{} `cbor:",toarray"`
	Line string
}

// cardsMessage lists the cards of a machine.
type cardsMessage struct {
	_     struct{} `cbor:",toarray"`
	Cards []telemetry.Inventory
}

// Check bounds the list and the texts.
func (m *cardsMessage) Check() error {
	if len(m.Cards) > maxCards {
		return fmt.Errorf("%d cards", len(m.Cards))
	}
	for _, c := range m.Cards {
		if err := (&telemetry.Record{Inventory: c}).Check(); err != nil {
			return err
		}
	}
	return nil
}

// inventoryMessage is what one card says it is.
type inventoryMessage struct {
	_         struct{} `cbor:",toarray"`
	Inventory telemetry.Inventory
}

// Check bounds the texts.
func (m *inventoryMessage) Check() error { return (&telemetry.Record{Inventory: m.Inventory}).Check() }

// cardMessage asks for something of a card.
type cardMessage struct {
	_      struct{} `cbor:",toarray"`
	UUID   string
	Nonce  [32]byte      // to sign
	Within time.Duration // of an Xid
}

// Check bounds the name.
func (m *cardMessage) Check() error {
	if len(m.UUID) > maxText {
		return fmt.Errorf("a UUID of %d bytes", len(m.UUID))
	}
	return nil
}

// processesMessage lists the processes on a card.
type processesMessage struct {
	_         struct{} `cbor:",toarray"`
	Processes []telemetry.Process
}

// Check bounds the list.
func (m *processesMessage) Check() error {
	if len(m.Processes) > maxProcesses {
		return fmt.Errorf("%d processes", len(m.Processes))
	}
	for _, p := range m.Processes {
		if len(p.Name) > maxText {
			return fmt.Errorf("the name of process %d has %d bytes", p.PID, len(p.Name))
		}
	}
	return nil
}

// evidenceMessage is what a card signed.
type evidenceMessage struct {
	_                    struct{} `cbor:",toarray"`
	Report, Certificates []byte
}

// Check bounds both.
func (m *evidenceMessage) Check() error {
	if len(m.Report) > maxEvidence || len(m.Certificates) > maxEvidence {
		return fmt.Errorf("evidence of %d and %d bytes", len(m.Report), len(m.Certificates))
	}
	return nil
}

// xidMessage is NVIDIA's number of an error; 0: none.
type xidMessage struct {
	_   struct{} `cbor:",toarray"`
	Xid uint32
}
