package bench

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
)

// A provider of many devices may be asked about all of them at once: none of its
// challenges finds the door shut.
func TestManyDevicesOfOneProvider(t *testing.T) {
	const devices = 24
	spec, err := models.Lookup("sim-100")
	if err != nil {
		t.Fatal(err)
	}
	spec.Memory = 0 // its turns are of compute
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 1, time.Millisecond)
		var all []gpu.Device
		for i := range devices {
			d, err := gpu.NewSim(gpu.SimConfig{ID: fmt.Sprint("gpu", i), Claims: spec, Runs: spec})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, d)
		}
		w.agentOf(0, nil, all...)
		w.run(1, nil)
		count := make(map[challenges.Outcome]int)
		for _, f := range w.computes() {
			count[*f.Outcome]++
		}
		if n := count[challenges.Pass] + count[challenges.Late]; n != devices {
			t.Errorf("%d of %d devices answered: %v", n, devices, count)
		}
	})
}
