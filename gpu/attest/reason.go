package attest

import "fmt"

// Code names a finding. Codes are part of the package's contract: programs compare
// them, people read the detail.
type Code string

// Reason is one finding: what was seen, where, and what was expected. It is the error
// type of this package, and a line of a [Result].
type Reason struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"` // seen and expected, with field and offset
	Field  string `json:"-"`      // which field; empty: the whole
	Offset int    `json:"-"`      // where it starts in what was parsed, in bytes; -1: nowhere in particular
}

func (r *Reason) Error() string { return string(r.Code) + ": " + r.Detail }

// at makes a finding about a field at an offset.
func at(code Code, field string, offset int, format string, args ...any) *Reason {
	where := fmt.Sprintf("%s at byte %d: ", field, offset)
	return &Reason{Code: code, Detail: where + fmt.Sprintf(format, args...), Field: field, Offset: offset}
}

// of makes a finding about a field that stands at no offset.
func of(code Code, field, format string, args ...any) *Reason {
	detail := fmt.Sprintf(format, args...)
	if field != "" {
		detail = field + ": " + detail
	}
	return &Reason{Code: code, Detail: detail, Field: field, Offset: -1}
}
