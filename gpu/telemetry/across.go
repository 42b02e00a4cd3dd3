package telemetry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assaynet/assay/gpu/models"
)

// Across compares two records of one device, the first from before the second.
//
// Hard: another UUID or serial, another name by the same driver, PCI id, compute
// capability, number of cores or width of the bus (whoever changed the card has another
// device); remapped rows or retired pages that fall; the same powers again, digit by
// digit, which is a recording. Soft: another name by another driver, address or total of
// memory; an energy counter that stands; counters that contradict each other about a
// reload of the driver. NVIDIA, Tesla and GeForce are no part of a name: R470 put the
// first before all names.
//
// A reload is told by the energy counter, which restarts: it falls. Then errors and
// replays restart too, and one that still has what it had (and had any) contradicts it.
// Where energy rose they do not fall, but for an owner who clears them. A card without
// the energy counter (GeForce has it from Volta on) may have been reloaded at any time,
// and nothing is said. A restarted counter that has passed its old value already is not
// noticed.
func Across(before, after Record) []Finding {
	var out []Finding
	add := func(code string, hard bool, seen, expected, threshold, source string) {
		out = append(out, Finding{code, hard, seen, expected, threshold, source})
	}
	a, b := &before.Inventory, &after.Inventory
	for _, t := range []struct {
		code, a, b string
		hard       bool
	}{
		{"device-uuid", a.UUID, b.UUID, true},
		{"device-serial", a.Serial, b.Serial, true},
		{"device-name", plainName(a.Name), plainName(b.Name), a.Driver != "" && a.Driver == b.Driver},
		{"device-pci-id", number(a.PCIDevice), number(b.PCIDevice), true},
		{"device-capability", number(uint32(a.Major)<<8 | uint32(a.Minor)), number(uint32(b.Major)<<8 | uint32(b.Minor)), true},
		{"device-cores", number(a.Cores), number(b.Cores), true},
		{"device-bus", number(a.BusBits), number(b.BusBits), true},
		{"device-address", a.PCI, b.PCI, false},
	} {
		if t.a != "" && t.b != "" && t.a != t.b {
			add(t.code, t.hard, t.b, t.a, "equal where both are given", nvmlDoc+": of the board; the address is of the slot")
		}
	}

	old, now := &card{snapshots: before.Snapshots}, &card{snapshots: after.Snapshots}
	was, had := last(old, MemoryTotal)
	is, has := last(now, MemoryTotal)
	if had && has && (is < float64(was*0.9) || is > float64(was*1.1)) {
		add("device-memory", false, mib(is), mib(was), "within a tenth", "ECC takes a sixteenth; "+proposal)
	}
	for _, k := range []Kind{RemappedCorrectable, RemappedUncorrectable, RetiredPages} {
		was, had := last(old, k)
		is, has := first(now, k)
		if had && has && is < was {
			add("counter-remaps", true, fmt.Sprintf("%s of %.0f", k, is), fmt.Sprintf("%.0f at least", was), "they do not fall", nvmlDoc+": kept in the board's memory")
		}
	}
	out = append(out, reload(old, now)...)
	if powers := old.series(Power); repeated(powers, now.series(Power)) {
		add("replay", true, fmt.Sprintf("the same %d powers again", len(powers)), "noise", "six or more, of three values or more", "the sensor counts milliwatts; number of samples "+proposal)
	}
	return out
}

// reload finds contradictions between counters that all restart with the driver.
func reload(old, now *card) []Finding {
	const threshold, source = "all restart, or none", nvmlDoc + ": since the driver was loaded"
	spent, had := last(old, Energy)
	is, has := first(now, Energy)
	if !had || !has {
		return nil
	}
	var out []Finding
	if is == spent {
		out = append(out, Finding{"energy-stands", false, fmt.Sprintf("%.6g J again", is/1000), "more", "it rises", "a card that is on takes power"})
	}
	for _, k := range []Kind{ECCCorrected, ECCUncorrected, PCIeReplays} {
		was, had := last(old, k)
		v, has := first(now, k)
		switch {
		case !had || !has:
		case is < spent && was > 0 && v == was:
			out = append(out, Finding{"counter-stayed", false, fmt.Sprintf("%s of %.0f, as before", k, v), "a restart, as of the energy", threshold, source})
		case is >= spent && v < was:
			out = append(out, Finding{"counter-fell", false, fmt.Sprintf("%s of %.0f", k, v), fmt.Sprintf("%.0f at least: the energy did not restart", was), threshold, source})
		}
	}
	return out
}

// repeated is whether two series have the same values, too many to be chance.
func repeated(a, b []point) bool {
	if len(a) < 6 || !slices.EqualFunc(a, b, func(p, q point) bool { return p.v == q.v }) {
		return false
	}
	values := make(map[float64]bool)
	for _, p := range a {
		values[p.v] = true
	}
	return len(values) >= 3
}

func first(c *card, k Kind) (float64, bool) {
	if all := c.series(k); len(all) > 0 {
		return all[0].v, true
	}
	return 0, false
}

func last(c *card, k Kind) (float64, bool) {
	if all := c.series(k); len(all) > 0 {
		return all[len(all)-1].v, true
	}
	return 0, false
}

// plainName is a name as it is compared.
func plainName(name string) string { return strings.Join(models.Words(name), " ") }

// number is empty for one that is not given.
func number(v uint32) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%#x", v)
}
