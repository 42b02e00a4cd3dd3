// Package devnet runs a whole network in one process: checkers and providers
// with a host, a key and a store each, planted cheaters among them, and a judge
// that reads nothing but the checkers' API.
package devnet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Behaviours of providers. All but honest and attested are planted cheats.
const (
	Honest = "honest" // does what it says
	Slow   = "slow"   // claims a device four times faster than it has
	Liar   = "liar"   // skips a tenth of the entries and invents them
	Flaky  = "flaky"  // unreachable a third of the time
	Busy   = "busy"   // refuses GPU work, signed, and answers probes
	Coward = "coward" // a liar that falls silent whenever a sample hits a lie

	SmallMem = "smallmem" // claims twice the memory that it has, and makes the rest again
	Sharer   = "sharer"   // shares one device with the next sharer
	Oversold = "oversold" // claims 4 devices on 3

	Attested    = "attested"    // honest, with a card that can be read and signs its results
	Counterfeit = "counterfeit" // claims an H100 by name: its telemetry and its rates are another card's
)

// ProviderKinds lists the behaviours of providers.
func ProviderKinds() []string {
	return []string{Honest, Slow, Liar, Flaky, Busy, Coward, SmallMem, Sharer, Oversold, Attested, Counterfeit}
}

// CheckerKinds lists the behaviours of checkers.
func CheckerKinds() []string { return []string{Honest} }

// Limits of a network in one process.
const (
	maxCheckers  = 31
	maxProviders = 200
)

// ParseNodes reads N, or kind=n,kind=n, into one behaviour per node. N nodes
// without a kind are honest.
func ParseNodes(spec string, kinds []string, limit int) ([]string, error) {
	var out []string
	add := func(kind, count string) error {
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 || n > limit {
			return fmt.Errorf("%q: want a number from 0 to %d", count, limit)
		}
		if !slices.Contains(kinds, kind) {
			return fmt.Errorf("kind %q: want one of %s", kind, strings.Join(kinds, ", "))
		}
		for range n {
			out = append(out, kind)
		}
		return nil
	}
	for part := range strings.SplitSeq(spec, ",") {
		kind, count, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			kind, count = Honest, kind
		}
		if err := add(kind, count); err != nil {
			return nil, err
		}
	}
	if len(out) < 1 || len(out) > limit {
		return nil, fmt.Errorf("%q: %d nodes, want 1 to %d", spec, len(out), limit)
	}
	return out, nil
}

// ParseCheckers reads the value of --checkers.
func ParseCheckers(spec string) ([]string, error) {
	return ParseNodes(spec, CheckerKinds(), maxCheckers)
}

// ParseProviders reads the value of --providers.
func ParseProviders(spec string) ([]string, error) {
	kinds, err := ParseNodes(spec, ProviderKinds(), maxProviders)
	sharers := 0
	for _, k := range kinds {
		if k == Sharer {
			sharers++
		}
	}
	if sharers%2 != 0 {
		return nil, fmt.Errorf("sharer=%d: want an even number, two providers share one device", sharers)
	}
	return kinds, err
}
