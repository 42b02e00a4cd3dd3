package challenges

import (
	"errors"
	"fmt"
)

// Offer is what a provider promises, signed by it: its devices and what each is
// claimed to do. A claim is what challenges are judged against, so it should be
// the 10th percentile of a self-test, not a data sheet's figure.
type Offer struct {
	_        struct{} `cbor:",toarray"`
	Seq      uint64   // a higher one replaces a lower one
	Issued   uint64   // Unix time, s
	Expires  uint64   // Unix time, s
	Operator string   // who runs it, self-declared
	Region   string   // where, self-declared
	Agent    string   // software and version
	Addrs    []string // multiaddrs
	Devices  []OfferDevice
}

// maxDevices bounds the devices of an offer.
const maxDevices = 256

// OfferDevice is one device of an offer.
type OfferDevice struct {
	_       struct{} `cbor:",toarray"`
	ID      string   // unique within the provider
	Model   string   // name in gpu/models; a claim
	Memory  uint64   // bytes
	Int8Ops uint64   // ops/s of flavour int8; 0: not offered
	BF16Ops uint64   // ops/s of flavour bf16; 0: not offered
	FP64Ops uint64   // ops/s of flavour fp64fma; 0: not offered
}

// Claim is what the offer claims of a flavour, in ops/s; 0: nothing.
func (d OfferDevice) Claim(f Flavour) uint64 {
	switch f {
	case Int8:
		return d.Int8Ops
	case BF16:
		return d.BF16Ops
	case FP64:
		return d.FP64Ops
	}
	return 0
}

// Flavours are those that the device is offered for, in their order.
func (d OfferDevice) Flavours() []Flavour {
	var out []Flavour
	for _, f := range Flavours() {
		if d.Claim(f) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// Check bounds the fields.
func (o *Offer) Check() error {
	if o.Expires <= o.Issued {
		return fmt.Errorf("offer expires at %d, issued at %d", o.Expires, o.Issued)
	}
	if len(o.Addrs) > 16 || len(o.Devices) > maxDevices {
		return fmt.Errorf("offer of %d addresses and %d devices", len(o.Addrs), len(o.Devices))
	}
	err := errors.Join(Text("operator", o.Operator, 128), Text("region", o.Region, 64), Text("agent", o.Agent, 64))
	for _, a := range o.Addrs {
		err = errors.Join(err, Text("address", a, 256))
	}
	seen := make(map[string]bool, len(o.Devices))
	for _, d := range o.Devices {
		if d.ID == "" || seen[d.ID] {
			return fmt.Errorf("device id %q: empty or twice", d.ID)
		}
		seen[d.ID] = true
		err = errors.Join(err, Text("device id", d.ID, 64), Text("model", d.Model, 64))
	}
	return err
}

// Device finds a device by its id.
func (o *Offer) Device(id string) (OfferDevice, bool) {
	for _, d := range o.Devices {
		if d.ID == id {
			return d, true
		}
	}
	return OfferDevice{}, false
}

// DevicesHash identifies the device list, for pongs.
func (o *Offer) DevicesHash() Hash { return derive("assay/devices/v1", Marshal(o.Devices)) }

// OpenOffer authenticates and decodes an offer.
func OpenOffer(e Envelope, network Hash) (Offer, error) {
	payload, err := e.Open(network, KindOffer)
	if err != nil {
		return Offer{}, err
	}
	var o Offer
	err = Unmarshal(payload, &o)
	return o, err
}
