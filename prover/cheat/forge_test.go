package cheat

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"reflect"
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges"
)

func testKey(i byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{i}, ed25519.SeedSize))
}

// What a forge sends must verify under the key that it was given, over the
// altered bodies: its lies have to reach the checks behind the signatures.
func TestForgeSignsWhatItAltered(t *testing.T) {
	network := challenges.Hash{4}
	envelope := challenges.Seal(network, challenges.KindChallenge, []byte("a challenge"), testKey(1))
	frames := map[string][]byte{
		challenges.ProtoControl: challenges.Marshal(&envelope),
		challenges.ProtoBulk:    challenges.NewAttach(envelope.ID()),
	}
	streams := map[string]uint8{challenges.ProtoControl: challenges.StreamControl, challenges.ProtoBulk: challenges.StreamBulk}
	for proto, first := range frames {
		net := fakeNetwork{}
		forge := Forge{Network: net, Key: testKey(2), ID: network, Alter: func(id challenges.Hash, stream uint8, body []byte) [][]byte {
			if id != envelope.ID() || stream != streams[proto] {
				t.Errorf("%s: challenge %v, stream %d", proto, id, stream)
			}
			switch string(body) {
			case "drop":
				return nil
			case "twice":
				return [][]byte{[]byte("once"), []byte("again")}
			}
			return [][]byte{body}
		}}
		honest := challenges.NewFrameSigner(testKey(3), network, envelope.ID(), streams[proto])
		forge.Handle(proto, func(ctx context.Context, _ challenges.NodeID, conn challenges.Conn) error {
			got, err := conn.Recv(ctx)
			if err != nil || !bytes.Equal(got, first) {
				t.Errorf("%s: read %d bytes, %v", proto, len(got), err)
			}
			for _, body := range []string{"kept", "drop", "twice"} {
				if err := conn.Send(ctx, honest.Sign([]byte(body))); err != nil {
					return err
				}
			}
			return nil
		})
		conn := &fakeConn{in: [][]byte{first}}
		if err := net[proto](t.Context(), challenges.NodeID{}, conn); err != nil {
			t.Fatal(err)
		}
		want := challenges.NewFrameSigner(testKey(2), network, envelope.ID(), streams[proto])
		var expected [][]byte
		for _, body := range []string{"kept", "once", "again"} {
			expected = append(expected, want.Sign([]byte(body)))
		}
		if !reflect.DeepEqual(conn.out, expected) {
			t.Errorf("%s: sent %q, want %q", proto, conn.out, expected)
		}
	}
}

// Probes and offers pass untouched.
func TestForgeLeavesOtherProtocolsAlone(t *testing.T) {
	net := fakeNetwork{}
	forge := Forge{Network: net, Key: testKey(2)}
	for _, proto := range []string{challenges.ProtoProbe, challenges.ProtoOffer} {
		forge.Handle(proto, func(ctx context.Context, _ challenges.NodeID, conn challenges.Conn) error {
			return conn.Send(ctx, []byte("pong"))
		})
		conn := &fakeConn{}
		if err := net[proto](t.Context(), challenges.NodeID{}, conn); err != nil || !slices.EqualFunc(conn.out, [][]byte{[]byte("pong")}, bytes.Equal) {
			t.Errorf("%s: sent %q, %v", proto, conn.out, err)
		}
	}
}
