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

// What an oversold provider claims, and has.
const (
	soldDevices = 4
	soldCards   = 3
)

// stage plants behaviours. It remembers the device of a sharer whose partner is
// still to come.
type stage struct {
	seed    uint64
	genesis time.Time
	vendor  vendor
	shared  *cheat.Pool
}

// behave gives provider number i its devices and plants its behaviour.
func (s *stage) behave(i int, kind string, cfg *node.ProviderConfig) error {
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
			return cheat.Flaky{Network: n, Seed: s.seed + uint64(i), Genesis: s.genesis, Window: flakyWindow}
		}
	case Busy:
		cfg.Admission = cheat.Busy{Admission: prover.NewGate(prover.GateConfig{PerEpoch: cfg.Registry.Params.PerEpoch})}
	case SmallMem:
		sim.Items = cheat.NewPartial(0.5)
	case Sharer:
		pool := s.shared
		if s.shared = nil; pool == nil {
			pool = cheat.NewPool(cheat.PoolConfig{Cards: 1, Runs: has})
			s.shared = pool
		}
		return fromPool(cfg, pool, 1, has)
	case Oversold:
		return fromPool(cfg, cheat.NewPool(cheat.PoolConfig{Cards: soldCards, Runs: has}), soldDevices, has)
	case Attested:
		return s.attested(i, cfg)
	case Counterfeit:
		return s.counterfeit(i, cfg)
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

// fromPool gives a provider so many devices of a pool of cards.
func fromPool(cfg *node.ProviderConfig, pool *cheat.Pool, n int, claims models.Spec) error {
	for i := range n {
		d, err := pool.Device(fmt.Sprintf("gpu%d", i), claims)
		if err != nil {
			return err
		}
		cfg.Devices = append(cfg.Devices, d)
	}
	return nil
}
