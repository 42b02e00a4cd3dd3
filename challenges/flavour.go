package challenges

import "fmt"

// Flavour is the arithmetic of a round. Each is exact: every machine computes the
// same bits.
type Flavour uint8

// Flavours.
const (
	Int8 Flavour = iota // product of int8 matrices, int32 sums
	BF16                // product of matrices of 9-bit signed integers, which bf16 units with fp32 sums compute exactly
	FP64                // chains of correctly rounded binary64 fused multiply-adds: "fp64fma"
)

// Flavours lists all flavours in their order.
func Flavours() []Flavour { return []Flavour{Int8, BF16, FP64} }

var flavourNames = [...]string{"int8", "bf16", "fp64fma"}

func (f Flavour) String() string {
	if int(f) < len(flavourNames) {
		return flavourNames[f]
	}
	return fmt.Sprintf("flavour(%d)", uint8(f))
}

// MarshalText writes the name.
func (f Flavour) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads the name.
func (f *Flavour) UnmarshalText(text []byte) error {
	for _, x := range Flavours() {
		if x.String() == string(text) {
			*f = x
			return nil
		}
	}
	return fmt.Errorf("flavour %q: want int8, bf16 or fp64fma", text)
}

// Kind is the kind of challenge that carries the flavour.
func (f Flavour) Kind() Kind {
	if f == FP64 {
		return FMA
	}
	return Matmul
}
