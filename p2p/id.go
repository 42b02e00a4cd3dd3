package p2p

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/assaynet/assay/challenges"
)

// PeerID is the libp2p name of a node. Keys that [challenges.NodeID.Check]
// refuses have none.
func PeerID(id challenges.NodeID) (peer.ID, error) {
	if err := id.Check(); err != nil {
		return "", fmt.Errorf("peer id of %s: %w", id.Short(), err)
	}
	key, err := crypto.UnmarshalEd25519PublicKey(id[:])
	if err != nil {
		return "", fmt.Errorf("peer id of %s: %w", id.Short(), err)
	}
	pid, err := peer.IDFromPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("peer id of %s: %w", id.Short(), err)
	}
	return pid, nil
}

// NodeIDOf is the node behind a libp2p name. Only names that hold an acceptable
// Ed25519 key, encoded the one way that PeerID writes it, have a node.
func NodeIDOf(pid peer.ID) (challenges.NodeID, error) {
	var id challenges.NodeID
	key, err := pid.ExtractPublicKey()
	if err != nil {
		return id, fmt.Errorf("node id of %s: %w", pid, err)
	}
	if key.Type() != pb.KeyType_Ed25519 {
		return id, fmt.Errorf("node id of %s: %s key: %w", pid, key.Type(), challenges.ErrKey)
	}
	raw, err := key.Raw()
	if err != nil {
		return id, fmt.Errorf("node id of %s: %w", pid, err)
	}
	copy(id[:], raw)
	back, err := PeerID(id)
	if err == nil && back != pid {
		err = errors.New("not the canonical encoding")
	}
	if err != nil {
		return challenges.NodeID{}, fmt.Errorf("node id of %s: %w", pid, err)
	}
	return id, nil
}
