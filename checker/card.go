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
	for _, r := range k.Contradict {
		c.log.WarnContext(ctx, "card contradicted", "peer", ch.Provider, "device", ch.Device, "rule", r.Code, "detail", r.Detail)
	}
	return report.PartOf(&k, level)
}
