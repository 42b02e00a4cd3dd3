package evidence

import (
	"cmp"
	"slices"
	"strings"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Telling is what one result tells of its device.
type Telling struct {
	Provider   challenges.NodeID
	Device     string
	Epoch      uint64
	Transcript challenges.Hash // that shows it
	Record     telemetry.Record
}

// Change is what two results of one device say against each other.
type Change struct {
	Before, After Telling
	Findings      []telemetry.Finding
}

// Across compares the results of each device, one with the next. Within an epoch
// nobody knows which came first: then only what does not hang on the order is said.
func Across(told []Telling) []Change {
	told = slices.Clone(told)
	slices.SortFunc(told, func(a, b Telling) int {
		return cmp.Or(a.Provider.Compare(b.Provider), strings.Compare(a.Device, b.Device), cmp.Compare(a.Epoch, b.Epoch), a.Transcript.Compare(b.Transcript))
	})
	var out []Change
	for i := 1; i < len(told); i++ {
		a, b := told[i-1], told[i]
		if a.Provider != b.Provider || a.Device != b.Device || a.Transcript == b.Transcript {
			continue
		}
		found := telemetry.Across(a.Record, b.Record)
		if a.Epoch == b.Epoch {
			found = slices.DeleteFunc(found, func(f telemetry.Finding) bool {
				return strings.HasPrefix(f.Code, "counter-") || strings.HasPrefix(f.Code, "energy-")
			})
		}
		if len(found) > 0 {
			out = append(out, Change{a, b, found})
		}
	}
	return out
}
