package reputation

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/checker/committee"
)

// chi2(0.95; k)/2 for k = 2, 4, 6, from tables; the first is -ln 0.05.
const (
	half2 = 2.995732274
	half4 = 4.743864518
	half6 = 6.295793622
)

func TestLower95(t *testing.T) {
	day := uint64(24 * time.Hour / (30 * time.Second)) // slices
	minutes := func(days, min float64) float64 { return min / (days * 24 * 60) }
	tests := []struct {
		name string
		phi  uint32
		s    Standing
		want *float64
	}{
		{"no outage in 90 days", 1000, Standing{Slices: 90 * day}, new(1 - half2*minutes(90, 240))},
		{"no outage, dispersed", 1500, Standing{Slices: 90 * day}, new(1 - 1.5*half2*minutes(90, 240))},
		{"one outage, shorter than the prior", 1000, Standing{Slices: 90 * day, Episodes: 1, Down: 1, Possible: 3}, new(1 - half4*minutes(90, 240))},
		{"two outages", 1000, Standing{Slices: 90 * day, Episodes: 2, Down: 2, Possible: 6}, new(1 - half6*minutes(90, 240))},
		{"own mean over the prior", 1000, Standing{Slices: 90 * day, Episodes: 2, Down: 1196, Possible: 1200}, new(1 - half6*minutes(90, 300))},
		{"own mean at the prior", 1000, Standing{Slices: 90 * day, Episodes: 1, Down: 478, Possible: 480}, new(1 - half4*minutes(90, 240))},
		{"three halves an outage is two degrees more", 1500, Standing{Slices: 90 * day, Episodes: 3, Possible: 9}, new(1 - 1.5*half6*minutes(90, 240))},
		{"contested is subtracted and gives no time", 1000, Standing{Slices: 100 * day, Contested: 10 * day}, new(1 - half2*minutes(90, 240) - 0.1)},
		{"uncertain gives no time", 1000, Standing{Slices: 100 * day, Uncertain: 10 * day}, new(1 - half2*minutes(90, 240))},
		{"30 days", 1000, Standing{Slices: 30 * day}, new(1 - half2*minutes(30, 240))},
		{"a slice less than 30 days", 1000, Standing{Slices: 30*day - 1}, nil},
		{"30 days, one of them uncertain", 1000, Standing{Slices: 30 * day, Uncertain: day}, nil},
		{"never up", 1000, Standing{Slices: 30 * day, Down: 30 * day, Episodes: 1, Possible: 30 * day}, nil},
		{"mostly contested", 1000, Standing{Slices: 3000 * day, Contested: 2970 * day}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := committee.Standard()
			p.DispersionPermille = tt.phi
			same(t, "lower 95 %", Available(&tt.s, &p).Lower95, tt.want)
		})
	}
}

// A longer observation without news never lowers what was demonstrated, and one
// more outage never raises it.
func TestLower95IsMonotone(t *testing.T) {
	p := committee.Standard()
	value := func(s Standing) float64 {
		if v := Available(&s, &p).Lower95; v != nil {
			return *v
		}
		return 0
	}
	rapid.Check(t, func(t *rapid.T) {
		s := Standing{
			Slices:   rapid.Uint64Range(80_000, 2_000_000).Draw(t, "slices"),
			Episodes: rapid.Uint64Range(0, 60).Draw(t, "episodes"),
		}
		s.Possible = s.Episodes * rapid.Uint64Range(3, 900).Draw(t, "length")
		longer := s
		longer.Slices += rapid.Uint64Range(0, 1_000_000).Draw(t, "more")
		if a, b := value(s), value(longer); b < a {
			t.Fatalf("%v after %d slices, %v after %d", a, s.Slices, b, longer.Slices)
		}
		worse := s
		worse.Episodes++
		worse.Possible = s.Possible + s.Possible/max(1, s.Episodes)
		if a, b := value(s), value(worse); b > a {
			t.Fatalf("%v with %d outages, %v with %d", a, s.Episodes, b, worse.Episodes)
		}
	})
}
