package attest

import (
	"encoding/hex"
	"encoding/json"
)

// Grade is what evidence is worth. It says nothing of the host: whoever can reach a
// genuine device can relay to it, and a report is of no workload.
type Grade string

// Grades.
const (
	GradeNone     Grade = "none"     // steps 1 to 5 of Verify do not hold, or the device was revoked
	GradeIdentity Grade = "identity" // they hold: a device with this identity signed this
	GradeMeasured Grade = "measured" // and it runs what the manifests of its versions list; nothing is known against its certificates
)

// Result is what Verify found.
type Result struct {
	Mode          Mode
	Chip          string   // empty unless ChainOK
	DeviceID      [32]byte // zero unless ChainOK: see Chain.DeviceID
	PDI           PDI      `json:"-"` // zero unless ChainOK; the chip's: its processors have device ids of their own and this in common
	Driver, VBIOS string   // as reported; evidence of nothing unless the result holds
	Model         *Model   // as reported, of mode "fsp" alone; not part of the JSON form
	NonceOK       *bool    // nil: not compared
	ChainOK       bool
	SignatureOK   bool // made by the chain's first key, whatever the chain is worth: without ChainOK it says nothing of whose
	FWID          Match
	RIM           RIMResult
	OCSP          Revocation // of the device's chain
	Grade         Grade
	Simulated     bool     // ends in a root of a simulation
	Reasons       []Reason // all that was found, in the order of Verify's steps
}

// MarshalJSON writes the form of `assay attest verify --json`: of real devices exactly
// the members that are documented there, of simulated ones "simulated" too.
func (r Result) MarshalJSON() ([]byte, error) {
	type rim struct {
		Driver     RIMStatus `json:"driver"`
		VBIOS      RIMStatus `json:"vbios"`
		Mismatched []int     `json:"mismatched"`
	}
	id := ""
	if r.DeviceID != [32]byte{} {
		id = hex.EncodeToString(r.DeviceID[:])
	}
	return json.Marshal(struct {
		Mode        Mode       `json:"mode"`
		Chip        string     `json:"chip"`
		DeviceID    string     `json:"device_id"`
		Driver      string     `json:"driver"`
		VBIOS       string     `json:"vbios"`
		NonceOK     *bool      `json:"nonce_ok"`
		ChainOK     bool       `json:"chain_ok"`
		SignatureOK bool       `json:"signature_ok"`
		FWID        Match      `json:"fwid"`
		RIM         rim        `json:"rim"`
		OCSP        Revocation `json:"ocsp"`
		Grade       Grade      `json:"evidence"`
		Reasons     []Reason   `json:"reasons"`
		Simulated   bool       `json:"simulated,omitempty"`
	}{
		r.Mode, r.Chip, id, r.Driver, r.VBIOS, r.NonceOK, r.ChainOK, r.SignatureOK, r.FWID,
		rim{r.RIM.Driver, r.RIM.VBIOS, append([]int{}, r.RIM.Mismatched...)},
		r.OCSP, r.Grade, append([]Reason{}, r.Reasons...), r.Simulated,
	})
}
