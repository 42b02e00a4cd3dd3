package challenges

import (
	"fmt"
	"time"
)

// profileTable is the table. A row, once published, never changes.
func profileTable() []Profile {
	// SPEC: C2. The profile table.
	rows := simulatedRows()
	for _, f := range Flavours() {
		for i, shape := range sizes(f) {
			rows = append(rows, realRow(Spot, f, i, shape), realRow(Capacity, f, i, shape))
			if f == Int8 {
				rows = append(rows, realRow(Pulse, f, i, shape))
			}
		}
	}
	return rows
}

// simulatedRows are for devices whose speed is modelled, and for vectors.
func simulatedRows() []Profile {
	base := Profile{
		Simulated: true, Slack: 15, Doubt: 3, LagShare: 50, MinRTTs: 20, Patience: 6,
		Grace: 500 * time.Millisecond, OpenWait: time.Second,
	}
	row := func(number uint16, name string, purpose Purpose, shape Shape, rounds, warm, samples int) Profile {
		p := base
		p.Number, p.Name, p.Purpose, p.Shape = number, name, purpose, shape
		p.Rounds, p.Warm, p.Samples = rounds, warm, samples
		return p
	}
	return []Profile{
		row(1, "devnet", Devnet, Shape{Int8, 32, 256, 320}, 16, 0, 8),
		row(2, "vector", Vector, Shape{Int8, 3, 256, 64}, 4, 0, 1),
		row(3, "devnet-bf16", Devnet, Shape{BF16, 32, 256, 320}, 16, 0, 8),
		row(4, "devnet-fp64fma", Devnet, Shape{FP64, 4, 128, 256}, 16, 0, 8),
		row(5, "vector-bf16", Vector, Shape{BF16, 3, 256, 64}, 4, 0, 1),
		row(6, "vector-fp64fma", Vector, Shape{FP64, 3, 128, 8}, 4, 0, 1),
		row(7, "sim-spot", Spot, Shape{Int8, 8, 256, 1280}, 20, 0, 20),
		row(8, "sim-capacity", Capacity, Shape{Int8, 8, 256, 1280}, 80, 16, 20),
		row(9, "sim-pulse", Pulse, Shape{Int8, 2, 256, 1024}, 1, 0, 4),
	}
}

// realRow is a row for real devices: 1000 for each flavour from 1000 on, 100 for
// the purpose, then the size.
func realRow(purpose Purpose, f Flavour, size int, shape Shape) Profile {
	p := Profile{
		Name: fmt.Sprintf("%s-%v-%d", purpose, f, size), Purpose: purpose, Shape: shape,
		Slack: 15, Doubt: 3, LagShare: 10, MinRTTs: 20, Patience: 6,
		Grace: time.Second, OpenWait: 2 * time.Second,
	}
	number := 1000*(int(f)+1) + size
	switch purpose {
	case Spot:
		number += 100
		p.Rounds, p.Samples = 20, 20
	case Capacity:
		number += 200
		// s = ceil(1600 / R): 1 % skipped passes with 10^-7.
		p.Rounds, p.Warm, p.Samples = 80, 16, 20
	default:
		number += 300
		p.Rounds, p.Samples = 1, 4
	}
	p.Number = uint16(number)
	return p
}

// sizes are the rounds of a flavour, each twice the work of the one before: some
// size gives any device a round of 40 to 80 ms. K is as large as the flavour
// allows where hashing would else take a share of the round.
func sizes(f Flavour) []Shape {
	var out []Shape
	switch f {
	case Int8: // 2.7e11 to 5.6e14 operations
		for i := range 12 {
			k := 32768
			if i >= 7 {
				k = 65536
			}
			m, n := square(38 + i - log2(2*k))
			out = append(out, Shape{Int8, m, n, k})
		}
	case BF16: // 6.9e10 to 7.0e13
		for i := range 11 {
			m, n := square(22 + i)
			out = append(out, Shape{BF16, m, n, 8192})
		}
	case FP64: // 2.1e9 to 4.4e12
		for i := range 12 {
			out = append(out, Shape{FP64, 1 << (5 + i), 1024, 4096})
		}
	}
	return out
}

// square splits 2^n entries into M >= N.
func square(n int) (rows, cols int) { return 1 << ((n + 1) / 2), 1 << (n / 2) }

func log2(n int) int {
	b := 0
	for ; n > 1; n /= 2 {
		b++
	}
	return b
}
