package telemetry

import (
	"slices"
	"strings"

	"github.com/assaynet/assay/gpu/models"
)

// isFamily is whether a word of a row's name says which cards it is of: one or two
// letters, digits, and a letter at most (h100, gh200, l40s, a6000), or four digits
// (4090). Sizes, kinds of memory and sockets are no families (80gb, hbm3, sxm4, 3e).
func isFamily(word string) bool {
	digits := strings.TrimLeft(word, letters)
	rest := strings.TrimLeft(digits, numerals)
	before, count := len(word)-len(digits), len(digits)-len(rest)
	if before == 0 {
		return count == 4 && rest == ""
	}
	return before <= 2 && count > 0 && len(rest) <= 1
}

const (
	letters  = "abcdefghijklmnopqrstuvwxyz"
	numerals = "0123456789"
)

// families are the words of a row's names that are families.
func families(s models.Spec) []string {
	var out []string
	for _, name := range s.Names {
		out = append(out, models.Words(name)...)
	}
	return slices.DeleteFunc(out, func(w string) bool { return !isFamily(w) })
}

// familyOf is the longest of some families that a word begins with, where no digit
// follows: h100 in h100xm, 4090 in rtx4090, but no h20 in h200. Empty if there is none.
func familyOf(word string, all []string) string {
	word = strings.TrimPrefix(word, "rtx")
	best := ""
	for _, f := range all {
		rest, ok := strings.CutPrefix(word, f)
		if ok && (rest == "" || !strings.ContainsAny(rest[:1], numerals)) && len(f) > len(best) {
			best = f
		}
	}
	return best
}

// foreign is a word of the card's name that stands for cards of other rows alone than
// those that have its PCI id, and one of these. An id of no row says nothing.
func (c *card) foreign() (owner models.Spec, word string, ok bool) {
	var all, own []string
	for _, s := range c.rows {
		all = append(all, families(s)...)
		if owns(s, c.inventory.PCIDevice) {
			owner, own = s, append(own, families(s)...)
		}
	}
	if len(own) == 0 {
		return owner, "", false
	}
	for _, w := range models.Words(c.inventory.Name) {
		if f := familyOf(w, all); f != "" && !slices.Contains(own, f) {
			return owner, w, true
		}
	}
	return owner, "", false
}
