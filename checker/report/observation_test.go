package report

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
)

var (
	network  = challenges.Hash{1, 2, 3}
	key      = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	provider = challenges.IDOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize)))
)

func testObservation() Observation {
	return Observation{
		Epoch: 7, Provider: provider, Simulated: true, RTT: 3 * time.Millisecond,
		Slices: []byte{0, byte(challenges.Pass), byte(challenges.Unreachable), byte(challenges.Unknown)},
		Items: []Item{
			{Challenge: challenges.Hash{1}, Kind: challenges.Matmul, Device: "gpu0", Profile: 1, Outcome: challenges.Pass, OpsLower: 90, Claim: 95, Transcript: challenges.Hash{9}},
			{Challenge: challenges.Hash{2}, Kind: challenges.FMA, Device: "gpu1", Profile: 4, Outcome: challenges.Refused, Reason: challenges.ReasonBusy},
			{
				Challenge: challenges.Hash{3}, Kind: challenges.Memory, Device: "gpu0", Profile: 501, Outcome: challenges.Pass, OpsLower: 5_900_000, Claim: 2 << 20,
				Slot: 7, Fleet: FleetPart{Run: challenges.Hash{8}, Devices: 2, Group: 5, Sum: 3_500_000, Claim: 3_774_848},
				Card: CardPart{Level: 4, Model: "sim-h100", Identity: challenges.Hash{11}}, Transcript: challenges.Hash{10},
			},
		},
	}
}

func TestObservationCheck(t *testing.T) {
	manyItems := func(n int) []Item {
		items := make([]Item, n)
		for i := range items {
			items[i] = Item{Challenge: challenges.Hash{byte(i >> 8), byte(i)}, Kind: challenges.Matmul, Profile: 1, Outcome: challenges.Pass}
		}
		return items
	}
	tests := []struct {
		name   string
		change func(*Observation)
		ok     bool
	}{
		{"valid", func(*Observation) {}, true},
		{"nothing seen", func(o *Observation) { o.Slices, o.Items, o.RTT = nil, nil, 0 }, true},
		{"provider of small order", func(o *Observation) { o.Provider = challenges.NodeID{} }, false},
		{"negative rtt", func(o *Observation) { o.RTT = -1 }, false},
		{"1024 slices", func(o *Observation) { o.Slices = make([]byte, MaxSlices) }, true},
		{"1025 slices", func(o *Observation) { o.Slices = make([]byte, MaxSlices+1) }, false},
		{"level 5", func(o *Observation) { o.Items[0].Card.Level = 5 }, true},
		{"level 6", func(o *Observation) { o.Items[0].Card.Level = 6 }, false},
		{"a model of 65 bytes", func(o *Observation) { o.Items[0].Card.Model = strings.Repeat("m", 65) }, false},
		{"a code of 33 bytes", func(o *Observation) { o.Items[0].Card.Contradict = strings.Repeat("c", 33) }, false},
		{"a code with an escape", func(o *Observation) { o.Items[0].Card.Contradict = "\x1b[2J" }, false},
		{"slice with the last outcome", func(o *Observation) { o.Slices[3] = byte(challenges.Unknown) }, true},
		{"slice beyond the outcomes", func(o *Observation) { o.Slices[3] = byte(challenges.Unknown) + 1 }, false},
		{"1024 items", func(o *Observation) { o.Items = manyItems(MaxItems) }, true},
		{"1025 items", func(o *Observation) { o.Items = manyItems(MaxItems + 1) }, false},
		{"items out of order", func(o *Observation) { slices.Reverse(o.Items[:2]) }, false},
		{"an item twice", func(o *Observation) { o.Items[1].Challenge = o.Items[0].Challenge }, false},
		{"item without an outcome", func(o *Observation) { o.Items[1].Outcome = 0 }, false},
		{"item beyond the outcomes", func(o *Observation) { o.Items[1].Outcome = 8 }, false},
		{"unknown kind", func(o *Observation) { o.Items[1].Kind = "video" }, false},
		{"a probe as an item", func(o *Observation) { o.Items[1].Kind = challenges.Probe }, false},
		{"profile of no table", func(o *Observation) { o.Items[0].Profile = 999 }, false},
		{"no profile", func(o *Observation) { o.Items[0].Profile = 0 }, false},
		{"matmul of a profile of kind fma", func(o *Observation) { o.Items[0].Profile = 4 }, false},
		{"fma of a profile of kind matmul", func(o *Observation) { o.Items[1].Profile = 1 }, false},
		{"fma of a bf16 profile", func(o *Observation) { o.Items[1].Profile = 3 }, false},
		{"matmul of a bf16 profile", func(o *Observation) { o.Items[0].Profile = 3 }, true},
		{"a real device's profiles", func(o *Observation) { o.Items[0].Profile, o.Items[1].Profile = 2210, 3105 }, true},
		{"a real device's profile of another kind", func(o *Observation) { o.Items[0].Profile = 3105 }, false},
		{"kind of another profile", func(o *Observation) { o.Items[1].Kind = challenges.Matmul }, false},
		{"memory of a profile of compute", func(o *Observation) { o.Items[2].Profile = 1 }, false},
		{"memory of no profile", func(o *Observation) { o.Items[2].Profile = 0 }, false},
		{"memory of a real device", func(o *Observation) { o.Items[2].Profile = 5006 }, true},
		{"memory of a class beyond the table", func(o *Observation) { o.Items[2].Profile = 5999 }, false},
		{"matmul of a profile of memory", func(o *Observation) { o.Items[0].Profile = 501 }, false},
		{"fma of a profile of memory", func(o *Observation) { o.Items[1].Profile = 5006 }, false},
		{"a probe of a profile of memory", func(o *Observation) { o.Items[2].Kind = challenges.Probe }, false},
		{"device too long", func(o *Observation) { o.Items[1].Device = strings.Repeat("d", 65) }, false},
		{"reason too long", func(o *Observation) { o.Items[1].Reason = strings.Repeat("r", 17) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := testObservation()
			tt.change(&o)
			if err := o.Check(); (err == nil) != tt.ok {
				t.Errorf("Check: %v, want ok %v", err, tt.ok)
			}
			_, err := OpenObservation(o.Seal(network, key), network)
			if (err == nil) != tt.ok {
				t.Errorf("OpenObservation: %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestObservationSealOpen(t *testing.T) {
	o := testObservation()
	e := o.Seal(network, key)
	if e.Signer != challenges.IDOf(key) {
		t.Errorf("signed by %s", e.Signer.Short())
	}
	got, err := OpenObservation(e, network)
	if err != nil || !reflect.DeepEqual(got, o) {
		t.Fatalf("opened %+v, %v; sealed %+v", got, err, o)
	}
	tests := []struct {
		name   string
		change func(*challenges.Envelope)
		want   error
	}{
		{"signed for another network", func(e *challenges.Envelope) { *e = o.Seal(challenges.Hash{4}, key) }, challenges.ErrNetwork},
		{"moved to this network", func(e *challenges.Envelope) { *e = o.Seal(challenges.Hash{4}, key); e.Network = network }, challenges.ErrSignature},
		{"of another kind", func(e *challenges.Envelope) {
			*e = challenges.Seal(network, challenges.KindHeader, challenges.Marshal(&o), key)
		}, challenges.ErrKind},
		{"of another signer", func(e *challenges.Envelope) { e.Signer = provider }, challenges.ErrSignature},
		{"signature altered", func(e *challenges.Envelope) { e.Signature[5] ^= 1 }, challenges.ErrSignature},
		{"payload altered", func(e *challenges.Envelope) { e.Payload[3] ^= 1 }, challenges.ErrSignature},
		{"payload not canonical", func(e *challenges.Envelope) {
			*e = challenges.Seal(network, challenges.KindObservation, append(challenges.Marshal(&o), 0), key)
		}, challenges.ErrEncoding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := o.Seal(network, key)
			tt.change(&e)
			if _, err := OpenObservation(e, network); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// Only these three reasons are no fault of the provider's, and only in a refusal.
func TestItemNeutral(t *testing.T) {
	neutral := map[string]bool{challenges.ReasonTenant: true, challenges.ReasonDrain: true, challenges.ReasonCollision: true}
	for _, reason := range []string{
		"", "else", challenges.ReasonBusy, challenges.ReasonCollision, challenges.ReasonQuota, challenges.ReasonTenant,
		challenges.ReasonDrain, challenges.ReasonUnsupported, challenges.ReasonNotMember, challenges.ReasonReplay, challenges.ReasonFault,
	} {
		for _, o := range challenges.Outcomes() {
			want := neutral[reason] && o == challenges.Refused
			if got := (Item{Outcome: o, Reason: reason}).Neutral(); got != want {
				t.Errorf("%v for reason %q: neutral %v", o, reason, got)
			}
		}
	}
}

// An item's flavour is its profile's; memory has none.
func TestItemFlavour(t *testing.T) {
	for profile, want := range map[uint16]challenges.Flavour{
		1: challenges.Int8, 3: challenges.BF16, 4: challenges.FP64, 8: challenges.Int8, 2210: challenges.BF16, 3105: challenges.FP64,
	} {
		if got, ok := (Item{Profile: profile}).Flavour(); got != want || !ok {
			t.Errorf("profile %d: flavour %v, %v, want %v", profile, got, ok, want)
		}
	}
	for _, row := range memory.Profiles() {
		if f, ok := (Item{Kind: challenges.Memory, Profile: row.Number}).Flavour(); ok {
			t.Errorf("memory profile %d: flavour %v", row.Number, f)
		}
	}
}

// A number is a row of one table only: what a profile measured must not depend on
// where it is looked up.
func TestTablesAreDisjoint(t *testing.T) {
	for _, row := range challenges.Profiles() {
		if _, err := memory.Lookup(row.Number); err == nil {
			t.Errorf("profile %d, %s: in both tables", row.Number, row.Name)
		}
	}
}

// What an item of memory shows follows from its row, its claim and its rate alone,
// as in the run that it tells of.
func TestItemProven(t *testing.T) {
	for _, tt := range []struct {
		name    string
		profile uint16
		claim   uint64
	}{
		{"simulated", 501, 2 << 20},
		{"T4", 5001, 16 << 30},
		{"H100", 5006, 80 << 30},
		{"more than any device has", 5009, 1<<64 - 1},
	} {
		row, err := memory.Lookup(tt.profile)
		if err != nil {
			t.Fatal(err)
		}
		set := memory.Dataset{Profile: row, Items: memory.Items(tt.claim)}
		for _, rate := range []uint64{0, 1, row.MakeRate, row.MakeRate + row.LinkRate, row.ReadRate / 6, row.ReadRate, 10 * row.ReadRate, 1<<64 - 1} {
			it := Item{Kind: challenges.Memory, Profile: tt.profile, Claim: tt.claim, OpsLower: rate}
			got := it.Proven()
			if want := set.Proven(rate); got != want || got > tt.claim {
				t.Errorf("%s, %d reads/s: %d bytes, the dataset has %d", tt.name, rate, got, want)
			}
			if rate <= row.MakeRate && got != 0 {
				t.Errorf("%s, %d reads/s: %d bytes, though all could be made again", tt.name, rate, got)
			}
			if rate == row.ReadRate && (got < tt.claim/10*6 || got >= set.Bytes()) {
				t.Errorf("%s at the class's best: %d bytes of %d", tt.name, got, tt.claim)
			}
		}
	}
	for name, it := range map[string]Item{
		"compute":          {Kind: challenges.Matmul, Profile: 1, Claim: 2 << 20, OpsLower: 6_000_000},
		"compute, a row":   {Kind: challenges.Matmul, Profile: 501, Claim: 2 << 20, OpsLower: 6_000_000},
		"memory, no row":   {Kind: challenges.Memory, Profile: 1, Claim: 2 << 20, OpsLower: 6_000_000},
		"memory, no rate":  {Kind: challenges.Memory, Profile: 501, Claim: 2 << 20},
		"memory, no claim": {Kind: challenges.Memory, Profile: 501, OpsLower: 6_000_000},
	} {
		if got := it.Proven(); got != 0 {
			t.Errorf("%s: %d bytes proven", name, got)
		}
	}
}

// drawObservation makes any observation that Check accepts.
func drawObservation(t *rapid.T) Observation {
	o := Observation{
		Epoch: rapid.Uint64().Draw(t, "epoch"), Provider: provider, Simulated: rapid.Bool().Draw(t, "simulated"),
		RTT: time.Duration(rapid.Int64Range(0, 1<<62).Draw(t, "rtt")),
	}
	o.Slices = rapid.SliceOfN(rapid.ByteRange(0, byte(challenges.Unknown)), 0, 40).Draw(t, "slices")
	o.Items = []Item{}
	for i := range rapid.IntRange(0, 5).Draw(t, "items") {
		row := rapid.SampledFrom(challenges.Profiles()).Draw(t, "profile")
		kind, number := row.Shape.Flavour.Kind(), row.Number
		if rapid.Bool().Draw(t, "memory") {
			kind, number = challenges.Memory, rapid.SampledFrom(memory.Profiles()).Draw(t, "class").Number
		}
		var part FleetPart
		if rapid.Bool().Draw(t, "together") {
			part = FleetPart{
				Run: challenges.Hash{rapid.Byte().Draw(t, "run")}, Devices: rapid.Uint16().Draw(t, "devices"), Group: rapid.Uint16().Draw(t, "group"),
				Sum: rapid.Uint64().Draw(t, "sum"), Claim: rapid.Uint64().Draw(t, "together claimed"),
			}
		}
		o.Items = append(o.Items, Item{
			Challenge: challenges.Hash{byte(i), rapid.Byte().Draw(t, "challenge")},
			Kind:      kind,
			Profile:   number,
			Slot:      rapid.Uint64().Draw(t, "slot"),
			Fleet:     part,
			Device:    rapid.StringMatching(`[ -~]{0,64}`).Draw(t, "device"),
			Outcome:   rapid.SampledFrom(challenges.Outcomes()).Draw(t, "outcome"),
			Reason:    rapid.StringMatching(`[a-z-]{0,16}`).Draw(t, "reason"),
			OpsLower:  rapid.Uint64().Draw(t, "ops"), Claim: rapid.Uint64().Draw(t, "claim"),
		})
	}
	return o
}

func TestObservationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawObservation(t)
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		e := o.Seal(network, key)
		read, err := challenges.DecodeEnvelope(challenges.Marshal(&e))
		if err != nil {
			t.Fatal(err)
		}
		got, err := OpenObservation(read, network)
		if err != nil || !reflect.DeepEqual(got, o) {
			t.Fatalf("read %+v, %v; wrote %+v", got, err, o)
		}
	})
}

func FuzzObservation(f *testing.F) {
	o := testObservation()
	f.Add([]byte{})
	f.Add(challenges.Marshal(&o))
	f.Add(challenges.Marshal(&Observation{Provider: provider}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var o Observation
		if err := challenges.Unmarshal(data, &o); err != nil {
			return
		}
		if !bytes.Equal(challenges.Marshal(&o), data) {
			t.Fatal("reads what it would not write")
		}
		if err := o.Check(); err != nil {
			t.Fatalf("read without its check: %v", err)
		}
		for _, it := range o.Items {
			_ = it.Neutral()
			_ = it.Proven()
			if f, ok := it.Flavour(); ok != (it.Kind != challenges.Memory) || ok && f.Kind() != it.Kind {
				t.Fatalf("read an item of kind %q and flavour %v", it.Kind, f)
			}
		}
	})
}
