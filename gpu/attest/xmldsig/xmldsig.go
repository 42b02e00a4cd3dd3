// Package xmldsig verifies signed XML documents of one form: that of NVIDIA's reference
// manifests. A document has one Signature, a child of its root, which signs the whole of
// it with ECDSA on P-384 over SHA-384 and Canonical XML 1.1.
//
// # What is refused
//
// Most holes in XML signatures come from two readers that see two documents in the same
// bytes, and from signatures that sign less than the reader takes. So [Parse] takes a
// small part of XML, in which there is one reading; [Open] takes one way of signing,
// without a choice of what is signed; and whatever it hands out has been read from the
// very bytes whose digest was signed.
//
// # What is left to the caller
//
// Open checks that the first certificate in the document signed it. Whether that
// certificate is anybody's is for the caller to say.
package xmldsig

import "fmt"

// Code names why a document is refused. Programs compare codes, people read the detail.
type Code string

// Error says why a document is refused. It is the error type of this package.
type Error struct {
	Code   Code
	Detail string // with field and offset
	Field  string // of which name; empty: the whole
	Offset int    // in bytes; -1: nowhere in particular
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// fail makes an error about what stands at an offset.
func fail(code Code, field string, offset int, format string, args ...any) *Error {
	where := fmt.Sprintf("%s at byte %d: ", field, offset)
	return &Error{Code: code, Detail: where + fmt.Sprintf(format, args...), Field: field, Offset: offset}
}

// say makes an error about a field that stands at no offset.
func say(code Code, field, format string, args ...any) *Error {
	detail := fmt.Sprintf(format, args...)
	if field != "" {
		detail = field + ": " + detail
	}
	return &Error{Code: code, Detail: detail, Field: field, Offset: -1}
}
