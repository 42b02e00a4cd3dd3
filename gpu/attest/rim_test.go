package attest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/attest/xmldsig"
)

func TestStructure(t *testing.T) {
	trust := fakeTrust(fakeChain(t))
	ok := fakeResource(7, true, 0xA7)
	edit := func(old, new string) string {
		if !strings.Contains(ok, old) {
			t.Fatalf("no %q", old)
		}
		return fakeRIM(fakeMeta, strings.Replace(ok, old, new, 1))
	}
	meta := func(old, new string) string { return fakeRIM(strings.Replace(fakeMeta, old, new, 1), ok) }
	whole := func(old, new string) string { return strings.Replace(fakeRIM(fakeMeta, ok), old, new, 1) }
	payload := func(resources ...string) string {
		return `<ns0:Payload>` + strings.Join(resources, "") + `</ns0:Payload>`
	}
	count := func(n int) []string {
		var all []string
		for i := range n {
			all = append(all, fakeResource(i, true, 1))
		}
		return all
	}
	hash := strings.Repeat("a7", 48)
	sixteen := bytes.Repeat([]byte{1}, maxAlternatives)
	tests := []struct {
		name, in string
		want     Code // empty: none
	}{
		{"plain", fakeRIM(fakeMeta, ok), ""},
		{"an entity and a link", whole(fakeMeta, fakeMeta+`<ns0:Entity name="x"></ns0:Entity><ns0:Link></ns0:Link>`), ""},
		{"no meta", fakeRIM("", ok), CodeRIMMeta},
		{"two metas", fakeRIM(fakeMeta+fakeMeta, ok), CodeRIMMeta},
		{"meta in the payload", fakeRIM("", ok+fakeMeta), CodeRIMMeta},
		{"meta of another namespace", fakeRIM(strings.ReplaceAll(fakeMeta, "ns0:", "ns2:"), ok), CodeRIMStructure},
		{"no version", meta(` colloquialVersion="550.90.07"`, ""), CodeRIMColloquial},
		{"empty version", meta("550.90.07", ""), CodeRIMColloquial},
		{"long version", meta("550.90.07", strings.Repeat("5", maxRIMText+1)), CodeRIMColloquial},
		{"version of another namespace", meta(` colloquialVersion="550.90.07" edition="GPU" product="GH100"`, ` edition="GPU" product="GH100" ns0:colloquialVersion="550.90.07"`), CodeRIMColloquial},
		{"no edition", meta(` edition="GPU"`, ""), CodeRIMMeta},
		{"no product", meta(` product="GH100"`, ""), CodeRIMMeta},
		{"no name", whole(` name="GH100"`, ""), CodeRIMTag},
		{"no id", whole(` tagId="0001"`, ""), CodeRIMTag},

		{"no payload", whole(`<ns0:Payload xmlns:SHA384="`+spaceSHA384+`">`+ok+"</ns0:Payload>", ""), CodeRIMPayload},
		{"two payloads", whole("</ns0:Payload>", "</ns0:Payload>"+payload(ok)), CodeRIMPayload},
		{"payload in a payload", whole(ok, ok+payload(ok)), CodeRIMStructure},
		{"payload in meta alone", fakeRoot + strings.Replace(fakeMeta, "></", ">"+payload(ok)+"</", 1) + fakeTail, CodeRIMPayload},
		{"resource outside", whole(fakeTail, ok+fakeTail), CodeRIMStructure},
		{"evidence beside the payload", whole(fakeTail, "<ns0:Evidence></ns0:Evidence>"+fakeTail), CodeRIMStructure},
		{"text beside the payload", whole(fakeTail, "x"+fakeTail), CodeRIMStructure},
		{"text in the payload", whole(ok, "x"+ok), CodeRIMStructure},
		{"a directory in the payload", whole(ok, "<ns0:Directory>"+ok+"</ns0:Directory>"), CodeRIMStructure},
		{"resource of another namespace", whole(ok, strings.ReplaceAll(ok, "ns0:", "ns2:")), CodeRIMStructure},
		{"resource with content", edit("></", "> </"), CodeRIMStructure},
		{"empty payload", fakeRIM(fakeMeta), CodeRIMPayloadEmpty},
		{"payload of space", fakeRIM(fakeMeta, " ", " "), CodeRIMPayloadEmpty},
		{"most measurements", fakeRIM(fakeMeta, count(maxRIMIndex+1)...), ""},
		{"an index too many", fakeRIM(fakeMeta, count(maxRIMIndex+2)...), CodeRIMIndex},
		{"too many measurements", fakeRIM(fakeMeta, count(maxMeasurements+1)...), CodeRIMMeasurements},

		{"other type", edit("Measurement\"", "File\""), CodeRIMType},
		{"no type", edit(` type="Measurement"`, ""), CodeRIMType},
		{"no index", edit(` index="7"`, ""), CodeRIMIndex},
		{"index no number", edit(`index="7"`, `index="abc"`), CodeRIMIndex},
		{"index below 0", edit(`index="7"`, `index="-1"`), CodeRIMIndex},
		{"index with a sign", edit(`index="7"`, `index="+7"`), CodeRIMIndex},
		{"index with a zero before", edit(`index="7"`, `index="07"`), CodeRIMIndex},
		{"index with a space", edit(`index="7"`, `index=" 7"`), CodeRIMIndex},
		{"index out of range", edit(`index="7"`, `index="99999999999999999999"`), CodeRIMIndex},
		{"index twice", fakeRIM(fakeMeta, ok, fakeResource(8, true, 1), fakeResource(7, false, 2)), CodeRIMIndexDuplicate},
		{"active in another case", edit(`active="True"`, `active="true"`), CodeRIMActive},
		{"active missing", edit(`active="True" `, ``), CodeRIMActive},
		{"no alternatives", edit(` alternatives="1"`, ""), CodeRIMAlternatives},
		{"alternatives no number", edit(`alternatives="1"`, `alternatives="xyz"`), CodeRIMAlternatives},
		{"alternatives of none", edit(`alternatives="1"`, `alternatives="0"`), CodeRIMAlternatives},
		{"most alternatives", fakeRIM(fakeMeta, fakeResource(7, true, sixteen...)), ""},
		{"too many alternatives", fakeRIM(fakeMeta, fakeResource(7, true, append(sixteen, 1)...)), CodeRIMAlternatives},
		{"fewer digests than alternatives", edit(`alternatives="1"`, `alternatives="2"`), CodeRIMHash},
		{"more digests than alternatives", edit(` ns2:Hash0="`+hash+`"`, ` ns2:Hash0="`+hash+`" ns2:Hash1="`+hash+`"`), CodeRIMHashAlternatives},
		{"a digest of another name", edit(` ns2:Hash0="`+hash+`"`, ` ns2:Hash="`+hash+`" ns2:Hash0="`+hash+`"`), CodeRIMHashAlternatives},
		{"a digest left out", edit(`ns2:Hash0`, `ns2:Hash1`), CodeRIMHash},
		{"no digest", edit(` ns2:Hash0="`+hash+`"`, ``), CodeRIMHash},
		{"digest of no namespace", strings.Replace(edit(` ns2:Hash0="`+hash+`"`, ``), ` active=`, ` Hash0="`+hash+`" active=`, 1), CodeRIMHashNamespace},
		{"no size", edit(` size="48"`, ""), CodeRIMSize},
		{"size no number", edit(`size="48"`, `size="abc"`), CodeRIMSize},
		{"size of none", edit(`size="48"`, `size="0"`), CodeRIMSize},
		{"size out of range", edit(`size="48"`, `size="65"`), CodeRIMSize},
		{"size of a shorter digest", edit(`size="48"`, `size="32"`), CodeRIMHash},
		{"shorter digest of that size", strings.Replace(edit(`size="48"`, `size="32"`), hash, hash[:64], 1), ""},
		{"digest cut", edit(hash, hash[:95]), CodeRIMHash},
		{"digest not in hex", edit(hash, "g"+hash[1:]), CodeRIMHash},
		{"digest with a space", edit(hash, " "+hash[1:]), CodeRIMHash},
		{"digest in capitals", edit(hash, strings.ToUpper(hash)), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseRIM([]byte(signing{}.sign(t, tt.in)), trust)
			if tt.want != "" {
				wantCode(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// says is all that a manifest says.
func says(r *RIM) string {
	var certs strings.Builder
	for _, c := range r.Chain {
		fmt.Fprintf(&certs, "%x ", c.Raw)
	}
	return fmt.Sprintf("%s %s %s %s %s %v %v %v %s", r.Name, r.Version, r.TagID, r.Edition, r.Product, r.Measurements, r.Expires, r.Simulated, certs.String())
}

// sameOrRefused holds that a changed document is refused, or says the same: that its
// canonical form is the signed one.
func sameOrRefused(t testing.TB, in []byte, trust Trust, want *RIM, canon []byte) (taken bool) {
	t.Helper()
	r, err := ParseRIM(in, trust)
	if err != nil {
		return false
	}
	if says(r) != says(want) {
		t.Errorf("it says %s\nof %q", says(r), in)
	}
	doc, err := xmldsig.Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := doc.Children()
	if got := xmldsig.Canonical(doc, all[len(all)-1]); !bytes.Equal(got, canon) {
		t.Errorf("the canonical form is\n%s\nof %q", got, in)
	}
	return true
}

// No byte of a signed document can be changed to change what it says.
func TestFlips(t *testing.T) {
	trust := fakeTrust(fakeChain(t))
	canon := fakeRIM(fakeMeta, fakeResource(7, true, 0xA7), fakeResource(9, false, 0))
	doc := []byte(strings.Replace(signing{}.sign(t, canon), "><ds:SignatureValue", ">\n <ds:SignatureValue", 1))
	want, err := ParseRIM(doc, trust)
	if err != nil {
		t.Fatal(err)
	}
	taken, step := 0, 1
	if testing.Short() {
		step = 7
	}
	for i := 0; i < len(doc); i += step {
		for _, flip := range []byte{1 << (i % 8), doc[i] ^ ' '} { // a bit, and to a space
			if flip == 0 {
				continue
			}
			in := bytes.Clone(doc)
			in[i] ^= flip
			if sameOrRefused(t, in, trust, want, []byte(canon)) {
				taken++
			}
		}
	}
	// Spaces between attributes, around the signature's parts and in its base64.
	if t.Logf("%d bytes; %d changes taken", len(doc), taken); taken == 0 && step == 1 || taken > 200 {
		t.Errorf("%d changes taken", taken)
	}
}

// A document whose parts were cut, doubled, moved or exchanged says the same, or nothing.
func TestMutations(t *testing.T) {
	trust := fakeTrust(fakeChain(t))
	canon := plainRIM()
	doc := []byte(signing{}.sign(t, canon))
	want, err := ParseRIM(doc, trust)
	if err != nil {
		t.Fatal(err)
	}
	// Tags and texts, with a few pieces of XML more.
	var parts [][]byte
	for rest := doc; len(rest) > 0; {
		n := bytes.IndexByte(rest[1:], '<')
		if rest[0] == '<' {
			n = bytes.IndexByte(rest, '>')
		}
		if n++; n == 0 {
			n = len(rest)
		}
		parts, rest = append(parts, rest[:n]), rest[n:]
	}
	extra := []string{"<!---->", "<?x?>", "<![CDATA[x]]>", "&amp;", " ", "\n", "<x/>", ` xmlns="http://x"`, "<ds:Object>", "</ds:Object>", "</ns0:Payload>"}
	rng := rand.New(rand.NewPCG(1, 2))
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	taken := 0
	for range rounds {
		in := make([][]byte, len(parts))
		copy(in, parts)
		for range 1 + rng.IntN(3) {
			i, j := rng.IntN(len(in)), rng.IntN(len(in))
			switch rng.IntN(5) {
			case 0:
				in[i] = nil
			case 1:
				in[i] = bytes.Repeat(in[i], 2)
			case 2:
				in[i], in[j] = in[j], in[i]
			case 3:
				in[i] = append(bytes.Clone(in[i]), extra[rng.IntN(len(extra))]...)
			case 4: // a run of parts to another place
				k := min(j+rng.IntN(12), len(in))
				in[i] = append(bytes.Clone(in[i]), bytes.Join(in[j:k], nil)...)
			}
		}
		if sameOrRefused(t, bytes.Join(in, nil), trust, want, []byte(canon)) {
			taken++
		}
	}
	if t.Logf("%d of %d documents taken", taken, rounds); taken > rounds/4 {
		t.Errorf("%d documents taken", taken)
	}
}

// FuzzRIM: nothing panics, what is refused says why, and nothing but the two seeds'
// content is ever taken.
func FuzzRIM(f *testing.F) {
	trust := fakeTrust(fakeChain(f))
	canon := []string{plainRIM(), fakeRIM(fakeMeta, fakeResource(0, true, 1, 2, 3, 4))}
	var want []*RIM
	for _, c := range canon {
		doc := signing{}.sign(f, c)
		r, err := ParseRIM([]byte(doc), trust)
		if err != nil {
			f.Fatal(err)
		}
		want = append(want, r)
		f.Add([]byte(doc))
		f.Add([]byte(c))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ParseRIM(in, trust)
		if err != nil {
			if why, ok := err.(*Reason); !ok || why.Code == "" {
				t.Errorf("%T %v", err, err)
			}
		} else if says(r) != says(want[0]) && says(r) != says(want[1]) {
			t.Errorf("%s", says(r))
		}
		doc, err := xmldsig.Parse(in)
		if err != nil {
			return
		}
		if _, err := readRIM(doc); err != nil && reflect.TypeOf(err) != reflect.TypeFor[*Reason]() {
			t.Errorf("%T %v", err, err)
		}
	})
}
