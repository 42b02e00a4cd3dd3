package p2p

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/assaynet/assay/challenges"
)

func TestPeerID(t *testing.T) {
	id := challenges.IDOf(simKey(0))
	pid, err := PeerID(id)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := NodeIDOf(pid); err != nil || back != id {
		t.Errorf("%v, %v; want %v", back, err, id)
	}
	for name, bad := range map[string]challenges.NodeID{
		"zero":          {},
		"identity":      {1},
		"not canonical": {0: 0xee, 1: 0xff, 31: 0x7f},
	} {
		if name == "not canonical" {
			for i := range bad[1:31] {
				bad[i+1] = 0xff
			}
		}
		if pid, err := PeerID(bad); !errors.Is(err, challenges.ErrKey) {
			t.Errorf("%s: %v, %v", name, pid, err)
		}
	}
}

func TestNodeIDOf(t *testing.T) {
	good, err := PeerID(challenges.IDOf(simKey(0)))
	if err != nil {
		t.Fatal(err)
	}
	_, pub, err := crypto.GenerateSecp256k1Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secp, err := peer.IDFromPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	// The same key with an unknown protobuf field behind it: another name for
	// one node, which would have a second share of every limit.
	decoded, err := multihash.Decode([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	padded, err := multihash.Encode(append(decoded.Digest, 0x18, 0x01), multihash.IDENTITY)
	if err != nil {
		t.Fatal(err)
	}
	for name, pid := range map[string]peer.ID{"empty": "", "hashed": peer.ID("\x12\x20" + string(make([]byte, 32))), "secp256k1": secp, "padded": peer.ID(padded)} {
		if id, err := NodeIDOf(pid); err == nil || id != (challenges.NodeID{}) {
			t.Errorf("%s: %v, %v", name, id, err)
		}
	}
}
