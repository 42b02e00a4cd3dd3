package xmldsig

import "testing"

// Vectors by the rules of Canonical XML 1.1, section 2.3, in the subset of the reader.
func TestCanonical(t *testing.T) {
	const d, e, f = `xmlns="http://d"`, `xmlns:e="http://e"`, `xmlns:f="http://f"`
	tests := []struct{ name, in, want string }{
		{"empty element", `<a/>`, `<a></a>`},
		{"space in tags", "<a\n  b = \"1\"\t></a  >", `<a b="1"></a>`},
		{"single quotes", `<a b='"'/>`, `<a b="&quot;"></a>`},
		{"declaration and space around", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a/>\n", `<a></a>`},
		{"text is kept", "<a>\n  <b/> x\t\n</a>", "<a>\n  <b></b> x\t\n</a>"},
		{"attributes by name", `<a c="1" b="2" B="3"/>`, `<a B="3" b="2" c="1"></a>`},
		// After C14N 1.1, section 3.3: no namespace first, then by namespace, not by prefix.
		{
			"attributes by namespace",
			`<x xmlns:a="http://www.w3.org" xmlns:b="http://www.ietf.org" ` + d + ` a:attr="out" b:attr="sorted" attr2="all" attr="I'm"/>`,
			`<x ` + d + ` xmlns:a="http://www.w3.org" xmlns:b="http://www.ietf.org" attr="I'm" attr2="all" b:attr="sorted" a:attr="out"></x>`,
		},
		{"namespaces by prefix, the default first", `<x ` + f + ` ` + e + ` b="1" ` + d + `/>`, `<x ` + d + ` ` + e + ` ` + f + ` b="1"></x>`},
		{"namespaces said again", `<e:x ` + e + `><e:y ` + e + ` ` + f + `><f:z ` + f + ` ` + e + `/></e:y></e:x>`, `<e:x ` + e + `><e:y ` + f + `><f:z></f:z></e:y></e:x>`},
		{"the default one said again", `<x ` + d + `><y ` + d + `/></x>`, `<x ` + d + `><y></y></x>`},
		{"unused namespaces stay", `<x ` + e + `/>`, `<x ` + e + `></x>`},
		{"siblings each declare", `<x><e:y ` + e + `/><e:y ` + e + `/></x>`, `<x><e:y ` + e + `></e:y><e:y ` + e + `></e:y></x>`},
		{"escapes in text", `<a>&amp; &lt; &gt; > &quot; " ' &#x9;&#xA;&#xD;</a>`, "<a>&amp; &lt; &gt; &gt; \" \" ' \t\n&#xD;</a>"},
		{"escapes in values", `<a b="&amp; &lt; &gt; > &quot; ' &#x9;&#xA;&#xD;"/>`, `<a b="&amp; &lt; > > &quot; ' &#x9;&#xA;&#xD;"></a>`},
		{"escapes in namespaces", `<a xmlns="http://d/?a&amp;b"/>`, `<a xmlns="http://d/?a&amp;b"></a>`},
		{"escapes once", `<a>&amp;amp; &amp;#xD;</a>`, `<a>&amp;amp; &amp;#xD;</a>`},
		{"other letters", `<a b="ü">中 𝄞</a>`, `<a b="ü">中 𝄞</a>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Parse([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			got := Canonical(e, nil)
			if string(got) != tt.want {
				t.Fatalf("got  %s\nwant %s", got, tt.want)
			}
			again, err := Parse(got)
			if err != nil {
				t.Fatalf("the canonical form: %v", err)
			}
			if twice := Canonical(again, nil); string(twice) != tt.want {
				t.Errorf("twice: %s", twice)
			}
		})
	}
}

// A part of a document takes its ancestors' namespaces along, used or not; the part
// left out takes nothing with it but itself.
func TestCanonicalSubset(t *testing.T) {
	in := `<r xmlns="http://d" xmlns:z="http://z" a="1"> <z:s xmlns:b="http://b"> <b:i xmlns:c="http://c" z:k="2"><j/></b:i> </z:s> <t/>.</r>`
	doc, err := Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	all, ok := doc.Nodes[1].Element.Children()
	if !ok || len(all) != 1 {
		t.Fatal(all, ok)
	}
	want := `<b:i xmlns="http://d" xmlns:b="http://b" xmlns:c="http://c" xmlns:z="http://z" z:k="2"><j></j></b:i>`
	if got := Canonical(all[0], nil); string(got) != want {
		t.Errorf("the part\n%s\nwant\n%s", got, want)
	}
	want = `<r xmlns="http://d" xmlns:z="http://z" a="1">  <t></t>.</r>`
	if got := Canonical(doc, doc.Nodes[1].Element); string(got) != want {
		t.Errorf("the rest\n%s\nwant\n%s", got, want)
	}
}
