package attest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Codes of comparing a report with reference manifests.
const (
	CodeRIMVersion      Code = "rim-version"      // a manifest is of another version than the report says to run
	CodeGoldenMismatch  Code = "golden-mismatch"  // a measurement is none of those expected
	CodeGoldenMissing   Code = "golden-missing"   // the report lacks a measurement that is expected
	CodeGoldenCollision Code = "golden-collision" // both manifests expect something of one measurement
	CodeGoldenNone      Code = "golden-none"      // a manifest that expects nothing
)

// RIMStatus is how a report compares with one of its reference manifests.
type RIMStatus string

// Statuses.
const (
	RIMMatch    RIMStatus = "match"    // every measurement that it expects is there
	RIMMismatch RIMStatus = "mismatch" // one is not, or the manifest may not be used
	RIMAbsent   RIMStatus = "absent"   // there is none for the version reported
)

// RIMResult is how a report compares with its reference manifests.
type RIMResult struct {
	Driver, VBIOS RIMStatus
	Mismatched    []int // indices as manifests count them, from 0: one less than SPDM's
	Compared      int   // measurements, those that mismatch included
}

// nvdecIndex is the measurement of the video decoder, which counts for nothing where
// the card says that the decoder is disabled.
const nvdecIndex = 35

// Compare compares a report's measurements with what a driver's and a VBIOS's manifest
// expect; either may be nil, and a switch has no driver. It returns the indices, from
// 0 as manifests count, of the measurements that differ or are missing, rising; how
// many were compared, those included; and all that does not fit, in words.
//
// Only active measurements count, and any alternative will do. A manifest of another
// version than the report's is not compared. What is measured and not expected is
// ignored, and so is measurement 35 of a card whose video decoder is disabled, unless
// it is as expected.
func Compare(r *Report, driver, vbios *RIM) (mismatched []int, compared int, reasons []Reason) {
	res, reasons := judgeRIMs(r, driver, vbios)
	return res.Mismatched, res.Compared, reasons
}

// judgeRIMs is Compare, with the standing of each manifest.
func judgeRIMs(r *Report, driver, vbios *RIM) (RIMResult, []Reason) {
	d := r.compare("driver", r.Driver(), driver, vbios)
	v := r.compare("VBIOS", r.VBIOS(), vbios, driver)
	both := append(d.mismatched, v.mismatched...)
	slices.Sort(both)
	return RIMResult{d.status, v.status, slices.Compact(both), d.compared + v.compared}, append(d.reasons, v.reasons...)
}

// comparison is what came of one manifest.
type comparison struct {
	status     RIMStatus
	mismatched []int
	compared   int
	reasons    []Reason
}

func (c *comparison) add(why *Reason) {
	c.status, c.reasons = RIMMismatch, append(c.reasons, *why)
}

// compare compares the report with the manifest of one kind. The other kind's may
// expect nothing of the same measurements: which of the two holds nobody could say.
func (r *Report) compare(kind, version string, m, other *RIM) (c comparison) {
	if m == nil {
		return comparison{status: RIMAbsent}
	}
	if c.status = RIMMatch; !strings.EqualFold(m.Version, version) {
		c.add(of(CodeRIMVersion, kind, "the report says %.64q, the manifest is of %.64q", version, m.Version))
		return c
	}
	// ParseReport refuses states of the decoder that are neither.
	enabled, known := r.NVDEC0()
	for _, g := range m.Measurements {
		b, ok := r.Block(g.Index + 1)
		same := ok && slices.ContainsFunc(g.Digests, func(d []byte) bool { return bytes.Equal(d, b.Value) })
		var why *Reason
		switch {
		case !g.Active, g.Index == nvdecIndex && known && !enabled && !same:
			continue
		case other.expects(g.Index):
			why = of(CodeGoldenCollision, kind, "measurement %d is the other manifest's too", g.Index)
		case !ok:
			why = of(CodeGoldenMissing, kind, "measurement %d is not in the report", g.Index)
		case !same:
			why = of(CodeGoldenMismatch, kind, "measurement %d is %.12x (%d bytes), want %s", g.Index, b.Value, len(b.Value), g.expected())
		}
		if c.compared++; why != nil {
			c.add(why)
			c.mismatched = append(c.mismatched, g.Index)
		}
	}
	if c.compared == 0 {
		c.add(of(CodeGoldenNone, kind, "the manifest expects nothing"))
	}
	return c
}

// expects tells whether a manifest, which may be nil, expects anything of a measurement.
func (m *RIM) expects(index int) bool {
	return m != nil && slices.ContainsFunc(m.Measurements, func(g Golden) bool { return g.Active && g.Index == index })
}

// expected is the digests of a measurement for people, shortened.
func (g Golden) expected() string {
	short := make([]string, len(g.Digests))
	for i, d := range g.Digests {
		short[i] = fmt.Sprintf("%.12x", d)
	}
	return fmt.Sprintf("%s (%d bytes)", strings.Join(short, " or "), g.Size)
}

// selectRIMs finds the manifests for a report among several, by what they say of
// themselves: chip, kind of device, version. A manifest does not say which board its
// VBIOS is for, and boards may share a version; of those that fit equally the one that
// matches the report best is taken, then the one signed last. So the order of rims
// does not matter. nil: none of them is for the report.
func selectRIMs(r *Report, chip string, rims []*RIM) (driver, vbios *RIM) {
	edition := "GPU"
	if r.Mode() == ModeSwitch {
		edition = "SWITCH"
	}
	best := func(version string) *RIM {
		var found []*RIM
		for _, m := range rims {
			if m != nil && strings.EqualFold(m.Version, version) && strings.EqualFold(m.Product, chip) && strings.EqualFold(m.Edition, edition) {
				found = append(found, m)
			}
		}
		if len(found) == 0 {
			return nil
		}
		misses := func(m *RIM) int { return len(r.compare("", version, m, nil).mismatched) }
		return slices.MinFunc(found, func(a, b *RIM) int {
			return cmp.Or(cmp.Compare(misses(a), misses(b)), b.signed().Compare(a.signed()), cmp.Compare(b.TagID, a.TagID))
		})
	}
	return best(r.Driver()), best(r.VBIOS())
}

// signed is when a manifest's signer came to be: a manifest itself bears no date.
func (m *RIM) signed() time.Time {
	if len(m.Chain) == 0 {
		return time.Time{}
	}
	return m.Chain[0].NotBefore
}
