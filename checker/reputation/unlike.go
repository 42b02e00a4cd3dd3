package reputation

import (
	"slices"

	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Unlike is a card whose rates do not stand to each other as those of its model.
type Unlike struct {
	Card     Card
	Model    string
	Findings []telemetry.Finding
}

// unlike compares each card's rates, as far as enough checkers measured them, with the
// model that enough of them read in its telemetry.
func unlike(s *Standing, p *committee.Params) []Unlike {
	var out []Unlike
	many := enoughWords(s, p)
	for i := range s.Cards {
		c := &s.Cards[i]
		model := Know(s, c, p).Model
		if model == "" {
			continue
		}
		var rates [4]float64
		measured := 0
		for k := range rates {
			var of []uint64
			for _, w := range c.words(s, p) {
				if w.Rates[k] > 0 && w.Model == model {
					of = append(of, w.Rates[k])
				}
			}
			if rates[k] = float64(agreed(of, many)); rates[k] > 0 {
				measured++
			}
		}
		if measured < 2 {
			continue // nothing stands to nothing
		}
		found := telemetry.Ratios(model, telemetry.Rates{Int8: rates[0], BF16: rates[1], FP64: rates[2], Reads: rates[reads]})
		// What a cap or a bad path may make of an honest card is no finding.
		found = slices.DeleteFunc(found, func(f telemetry.Finding) bool { return !f.Hard })
		if len(found) > 0 {
			out = append(out, Unlike{*c, model, found})
		}
	}
	return out
}
