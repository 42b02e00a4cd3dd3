package selftest

import (
	"context"
	"errors"
	"fmt"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/exam"
)

type caseOf = exam.Case

// exactness compares what the device computes in some cases with the processor.
func (l *lane) exactness(ctx context.Context, what string, mine func(caseOf) bool) {
	check := "exactness " + what
	if !l.ready(ctx, check, "driver") {
		return
	}
	l.t.progress(l.info.ID + " " + check)
	cases := l.t.cfg.Cases
	if l.info.Simulated {
		cases = simulatedCases()
	}
	n := 0
	for _, c := range cases {
		if !mine(c) {
			continue
		}
		n++
		err := again(func() error { return exam.Compare(ctx, l.d.Device, c, l.t.seed) })
		switch f, faulty := errors.AsType[*gpu.Fault](err); {
		case err == nil:
			continue
		case faulty && ctx.Err() == nil:
			l.failed(ctx, check, l.xid(ctx, f))
			l.reopen(ctx, check)
		case errors.Is(err, exam.ErrDiffers):
			l.add(check, Fail, err.Error(),
				"do not offer this card: checkers would prove it wrong. assay-gpu check says more; lower its clocks, or replace it")
		default:
			l.failed(ctx, check, err)
		}
		return
	}
	if n == 0 {
		l.add(check, Skip, "no cases", "")
		return
	}
	l.add(check, OK, fmt.Sprintf("%s bit for bit the processor's", plural(n, "case")), "")
}

// simulatedCases are rows of the tables: a modelled clock is too coarse for less.
func simulatedCases() []exam.Case {
	var out []exam.Case
	for _, f := range flavours {
		rows := rowsOf(f.of, true, challenges.Devnet)
		if len(rows) > 0 {
			out = append(out, exam.Case{Name: rows[0].Name, Shape: rows[0].Shape, Rounds: 4, Window: 2})
		}
	}
	for _, p := range memory.Profiles() {
		if p.Simulated {
			out = append(out, exam.Case{Name: p.Name, Set: memory.Dataset{Profile: p, Items: memory.Items(2 << 20)}})
			break
		}
	}
	return out
}
