package cheat

import (
	"context"
	"crypto/ed25519"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/prover"
)

// Forge is a network on which the provider's own frames are altered and signed
// again, with its key or another's: every lie that a provider can tell without
// touching its agent.
type Forge struct {
	prover.Network
	Key ed25519.PrivateKey // what the altered frames are signed with
	ID  challenges.Hash    // the network's
	// Alter returns what is sent in place of a frame's body: nothing, one, or more
	// bodies. It is called by one goroutine a stream.
	Alter func(challenge challenges.Hash, stream uint8, body []byte) [][]byte
}

// Handle serves a protocol with altered answers.
func (f Forge) Handle(proto string, handler func(context.Context, challenges.NodeID, challenges.Conn) error) {
	stream := uint8(challenges.StreamControl)
	if proto == challenges.ProtoBulk {
		stream = challenges.StreamBulk
	}
	if proto != challenges.ProtoControl && proto != challenges.ProtoBulk {
		f.Network.Handle(proto, handler)
		return
	}
	f.Network.Handle(proto, func(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error {
		return handler(ctx, peer, &forgeConn{Conn: conn, forge: f, stream: stream})
	})
}

// forgeConn learns the challenge from the first frame that comes in, and signs
// what goes out.
type forgeConn struct {
	challenges.Conn
	forge  Forge
	stream uint8
	id     challenges.Hash
	sign   *challenges.FrameSigner // nil before the first frame
}

func (c *forgeConn) Recv(ctx context.Context) ([]byte, error) {
	frame, err := c.Conn.Recv(ctx)
	if err != nil || c.sign != nil {
		return frame, err
	}
	if c.stream == challenges.StreamBulk {
		var f challenges.AttachFrame
		if err := challenges.Unmarshal(frame, &f); err != nil {
			return nil, err
		}
		c.id = f.Challenge
	} else {
		env, err := challenges.DecodeEnvelope(frame)
		if err != nil {
			return nil, err
		}
		c.id = env.ID()
	}
	c.sign = challenges.NewFrameSigner(c.forge.Key, c.forge.ID, c.id, c.stream)
	return frame, nil
}

func (c *forgeConn) Send(ctx context.Context, frame []byte) error {
	body := frame[:len(frame)-ed25519.SignatureSize]
	for _, b := range c.forge.Alter(c.id, c.stream, body) {
		if err := c.Conn.Send(ctx, c.sign.Sign(b)); err != nil {
			return err
		}
	}
	return nil
}
