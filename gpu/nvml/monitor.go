//go:build cgo && linux

package nvml

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// monitor is a card as gpu.Monitor. Contexts are looked at before a call into the
// driver, which none can end.
type monitor struct {
	lib  *Library
	card nvml.Device
	name string
	xids *xids
	gpm  gpm

	mu   sync.Mutex
	pcie time.Time // when the traffic was last measured; zero: never
}

// enter lets a call in, which must leave.
func (m *monitor) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !m.lib.calls.enter() {
		return ErrClosed
	}
	return nil
}

func (m *monitor) leave() { m.lib.calls.leave() }

// recent is how long an Xid still explains why a card has failed.
const recent = time.Minute

// explain adds to a fault of the card what the card reported lately.
func (m *monitor) explain(err error) error {
	f, ok := errors.AsType[*gpu.Fault](err)
	if !ok || f.Xid != 0 {
		return err
	}
	said := *f
	said.Xid = m.xids.within(recent)
	return &said
}

// Inventory is what the card says it is.
func (m *monitor) Inventory(ctx context.Context) (telemetry.Inventory, error) {
	if err := m.enter(ctx); err != nil {
		return telemetry.Inventory{}, err
	}
	defer m.leave()
	i, err := m.lib.inventory(m.card)
	return i, m.explain(err)
}

// Sample reads the card. A kind that it, its driver or this user lacks is absent; a
// card or driver that has failed is a *gpu.Fault.
func (m *monitor) Sample(ctx context.Context) (telemetry.Snapshot, error) {
	if err := m.enter(ctx); err != nil {
		return telemetry.Snapshot{}, err
	}
	defer m.leave()
	var s telemetry.Snapshot
	r := &reader{symbols: m.lib.symbols}
	m.sample(r, &s)
	if r.fault == nil && len(s.Readings) == 0 && r.odd != nil {
		r.fault = r.odd.Fault() // no single call ended it, but nothing works
	}
	if r.fault != nil {
		return telemetry.Snapshot{}, m.explain(r.fault)
	}
	return s, nil
}

// Attest has the card sign a nonce: the report and the certificates of the key, as
// the driver gives them. Only a card in confidential-computing mode can.
func (m *monitor) Attest(ctx context.Context, nonce [32]byte) (gpu.Evidence, error) {
	if err := m.enter(ctx); err != nil {
		return gpu.Evidence{}, err
	}
	defer m.leave()
	e, err := m.attest(nonce)
	return e, m.explain(err)
}

func (m *monitor) attest(nonce [32]byte) (gpu.Evidence, error) {
	const sign, certify = "nvmlDeviceGetConfComputeGpuAttestationReport", "nvmlDeviceGetConfComputeGpuCertificate"
	if !m.lib.symbols.has(sign) || !m.lib.symbols.has(certify) {
		return gpu.Evidence{}, fmt.Errorf("%w: the driver is too old", gpu.ErrNoAttestation)
	}
	report := nvml.ConfComputeGpuAttestationReport{Nonce: nonce}
	if err := m.unattested(sign, m.card.GetConfComputeGpuAttestationReport(&report)); err != nil {
		return gpu.Evidence{}, err
	}
	chain, code := m.card.GetConfComputeGpuCertificate()
	if err := m.unattested(certify, code); err != nil {
		return gpu.Evidence{}, err
	}
	signed, ok := cut(report.AttestationReport[:], report.AttestationReportSize)
	certificates, good := cut(chain.AttestationCertChain[:], chain.AttestationCertChainSize)
	if !ok || !good {
		return gpu.Evidence{}, gpu.NewFault(gpu.FaultDriver, "attestation: a report of %d bytes, certificates of %d",
			report.AttestationReportSize, chain.AttestationCertChainSize)
	}
	return gpu.Evidence{Report: signed, Certificates: certificates}, nil
}

// unattested is why an answer gave nothing. Drivers say in several ways that the
// card is not in the mode, so the mode tells which answers are failures.
func (m *monitor) unattested(call string, code nvml.Return) error {
	switch meaningOf(code) {
	case good:
		return nil
	case gone, broken:
		return failure(call, code)
	}
	mode := m.lib.confidential(&reader{symbols: m.lib.symbols})
	if code == nvml.ERROR_NOT_SUPPORTED || mode == "off" || mode == "" {
		return fmt.Errorf("%w: confidential computing is not on: %w", gpu.ErrNoAttestation, &codeError{call, code})
	}
	return fmt.Errorf("attestation of card %s: %w", m.name, failure(call, code))
}

// cut copies what a library says it has written into an array; false if it can't have.
func cut(array []byte, size uint32) ([]byte, bool) {
	if size == 0 || uint64(size) > uint64(len(array)) {
		return nil, false
	}
	return append([]byte(nil), array[:size]...), true
}

// Xid is the number of the latest error that the card reported within a time from
// now back. 0: none, or the driver does not report them to this process.
func (m *monitor) Xid(ctx context.Context, within time.Duration) (uint32, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return m.xids.within(within), nil
}
