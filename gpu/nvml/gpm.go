//go:build cgo && linux

package nvml

import (
	"math"
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/assaynet/assay/gpu/telemetry"
)

// A GPM metric is a mean between two samples of the card's counters. The library
// wants 100 ms between them; a mean over too long a time says nothing of the work.
const (
	gpmLeast = 100 * time.Millisecond
	gpmMost  = time.Minute
)

// gpm keeps a card's last sample of its performance counters: each read is the mean
// since the last one, whoever made it. Hopper and later have them.
type gpm struct {
	api  nvml.Interface
	card nvml.Device

	mu          sync.Mutex
	asked, none bool           // whether the card has been asked, and has none
	last, next  nvml.GpmSample // nil: not allocated
	at          time.Time      // of last; zero: it holds nothing
}

var gpmMetrics = []struct {
	id   nvml.GpmMetricId
	kind telemetry.Kind
}{
	{nvml.GPM_METRIC_GRAPHICS_UTIL, telemetry.GPMGraphics},
	{nvml.GPM_METRIC_SM_UTIL, telemetry.GPMSM},
	{nvml.GPM_METRIC_SM_OCCUPANCY, telemetry.GPMOccupancy},
	{nvml.GPM_METRIC_INTEGER_UTIL, telemetry.GPMInteger},
	{nvml.GPM_METRIC_ANY_TENSOR_UTIL, telemetry.GPMTensor},
	{nvml.GPM_METRIC_DFMA_TENSOR_UTIL, telemetry.GPMTensorDouble},
	{nvml.GPM_METRIC_HMMA_TENSOR_UTIL, telemetry.GPMTensorHalf},
	{nvml.GPM_METRIC_IMMA_TENSOR_UTIL, telemetry.GPMTensorInteger},
	{nvml.GPM_METRIC_DRAM_BW_UTIL, telemetry.GPMMemory},
	{nvml.GPM_METRIC_FP64_UTIL, telemetry.GPMFP64},
	{nvml.GPM_METRIC_FP32_UTIL, telemetry.GPMFP32},
	{nvml.GPM_METRIC_FP16_UTIL, telemetry.GPMFP16},
}

// read samples the counters, and puts the means since the last sample.
func (g *gpm) read(r *reader, s *telemetry.Snapshot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.supported(r) || !g.at.IsZero() && time.Since(g.at) < gpmLeast {
		return
	}
	for _, sample := range []*nvml.GpmSample{&g.last, &g.next} {
		if *sample != nil {
			continue
		}
		fresh, code := g.api.GpmSampleAlloc()
		if !r.ok("nvmlGpmSampleAlloc", code) {
			return
		}
		*sample = fresh
	}
	if !r.ok("nvmlGpmSampleGet", g.card.GpmSampleGet(g.next)) {
		return
	}
	before := g.at
	g.at = time.Now()
	g.last, g.next = g.next, g.last
	if before.IsZero() || g.at.Sub(before) > gpmMost {
		return
	}
	get := &nvml.GpmMetricsGetType{NumMetrics: uint32(len(gpmMetrics)), Sample1: g.next, Sample2: g.last}
	for n, m := range gpmMetrics {
		get.Metrics[n].MetricId = uint32(m.id)
	}
	if !r.ok("nvmlGpmMetricsGet", g.api.GpmMetricsGet(get)) {
		return
	}
	for n, m := range gpmMetrics {
		// Beyond that nothing is a share: the counter has wrapped, or the card was reset.
		v := get.Metrics[n].Value
		if nvml.Return(get.Metrics[n].NvmlReturn) == nvml.SUCCESS && v >= 0 && v <= 1000 {
			s.Set(m.kind, int64(math.Round(v*100)))
		}
	}
}

// supported asks the card once. The lock is held.
func (g *gpm) supported(r *reader) bool {
	const call = "nvmlGpmQueryDeviceSupport"
	if g.none || r.fault != nil {
		return false
	}
	if g.asked {
		return true
	}
	for _, name := range []string{call, "nvmlGpmSampleAlloc", "nvmlGpmSampleFree", "nvmlGpmSampleGet", "nvmlGpmMetricsGet"} {
		if !r.has(name) {
			g.none = true
			return false
		}
	}
	answer, code := g.card.GpmQueryDeviceSupport()
	if meaningOf(code) > absent { // not an answer: ask again
		r.ok(call, code)
		return false
	}
	g.asked, g.none = true, code != nvml.SUCCESS || answer.IsSupportedDevice == 0
	return !g.none
}

// free gives the samples back. Nobody reads any more.
func (g *gpm) free() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, sample := range []nvml.GpmSample{g.last, g.next} {
		if sample != nil {
			sample.Free() // what could be done if it fails?
		}
	}
	g.last, g.next = nil, nil
}
