package checker

import (
	"context"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
)

// receiptWithin bounds the sending of a receipt: a provider that does not read gets
// none.
const receiptWithin = 2 * time.Second

// line is the control stream of a challenge whose session is over: the receipt can
// go out on it. One of drop and end ends it.
type line struct {
	conn challenges.Conn
	last bool // the provider has said its last word

	life   context.Context // of the reader; it lasts from drive to the end of the line
	stop   context.CancelFunc
	reader sync.WaitGroup
}

func newLine(ctx context.Context, conn challenges.Conn) *line {
	l := &line{conn: conn}
	l.life, l.stop = context.WithCancel(ctx)
	return l
}

// drop ends the stream at once: what was sent on it may not arrive.
func (l *line) drop() {
	if l == nil {
		return
	}
	l.stop() // a reader that waits resets the stream
	l.reader.Wait()
	l.conn.Close()
}

// end closes the stream behind what was sent on it.
func (l *line) end() {
	l.conn.Close()
	l.stop()
	l.reader.Wait()
}

// hand gives a provider its receipt, as the last frame of its challenge, and ends the
// stream. Nothing waits for it but the end of Run.
func (c *Checker) hand(ctx context.Context, l *line, r challenges.Envelope) {
	if l == nil {
		return
	}
	if ctx.Err() != nil {
		l.drop()
		return
	}
	c.handing.Go(func() {
		defer l.end()
		ctx, cancel := context.WithTimeout(ctx, receiptWithin)
		defer cancel()
		// A courtesy: whoever has left, or does not read, goes without.
		_ = l.conn.Send(ctx, challenges.Marshal(&r))
	})
}
