package xmldsig

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Canonical writes an element by Canonical XML 1.1 without comments, leaving out one
// element below it (nil: none), as the transform enveloped-signature does. Of an
// element that is not the root it writes what C14N writes of it as a document subset:
// with all namespaces in scope, those of its ancestors too.
//
// Parse has refused all else that C14N says something about: comments,
// instructions, document types, attributes of the prefix xml, namespaces declared
// anew or taken back.
func Canonical(e, omit *Element) []byte {
	var b bytes.Buffer
	writeElement(&b, e, omit, 0)
	return b.Bytes()
}

// writeElement writes an element with the namespaces of its scope beyond those that its
// parent has written: by prefix, the default one first, then the attributes as sorted.
func writeElement(b *bytes.Buffer, e, omit *Element, written int) {
	b.WriteString("<" + e.Name)
	for _, n := range slices.SortedFunc(slices.Values(e.scope[written:]), func(x, y binding) int { return cmp.Compare(x.prefix, y.prefix) }) {
		writeAttribute(b, strings.TrimSuffix("xmlns:"+n.prefix, ":"), n.space)
	}
	for _, a := range e.Attrs {
		writeAttribute(b, a.Name, a.Value)
	}
	b.WriteByte('>')
	for _, n := range e.Nodes {
		switch {
		case n.Element == nil:
			b.WriteString(textEscapes.Replace(n.Text))
		case n.Element != omit:
			writeElement(b, n.Element, omit, len(e.scope))
		}
	}
	b.WriteString("</" + e.Name + ">")
}

func writeAttribute(b *bytes.Buffer, name, value string) {
	b.WriteString(" " + name + `="` + valueEscapes.Replace(value) + `"`)
}

// What C14N escapes, in text and in values (its section 2.3).
var (
	textEscapes  = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
	valueEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")
)
