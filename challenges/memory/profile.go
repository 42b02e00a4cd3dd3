package memory

import (
	"fmt"
	"math"
	"time"
)

// fillPatience is how long a fill may take, in times of the class's best.
const fillPatience = 3

// Profile is one numbered row of the table: a class of devices. Everything that
// decides a verdict stands in the row.
type Profile struct {
	Number    uint16
	Name      string
	Simulated bool // for simulated devices only; allows the abort "overrun"

	Lines    int    // L: of the cache, a power of two
	Parents  int    // P: dependent reads of the cache for an item
	Window   uint64 // items: what a device can reach at its full rate
	Batch    uint64 // walks that are in the same window at the same step
	MaxWalks uint64 // most walks a round
	Steps    int    // reads of a walk
	Rounds   int    // R
	Samples  int    // s: walks a round that are checked

	// The best that is known of any device of the class, in items (64 bytes) a second.
	ReadRate uint64 // read at random
	MakeRate uint64 // made from the cache
	LinkRate uint64 // brought from memory elsewhere

	Need     int // percent of the dataset: less than so much proven is late
	Doubt    int // percent of the measured time: most that the benefit of the doubt may subtract
	LagShare int // permille of the measured time that the checker's own answers may take
	MinRTTs  int // walks that are to take less than so many RTTs give no figure
	Patience int // for the walks, in times of the class's best

	Grace    time.Duration // added to the deadlines, for connection and start
	OpenWait time.Duration // an opening that is outstanding so long at the deadline is owed
}

// Miss is the probability that a responder who invents a share f of all outputs,
// spread evenly, passes.
func (p Profile) Miss(f float64) float64 {
	return math.Pow(1-f, float64(p.Rounds*p.Samples))
}

// Lookup finds a row by its number.
func Lookup(number uint16) (Profile, error) {
	for _, p := range Profiles() {
		if p.Number == number {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("memory profile %d: not in the table", number)
}

// Profiles lists the table's rows in their order. A row, once published, never
// changes.
//
// The rates of real classes are estimates: reads at about two thirds of the
// memory's published bandwidth, links at what their generation carries, makes at a
// 40th of the reads, for which the number of parents is chosen.
func Profiles() []Profile {
	// SPEC: D3. The table of classes.
	simulated := Profile{
		Simulated: true, Lines: 1 << 12, Parents: 16, Window: 1 << 13, Batch: 1 << 8, MaxWalks: 1 << 26, Steps: 32,
		Rounds: 32, Samples: 4, ReadRate: 6_000_000, MakeRate: 150_000, LinkRate: 150_000,
		Need: 50, Doubt: 3, LagShare: 50, MinRTTs: 20, Patience: 6,
		Grace: 500 * time.Millisecond, OpenWait: time.Second,
	}
	vector := simulated
	vector.Lines, vector.Parents, vector.Window, vector.Batch, vector.Steps = 1<<4, 3, 1<<10, 1<<6, 16
	vector.Rounds, vector.Samples = 2, 3
	real := func(number uint16, name string, lines, parents, rounds int, reads, links uint64) Profile {
		return Profile{
			Number: number, Name: name, Lines: lines, Parents: parents, Window: 1 << 29, Batch: 1 << 18, MaxWalks: 1 << 26,
			Steps: 32, Rounds: rounds, Samples: 128 / rounds, ReadRate: reads, MakeRate: reads / 40, LinkRate: links,
			Need: 50, Doubt: 3, LagShare: 10, MinRTTs: 20, Patience: 6,
			Grace: time.Second, OpenWait: 2 * time.Second,
		}
	}
	const small, large = 1 << 15, 1 << 18 // 2 MiB where the cache must fit beside little, else 16 MiB
	rows := []Profile{
		simulated, vector,
		real(5000, "cpu", large, 384, 8, 75e6, 5e6),              // one core: measured, docs/SOUNDNESS.md; links are files in memory
		real(5001, "gddr6-4m", small, 128, 16, 3_000e6, 200e6),   // T4
		real(5002, "gddr6-6m", small, 128, 32, 8_800e6, 390e6),   // A10, RTX 3090
		real(5003, "l4", large, 384, 16, 2_800e6, 390e6),         // L4
		real(5004, "ada", large, 384, 32, 9_400e6, 390e6),        // RTX 4090, L40S
		real(5005, "a100", large, 128, 32, 20_000e6, 390e6),      // A100, 40 and 80 GB
		real(5006, "h100", large, 128, 32, 33_500e6, 860e6),      // H100
		real(5007, "h200", large, 128, 32, 48_000e6, 860e6),      // H200
		real(5008, "gh200", large, 128, 32, 48_000e6, 7_000e6),   // GH200: memory of the host over its own link
		real(5009, "b200", large, 128, 64, 80_000e6, 860e6),      // B200, B300
		real(5010, "gb200", large, 128, 64, 80_000e6, 7_000e6),   // GB200, GB300
		real(5011, "gddr7", large, 384, 32, 10_000e6, 860e6),     // RTX 5070 to 5080
		real(5012, "gddr7-512", large, 384, 32, 19_000e6, 860e6), // RTX 5090, RTX PRO 6000
	}
	rows[0].Number, rows[0].Name = 501, "sim-memory"
	rows[1].Number, rows[1].Name = 502, "vector-memory"
	return rows
}
