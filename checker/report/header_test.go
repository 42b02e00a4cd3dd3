package report

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
)

func seal(h Header, of challenges.Hash) challenges.Envelope {
	return challenges.Seal(of, challenges.KindHeader, challenges.Marshal(&h), key)
}

func TestOpenHeader(t *testing.T) {
	other := challenges.Hash{4}
	good := Header{Network: network, Registry: challenges.Hash{5}, Epoch: 3, Ticket: []byte{}, Root: challenges.Hash{6}, Count: 2}
	ticket := func(n int) Header { h := good; h.Ticket = make([]byte, n); return h }
	foreign := good
	foreign.Network = other
	moved := seal(foreign, other)
	moved.Network = network
	tests := []struct {
		name string
		e    challenges.Envelope
		ok   bool
		want error
	}{
		{"without a ticket", seal(good, network), true, nil},
		{"with a ticket", seal(ticket(48), network), true, nil},
		{"short ticket", seal(ticket(47), network), false, nil},
		{"long ticket", seal(ticket(96), network), false, nil},
		{"of another network", seal(foreign, other), false, challenges.ErrNetwork},
		{"of another network, in this one's envelope", seal(foreign, network), false, challenges.ErrNetwork},
		{"of another network, envelope relabelled", moved, false, challenges.ErrSignature},
		{"of another kind", challenges.Seal(network, challenges.KindObservation, challenges.Marshal(&good), key), false, challenges.ErrKind},
		{"trailing byte", challenges.Seal(network, challenges.KindHeader, append(challenges.Marshal(&good), 0), key), false, challenges.ErrEncoding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := OpenHeader(tt.e, network)
			if (err == nil) != tt.ok || (tt.want != nil && !errors.Is(err, tt.want)) {
				t.Fatalf("error %v, want ok %v, %v", err, tt.ok, tt.want)
			}
			if err != nil && !reflect.DeepEqual(h, Header{}) {
				t.Errorf("an error and a header: %+v", h)
			}
		})
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Header{
			Network: network, Epoch: rapid.Uint64().Draw(t, "epoch"), Beacon: rapid.Uint64().Draw(t, "beacon"),
			Count: rapid.Uint32().Draw(t, "count"), Ticket: []byte{},
		}
		if rapid.Bool().Draw(t, "ticket") {
			h.Ticket = rapid.SliceOfN(rapid.Byte(), 48, 48).Draw(t, "bytes")
		}
		copy(h.Root[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root"))
		copy(h.Registry[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "registry"))
		got, err := OpenHeader(seal(h, network), network)
		if err != nil || !reflect.DeepEqual(got, h) {
			t.Fatalf("read %+v, %v; wrote %+v", got, err, h)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{})
	f.Add(challenges.Marshal(&Header{Network: network, Epoch: 1, Count: 3}))
	f.Add(challenges.Marshal(&Header{Network: network, Ticket: make([]byte, 48)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var h Header
		if err := challenges.Unmarshal(data, &h); err != nil {
			return
		}
		if !bytes.Equal(challenges.Marshal(&h), data) {
			t.Fatal("reads what it would not write")
		}
		if n := len(h.Ticket); n != 0 && n != 48 {
			t.Fatalf("read with a ticket of %d bytes", n)
		}
	})
}
