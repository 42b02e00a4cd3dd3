package devnet

import (
	"context"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
	"github.com/assaynet/assay/gpu/models"
)

// evidenceDir is the folder, inside the devnet's, of the roots and manifests that its
// checkers judge cards by; assay verify --evidence takes it too.
const evidenceDir = "evidence"

// Models of the simulated cards that can be read.
const (
	cardModel  = "sim-h100"
	otherModel = "sim-4090"
)

// vendor stands for a maker of cards, with roots that nobody else trusts.
type vendor struct{ *synthetic.Maker }

func newVendor(seed uint64) vendor {
	var out [32]byte
	blake3.DeriveKey(out[:], "assay/devnet-vendor/v1", binary.BigEndian.AppendUint64(nil, seed))
	return vendor{synthetic.New(out)}
}

// card is the vendor's card number i.
func (v vendor) card(i int, driver, vbios string) *synthetic.Card {
	return v.Card(synthetic.CardConfig{Kind: synthetic.Hopper, Driver: driver, VBIOS: vbios, PDI: attest.PDI{6: byte(i >> 8), 7: byte(i)}})
}

// publish writes the vendor's roots, and the manifests of a card, into a folder.
func (v vendor) publish(dir string, of *synthetic.Card) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	device, rim := v.Roots()
	files := map[string][]byte{}
	for name, c := range map[string][]byte{"device-root.pem": device.Raw, "rim-root.pem": rim.Raw} {
		files[name] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})
	}
	for i, m := range v.RIMs(of) {
		files[fmt.Sprintf("manifest-%d.xml", i+1)] = m
	}
	for name, b := range files {
		if err := file.Write(filepath.Join(dir, name), b); err != nil {
			return err
		}
	}
	return nil
}

// attested gives a provider a card that can be read, and signs its results.
func (s *stage) attested(i int, cfg *node.ProviderConfig) error {
	model, err := models.Lookup(cardModel)
	if err != nil {
		return err
	}
	return s.readable(i, cfg, model, gpu.SimMonitorConfig{Model: model, Attest: s.signer(i)})
}

// signer has card number i sign.
func (s *stage) signer(i int) func(context.Context, [32]byte) (gpu.Evidence, error) {
	card := s.vendor.card(i, gpu.SimDriver, gpu.SimVBIOS)
	return func(_ context.Context, nonce [32]byte) (gpu.Evidence, error) {
		e := card.Sign(nonce)
		return gpu.Evidence{Report: e.Report, Certificates: e.Chain}, nil
	}
}

// counterfeit gives a provider one card under the name of a dearer one: it offers the
// rates that it has, and its driver was made to say the other's name.
func (s *stage) counterfeit(i int, cfg *node.ProviderConfig) error {
	runs, err := models.Lookup(otherModel)
	if err != nil {
		return err
	}
	named, err := models.Lookup(cardModel)
	if err != nil {
		return err
	}
	claims := runs
	claims.Name, claims.Title = named.Name, named.Title
	return s.readable(i, cfg, claims, gpu.SimMonitorConfig{Model: runs, Name: named.Names[0]})
}

// readable gives provider number i a card that m's model runs, and that can be read.
func (s *stage) readable(i int, cfg *node.ProviderConfig, claims models.Spec, m gpu.SimMonitorConfig) error {
	device, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: claims, Runs: m.Model})
	if err != nil {
		return err
	}
	busy := &busyDevice{Device: device}
	m.Seed, m.Busy = s.seed+uint64(i), busy.busy
	monitor, err := gpu.NewSimMonitor(m)
	if err != nil {
		return err
	}
	cfg.Devices, cfg.Monitors = []gpu.Device{busy}, map[string]gpu.Monitor{"gpu0": monitor}
	return nil
}

// busyDevice counts the jobs that run, for what reads the card.
type busyDevice struct {
	gpu.Device
	jobs atomic.Int32
}

func (d *busyDevice) busy() bool { return d.jobs.Load() > 0 }

// Start is part of gpu.Device.
func (d *busyDevice) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	run, err := d.Device.Start(ctx, job)
	if err != nil {
		return nil, err
	}
	d.jobs.Add(1)
	return &busyRun{Run: run, device: d}, nil
}

// Fill is part of gpu.Device.
func (d *busyDevice) Fill(ctx context.Context, job gpu.MemoryJob) (gpu.Memory, error) {
	d.jobs.Add(1)
	m, err := d.Device.Fill(ctx, job)
	if err != nil {
		d.jobs.Add(-1)
		return nil, err
	}
	return &busyMemory{Memory: m, device: d}, nil
}

type busyRun struct {
	gpu.Run
	device *busyDevice
}

func (r *busyRun) Close() error {
	r.device.jobs.Add(-1)
	return r.Run.Close()
}

type busyMemory struct {
	gpu.Memory
	device *busyDevice
}

func (m *busyMemory) Close() error {
	m.device.jobs.Add(-1)
	return m.Memory.Close()
}
