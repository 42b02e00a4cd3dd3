package attest

import "time"

// Codes of reference manifests, beyond parsing and comparing them.
const (
	CodeRIMForeign Code = "rim-foreign" // a manifest of a root that the trust lacks, or that simulates
	CodeRIMExpired Code = "rim-expired" // a manifest whose signer's certificate has expired since
	CodeRIMAbsent  Code = "rim-absent"  // manifests were given, and none is for the version reported
)

// Reference is what a report is compared with beyond itself. The zero value asks for
// no more than that the evidence holds: [Result.Holds].
type Reference struct {
	RIMs []*RIM          // manifests to choose from, verified by ParseRIM
	OCSP []*OCSPResponse // answers to choose from: see CheckOCSP
	At   time.Time       // when answers, certificates and manifests must be valid; zero: no answer is of it, and nothing else has expired
}

// measure goes on with what others published: steps 6 to 8. Answers about revocation
// lower the grade by what they say: revoked allows none, and what is on hold or not known
// to the responder no more than the identity. Where they say nothing, for want of an
// answer or of a fresh one, they lower nothing: verifying works offline.
func (r *Result) measure(report *Report, c Chain, t Trust, ref Reference) {
	var faults, expired []Reason
	if !ref.At.IsZero() {
		expired = c.expired(ref.At)
		r.Reasons = append(r.Reasons, expired...)
	}
	if len(ref.OCSP) > 0 {
		r.OCSP, faults = CheckOCSP(c, 1, ref.OCSP, ref.At)
		r.Reasons = append(r.Reasons, faults...)
	}
	driver, vbios := selectRIMs(report, r.Chip, r.trusted(ref.RIMs, t))
	r.RIM, faults = judgeRIMs(report, driver, vbios)
	r.Reasons = append(r.Reasons, faults...)
	if len(ref.RIMs) > 0 {
		if r.RIM.Driver == RIMAbsent && report.Driver() != "" {
			r.add(of(CodeRIMAbsent, "driver", "no manifest of %s %s", r.Chip, report.Driver()))
		}
		if r.RIM.VBIOS == RIMAbsent && report.VBIOS() != "" {
			r.add(of(CodeRIMAbsent, "VBIOS", "no manifest of %s %s", r.Chip, report.VBIOS()))
		}
	}
	if !r.signers(driver, ref) {
		r.RIM.Driver = RIMMismatch
	}
	if !r.signers(vbios, ref) {
		r.RIM.VBIOS = RIMMismatch
	}
	wantDriver, wantVBIOS := report.RIMs(r.Chip)
	switch {
	case r.OCSP == OCSPRevoked:
		r.Grade = GradeNone
	case r.OCSP == OCSPHold || r.OCSP == OCSPUnknown || len(expired) > 0 || wantVBIOS == "" || r.RIM.VBIOS != RIMMatch || wantDriver != "" && r.RIM.Driver != RIMMatch:
	default:
		r.Grade = GradeMeasured
	}
}

// trusted are the manifests that end in a root of the trust given, whatever they were
// parsed with. A simulation's say nothing of real devices: anyone may make them.
func (r *Result) trusted(all []*RIM, t Trust) []*RIM {
	var out []*RIM
	for _, m := range all {
		if m == nil || len(m.Chain) == 0 {
			continue
		}
		root, ok := find(t.RIMs, m.Chain[len(m.Chain)-1])
		if !ok || root.Simulated && !r.Simulated {
			r.add(of(CodeRIMForeign, "manifest "+m.Version, "ends in a root that is not trusted for this device"))
			continue
		}
		out = append(out, m)
	}
	return out
}

// signers looks at the certificates behind a manifest, which may be nil. It is false
// where one was revoked, is on hold or is not known to the responder: then the manifest
// counts for nothing. One that has expired since is reported and no more: NVIDIA's
// signers live two years, their manifests longer.
func (r *Result) signers(m *RIM, ref Reference) bool {
	if m == nil {
		return true
	}
	if ref.At.After(m.Expires) {
		r.add(of(CodeRIMExpired, "manifest "+m.Version, "its signer's certificate expired on %s", m.Expires.UTC().Format(time.DateOnly)))
	}
	if len(ref.OCSP) == 0 {
		return true
	}
	status, faults := CheckOCSP(m.Chain, 0, ref.OCSP, ref.At)
	if status != OCSPRevoked && status != OCSPHold && status != OCSPUnknown {
		return true // answers for manifests are asked for less often: their absence says nothing
	}
	r.Reasons = append(r.Reasons, faults...)
	return false
}
