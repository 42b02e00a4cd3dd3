package bench

import (
	"fmt"
	"strings"

	"github.com/assaynet/assay/challenges"
)

// honestPlot draws the spot curves: false late over the slack, and false
// below-claim in second months over the threshold.
func honestPlot(cells []honestCell, below []honestBelow) string {
	const w, h, left, top, gap = 300, 240, 46, 34, 76
	colours := []string{"#1b6ca8", "#c0392b", "#27823b", "#8e44ad", "#d68910", "#16a085", "#7f8c8d", "#2c3e50", "#e84393", "#6d4c41", "#00838f", "#9e9d24", "#000000"}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		left+2*w+gap+200, top+h+44)
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	panel := func(x0, from, to, step int, most float64, title, axis string) {
		fmt.Fprintf(&b, `<text x="%d" y="20">%s</text><rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#888"/>`+"\n", x0, title, x0, top, w, h)
		for x := from; x <= to; x += step {
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%d</text>`, x0+w*(x-from)/(to-from), top+h+16, x)
		}
		for k := range 5 {
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%g</text>`, x0-5, top+h-h*k/4+4, most*float64(k)/4)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", x0+w/2, top+h+34, axis)
	}
	line := func(x0, from, to int, most float64, colour string, at func(x int) float64) {
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, colour)
		for x := from; x <= to; x++ {
			fmt.Fprintf(&b, "%d,%.1f ", x0+w*(x-from)/(to-from), top+h-h*min(1, at(x)/most))
		}
		b.WriteString(`"/>` + "\n")
	}
	second := left + w + gap
	panel(left, 0, 30, 5, 20, "false late, % of spot challenges", "slack, %")
	panel(second, belowFrom, belowTo, 3, 100, "false below-claim, % of second months", "threshold, % of the claim")
	for i, c := range honestOf(cells, challenges.Spot) {
		colour := colours[i%len(colours)]
		if n := len(c.runs); n > 0 {
			line(left, 0, 30, 20, colour, func(x int) float64 { return 100 * honestCount(c.runs, honestFalse(x)) / float64(n) })
		}
		if below[i].months > 0 {
			line(second, belowFrom, belowTo, 100, colour, func(x int) float64 { return 100 * below[i].later[x] })
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", second+w+14, top+12+i*17, colour, c.path.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
