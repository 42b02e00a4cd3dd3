package terminal

import (
	"fmt"
	"strings"
	"time"
)

// Share prints a share in per cent; nil is not known.
func Share(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100**v)
}

// Ops prints ops/s with a unit that fits.
func Ops(v *uint64) string {
	if v == nil || *v == 0 {
		return "-"
	}
	return Unit(*v, "op/s")
}

// Bytes prints bytes with a unit that fits; unlike a rate, none is a finding.
func Bytes(v *uint64) string {
	if v == nil {
		return "-"
	}
	return Unit(*v, "B")
}

// Unit prints a number of some unit with the prefix that fits.
func Unit(v uint64, of string) string {
	units := []string{"", "k", "M", "G", "T", "P"}
	f, i := float64(v), 0
	for ; f >= 1000 && i < len(units)-1; i++ {
		f /= 1000
	}
	return fmt.Sprintf("%.1f %s%s", f, units[i], of)
}

// OrNone is a text, or the word none.
func OrNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Brief is a duration for people.
func Brief(d time.Duration) string {
	switch {
	case 0 < d && d < time.Millisecond:
		return "under 1ms"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	s := d.Round(time.Second).String()
	if d >= time.Hour {
		s = strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return s
}
