package devnet

import (
	"fmt"
	"time"

	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/prover/cheat"
)

// lieShare is the part of the entries that a liar invents.
const lieShare = 0.1

// flakyWindow is how long a flaky provider stays up or down at a time.
const flakyWindow = 2 * time.Second

// behave gives a provider its device and plants its behaviour.
func behave(kind string, cfg *node.ProviderConfig, seed uint64, genesis time.Time) error {
	has, err := models.Lookup("sim-100")
	if err != nil {
		return err
	}
	sim := gpu.SimConfig{ID: "gpu0", Claims: has, Runs: has}
	liar := cheat.Liar{Inner: gpu.Exact{}, Share: lieShare}
	switch kind {
	case Slow:
		if sim.Claims, err = models.Lookup("sim-400"); err != nil {
			return err
		}
	case Liar, Coward:
		sim.Product = liar
	case Flaky:
		cfg.Network = func(n prover.Network) prover.Network {
			return cheat.Flaky{Network: n, Seed: seed, Genesis: genesis, Window: flakyWindow}
		}
	case Busy:
		cfg.Admission = cheat.Busy{Admission: prover.NewGate(cfg.Registry.Params.PerEpoch)}
	case Honest:
	default:
		return fmt.Errorf("behaviour %q", kind)
	}
	var device gpu.Device
	if device, err = gpu.NewSim(sim); err != nil {
		return err
	}
	if kind == Coward {
		device = cheat.Coward{Device: device, Liar: liar}
	}
	cfg.Devices = []gpu.Device{device}
	return nil
}
