package xmldsig

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Codes of documents that Parse refuses. It takes the small part of XML 1.0
// and of its namespaces in which a document has one reading only: what is outside of
// it is refused even where XML allows it.
const (
	CodeEncoding    Code = "encoding"        // not XML at all
	CodeXML         Code = "xml"             // not well-formed, or a name of other than ASCII letters
	CodeCharacter   Code = "xml-character"   // not UTF-8, or a character that XML forbids
	CodeLineEnding  Code = "xml-line-ending" // a carriage return, or a tab or line break in a value: a parser would replace it
	CodeDoctype     Code = "xml-doctype"     // a document type
	CodeInstruction Code = "xml-instruction" // a processing instruction
	CodeComment     Code = "xml-comment"     // a comment: signatures leave it out, and text breaks at it
	CodeCDATA       Code = "xml-cdata"       // a CDATA section
	CodeEntity      Code = "xml-entity"      // an entity or a character's number other than those that C14N writes
	CodeAttribute   Code = "xml-attribute"   // an attribute twice
	CodeNamespace   Code = "xml-namespace"   // a prefix undeclared, declared anew, reserved, or of no http URI
	CodeLimit       Code = "xml-limit"       // too deep, or too much of something
)

// Limits of a document. The deepest known one has 6 levels, 90 elements and 15
// attributes in an element.
const (
	maxDepth      = 16
	maxElements   = 2048
	maxAttributes = 64 // in one element, declarations of namespaces included
	maxNamespaces = 16 // in scope
)

// Element is one element, and what is in it.
type Element struct {
	Name, Local, Space string      // as written, with a prefix; without one; its namespace
	Attrs              []Attribute // by namespace and local name; declarations of namespaces are not among them
	Nodes              []Node
	Offset             int       // of its "<", in bytes
	scope              []binding // namespaces in scope; the parent's are its beginning
}

// Node is an element or, where that is nil, text that is not empty.
type Node struct {
	Element *Element
	Text    string
}

// Attribute is one attribute. Without a prefix it has no namespace.
type Attribute struct {
	Name, Local, Space, Value string
	Offset                    int
}

// binding declares a namespace; the default one has the prefix "".
type binding struct{ prefix, space string }

// Is tells whether an element has a name.
func (e *Element) Is(space, local string) bool { return e.Space == space && e.Local == local }

// Attr is the value of an attribute.
func (e *Element) Attr(space, local string) (string, bool) {
	for _, a := range e.Attrs {
		if a.Space == space && a.Local == local {
			return a.Value, true
		}
	}
	return "", false
}

// Children is the elements in an element. It is false where there is text beside them
// that is more than white space.
func (e *Element) Children() (all []*Element, ok bool) {
	for _, n := range e.Nodes {
		if n.Element != nil {
			all = append(all, n.Element)
		} else if strings.Trim(n.Text, " \t\n\r") != "" {
			return nil, false
		}
	}
	return all, true
}

// The tags of XML's grammar, with names of ASCII: other letters have look-alikes.
const (
	xmlSpace  = `[ \t\n]`
	xmlName   = `((?:[A-Za-z_][A-Za-z0-9_.-]*:)?[A-Za-z_][A-Za-z0-9_.-]*)`
	xmlEquals = xmlSpace + `*=` + xmlSpace + `*`
	xmlAttr   = xmlSpace + `+` + xmlName + xmlEquals + `(?:"([^"<]*)"|'([^'<]*)')`
)

var (
	startTag = regexp.MustCompile(`^<` + xmlName + `((?:` + xmlAttr + `)*)` + xmlSpace + `*(/?)>`)
	endTag   = regexp.MustCompile(`^</` + xmlName + xmlSpace + `*>`)
	attrs    = regexp.MustCompile(xmlAttr)
)

// Parse reads a document. A declaration may stand before the root if it says
// UTF-8, and white space around it; no more. Errors are an *[Error].
func Parse(in []byte) (*Element, error) {
	if !bytes.HasPrefix(bytes.TrimLeft(in, " \t\r\n"), []byte("<")) {
		return nil, say(CodeEncoding, "document", "it does not begin with a tag")
	}
	if err := checkCharacters(in); err != nil {
		return nil, err
	}
	r := &reader{in: in}
	for _, d := range []string{`<?xml version="1.0" encoding="UTF-8"?>`, `<?xml version='1.0' encoding='UTF-8'?>`} {
		if bytes.HasPrefix(in, []byte(d)) {
			r.at = len(d)
		}
	}
	r.space()
	root, err := r.element(nil, 1)
	if err != nil {
		return nil, err
	}
	if r.space(); r.at < len(in) {
		return nil, r.foreign("more after the root element")
	}
	return root, nil
}

// checkCharacters holds that all is UTF-8 in characters that XML 1.0 allows (its
// production 2), without carriage returns: those that a parser would turn into line
// feeds would read as another text than the bytes say.
func checkCharacters(in []byte) error {
	for i := 0; i < len(in); {
		c, n := utf8.DecodeRune(in[i:])
		switch {
		case c == utf8.RuneError && n <= 1:
			return fail(CodeCharacter, "document", i, "not UTF-8")
		case c == '\r':
			return fail(CodeLineEnding, "document", i, "a carriage return")
		case c < 0x20 && c != '\t' && c != '\n', c == 0xFFFE, c == 0xFFFF:
			return fail(CodeCharacter, "document", i, "the character %U", c)
		}
		i += n
	}
	return nil
}

// reader is a place in a document.
type reader struct {
	in       []byte
	at       int
	elements int
}

func (r *reader) space() {
	for r.at < len(r.in) && isSpace(r.in[r.at]) {
		r.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

// foreign is the error of what stands here: markup that the reader does not take, or
// else what is said.
func (r *reader) foreign(what string) error {
	for _, m := range []struct {
		mark, name string
		code       Code
	}{
		{"<!--", "a comment", CodeComment},
		{"<![CDATA[", "a CDATA section", CodeCDATA},
		{"<!", "a document type or a declaration", CodeDoctype},
		{"<?", "a processing instruction", CodeInstruction},
	} {
		if bytes.HasPrefix(r.in[r.at:], []byte(m.mark)) {
			return fail(m.code, "document", r.at, "%s", m.name)
		}
	}
	return fail(CodeXML, "document", r.at, "%s", what)
}

// element reads an element; the reader stands at its "<".
func (r *reader) element(parent *Element, depth int) (*Element, error) {
	if r.elements++; depth > maxDepth || r.elements > maxElements {
		return nil, fail(CodeLimit, "element", r.at, "number %d at depth %d, limits %d and %d", r.elements, depth, maxElements, maxDepth)
	}
	m := startTag.FindSubmatchIndex(r.in[r.at:])
	if m == nil {
		return nil, r.foreign("not the start of an element, or not an ended one")
	}
	e := &Element{Name: string(r.in[r.at+m[2] : r.at+m[3]]), Offset: r.at}
	if err := e.readAttributes(r.in[r.at+m[4]:r.at+m[5]], r.at+m[4]); err != nil {
		return nil, err
	}
	if err := e.resolve(parent); err != nil {
		return nil, err
	}
	empty := m[len(m)-1] > m[len(m)-2]
	if r.at += m[1]; empty {
		return e, nil
	}
	return e, r.content(e, depth)
}

// readAttributes takes apart what a start tag's expression has found to be attributes.
func (e *Element) readAttributes(raw []byte, offset int) error {
	for _, m := range attrs.FindAllSubmatchIndex(raw, maxAttributes+1) {
		a := Attribute{Name: string(raw[m[2]:m[3]]), Offset: offset + m[2]}
		from, to := max(m[4], m[6]), max(m[5], m[7]) // of the value, in one kind of quotes or the other
		if i := bytes.IndexAny(raw[from:to], "\t\n"); i >= 0 {
			return fail(CodeLineEnding, a.Name, offset+from+i, "a tab or a line break in a value")
		}
		if slices.ContainsFunc(e.Attrs, func(o Attribute) bool { return o.Name == a.Name }) {
			return fail(CodeAttribute, a.Name, a.Offset, "twice in one element")
		}
		var err error
		if a.Value, err = unescape(raw[from:to], offset+from); err != nil {
			return err
		}
		if e.Attrs = append(e.Attrs, a); len(e.Attrs) > maxAttributes {
			return fail(CodeLimit, e.Name, offset, "over %d attributes", maxAttributes)
		}
	}
	return nil
}

// content reads what is in an element, and its end tag.
func (r *reader) content(e *Element, depth int) error {
	for {
		n := bytes.IndexByte(r.in[r.at:], '<')
		if n < 0 {
			return fail(CodeXML, e.Name, e.Offset, "the element does not end")
		}
		if n > 0 {
			raw := r.in[r.at : r.at+n]
			if i := bytes.Index(raw, []byte("]]>")); i >= 0 {
				return fail(CodeXML, e.Name, r.at+i, "]]> in text")
			}
			text, err := unescape(raw, r.at)
			if err != nil {
				return err
			}
			e.Nodes = append(e.Nodes, Node{Text: text})
			r.at += n
		}
		if m := endTag.FindSubmatch(r.in[r.at:]); m != nil {
			if string(m[1]) != e.Name {
				return fail(CodeXML, e.Name, r.at, "the end of %q", m[1])
			}
			r.at += len(m[0])
			return nil
		}
		child, err := r.element(e, depth+1)
		if err != nil {
			return err
		}
		e.Nodes = append(e.Nodes, Node{Element: child})
	}
}

// resolve takes the namespace declarations from the attributes, and finds the
// namespaces of all names.
func (e *Element) resolve(parent *Element) error {
	if parent != nil {
		e.scope = parent.scope
	}
	declarations := slices.DeleteFunc(slices.Clone(e.Attrs), func(a Attribute) bool { return !a.declares() })
	e.Attrs = slices.DeleteFunc(e.Attrs, Attribute.declares)
	for _, a := range declarations {
		if err := e.declare(a); err != nil {
			return err
		}
	}
	var err error
	if e.Space, e.Local, err = e.lookup(e.Name, e.Offset); err != nil {
		return err
	}
	for i := range e.Attrs {
		a := &e.Attrs[i]
		if a.Local = a.Name; strings.Contains(a.Name, ":") { // without a prefix it is of no namespace, not of the default one
			if a.Space, a.Local, err = e.lookup(a.Name, a.Offset); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(e.Attrs, func(a, b Attribute) int { return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Local, b.Local)) })
	for i, a := range e.Attrs[min(1, len(e.Attrs)):] {
		if b := e.Attrs[i]; a.Space == b.Space && a.Local == b.Local {
			return fail(CodeAttribute, a.Name, a.Offset, "twice in one element, by two prefixes")
		}
	}
	return nil
}

func (a Attribute) declares() bool { return a.Name == "xmlns" || strings.HasPrefix(a.Name, "xmlns:") }

// lookup finds the namespace of a name. The prefix xml has none here: C14N 1.1 hands
// its attributes down to signed parts, and no manifest needs them.
func (e *Element) lookup(name string, offset int) (space, local string, err error) {
	prefix, local, ok := strings.Cut(name, ":")
	if !ok {
		prefix, local = "", name
	}
	for _, b := range e.scope {
		if b.prefix == prefix {
			return b.space, local, nil
		}
	}
	if prefix != "" {
		return "", "", fail(CodeNamespace, name, offset, "the prefix is not declared")
	}
	return "", local, nil
}

// declare takes a namespace declaration into the element's scope. A prefix keeps its
// meaning in all that is below its declaration: who reads a document by prefix reads
// the same as who reads it by namespace. Relative URIs have no canonical form (C14N
// 1.1, section 1.3); of the absolute ones those of http do.
func (e *Element) declare(a Attribute) error {
	_, prefix, _ := strings.Cut(a.Name, ":")
	if strings.HasPrefix(strings.ToLower(prefix), "xml") || strings.HasPrefix(a.Value, "http://www.w3.org/2000/xmlns/") ||
		strings.HasPrefix(a.Value, "http://www.w3.org/XML/1998/namespace") {
		return fail(CodeNamespace, a.Name, a.Offset, "%.96q is reserved", a.Value)
	}
	if !strings.HasPrefix(a.Value, "http://") && !strings.HasPrefix(a.Value, "https://") {
		return fail(CodeNamespace, a.Name, a.Offset, "%.96q is no URI of http", a.Value)
	}
	for _, b := range e.scope {
		if b.prefix == prefix && b.space != a.Value {
			return fail(CodeNamespace, a.Name, a.Offset, "declared anew, for %.96q", a.Value)
		}
		if b.prefix == prefix {
			return nil
		}
	}
	if len(e.scope) == maxNamespaces {
		return fail(CodeLimit, a.Name, a.Offset, "over %d namespaces", maxNamespaces)
	}
	e.scope = append(slices.Clip(e.scope), binding{prefix, a.Value})
	return nil
}

// unescape replaces the entities and numbers that C14N writes, which are all that a
// document needs, and refuses others.
func unescape(raw []byte, offset int) (string, error) {
	for i, c := range raw {
		known := func(s string) bool { return bytes.HasPrefix(raw[i:], []byte(s)) }
		if c == '&' && !slices.ContainsFunc([]string{"&amp;", "&lt;", "&gt;", "&quot;", "&#x9;", "&#xA;", "&#xD;"}, known) {
			return "", fail(CodeEntity, "document", offset+i, "%.12q", raw[i:])
		}
	}
	return escaped.Replace(string(raw)), nil
}

var escaped = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", `"`, "&#x9;", "\t", "&#xA;", "\n", "&#xD;", "\r")
