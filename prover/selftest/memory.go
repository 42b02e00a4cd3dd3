package selftest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Memory is what was measured of a dataset as checkers ask for it.
type Memory struct {
	Class    string  `json:"class"`
	Offered  uint64  `json:"offered_bytes"`
	Bytes    uint64  `json:"dataset_bytes"`
	FillS    float64 `json:"fill_s"`
	FillByS  float64 `json:"fill_by_s"` // what checkers allow
	ReadPerS float64 `json:"items_walked_per_s"`
	Proven   uint64  `json:"proven_bytes"`
	Need     uint64  `json:"needed_bytes"`
	Free     uint64  `json:"free_bytes"` // before; 0: not known
}

// memory fills and walks a dataset of the offered memory.
func (l *lane) memory(ctx context.Context) {
	const check = "memory"
	if !l.ready(ctx, check, "driver", "exactness memory") {
		return
	}
	l.t.progress(l.info.ID + " memory")
	m := Memory{Offered: l.info.Memory}
	total, free := l.room(ctx)
	if m.Free = free; m.Offered == 0 {
		m.Offered = total // nothing is configured: all of it
	}
	if m.Offered == 0 {
		m.Offered = l.d.Model.Memory
	}
	p := memory.Params{Profile: l.d.Model.Memories, Items: memory.Items(m.Offered)}
	if p.Profile == 0 {
		l.add(check, Skip, "the model has no class of memory: checkers do not ask for it", "")
		return
	}
	if err := p.Check(); err != nil {
		l.add(check, Fail, fmt.Sprintf("checkers cannot ask for %s: %v", unit(float64(m.Offered), "B"), err), "correct memory: (bytes) and model: in assay.yaml")
		return
	}
	set := p.Dataset()
	m.Class, m.Bytes, m.FillByS, m.Need = set.Name, set.Bytes(), set.FillBy(0).Seconds(), set.Bytes()/100*uint64(set.Need)
	if free > 0 && free < m.Bytes {
		l.figures.Memory = &m
		l.add(check, Fail, fmt.Sprintf("a dataset takes %s, %s are free", unit(float64(m.Bytes), "B"), unit(float64(free), "B")), roomRemedy(free))
		return
	}
	err := again(func() error { return l.dataset(ctx, set, &m) })
	l.figures.Memory = &m
	if f, ok := errors.AsType[*gpu.Fault](err); ok && ctx.Err() == nil {
		f = l.xid(ctx, f)
		remedy := faultRemedy(f)
		if f.Class == gpu.FaultMemory && free > 0 {
			remedy = roomRemedy(min(free, m.Bytes-m.Bytes/20)) // what is free is in pieces, or not all the card's
		}
		l.add(check, Fail, faultText(f), remedy)
		l.reopen(ctx, check)
		return
	}
	if err != nil {
		l.failed(ctx, check, err)
		return
	}
	verdict, says, remedy := judgeMemory(m, l.info.Simulated)
	l.add(check, verdict, says, remedy)
	if verdict != Fail {
		l.claim.Memory = m.Offered
	}
}

// room is what the card has and what of it is free; 0 where nobody says.
func (l *lane) room(ctx context.Context) (total, free uint64) {
	if l.d.Monitor == nil || l.info.Simulated {
		return 0, 0
	}
	s, err := l.d.Monitor.Sample(ctx)
	if err != nil {
		return 0, 0
	}
	all, ok := s.Get(telemetry.MemoryTotal)
	if !ok || all <= 0 {
		return 0, 0
	}
	used, _ := s.Get(telemetry.MemoryUsed)
	reserved, _ := s.Get(telemetry.MemoryReserved)
	return uint64(all), uint64(max(1, all-used-reserved))
}

// roomRemedy says what to offer where so much is free. A 64th is left over: drivers
// hand out whole pages.
func roomRemedy(free uint64) string {
	const mib = 1 << 20
	share := float64(memory.Items(1<<40)*memory.ItemBytes) / (1 << 40)
	offer := uint64(float64(free-free/64)/share) / mib * mib
	return fmt.Sprintf("end what else holds the card's memory (nvidia-smi), or set memory: %d in assay.yaml", offer)
}

// dataset fills a dataset and walks it.
func (l *lane) dataset(ctx context.Context, set memory.Dataset, m *Memory) (err error) {
	begun := time.Now()
	filled, err := l.d.Device.Fill(ctx, gpu.MemoryJob{ID: challenges.Hash(l.t.seed), Device: l.info.ID, Set: set})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, filled.Close()) }()
	m.FillS = time.Since(begun).Seconds()
	begun = time.Now()
	run, err := filled.Walk(ctx, challenges.Hash(l.t.seed))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.Close()) }()
	for n := range set.Rounds {
		root, err := run.Next(ctx)
		if err != nil {
			return early(err)
		}
		if n == set.Rounds-1 {
			took := time.Since(begun)
			m.ReadPerS = per(float64(set.Reads()), took)
			m.Proven = set.Proven(uint64(m.ReadPerS))
		}
		if _, err := run.Open(ctx, root.Round, []uint32{0}); err != nil {
			return err
		}
	}
	if _, err := run.Next(ctx); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the last round of walks: %w", err)
	}
	return nil
}

// judgeMemory decides about a dataset. Modelled times are not compared.
func judgeMemory(m Memory, simulated bool) (verdict, says, remedy string) {
	says = fmt.Sprintf("%s of %s filled in %.2g s, walks prove %s", unit(float64(m.Bytes), "B"), unit(float64(m.Offered), "B"),
		m.FillS, unit(float64(m.Proven), "B"))
	const slow = "look at the lines of load and processes; check that model: in assay.yaml is this card's"
	switch {
	case simulated:
		return OK, says, ""
	case m.FillS > m.FillByS:
		return Fail, fmt.Sprintf("%s; checkers wait %.2g s", says, m.FillByS), slow
	case m.Proven < m.Need:
		return Fail, fmt.Sprintf("%s, %s are needed", says, unit(float64(m.Need), "B")), slow
	}
	return OK, says, ""
}
