package xmldsig

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// wantCode holds that err is an *Error of a code.
func wantCode(t testing.TB, err error, want Code) {
	t.Helper()
	if got, ok := errors.AsType[*Error](err); !ok || got.Code != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestParseRefuses(t *testing.T) {
	nest := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	many := func(n int, s string) string { // an element with n attributes
		var b strings.Builder
		for i := range n {
			b.WriteString(" " + s + string(rune('a'+i/26)) + string(rune('a'+i%26)) + `="http://x"`)
		}
		return "<a" + b.String() + "/>"
	}
	tests := []struct {
		name, in string
		want     Code
	}{
		{"nothing", ``, CodeEncoding},
		{"text", `hello`, CodeEncoding},
		{"byte order mark", "\ufeff<a/>", CodeEncoding},
		{"UTF-16", "\xff\xfe<\x00a\x00/\x00>\x00", CodeEncoding},
		{"not UTF-8", "<a>\xff</a>", CodeCharacter},
		{"overlong UTF-8", "<a>\xc0\xbc</a>", CodeCharacter},
		{"half of a pair", "<a>\xed\xa0\x80</a>", CodeCharacter},
		{"zero", "<a>\x00</a>", CodeCharacter},
		{"control character", "<a b='\x1b'/>", CodeCharacter},
		{"no character", "<a>\uffff</a>", CodeCharacter},
		{"carriage return", "<a>\r\n</a>", CodeLineEnding},
		{"carriage return in a tag", "<a\r/>", CodeLineEnding},
		{"tab in a value", "<a b='x\ty'/>", CodeLineEnding},
		{"line break in a value", "<a b='x\ny'/>", CodeLineEnding},
		{"line break in a namespace", "<a xmlns='http://x\n'/>", CodeLineEnding},

		{"document type", `<!DOCTYPE a><a/>`, CodeDoctype},
		{"entities", `<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>`, CodeDoctype},
		{"default attribute", `<!DOCTYPE a [<!ATTLIST a b CDATA "x">]><a/>`, CodeDoctype},
		{"document type within", `<a><!DOCTYPE a></a>`, CodeDoctype},
		{"document type after", `<a/><!DOCTYPE a>`, CodeDoctype},
		{"instruction", `<a><?x y?></a>`, CodeInstruction},
		{"instruction before", `<?x y?><a/>`, CodeInstruction},
		{"instruction after", `<a/><?x y?>`, CodeInstruction},
		{"another encoding", `<?xml version="1.0" encoding="ISO-8859-1"?><a/>`, CodeInstruction},
		{"XML 1.1", `<?xml version="1.1" encoding="UTF-8"?><a/>`, CodeInstruction},
		{"declaration after a space", ` <?xml version="1.0" encoding="UTF-8"?><a/>`, CodeInstruction},
		{"two declarations", `<?xml version="1.0" encoding="UTF-8"?><?xml version="1.0" encoding="UTF-8"?><a/>`, CodeInstruction},
		{"comment", `<a>x<!-- -->y</a>`, CodeComment},
		{"comment before", `<!-- --><a/>`, CodeComment},
		{"comment after", `<a/><!-- -->`, CodeComment},
		{"CDATA", `<a><![CDATA[x]]></a>`, CodeCDATA},
		{"entity", `<a>&apos;</a>`, CodeEntity},
		{"unknown entity", `<a b="&x;"/>`, CodeEntity},
		{"number of a letter", `<a b="&#65;"/>`, CodeEntity},
		{"number of a space", `<a b="&#x20;"/>`, CodeEntity},
		{"number in another case", `<a b="&#xd;"/>`, CodeEntity},
		{"bare ampersand", `<a>&</a>`, CodeEntity},
		{"entity without an end", `<a>&amp</a>`, CodeEntity},

		{"attribute twice", `<a b="1" c="2" b="1"/>`, CodeAttribute},
		{"attribute twice by two prefixes", `<a xmlns:x="http://x" xmlns:y="http://x" x:b="1" y:b="2"/>`, CodeAttribute},
		{"attribute twice by an outer prefix", `<a xmlns:x="http://x"><a xmlns:y="http://x" y:b="1" x:b="2"/></a>`, CodeAttribute},
		{"namespace twice", `<a xmlns:x="http://x" xmlns:x="http://x"/>`, CodeAttribute},
		{"namespace twice below another", `<a xmlns:x="http://x"><b xmlns:x="http://x" xmlns:x="http://x"/></a>`, CodeAttribute},
		{"default namespace twice", `<a xmlns="http://x" xmlns="http://x"/>`, CodeAttribute},
		{"undeclared prefix", `<x:a/>`, CodeNamespace},
		{"undeclared prefix of an attribute", `<a x:b="1"/>`, CodeNamespace},
		{"prefix of a sibling", `<a><b xmlns:x="http://x"/><x:b/></a>`, CodeNamespace},
		{"prefix declared anew", `<a xmlns:x="http://x"><b xmlns:x="http://y"/></a>`, CodeNamespace},
		{"default declared anew", `<a xmlns="http://x"><b xmlns="http://y"/></a>`, CodeNamespace},
		{"default taken back", `<a xmlns="http://x"><b xmlns=""/></a>`, CodeNamespace},
		{"prefix taken back", `<a xmlns:x="http://x"><b xmlns:x=""/></a>`, CodeNamespace},
		{"relative namespace", `<a xmlns:x="x/y"/>`, CodeNamespace},
		{"xml:lang", `<a xml:lang="en"/>`, CodeNamespace},
		{"xml:base", `<a xml:base="http://x"/>`, CodeNamespace},
		{"element of xml", `<xml:a/>`, CodeNamespace},
		{"element of xmlns", `<xmlns:a/>`, CodeNamespace},
		{"xml declared", `<a xmlns:xml="http://www.w3.org/XML/1998/namespace"/>`, CodeNamespace},
		{"xml's namespace by another name", `<a xmlns:x="http://www.w3.org/XML/1998/namespace" x:lang="en"/>`, CodeNamespace},
		{"xmlns declared", `<a xmlns:xmlns="http://x"/>`, CodeNamespace},
		{"xmlns' namespace as the default", `<a xmlns="http://www.w3.org/2000/xmlns/"/>`, CodeNamespace},

		{"not ended", `<a>`, CodeXML},
		{"tag not ended", `<a`, CodeXML},
		{"value not ended", `<a b="1/>`, CodeXML},
		{"end of another", `<a><b></a></b>`, CodeXML},
		{"end by another prefix", `<x:a xmlns:x="http://x" xmlns:y="http://x"></y:a>`, CodeXML},
		{"end with an attribute", `<a></a b="1">`, CodeXML},
		{"end alone", `</a>`, CodeXML},
		{"two roots", `<a/><a/>`, CodeXML},
		{"text after", `<a/>x`, CodeXML},
		{"space before the name", `< a/>`, CodeXML},
		{"no space before an attribute", `<a b="1"c="2"/>`, CodeXML},
		{"no quotes", `<a b=1/>`, CodeXML},
		{"no value", `<a b/>`, CodeXML},
		{"less-than in a value", `<a b="<"/>`, CodeXML},
		{"]]> in text", `<a>]]></a>`, CodeXML},
		{"letters beyond ASCII in a name", "<а/>", CodeXML}, // Cyrillic
		{"name that begins with a digit", `<1a/>`, CodeXML},
		{"two colons", `<a:b:c xmlns:a="http://x"/>`, CodeXML},
		{"no local name", `<a: xmlns:a="http://x"/>`, CodeXML},
		{"no prefix", `<:a/>`, CodeXML},
		{"namespace of an empty prefix", `<a xmlns:="http://x"/>`, CodeXML},

		{"too deep", nest(maxDepth + 1), CodeLimit},
		{"too many elements", "<a>" + strings.Repeat("<a/>", maxElements) + "</a>", CodeLimit},
		{"too many attributes", many(maxAttributes+1, "b"), CodeLimit},
		{"too many namespaces", many(maxNamespaces+1, "xmlns:"), CodeLimit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.in))
			wantCode(t, err, tt.want)
		})
	}
	for _, in := range []string{
		nest(maxDepth), "<a>" + strings.Repeat("<a/>", maxElements-1) + "</a>", many(maxAttributes, "b"), many(maxNamespaces, "xmlns:"),
	} {
		if _, err := Parse([]byte(in)); err != nil {
			t.Errorf("at a limit: %v", err)
		}
	}
}

func TestOffsets(t *testing.T) {
	_, err := Parse([]byte("<a>\n <b c='1' c='1'/></a>"))
	r, ok := err.(*Error)
	if !ok || r.Offset != 14 || r.Field != "c" {
		t.Errorf("got %+v, want field c at 14", r)
	}
}

// FuzzParse: nothing panics, what is refused says why, and what is taken Go's own
// parser reads alike, and so does this one from its canonical form.
func FuzzParse(f *testing.F) {
	for _, in := range []string{
		`<a/>`, `<?xml version="1.0" encoding="UTF-8"?><a b='1' c = "2">&amp;x<b/> </a>`, `<x:a xmlns:x="http://x" x:y="&#xD;"><x:b xmlns="http://z"/></x:a>`,
		`<a><!-- --></a>`, `<!DOCTYPE a><a/>`, `<a b="1" b="2"/>`, `<a xmlns:b="http://b" b:c="1"><d xmlns:b="http://b"/>]]&gt;</a>`,
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		doc, err := Parse(in)
		if err != nil {
			if why, ok := err.(*Error); !ok || why.Code == "" {
				t.Errorf("%T %v", err, err)
			}
			return
		}
		once := Canonical(doc, nil)
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("canonical form %q: %v", once, err)
		}
		if twice := Canonical(again, nil); !bytes.Equal(once, twice) {
			t.Errorf("canonical form\n%q, of it\n%q", once, twice)
		}
		sameAsGo(t, in, doc)
		sameAsGo(t, once, doc)
		if _, err := Open(doc); err != nil {
			if why, ok := err.(*Error); !ok || why.Code == "" {
				t.Errorf("%T %v", err, err)
			}
		}
	})
}

// sameAsGo holds that Go's own parser, strict as it is, reads the same names, values
// and texts. It is no measure of what to refuse: it takes more.
func sameAsGo(t testing.TB, in []byte, doc *Element) {
	t.Helper()
	var ours, theirs []string
	var walk func(e *Element)
	walk = func(e *Element) {
		ours = append(ours, e.Space+" "+e.Local)
		for _, a := range e.Attrs {
			ours = append(ours, a.Space+" "+a.Local+"="+a.Value)
		}
		for _, n := range e.Nodes {
			if n.Element != nil {
				walk(n.Element)
			} else {
				ours = append(ours, n.Text)
			}
		}
		ours = append(ours, "end")
	}
	walk(doc)
	d := xml.NewDecoder(bytes.NewReader(in))
	for depth := 0; ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("encoding/xml: %v, of %q", err, in)
		}
		switch x := token.(type) {
		case xml.StartElement:
			depth++
			theirs = append(theirs, x.Name.Space+" "+x.Name.Local)
			var attrs []string
			x.Attr = slices.DeleteFunc(x.Attr, func(a xml.Attr) bool { return a.Name.Space == "xmlns" || a.Name.Local == "xmlns" && a.Name.Space == "" })
			slices.SortFunc(x.Attr, func(a, b xml.Attr) int {
				return cmp.Or(cmp.Compare(a.Name.Space, b.Name.Space), cmp.Compare(a.Name.Local, b.Name.Local))
			})
			for _, a := range x.Attr {
				attrs = append(attrs, a.Name.Space+" "+a.Name.Local+"="+a.Value)
			}
			theirs = append(theirs, attrs...)
		case xml.EndElement:
			depth--
			theirs = append(theirs, "end")
		case xml.CharData:
			if depth > 0 {
				theirs = append(theirs, string(x))
			}
		}
	}
	if !slices.Equal(ours, theirs) {
		t.Errorf("read\n%q, encoding/xml\n%q, of %q", ours, theirs, in)
	}
}
