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
		{"slice with the last outcome", func(o *Observation) { o.Slices[3] = byte(challenges.Unknown) }, true},
		{"slice beyond the outcomes", func(o *Observation) { o.Slices[3] = byte(challenges.Unknown) + 1 }, false},
		{"1024 items", func(o *Observation) { o.Items = manyItems(MaxItems) }, true},
		{"1025 items", func(o *Observation) { o.Items = manyItems(MaxItems + 1) }, false},
		{"items out of order", func(o *Observation) { slices.Reverse(o.Items) }, false},
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
		challenges.ReasonDrain, challenges.ReasonUnsupported, challenges.ReasonNotMember, challenges.ReasonReplay,
	} {
		for _, o := range challenges.Outcomes() {
			want := neutral[reason] && o == challenges.Refused
			if got := (Item{Outcome: o, Reason: reason}).Neutral(); got != want {
				t.Errorf("%v for reason %q: neutral %v", o, reason, got)
			}
		}
	}
}

// An item's flavour is its profile's.
func TestItemFlavour(t *testing.T) {
	for profile, want := range map[uint16]challenges.Flavour{
		1: challenges.Int8, 3: challenges.BF16, 4: challenges.FP64, 8: challenges.Int8, 2210: challenges.BF16, 3105: challenges.FP64,
	} {
		if got, ok := (Item{Profile: profile}).Flavour(); got != want || !ok {
			t.Errorf("profile %d: flavour %v, %v, want %v", profile, got, ok, want)
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
		o.Items = append(o.Items, Item{
			Challenge: challenges.Hash{byte(i), rapid.Byte().Draw(t, "challenge")},
			Kind:      row.Shape.Flavour.Kind(),
			Profile:   row.Number,
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
			if it.Flavour().Kind() != it.Kind {
				t.Fatalf("read an item of kind %q and flavour %v", it.Kind, it.Flavour())
			}
		}
	})
}
