package cheat

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/assaynet/assay/challenges"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNetwork holds the handlers that reach the network.
type fakeNetwork map[string]func(context.Context, challenges.NodeID, challenges.Conn) error

func (n fakeNetwork) Handle(proto string, h func(context.Context, challenges.NodeID, challenges.Conn) error) {
	n[proto] = h
}

// fakeConn gives the frames that it holds and keeps those sent.
type fakeConn struct {
	challenges.Conn
	in, out [][]byte
}

func (c *fakeConn) Recv(context.Context) ([]byte, error) {
	f := c.in[0]
	c.in = c.in[1:]
	return f, nil
}

func (c *fakeConn) Send(_ context.Context, frame []byte) error {
	c.out = append(c.out, frame)
	return nil
}
