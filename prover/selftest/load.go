package selftest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/assaynet/assay/gpu/telemetry"
)

// Load is what was seen of a card while its throughput was measured; -1: not known.
type Load struct {
	Samples      int                `json:"samples"`
	Failed       int                `json:"samples_failed"`
	Error        string             `json:"error,omitempty"` // of the last that failed
	Throttled    map[string]float64 `json:"throttled"`       // share of the samples, by reason
	ClockMin     int64              `json:"clock_min_mhz"`
	ClockMean    int64              `json:"clock_mean_mhz"`
	ClockMax     int64              `json:"clock_max_mhz"` // that the card could have
	Temperature  int64              `json:"temperature_max_c"`
	PowerMean    int64              `json:"power_mean_mw"`
	PowerLimit   int64              `json:"power_limit_mw"`
	Corrected    int64              `json:"ecc_corrected"`
	Uncorrected  int64              `json:"ecc_uncorrected"`
	RemapPending int64              `json:"remap_pending"`
	RemapFailed  int64              `json:"remap_failed"`
	PCIeGen      int64              `json:"pcie_generation"` // the highest that was seen
	PCIeGenMax   int64              `json:"pcie_generation_max"`
	PCIeWidth    int64              `json:"pcie_width"` // the widest that was seen
	PCIeWidthMax int64              `json:"pcie_width_max"`
}

// sums are what means are made of.
type sums struct {
	clock, clocks, power, powers int64
	reasons                      map[int64]int // samples by bit
}

func newLoad() Load {
	return Load{
		Throttled: map[string]float64{}, ClockMin: -1, ClockMean: -1, ClockMax: -1, Temperature: -1, PowerMean: -1, PowerLimit: -1,
		Corrected: -1, Uncorrected: -1, RemapPending: -1, RemapFailed: -1, PCIeGen: -1, PCIeGenMax: -1, PCIeWidth: -1, PCIeWidthMax: -1,
	}
}

// take adds a sample.
func (l *Load) take(sum *sums, s *telemetry.Snapshot) {
	l.Samples++
	for _, m := range []struct {
		kind telemetry.Kind
		of   *int64
	}{
		{telemetry.ClockSMMax, &l.ClockMax},
		{telemetry.Temperature, &l.Temperature},
		{telemetry.PowerLimit, &l.PowerLimit},
		{telemetry.ECCCorrected, &l.Corrected},
		{telemetry.ECCUncorrected, &l.Uncorrected},
		{telemetry.RemapPending, &l.RemapPending},
		{telemetry.RemapFailed, &l.RemapFailed},
		{telemetry.PCIeGeneration, &l.PCIeGen},
		{telemetry.PCIeGenerationMax, &l.PCIeGenMax},
		{telemetry.PCIeWidth, &l.PCIeWidth},
		{telemetry.PCIeWidthMax, &l.PCIeWidthMax},
	} {
		if v, ok := s.Get(m.kind); ok {
			*m.of = max(*m.of, v)
		}
	}
	if v, ok := s.Get(telemetry.ClockSM); ok {
		sum.clock, sum.clocks = sum.clock+v, sum.clocks+1
		if l.ClockMin < 0 || v < l.ClockMin {
			l.ClockMin = v
		}
	}
	if v, ok := s.Get(telemetry.Power); ok {
		sum.power, sum.powers = sum.power+v, sum.powers+1
	}
	if v, ok := s.Get(telemetry.Throttle); ok {
		if sum.reasons == nil {
			sum.reasons = map[int64]int{}
		}
		for bit := int64(1); bit <= telemetry.ThrottleDisplayClocks; bit <<= 1 {
			if v&bit != 0 {
				sum.reasons[bit]++
			}
		}
	}
}

// finish makes means and shares.
func (l *Load) finish(s sums) {
	if s.clocks > 0 {
		l.ClockMean = s.clock / s.clocks
	}
	if s.powers > 0 {
		l.PowerMean = s.power / s.powers
	}
	for bit, n := range s.reasons {
		l.Throttled[telemetry.ThrottleWords(bit)] = float64(n) / float64(l.Samples)
	}
}

// slowed are the reasons that cost a card its claim: something is wrong with its
// air, its supply or its slot. A power cap is how cards work.
var slowed = []int64{
	telemetry.ThrottleHardware, telemetry.ThrottleThermal, telemetry.ThrottleHWThermal, telemetry.ThrottlePowerBrake,
}

// load says how the card was while it worked.
func (l *lane) load(ctx context.Context) {
	const check = "load"
	if l.simulated(check) || !l.watched(ctx, check) {
		return
	}
	l.figures.Load = &l.watch.load
	if l.watch.load.Samples+l.watch.load.Failed == 0 {
		l.add(check, Skip, "needs throughput", "")
		return
	}
	verdict, says, remedy := judgeLoad(l.watch.load)
	l.add(check, verdict, says, remedy)
}

// judgeLoad decides about a card at work.
func judgeLoad(l Load) (verdict, says, remedy string) {
	if l.Samples == 0 {
		return Warn, "the card could not be sampled: " + l.Error, "check nvml: in assay.yaml; results go out without telemetry"
	}
	verdict = OK
	said := []string{fmt.Sprintf("%s: %s at most %s, %s, %s", plural(l.Samples, "sample"), known(l.ClockMean, "%d MHz on average"),
		known(l.ClockMax, "%d MHz"), known(watts(l.PowerMean), "%d W"), known(l.Temperature, "%d C at most"))}
	var todo []string
	find := func(v, what, do string) {
		verdict = worse(verdict, v)
		said = append(said, what)
		if !slices.Contains(todo, do) {
			todo = append(todo, do)
		}
	}
	for _, bit := range slowed {
		word := telemetry.ThrottleWords(bit)
		if share := l.Throttled[word]; share > 0 {
			find(Warn, fmt.Sprintf("%s in %s of the samples", word, percent(share)), slowRemedy(bit))
		}
	}
	if l.Uncorrected > 0 {
		find(Fail, plural(int(l.Uncorrected), "uncorrected memory error"), "reset the card (nvidia-smi --gpu-reset) and test again; if they come again replace it")
	}
	if l.RemapPending > 0 {
		find(Fail, "a row of memory waits to be remapped", "reset the card (nvidia-smi --gpu-reset) or restart the machine")
	}
	if l.RemapFailed > 0 {
		find(Fail, "a row of memory could not be remapped", "replace the card: its spare rows are used up")
	}
	if l.PCIeWidth >= 0 && l.PCIeWidth < l.PCIeWidthMax {
		find(Warn, fmt.Sprintf("PCIe x%d of x%d", l.PCIeWidth, l.PCIeWidthMax), slotRemedy)
	}
	if l.PCIeGen >= 0 && l.PCIeGen < l.PCIeGenMax {
		find(Warn, fmt.Sprintf("PCIe generation %d of %d under load", l.PCIeGen, l.PCIeGenMax), slotRemedy)
	}
	if l.Failed > l.Samples/10 {
		find(Warn, fmt.Sprintf("%s failed: %s", plural(l.Failed, "sample"), l.Error), "look at the monitor's log; results go out with gaps in their telemetry")
	}
	return verdict, strings.Join(said, "; "), strings.Join(todo, "; ")
}

const slotRemedy = "seat the card and its riser again, use another slot, look at the slot's settings in the firmware"

func slowRemedy(bit int64) string {
	switch bit {
	case telemetry.ThrottleThermal, telemetry.ThrottleHWThermal:
		return "cool the card: fans, filters, the room; or lower its power limit and test again"
	case telemetry.ThrottlePowerBrake:
		return "the machine's supply is overloaded: use more supplies, or lower the cards' power limits"
	}
	return "look at cooling, supply and cables of the card (nvidia-smi -q -d PERFORMANCE)"
}

// percent writes a share; a small one is not none.
func percent(share float64) string {
	if share < 0.01 {
		return fmt.Sprintf("%.1g %%", 100*share)
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

// watts are whole ones of mW; -1 stays.
func watts(mw int64) int64 {
	if mw < 0 {
		return -1
	}
	return mw / 1000
}

// known writes a figure, or that it is not known.
func known(v int64, format string) string {
	if v < 0 {
		return strings.Replace(format, "%d", "?", 1)
	}
	return fmt.Sprintf(format, v)
}
