package attest

// For tests: what Verify does of steps 4 and 1 with a report alone.
var (
	SignedBy       = (*Report).signedBy
	Contradictions = (*Report).contradictions
)
