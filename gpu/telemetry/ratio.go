package telemetry

import (
	"fmt"

	"github.com/assaynet/assay/gpu/models"
)

// Rates are a card's in a second, each the best lower bound that was measured of it;
// 0: none.
type Rates struct {
	Int8, BF16, FP64 float64 // ops of exact products, or of fused multiplications and additions
	Reads            float64 // of 64 bytes at random places
}

// Ratios holds the ratios of a card's measured rates against those of a model (a name
// in gpu/models). A model that is not known, is a class, or lacks a figure is not held
// against anybody.
//
// Rates are lower bounds: a power cap or a bad path lowers one and not another. So each
// may lie anywhere from half of the model's reference to its peak with the clocks tuned
// by 15 %, and a ratio is found odd (soft) where no two such rates make it. It is hard
// where not even a quarter of the reference would.
//
// What that tells apart is coarse. Of the 3,306 pairs of real rows, with the card at its
// reference in all four, 1,314 are hard, 329 soft, and 1,663 pass. Units for fp64 make
// the difference: GeForce and RTX cards, T4, L4, L40S, H20 and B300 as H100 or A100 are
// hard, and the other way round. What passes as H100: A100, A30, H200, GH200, B200,
// GB200, that is whatever has such units; A100 and H100 have the same ratios within a
// factor of 2. RTX 4090, L40S, RTX 5090 and their kin pass as each other. Those are told
// by the rates themselves, the memory's size and the identity. TestRatioMatrix has all.
func Ratios(model string, rates Rates) []Finding {
	s, err := models.Lookup(model)
	if err != nil {
		return nil
	}
	flavours := []struct {
		name           string
		has, low, high float64
	}{
		{"int8", rates.Int8, float64(s.Int8Ops), float64(s.Peak.Exact().Int8)},
		{"bf16", rates.BF16, float64(s.BF16Ops), float64(s.Peak.Exact().BF16)},
		{"fp64", rates.FP64, float64(s.FP64Ops), float64(s.Peak.FP64)},
		{"reads", rates.Reads, float64(readShare*float64(s.Bandwidth)) / ReadBytes, float64(s.Bandwidth) / ReadBytes},
	}
	const high = overclock * slackShare
	var out []Finding
	for n, a := range flavours {
		for _, b := range flavours[n+1:] {
			if a.has <= 0 || b.has <= 0 || a.low <= 0 || b.low <= 0 || a.high <= 0 || b.high <= 0 {
				continue
			}
			ratio := a.has / b.has
			// The least has the first at half of its reference and the second at its best.
			least, most := a.low/2/float64(b.high*high), float64(a.high*high)/(b.low/2)
			if ratio >= least && ratio <= most {
				continue
			}
			out = append(out, Finding{
				Code: "ratio-" + a.name + "-" + b.name, Hard: ratio < least/2 || ratio > float64(most*2),
				Seen: fmt.Sprintf("%.4g", ratio), Expected: fmt.Sprintf("%.4g to %.4g", least, most),
				Threshold: "half of the reference to 1.17 x the peak, of each; hard beyond twice that", Source: "gpu/models, tolerance " + proposal,
			})
		}
	}
	return out
}

// readShare is the part of the bandwidth that random reads of 64 bytes get at least on
// a card at its best: challenges/memory assumes 0.55 to 0.64.
const readShare = 0.5
