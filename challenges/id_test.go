package challenges

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"testing"
)

// smallOrderPoints is the published list (Chalkias et al., "Taming the many
// EdDSAs", table 6 a), canonical encodings; that it is right is shown below.
var smallOrderPoints = [8]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}

func fromHex(t testing.TB, s string) (out [32]byte) {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 {
		t.Fatalf("%q: %v", s, err)
	}
	return [32]byte(b)
}

func TestSmallOrderKeysAreRefused(t *testing.T) {
	for _, text := range smallOrderPoints {
		t.Run(text[:8]+text[62:], func(t *testing.T) {
			key := NodeID(fromHex(t, text))
			if err := key.Check(); !errors.Is(err, ErrKey) {
				t.Fatalf("got %v", err)
			}
			// The danger: with S = 0 and a small-order R, nobody's private key
			// signs. One in eight payloads or more verifies.
			for i := range uint64(64) {
				for _, r := range smallOrderPoints {
					e := Envelope{Network: testNetwork, Kind: KindOffer, Payload: binary.AppendUvarint(nil, i), Signer: key}
					point := fromHex(t, r)
					copy(e.Signature[:], point[:])
					if !ed25519.Verify(key[:], signInput(e.Network, e.Kind, e.Payload), e.Signature[:]) {
						continue
					}
					if _, err := e.Open(testNetwork, KindOffer); !errors.Is(err, ErrKey) {
						t.Fatalf("forged envelope: %v", err)
					}
					return
				}
			}
			t.Fatal("no forgery found: the point is not of small order")
		})
	}
}

func TestNonCanonicalKeysAreRefused(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	encode := func(y *big.Int, sign byte) NodeID {
		var n NodeID
		y.FillBytes(n[:])
		slices.Reverse(n[:])
		n[31] |= sign
		return n
	}
	for i := range int64(19) { // p to 2^255 - 1
		for _, sign := range []byte{0, 0x80} {
			n := encode(new(big.Int).Add(p, big.NewInt(i)), sign)
			if err := n.Check(); !errors.Is(err, ErrKey) {
				t.Errorf("y = p + %d, sign %#x: %v", i, sign, err)
			}
		}
	}
	for name, y := range map[string]*big.Int{"1": big.NewInt(1), "-1": new(big.Int).Sub(p, big.NewInt(1))} {
		if n := encode(y, 0x80); !errors.Is(n.Check(), ErrKey) {
			t.Errorf("y = %s with the sign of x = 0: accepted", name)
		}
	}
	// The largest canonical ones that are not of small order.
	for i := range int64(20) {
		n := encode(new(big.Int).Sub(p, big.NewInt(2+i)), 0x80)
		if err := n.Check(); err != nil {
			t.Errorf("y = p - %d: %v", 2+i, err)
		}
	}
}

func TestGeneratedKeysAreAccepted(t *testing.T) {
	for i := range uint64(1000) {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], i)
		if n := IDOf(ed25519.NewKeyFromSeed(seed[:])); n.Check() != nil {
			t.Errorf("seed %d: %v", i, n.Check())
		}
	}
}

func TestTextForms(t *testing.T) {
	n := IDOf(providerKey)
	text, _ := n.MarshalText()
	var again NodeID
	if err := again.UnmarshalText(text); err != nil || again != n || string(text) != n.String() || n.Short() != string(text[:8]) {
		t.Errorf("got %v, %v", again, err)
	}
	for name, bad := range map[string][]byte{
		"upper case": bytes.ToUpper(text), "short": text[:63], "long": append(text, '0'), "not hex": bytes.Repeat([]byte{'g'}, 64),
	} {
		var h Hash
		if again.UnmarshalText(bad) == nil || h.UnmarshalText(bad) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEnvelopeOpen(t *testing.T) {
	payload := []byte("payload")
	good := Seal(testNetwork, KindOffer, payload, providerKey)
	if got, err := good.Open(testNetwork, KindOffer); err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("got %q, %v", got, err)
	}
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	tests := []struct {
		name  string
		alter func(*Envelope)
		want  error
	}{
		{"another network", func(e *Envelope) { e.Network[0] ^= 1 }, ErrNetwork},
		{"another kind", func(e *Envelope) { e.Kind = KindHeader }, ErrKind},
		{"another payload", func(e *Envelope) { e.Payload = []byte("payloae") }, ErrSignature},
		{"another signer", func(e *Envelope) { e.Signer = IDOf(checkerKey) }, ErrSignature},
		{"no signature", func(e *Envelope) { e.Signature = [64]byte{} }, ErrSignature},
		{"S + L", func(e *Envelope) {
			s := slices.Clone(e.Signature[32:])
			slices.Reverse(s)
			sum := new(big.Int).Add(new(big.Int).SetBytes(s), order)
			sum.FillBytes(e.Signature[32:])
			slices.Reverse(e.Signature[32:])
		}, ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := good
			tt.alter(&e)
			if _, err := e.Open(testNetwork, KindOffer); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("the signature is bound to network and kind", func(t *testing.T) {
		other := good
		other.Network, other.Kind = Hash{9}, KindHeader
		if _, err := other.Open(Hash{9}, KindHeader); !errors.Is(err, ErrSignature) {
			t.Errorf("moved: %v", err)
		}
	})
	t.Run("every byte", func(t *testing.T) {
		b := Marshal(&good)
		for i := range b {
			for _, mask := range []byte{0x01, 0x80, 0xff} {
				bad := slices.Clone(b)
				bad[i] ^= mask
				e, err := DecodeEnvelope(bad)
				if err == nil {
					_, err = e.Open(testNetwork, KindOffer)
				}
				if err == nil {
					t.Errorf("byte %d ^ %#x: accepted", i, mask)
				}
			}
		}
	})
	t.Run("over the limit", func(t *testing.T) {
		if _, err := DecodeEnvelope(make([]byte, MaxEnvelope+1)); err == nil {
			t.Error("accepted")
		}
	})
}

func TestObjectID(t *testing.T) {
	e := Seal(testNetwork, KindOffer, []byte("payload"), providerKey)
	n := IDOf(providerKey)
	if want := paperSum(slices.Concat([]byte("offer\x00"), n[:], []byte("payload"))); e.ID() != want {
		t.Errorf("got %v, want %v", e.ID(), want)
	}
	signed := e
	signed.Signature[5] ^= 1
	if signed.ID() != e.ID() {
		t.Error("the signature changes the id")
	}
	for name, other := range map[string]Envelope{
		"kind":    Seal(testNetwork, KindHeader, []byte("payload"), providerKey),
		"payload": Seal(testNetwork, KindOffer, []byte("payloae"), providerKey),
		"signer":  Seal(testNetwork, KindOffer, []byte("payload"), checkerKey),
	} {
		if other.ID() == e.ID() {
			t.Errorf("another %s, the same id", name)
		}
	}
}

func TestOpenOffer(t *testing.T) {
	o := Offer{Seq: 4, Issued: 1, Expires: 2, Addrs: []string{}, Devices: []OfferDevice{{ID: "gpu0", Int8Ops: 7}}}
	got, err := OpenOffer(Seal(testNetwork, KindOffer, Marshal(&o), providerKey), testNetwork)
	if d, ok := got.Device("gpu0"); err != nil || got.Seq != 4 || !ok || d.Int8Ops != 7 || got.DevicesHash() != o.DevicesHash() {
		t.Errorf("offer: got %+v, %v", got, err)
	}
	for _, tt := range []struct {
		device   OfferDevice
		claims   [3]uint64
		flavours []Flavour
	}{
		{OfferDevice{}, [3]uint64{}, nil},
		{OfferDevice{Int8Ops: 3, BF16Ops: 2, FP64Ops: 1}, [3]uint64{3, 2, 1}, []Flavour{Int8, BF16, FP64}},
		{OfferDevice{BF16Ops: 2}, [3]uint64{0, 2, 0}, []Flavour{BF16}},
		{OfferDevice{FP64Ops: 1}, [3]uint64{0, 0, 1}, []Flavour{FP64}},
	} {
		d := tt.device
		if claims := [3]uint64{d.Claim(Int8), d.Claim(BF16), d.Claim(FP64)}; claims != tt.claims || !slices.Equal(d.Flavours(), tt.flavours) {
			t.Errorf("%+v: claims %v, flavours %v", d, claims, d.Flavours())
		}
	}
	if _, ok := got.Device("gpu1"); ok {
		t.Error("a device that is not offered")
	}
	if _, err := OpenOffer(Seal(testNetwork, KindOffer, Marshal(&ProbeParams{Pings: 5}), providerKey), testNetwork); err == nil {
		t.Error("parameters signed as an offer: accepted")
	}
	if _, err := OpenOffer(Seal(Hash{}, KindOffer, Marshal(&o), providerKey), testNetwork); !errors.Is(err, ErrNetwork) {
		t.Errorf("offer of another network: %v", err)
	}
}
