package attest_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	. "github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

// region is the part of a report that a byte is of, with the codes that a change there
// may give, one of which must come. A change that still parses is always a false
// signature too.
type region struct {
	end   int
	name  string
	codes []Code
}

func regions(r *Report, size int) []region {
	opaque := len(r.Signed) - 2
	for _, f := range r.Opaque.Fields {
		opaque -= len(f.Data)
	}
	header := 4
	if r.Opaque.Format == FormatNVDAOD {
		header, opaque = 6, opaque-12
	}
	opaque -= header * len(r.Opaque.Fields)

	out := []region{
		{1, "request version", []Code{CodeReportVersion}},
		{2, "request code", []Code{CodeReportMessage}},
		{3, "request param1", []Code{CodeReportUnsigned}},
		{4, "request param2", []Code{CodeReportOperation}},
		{36, "nonce", []Code{CodeNonceMismatch}},
		{37, "slot", []Code{CodeReportSlot, CodeSignature}},
		{38, "response version", []Code{CodeReportVersion}},
		{39, "response code", []Code{CodeReportMessage}},
		{41, "response params", []Code{CodeReportParam}},
		{42, "number of blocks", []Code{CodeReportLength}},
		{45, "record length", []Code{CodeReportLength, CodeReportTruncated}},
	}
	add := func(n int, name string, codes ...Code) {
		out = append(out, region{out[len(out)-1].end + n, name, codes})
	}
	for _, b := range r.Blocks {
		add(1, "block index", CodeReportIndexDuplicate, CodeReportIndexOrder, CodeSignature)
		add(1, "block specification", CodeReportSpec)
		add(2, "block size", CodeReportBlockSize)
		add(1, "block type", CodeSignature)
		add(2, "value size", CodeReportBlockSize)
		add(len(b.Value), "value", CodeSignature)
	}
	add(32, "responder nonce", CodeSignature)
	inOpaque := []Code{
		CodeOpaqueTruncated, CodeOpaqueDuplicate, CodeOpaqueVersion, CodeOpaqueLength, CodeOpaqueText, CodeOpaqueValue, CodeOpaqueCount,
		CodeFWIDMismatch, CodeSignature,
	}
	// A longer opaque data reaches into the signature, a shorter one leaves part of it.
	add(2, "opaque length", append(inOpaque, CodeReportTruncated, CodeReportTrailing)...)
	add(len(r.Signed)-out[len(out)-1].end, "opaque data", inOpaque...)
	add(96, "signature", CodeSignature)
	return out
}

// No byte of a report can be changed: each is refused with a reason that fits where it
// is, and graded none. Of what still parses the byte is among the signed ones, and the
// signature is false; of the long digests of cards that is tried for every 7th byte. The
// whole of Verify is run for every 61st byte: the chain does not change.
func TestFlipEveryByte(t *testing.T) {
	m := synthetic.New([32]byte{1})
	cases := map[string]synthetic.CardConfig{
		"hopper nvdaod": {Kind: synthetic.Hopper, Format: FormatNVDAOD},
	}
	for _, k := range kinds {
		cases[k.String()] = synthetic.CardConfig{Kind: k}
	}
	for name, cfg := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stride := 1
			if testing.Short() {
				stride = 17
			}
			e := m.Card(cfg).Sign([32]byte{7})
			r, err := ParseReport(e.Report)
			if err != nil {
				t.Fatal(err)
			}
			chain, err := ParseChain(e.Chain)
			if err != nil {
				t.Fatal(err)
			}
			all, at := regions(r, len(e.Report)), 0
			if end := all[len(all)-1].end; end != len(e.Report) {
				t.Fatalf("regions end at %d of %d", end, len(e.Report))
			}
			b := bytes.Clone(e.Report)
			for i := 0; i < len(b); i += stride {
				for i >= all[at].end {
					at++
				}
				b[i] ^= 1 << (i % 8)
				var codes []Code
				if r, err := ParseReport(b); err != nil {
					codes = []Code{reason(t, err).Code}
				} else if !bytes.Equal(r.Signed, b[:len(b)-96]) {
					t.Fatalf("byte %d (%s): %d bytes are signed", i, all[at].name, len(r.Signed))
				} else if cfg.Kind <= synthetic.Blackwell && all[at].name == "value" && i%7 > 0 || !SignedBy(r, chain) {
					codes = []Code{CodeSignature}
					if r.Nonce != *e.Nonce {
						codes = append(codes, CodeNonceMismatch)
					}
				}
				if i%61 == 0 {
					res := Verify(Evidence{Report: b, Chain: e.Chain, Nonce: e.Nonce}, m.Trust(), Reference{})
					if codes = rejections(t, res); res.Holds() || res.Grade != GradeNone {
						t.Fatalf("byte %d (%s): %+v", i, all[at].name, res)
					}
				}
				if !slices.ContainsFunc(codes, func(c Code) bool { return slices.Contains(all[at].codes, c) }) {
					t.Errorf("byte %d (%s): %v, want one of %v", i, all[at].name, codes, all[at].codes)
				}
				b[i] = e.Report[i]
			}
		})
	}
}

// The same of chains: no byte of five certificates can be changed.
func TestFlipChain(t *testing.T) {
	m := synthetic.New([32]byte{1})
	stride := 5
	if testing.Short() {
		stride = 101
	}
	for _, k := range []synthetic.Kind{synthetic.Hopper, synthetic.Blackwell} {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			e := m.Card(synthetic.CardConfig{Kind: k}).Sign([32]byte{7})
			b := bytes.Clone(e.Chain)
			for i := 0; i < len(b); i += stride {
				b[i] ^= 1 << (i % 8)
				res := Verify(Evidence{Report: e.Report, Chain: b, Nonce: e.Nonce}, m.Trust(), Reference{})
				codes := rejections(t, res)
				if res.ChainOK || res.Grade != GradeNone || res.DeviceID != [32]byte{} || len(codes) == 0 {
					t.Fatalf("byte %d: %+v", i, res)
				}
				for _, c := range codes {
					// A byte of the first certificate may be its key's or its firmware's.
					if s := string(c); !strings.HasPrefix(s, "chain-") && !strings.HasPrefix(s, "fwid-") && c != CodeSignature && c != CodePDI {
						t.Errorf("byte %d: %s", i, c)
					}
				}
				b[i] = e.Chain[i]
			}
		})
	}
}
