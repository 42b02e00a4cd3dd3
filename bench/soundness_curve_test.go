package bench

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/prover/cheat"
)

var curve = flag.String("soundness.curve", "", "file that the curves of docs/SOUNDNESS.md are drawn into, from -soundness runs a point")

// plot is a drawing: the share skipped from left to right, from 0.01 % to 100 % in
// logarithms, and upwards how likely that is caught.
type plot struct{ strings.Builder }

const (
	plotLeft, plotTop     = 60.0, 20.0
	plotWidth, plotHeight = 640.0, 320.0
)

func plotX(share float64) float64  { return plotLeft + plotWidth*(4+math.Log10(share))/4 }
func plotY(caught float64) float64 { return plotTop + plotHeight*(1-caught) }

func (p *plot) text(x, y float64, anchor, s string) {
	fmt.Fprintf(p, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, s)
}

func (p *plot) line(x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(p, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, stroke)
}

// frame draws the axes.
func (p *plot) frame() {
	fmt.Fprintln(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 400" font-family="sans-serif" font-size="12">`)
	fmt.Fprintln(p, `<rect width="720" height="400" fill="white"/>`)
	for _, share := range []float64{1e-4, 1e-3, 1e-2, 1e-1, 1} {
		p.line(plotX(share), plotTop, plotX(share), plotTop+plotHeight, "#ddd")
		p.text(plotX(share), plotTop+plotHeight+18, "middle", fmt.Sprintf("%g %%", 100*share))
	}
	for caught := range 6 {
		y := plotY(float64(caught) / 5)
		p.line(plotLeft, y, plotLeft+plotWidth, y, "#ddd")
		p.text(plotLeft-6, y+4, "end", fmt.Sprintf("%d %%", 20*caught))
	}
	p.text(plotLeft+plotWidth/2, plotTop+plotHeight+40, "middle", "share of the work that is skipped; lines: 1 - (1-f)^samples, points: measured, with 95 % intervals")
}

// formula draws 1 - (1-f)^n.
func (p *plot) formula(n int, colour string) {
	var points []string
	for i := range 201 {
		share := math.Pow(10, -4+float64(i)/50)
		points = append(points, fmt.Sprintf("%.1f,%.1f", plotX(share), plotY(1-math.Pow(1-min(share, 1), float64(n)))))
	}
	fmt.Fprintf(p, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"%s\"/>\n", colour, strings.Join(points, " "))
}

func (p *plot) point(share float64, caught, n int, colour string) {
	low, high := interval(caught, n, 0.95)
	x := plotX(share)
	p.line(x, plotY(low), x, plotY(high), colour)
	fmt.Fprintf(p, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x, plotY(float64(caught)/float64(n)), colour)
}

// TestDetectionCurve draws how likely liars of each share are caught.
func TestDetectionCurve(t *testing.T) {
	if *curve == "" {
		t.Skip("no file for the curves")
	}
	var p plot
	p.frame()
	for i, c := range []struct {
		profile uint16
		weight  int // share of the flag's runs, in eighths
		colour  string
	}{{9, 8, "#7a5195"}, {1, 8, "#2f6db3"}, {7, 4, "#2a9d6f"}, {8, 1, "#d1495b"}} {
		row, err := challenges.LookupProfile(c.profile)
		if err != nil {
			t.Fatal(err)
		}
		p.formula(row.Rounds*row.Samples, c.colour)
		y := plotTop + 20 + 18*float64(i)
		p.line(plotLeft+12, y-4, plotLeft+36, y-4, c.colour)
		p.text(plotLeft+42, y, "start", fmt.Sprintf("%s, %d", row.Name, row.Rounds*row.Samples))
		n := max(1, *soundness*c.weight/8)
		for _, share := range []float64{2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5} {
			p.point(share, cell{row, cheat.Spread, share}.caught(t, n), n, c.colour)
		}
	}
	fmt.Fprintln(&p, "</svg>")
	if err := os.WriteFile(*curve, []byte(p.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
