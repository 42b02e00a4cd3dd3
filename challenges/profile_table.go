package challenges

import (
	"fmt"
	"strconv"
	"time"
)

// Profiles lists the table's rows in their order. A row, once published, never
// changes.
func Profiles() []Profile {
	// SPEC: C2. The profile table.
	rows := simulatedRows()
	for block := uint16(1100); block < 4000; block += 100 { // a flavour and a purpose
		for number := block; ; number++ {
			p, ok := realRow(number)
			if !ok {
				break
			}
			rows = append(rows, p)
		}
	}
	return rows
}

// LookupProfile finds a row by its number, without making the others.
func LookupProfile(number uint16) (Profile, error) {
	for _, p := range simulatedRows() {
		if p.Number == number {
			return p, nil
		}
	}
	if p, ok := realRow(number); ok {
		return p, nil
	}
	return Profile{}, fmt.Errorf("profile %d: not in the table", number)
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
		row(10, "devnet-slot", Slot, Shape{Int8, 32, 256, 320}, 4, 0, 32),
	}
}

// realRow is a row for real devices: 1000 for each flavour from 1000 on, 100 for
// the purpose, then the size.
func realRow(number uint16) (Profile, bool) {
	if number < 1000 || number >= 4000 {
		return Profile{}, false
	}
	f, size := Flavour(number/1000-1), int(number%100)
	shape, ok := sizeOf(f, size)
	p := Profile{
		Number: number, Shape: shape, Slack: 15, Doubt: 3, LagShare: 10, MinRTTs: 20, Patience: 6,
		Grace: time.Second, OpenWait: 2 * time.Second,
	}
	switch number / 100 % 10 {
	case 1:
		p.Purpose, p.Rounds, p.Samples = Spot, 20, 20
	case 2:
		// s = ceil(1600 / R): 1 % skipped passes with 10^-7.
		p.Purpose, p.Rounds, p.Warm, p.Samples = Capacity, 80, 16, 20
	case 3:
		p.Purpose, p.Rounds, p.Samples = Pulse, 1, 4
		ok = ok && f == Int8
	default:
		ok = false
	}
	p.Name = string(p.Purpose) + "-" + f.String() + "-" + strconv.Itoa(size)
	return p, ok
}

// sizeOf is the round of a flavour's size, each twice the work of the one before:
// some size gives any device that there is a round of 40 to 80 ms, in bf16 of 30
// to 80. K is as large as the flavour allows where hashing would else take a share
// of the round. false is past the last size.
func sizeOf(f Flavour, size int) (Shape, bool) {
	switch f {
	case Int8: // 2.7e11 to 5.6e14 operations
		k := 32768
		if size >= 7 {
			k = 65536
		}
		m, n := square(38 + size - log2(2*k))
		return Shape{Int8, m, n, k}, size < 12
	case BF16: // 6.9e10 to 7.0e13
		m, n := square(22 + size)
		return Shape{BF16, m, n, 8192}, size < 11
	default: // 2.1e9 to 4.4e12
		return Shape{FP64, 1 << (5 + size), 1024, 4096}, size < 12
	}
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
