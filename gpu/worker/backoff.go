package worker

import (
	"math/rand/v2"
	"time"
)

// settled is how long a child has to be ready for its next failure to be a first.
const settled = time.Minute

// backoff is how long to wait between one child and the next.
type backoff struct {
	first, most time.Duration
	wait        time.Duration // the next one; 0: the first
}

// next is a time to wait, after a child that was ready for so long. It doubles, and
// has a fifth more or less by chance, so that the cards of a machine do not start at
// one time. There is no hurry after a card that miscomputes.
func (b *backoff) next(up time.Duration, slow bool) time.Duration {
	if b.wait == 0 || up >= settled {
		b.wait = b.first
	}
	if slow {
		b.wait = b.most
	}
	wait := b.wait
	b.wait = min(2*b.wait, b.most)
	return wait*4/5 + rand.N(wait*2/5+1)
}
