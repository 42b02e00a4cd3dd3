package exam

import (
	"fmt"
	"slices"
	"time"

	"github.com/assaynet/assay/challenges"
)

// longestRound is what a round may take to be measured: no row fits a card whose
// rounds take longer, and the device would lose its patience with some.
const longestRound = time.Second

// Bearable is an error for a shape whose rounds take too long at a speed.
func Bearable(s challenges.Shape, rate float64) error {
	if expected := float64(s.Ops()) / rate; expected > longestRound.Seconds() {
		return fmt.Errorf("a round of %v would take about %.3g s on this card: at most %v are measured", s, expected, longestRound)
	}
	return nil
}

// Per is how many of n a second; 0 for no time at all, which JSON can say.
func Per(n float64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return n / took.Seconds()
}

// RoundsOf is how many rounds are measured whose product takes so long: at least 10 s
// of them, in which the card gets as warm and as slow as challenges make it. Rows
// whose rounds take less than a millisecond are for tests.
func RoundsOf(product time.Duration) int {
	const least, most, long = 24, 10_000, 10 * time.Second
	return int(min(most, max(least, (long+product-1)/max(1, product))))
}

// SlowTenth is what the slowest tenth of rounds takes at least; only the last half
// counts, in which the card is warm.
func SlowTenth(rounds []time.Duration) time.Duration {
	late := slices.Sorted(slices.Values(rounds[len(rounds)/2:]))
	return late[len(late)*9/10]
}
