package challenges

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges/memory"
)

// messages has one valid value of every message. Byte strings of 16, 32 and 64
// bytes are the fixed ones, lists have at most three elements and structs at
// least four (the outermost excepted), so that a mutator can tell them apart.
func messages() []any {
	h := func(b byte) Hash { return Hash(bytes.Repeat([]byte{b}, 32)) }
	e, secret := testChallenge(2, 1e8)
	var c Challenge
	if err := Unmarshal(e.Payload, &c); err != nil {
		panic(err)
	}
	return []any{
		&e, &c,
		&ComputeParams{Profile: 1, Window: 2, Claim: 1e9, RTT: 1e6}, &ProbeParams{Pings: 5},
		&RootFrame{Type: typeRoot, Round: 300, Root: h(1), Key: h(2), Mono: 1e9},
		&PositionsFrame{Type: typePositions, Round: 2, Positions: []byte{1, 0, 0, 0, 2, 0, 0, 0}},
		&OpeningFrame{Type: typeOpening, Round: 2, Request: h(3), Part: 1, Data: bytes.Repeat([]byte{7}, 1000)},
		&ResultFrame{Type: typeResult, Core: Core{Challenge: h(4), Device: "gpu0", Roots: []Hash{h(5), h(6)}, Telemetry: []byte{}}},
		&RefusalFrame{Type: typeRefusal, Reason: ReasonQuota, Until: time.Minute, IDs: []Hash{h(7)}},
		&AbortFrame{Type: typeAbort, Reason: AbortOverrun},
		&AttachFrame{Type: typeAttach, Challenge: h(8)},
		&PingFrame{Type: typePing, Seq: 2, Nonce: [16]byte{1}},
		&PongFrame{Type: typePong, Seq: 2, Nonce: [16]byte{1}, Boot: [16]byte{2}, Counter: 70000, Devices: h(9), Flags: FlagBusy},
		&Offer{
			Seq: 7, Issued: 1.7e9, Expires: 1.8e9, Operator: "Fjord AS", Region: "NO", Agent: "assay/0.1",
			Addrs:   []string{"/ip4/192.0.2.1/udp/4001/quic-v1"},
			Devices: []OfferDevice{{ID: "gpu0", Model: "H100 SXM5", Memory: 80 << 30, Int8Ops: 1e15, BF16Ops: 5e14, FP64Ops: 3e13}},
		},
		&memory.Params{Profile: 502, Items: 6149, RTT: 1e5},
		&FilledFrame{Type: typeFilled, Mono: 1e9},
		&NonceFrame{Type: typeNonce, Nonce: h(10)},
		&Transcript{
			Challenge: Marshal(&e), Secret: secret, Signatures: [][]byte{bytes.Repeat([]byte{9}, 64), {}},
			Events:  []Event{{At: 1, Out: true, Frame: []byte{1, 2}}, {At: 2, Stream: 1, Frame: []byte{3}}},
			Verdict: Verdict{Outcome: Late, Clause: ClauseLate, OpsLower: 5, Elapsed: 2, Samples: 1, Disputed: true},
		},
	}
}

// reasons of a refusal.
var reasons = []string{
	ReasonBusy, ReasonCollision, ReasonQuota, ReasonTenant, ReasonDrain, ReasonUnsupported, ReasonNotMember, ReasonReplay, ReasonFault,
}

// item is one data item of an encoding.
type item struct {
	major       byte
	value       uint64
	start, body int // of the head, and behind it
	end         int // of the item with all that it holds
	top         bool
}

// items walks a canonical encoding.
func items(b []byte) []item {
	var out []item
	var walk func(at int) int
	walk = func(at int) int {
		it := item{major: b[at] >> 5, value: uint64(b[at] & 31), start: at, body: at + 1, top: at == 0}
		if it.value >= 24 && it.major != 7 {
			n := 1 << (it.value - 24)
			var wide [8]byte
			copy(wide[8-n:], b[at+1:at+1+n])
			it.value, it.body = binary.BigEndian.Uint64(wide[:]), at+1+n
		}
		out = append(out, it)
		place := len(out) - 1
		end := it.body
		switch it.major {
		case 2, 3:
			end += int(it.value)
		case 4:
			for range it.value {
				end = walk(end)
			}
		}
		out[place].end = end
		return end
	}
	walk(0)
	return out
}

// head writes an item's head in so many bytes of argument (0: in the first byte).
func head(major byte, value uint64, width int) []byte {
	if width == 0 {
		return []byte{major<<5 | byte(value)}
	}
	wide := binary.BigEndian.AppendUint64(nil, value)
	return append([]byte{major<<5 | byte(24+slices.Index([]int{1, 2, 4, 8}, width))}, wide[8-width:]...)
}

func shortest(major byte, value uint64) []byte {
	width := 0
	for _, limit := range []struct {
		over  uint64
		width int
	}{{23, 1}, {0xff, 2}, {0xffff, 4}, {0xffffffff, 8}} {
		if value > limit.over {
			width = limit.width
		}
	}
	return head(major, value, width)
}

// mutants are encodings that resemble the canonical one and must be refused.
func mutants(good []byte, it item) map[string][]byte {
	out := map[string][]byte{}
	put := func(name string, with ...[]byte) {
		out[name] = slices.Concat(good[:it.start], slices.Concat(with...), good[it.end:])
	}
	body := good[it.body:it.end]
	put("null", []byte{0xf6})
	put("undefined", []byte{0xf7})
	put("empty map", []byte{0xa0})
	put("tag", []byte{0xc1}, good[it.start:it.end])
	put("tag of an encoded item", []byte{0xd8, 24}, good[it.start:it.end])
	put("self-described", []byte{0xd9, 0xd9, 0xf7}, good[it.start:it.end])
	if it.major != 7 {
		for _, width := range []int{1, 2, 4, 8} {
			if wide := head(it.major, it.value, width); !bytes.Equal(wide, good[it.start:it.body]) && width >= it.body-it.start {
				put(fmt.Sprintf("head of %d bytes", 1+width), wide, body)
			}
		}
	}
	fixed := it.major == 2 && (it.value == 16 || it.value == 32 || it.value == 64)
	switch {
	case it.major <= 1:
		put("half float", []byte{0xf9, 0x3c, 0})
		put("float", []byte{0xfa, 0x3f, 0x80, 0, 0})
		put("double", []byte{0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0})
		put("bool", []byte{0xf5})
		put("over 64 bits", []byte{0xc2, 0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0})
		put("text", []byte{0x61, '1'})
	case it.major == 2 || it.major == 3:
		put("indefinite", []byte{it.major<<5 | 31}, good[it.start:it.end], []byte{0xff})
		put("of the other kind", shortest(5-it.major, it.value), body)
		ints := shortest(4, it.value)
		for _, b := range body {
			ints = append(ints, shortest(0, uint64(b))...)
		}
		put("array of its bytes", ints)
	case it.major == 4:
		put("indefinite", []byte{0x9f}, body, []byte{0xff})
		put("as one integer", []byte{1})
	case it.major == 7:
		put("integer", []byte{0})
		put("reserved simple value", []byte{0xf8, 20})
	}
	if it.major == 3 && it.value > 0 {
		put("invalid UTF-8", good[it.start:it.end-1], []byte{0xff})
	}
	if fixed {
		put("a byte short", shortest(2, it.value-1), body[1:])
		put("a byte long", shortest(2, it.value+1), body, []byte{0})
	}
	if it.major == 4 && (it.top || it.value >= 4) {
		put("a field more", shortest(4, it.value+1), body, []byte{0})
		put("a field more, null", shortest(4, it.value+1), body, []byte{0xf6})
		inner, last := items(good), 0
		for _, k := range inner {
			if k.start < it.end && k.end == it.end && k.start > it.start && last == 0 {
				last = k.start
			}
		}
		put("a field less", shortest(4, it.value-1), good[it.body:last])
	}
	return out
}

func TestStrictness(t *testing.T) {
	total := 0
	for _, m := range messages() {
		typ := reflect.TypeOf(m).Elem()
		t.Run(typ.Name(), func(t *testing.T) {
			good := Marshal(m)
			fresh := func() any { return reflect.New(typ).Interface() }
			if err := Unmarshal(good, fresh()); err != nil {
				t.Fatalf("valid message: %v", err)
			}
			for _, it := range items(good) {
				for name, bad := range mutants(good, it) {
					if bytes.Equal(bad, good) {
						t.Fatalf("%s at %d is no change", name, it.start)
					}
					total++
					if err := Unmarshal(bad, fresh()); err == nil {
						t.Errorf("%s at byte %d of %x: accepted", name, it.start, good)
					}
				}
			}
			for n := range good {
				if err := Unmarshal(good[:n], fresh()); err == nil {
					t.Errorf("cut to %d bytes: accepted", n)
				}
			}
			for _, tail := range [][]byte{{0}, {0xf6}, {0xff}, good} {
				if err := Unmarshal(append(slices.Clone(good), tail...), fresh()); err == nil {
					t.Errorf("trailing %x: accepted", tail[:1])
				}
			}
		})
	}
	t.Logf("%d altered encodings refused", total)
}

// fill draws a value for every field that reflection finds.
func fill(t *rapid.T, name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Name != "_" {
				fill(t, name+"."+f.Name, v.Field(i))
			}
		}
	case reflect.Array:
		b := rapid.SliceOfN(rapid.Byte(), v.Len(), v.Len()).Draw(t, name)
		reflect.Copy(v, reflect.ValueOf(b))
	case reflect.Slice:
		n := rapid.IntRange(1, 3).Draw(t, name)
		if v.Type().Elem().Kind() == reflect.Uint8 {
			n = rapid.IntRange(1, 200).Draw(t, name)
			v.SetBytes(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, name))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, name, v.Index(i))
		}
	case reflect.String:
		v.SetString(rapid.StringMatching(`[ -~æøå]{1,8}`).Draw(t, name))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, name))
	case reflect.Int64:
		v.SetInt(rapid.Int64Range(0, 1<<62).Draw(t, name))
	default:
		v.SetUint(rapid.Uint64().Draw(t, name) >> (64 - v.Type().Bits()))
	}
}

// TestRoundTrip draws every message type. What its Check demands is put right
// afterwards; all else is arbitrary.
func TestRoundTrip(t *testing.T) {
	provider := IDOf(providerKey)
	for _, m := range messages() {
		typ := reflect.TypeOf(m).Elem()
		t.Run(typ.Name(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				v := reflect.New(typ)
				fill(t, typ.Name(), v.Elem())
				if f := v.Elem().FieldByName("Type"); f.IsValid() {
					f.Set(reflect.ValueOf(m).Elem().FieldByName("Type"))
				}
				switch x := v.Interface().(type) {
				case *Envelope:
					x.Kind = rapid.StringMatching(`[a-z]{1,32}`).Draw(t, "kind")
				case *Challenge:
					x.Provider = provider
				case *ComputeParams:
					*x = ComputeParams{Profile: 1, Window: 1 + x.Window%4, Claim: 1e7 + x.Claim%1e17, RTT: x.RTT % 1e10}
				case *memory.Params:
					*x = memory.Params{Profile: 5005, Items: 1<<11 + x.Items%(1<<34), RTT: x.RTT % 1e10}
				case *ProbeParams:
					x.Pings = 1 + x.Pings%8
				case *PositionsFrame:
					x.Positions = slices.Repeat(x.Positions, 4)
				case *RefusalFrame:
					x.Reason = rapid.SampledFrom(reasons).Draw(t, "reason")
					if x.Reason == ReasonCollision {
						x.IDs = x.IDs[:1]
					}
				case *AbortFrame:
					x.Reason = rapid.SampledFrom([]string{AbortOverrun, AbortTenant, AbortFault}).Draw(t, "reason")
				case *PongFrame:
					x.Flags &= FlagBusy | FlagDraining
				case *Offer:
					x.Expires = max(x.Issued, 1)
					x.Issued = x.Expires - 1
					for i := range x.Devices {
						x.Devices[i].ID = fmt.Sprint("gpu", i)
					}
				case *Transcript:
					x.Signatures = [][]byte{bytes.Repeat([]byte{1}, 64), {}}
					x.Verdict.Outcome, x.Verdict.Clause = Pass+x.Verdict.Outcome%7, ClauseLate
				}
				b := Marshal(v.Interface())
				again := reflect.New(typ)
				if err := Unmarshal(b, again.Interface()); err != nil {
					t.Fatalf("%x: %v", b, err)
				}
				if !reflect.DeepEqual(again.Interface(), v.Interface()) {
					t.Fatalf("got %+v, want %+v", again.Interface(), v.Interface())
				}
			})
		})
	}
}

func TestBounds(t *testing.T) {
	long := string(bytes.Repeat([]byte{'x'}, 65))
	ids := make([]Hash, 33)
	tests := []struct {
		name string
		v    any
	}{
		{"envelope kind with a digit", &Envelope{Kind: "v1"}},
		{"envelope kind empty", &Envelope{}},
		{"envelope kind of 33 letters", &Envelope{Kind: long[:33]}},
		{"challenge params of 257 bytes", &Challenge{Provider: IDOf(providerKey), Kind: Matmul, Params: make([]byte, 257)}},
		{"challenge of a device name of 65 bytes", &Challenge{Provider: IDOf(providerKey), Kind: Matmul, Device: long}},
		{"challenge of a device name with a newline", &Challenge{Provider: IDOf(providerKey), Kind: Matmul, Device: "a\nb"}},
		{"challenge of no provider", &Challenge{Kind: Matmul}},
		{"root of another type", &RootFrame{Type: typeResult}},
		{"filled of another type", &FilledFrame{Type: typeRoot}},
		{"nonce of another type", &NonceFrame{Type: typeAttach}},
		{"memory of too few items", &memory.Params{Profile: 502, Items: 1<<11 - 1}},
		{"memory of a row that is none", &memory.Params{Profile: 2, Items: 1 << 11}},
		{"positions of three bytes", &PositionsFrame{Type: typePositions, Positions: make([]byte, 3)}},
		{"positions of none", &PositionsFrame{Type: typePositions}},
		{"opening part empty", &OpeningFrame{Type: typeOpening}},
		{"opening part too long", &OpeningFrame{Type: typeOpening, Data: make([]byte, maxPart+1)}},
		{"result of 257 roots", &ResultFrame{Type: typeResult, Core: Core{Roots: make([]Hash, 257)}}},
		{"result whose parts are longer than a frame", &ResultFrame{Type: typeResult, Core: Core{Roots: make([]Hash, 80)}, Attestation: make([]byte, maxPart-80*34+1)}},
		{"result with 4,097 bytes of telemetry", &ResultFrame{Type: typeResult, Core: Core{Telemetry: make([]byte, 4097)}}},
		{"refusal without a reason", &RefusalFrame{Type: typeRefusal}},
		{"refusal until before now", &RefusalFrame{Type: typeRefusal, Reason: ReasonBusy, Until: -1}},
		{"refusal naming 33 challenges", &RefusalFrame{Type: typeRefusal, Reason: ReasonQuota, IDs: ids}},
		{"collision naming two challenges", &RefusalFrame{Type: typeRefusal, Reason: ReasonCollision, IDs: ids[:2]}},
		{"abort for another reason", &AbortFrame{Type: typeAbort, Reason: "tired"}},
		{"abort without a reason", &AbortFrame{Type: typeAbort}},
		{"abort for a refusal's reason", &AbortFrame{Type: typeAbort, Reason: ReasonBusy}},
		{"refusal for an abort's reason", &RefusalFrame{Type: typeRefusal, Reason: AbortOverrun}},
		{"pong with an unknown flag", &PongFrame{Type: typePong, Flags: 4}},
		{"offer that expires at once", &Offer{Issued: 5, Expires: 5}},
		{"offer of 17 addresses", &Offer{Expires: 1, Addrs: make([]string, 17)}},
		{"offer of 257 devices", &Offer{Expires: 1, Devices: make([]OfferDevice, 257)}},
		{"offer of one device twice", &Offer{Expires: 1, Devices: []OfferDevice{{ID: "a"}, {ID: "a"}}}},
		{"offer of a device without a name", &Offer{Expires: 1, Devices: []OfferDevice{{}}}},
		{"transcript of one stream", &Transcript{Signatures: [][]byte{{}}, Verdict: Verdict{Outcome: Pass}}},
		{"transcript with a short signature", &Transcript{Signatures: [][]byte{{1}, {}}, Verdict: Verdict{Outcome: Pass}}},
		{"transcript of 4,097 events", &Transcript{Signatures: [][]byte{{}, {}}, Events: make([]Event, MaxEvents+1), Verdict: Verdict{Outcome: Pass}}},
		{"transcript with a long frame", &Transcript{Signatures: [][]byte{{}, {}}, Events: []Event{{Frame: make([]byte, MaxFrame+1)}}, Verdict: Verdict{Outcome: Pass}}},
		{"transcript without an outcome", &Transcript{Signatures: [][]byte{{}, {}}}},
		{"verdict that took less than nothing", &Verdict{Outcome: Pass, Elapsed: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			again := reflect.New(reflect.TypeOf(tt.v).Elem()).Interface()
			if err := Unmarshal(Marshal(tt.v), again); err == nil {
				t.Error("accepted")
			}
		})
	}
}
