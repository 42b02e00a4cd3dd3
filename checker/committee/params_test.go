package committee

import (
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
)

func TestParamsOfBothNetworksAreValid(t *testing.T) {
	for name, p := range map[string]Params{"standard": Standard(), "devnet": Devnet()} {
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := time.Duration(p.Slices()) * p.ProbeEvery; got != p.Epoch {
			t.Errorf("%s: %d slices of %v make %v, epoch is %v", name, p.Slices(), p.ProbeEvery, got, p.Epoch)
		}
	}
}

// What decides a verdict on a provider must not change between the networks:
// the devnet scales durations only.
func TestDevnetScalesDurationsOnly(t *testing.T) {
	s, d := Standard(), Devnet()
	if s.BelowFigures != d.BelowFigures || s.BelowCheckers != d.BelowCheckers || s.BelowPercent != d.BelowPercent ||
		s.MemoryPercent != d.MemoryPercent || s.FleetPercent != d.FleetPercent || s.SharingSlow != d.SharingSlow ||
		s.RefusalPermille != d.RefusalPermille || s.DispersionPermille != d.DispersionPermille {
		t.Errorf("thresholds differ: %+v and %+v", s, d)
	}
	for name, pair := range map[string][2]time.Duration{
		"repair prior": {s.RepairPrior, d.RepairPrior},
		"episode gap":  {s.EpisodeGap, d.EpisodeGap},
		"lower from":   {s.LowerFrom, d.LowerFrom},
		"card for":     {s.CardFor, d.CardFor},
	} {
		if pair[0]*d.Epoch != pair[1]*s.Epoch {
			t.Errorf("%s: %v of %v, and %v of %v", name, pair[0], s.Epoch, pair[1], d.Epoch)
		}
	}
}

func TestParamsCheck(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Params)
		ok     bool
	}{
		{"unchanged", func(*Params) {}, true},
		{"shortest epoch", func(p *Params) {
			p.Epoch, p.ProbeEvery, p.MinSlot = time.Second, 500*time.Millisecond, 500*time.Millisecond
		}, true},
		{"epoch too short", func(p *Params) {
			p.Epoch, p.ProbeEvery, p.MinSlot = time.Second-2, 500*time.Millisecond-1, time.Millisecond
		}, false},
		{"longest epoch", func(p *Params) { p.Epoch, p.ProbeEvery = 24*time.Hour, 10*time.Minute }, true},
		{"epoch too long", func(p *Params) { p.Epoch, p.ProbeEvery = 24*time.Hour+10*time.Minute, 10*time.Minute }, false},
		{"epoch zero", func(p *Params) { p.Epoch = 0 }, false},
		{"epoch negative", func(p *Params) { p.Epoch = -p.Epoch }, false},
		{"probes too dense", func(p *Params) { p.ProbeEvery = 9 * time.Millisecond }, false},
		{"probes never", func(p *Params) { p.ProbeEvery = 0 }, false},
		{"probes negative", func(p *Params) { p.ProbeEvery = -p.ProbeEvery }, false},
		{"probes do not divide the epoch", func(p *Params) { p.ProbeEvery = 7 * time.Second }, false},
		{"probes rarer than epochs", func(p *Params) { p.ProbeEvery = 2 * p.Epoch }, false},
		{"1024 slices", func(p *Params) { p.Epoch, p.ProbeEvery = 1024*time.Second, time.Second }, true},
		{"1025 slices", func(p *Params) { p.Epoch, p.ProbeEvery = 1025*time.Second, time.Second }, false},
		{"no slot", func(p *Params) { p.MinSlot = 0 }, false},
		{"slot negative", func(p *Params) { p.MinSlot = -1 }, false},
		{"slot is half the epoch", func(p *Params) { p.MinSlot = p.Epoch / 2 }, true},
		{"slot leaves no room for runs of several", func(p *Params) { p.MinSlot = p.Epoch/2 + 1 }, false},
		{"no pings", func(p *Params) { p.Pings = 0 }, false},
		{"one ping", func(p *Params) { p.Pings = 1 }, true},
		{"eight pings", func(p *Params) { p.Pings = 8 }, true},
		{"nine pings", func(p *Params) { p.Pings = 9 }, false},
		{"purpose spot", func(p *Params) { p.Purpose = challenges.Spot }, true},
		{"purpose capacity", func(p *Params) { p.Purpose = challenges.Capacity }, true},
		{"purpose devnet", func(p *Params) { p.Purpose = challenges.Devnet }, true},
		{"purpose of vectors", func(p *Params) { p.Purpose = challenges.Vector }, false},
		{"purpose of pulses", func(p *Params) { p.Purpose = challenges.Pulse }, false},
		{"no purpose", func(p *Params) { p.Purpose = "" }, false},
		{"unknown purpose", func(p *Params) { p.Purpose = "Spot" }, false},
		{"no figures", func(p *Params) { p.BelowFigures = 0 }, false},
		{"no checkers for figures", func(p *Params) { p.BelowCheckers = 0 }, false},
		{"below 0 %", func(p *Params) { p.BelowPercent = 0 }, false},
		{"below 100 %", func(p *Params) { p.BelowPercent = 100 }, false},
		{"below 99 %", func(p *Params) { p.BelowPercent = 99 }, true},
		{"memory below 0 %", func(p *Params) { p.MemoryPercent = 0 }, false},
		{"memory below 100 %", func(p *Params) { p.MemoryPercent = 100 }, false},
		{"memory below 99 %", func(p *Params) { p.MemoryPercent = 99 }, true},
		{"fleet below 0 %", func(p *Params) { p.FleetPercent = 0 }, false},
		{"fleet below 100 %", func(p *Params) { p.FleetPercent = 100 }, false},
		{"fleet below 99 %", func(p *Params) { p.FleetPercent = 99 }, true},
		{"a fleet challenge in no epoch", func(p *Params) { p.FleetEvery = 0 }, false},
		{"a fleet challenge in every epoch", func(p *Params) { p.FleetEvery = 1 }, true},
		{"global slots in no epoch", func(p *Params) { p.SlotEvery = 0 }, false},
		{"global slots in every epoch", func(p *Params) { p.SlotEvery = 1 }, true},
		{"no global slots", func(p *Params) { p.Slots = 0 }, true},
		{"eight global slots", func(p *Params) { p.Slots, p.PerEpoch = 8, 9 }, true},
		{"nine global slots", func(p *Params) { p.Slots, p.PerEpoch = 9, 10 }, false},
		{"no challenges", func(p *Params) { p.PerEpoch = 0 }, false},
		{"no challenge beside the one alone", func(p *Params) { p.PerEpoch, p.Slots = 1, 0 }, false},
		{"one challenge beside the one alone", func(p *Params) { p.PerEpoch, p.Slots = 2, 0 }, true},
		{"fewer challenges than global slots", func(p *Params) { p.PerEpoch, p.Slots = 3, 3 }, false},
		{"all global slots and one alone", func(p *Params) { p.PerEpoch, p.Slots = 4, 3 }, true},
		{"as many challenges as a refusal can list", func(p *Params) { p.PerEpoch = 32 }, true},
		{"more challenges than that", func(p *Params) { p.PerEpoch = 33 }, false},
		{"fleets of devnet's", func(p *Params) { p.FleetFor = challenges.Devnet }, true},
		{"fleets of pulses", func(p *Params) { p.FleetFor = challenges.Pulse }, false},
		{"fleets of nothing", func(p *Params) { p.FleetFor = "" }, false},
		{"slots of their own purpose", func(p *Params) { p.SlotFor = challenges.Slot }, true},
		{"slots of vectors", func(p *Params) { p.SlotFor = challenges.Vector }, false},
		{"slots of an unknown purpose", func(p *Params) { p.SlotFor = "slots" }, false},
		{"nothing is slow", func(p *Params) { p.SharingSlow = 0 }, false},
		{"all is slow", func(p *Params) { p.SharingSlow = 100 }, false},
		{"nothing passes the screen", func(p *Params) { p.SharingScreen = 0 }, false},
		{"all passes the screen", func(p *Params) { p.SharingScreen = 1e6 }, false},
		{"nearly all passes the screen", func(p *Params) { p.SharingScreen = 1e6 - 1 }, true},
		{"watched in one slot", func(p *Params) { p.SharingTargeted = 1 }, false},
		{"watched in two slots", func(p *Params) { p.SharingTargeted = 2 }, true},
		{"all refusals allowed", func(p *Params) { p.RefusalPermille = 1000 }, false},
		{"no refusals allowed", func(p *Params) { p.RefusalPermille = 0 }, true},
		{"no repair time", func(p *Params) { p.RepairPrior = 0 }, false},
		{"dispersion under Poisson's", func(p *Params) { p.DispersionPermille = 999 }, false},
		{"no episode gap", func(p *Params) { p.EpisodeGap = 0 }, false},
		{"cards known for no epoch", func(p *Params) { p.CardFor = p.Epoch - 1 }, false},
		{"cards known for ever", func(p *Params) { p.CardFor = 366 * 24 * time.Hour }, false},
		{"bound from nothing", func(p *Params) { p.LowerFrom = 0 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Standard()
			tt.change(&p)
			if err := p.Check(); (err == nil) != tt.ok {
				t.Errorf("Check: %v, want ok %v", err, tt.ok)
			}
		})
	}
}

// The part of an epoch that is kept free is one slot at its end, and the global
// slots share it.
func TestSlotAt(t *testing.T) {
	for name, p := range map[string]Params{"standard": Standard(), "devnet": Devnet()} {
		if at := p.TogetherAt(); at != p.Epoch-p.MinSlot || p.SlotAt(0) != at {
			t.Errorf("%s: together at %v, the first slot at %v of %v", name, at, p.SlotAt(0), p.Epoch)
		}
		for i := range int(p.Slots) {
			if gap := p.SlotAt(i+1) - p.SlotAt(i); gap != p.MinSlot/time.Duration(p.Slots) {
				t.Errorf("%s: slots %d and %d are %v apart", name, i, i+1, gap)
			}
		}
		if end := p.SlotAt(int(p.Slots)); end > p.Epoch {
			t.Errorf("%s: the last slot ends at %v of %v", name, end, p.Epoch)
		}
	}
	// Without any, nothing is divided by zero.
	p := Standard()
	p.Slots = 0
	if at := p.SlotAt(0); at != p.TogetherAt() {
		t.Errorf("no slots: the first at %v", at)
	}
}
