package checker

import (
	"context"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
)

// SetTrust changes what identity evidence is judged by, from the next result on.
func (c *Checker) SetTrust(t evidence.Trust) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trust = t
}

// card judges what a result says and shows of its card. Reference values that lack
// grade it less; nothing waits for them.
func (c *Checker) card(ctx context.Context, t challenges.Transcript, ch challenges.Challenge) report.CardPart {
	c.mu.Lock()
	trust := c.trust
	c.mu.Unlock()
	trust.Reference.At = time.Now()
	k := evidence.Look(t, ch, t.Verdict, trust)
	level, _ := k.Level(t.Verdict, trust)
	if n := len(k.Contradict); n > 0 { // one line a result: the provider makes up how many there are
		c.log.WarnContext(ctx, "card contradicted", "peer", ch.Provider, "device", ch.Device, "rules", n, "rule", k.Contradict[0].Code, "detail", k.Contradict[0].Detail)
	}
	return report.PartOf(&k, level)
}
