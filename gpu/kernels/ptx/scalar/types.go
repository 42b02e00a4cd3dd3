package scalar

// Type is a fundamental type (PTX ISA, Fundamental Types): b and u and s are 8 to 64 bits, f 16,
// 32 or 64, p a predicate.
type Type struct {
	Kind byte
	Bits int
}

func (t Type) String() string {
	if t.Kind == 'p' {
		return ".pred"
	}
	return "." + string(t.Kind) + map[int]string{8: "8", 16: "16", 32: "32", 64: "64"}[t.Bits]
}

// Types that decoders name.
var (
	B16  = Type{'b', 16}
	B32  = Type{'b', 32}
	B64  = Type{'b', 64}
	U32  = Type{'u', 32}
	F32  = Type{'f', 32}
	F64  = Type{'f', 64}
	Pred = Type{'p', 1}
)

// ParseType reads a type without its dot.
func ParseType(s string) (Type, bool) {
	switch s {
	case "pred":
		return Pred, true
	case "b8", "u8", "s8":
		return Type{s[0], 8}, true
	case "b16", "u16", "s16", "f16":
		return Type{s[0], 16}, true
	case "b32", "u32", "s32", "f32":
		return Type{s[0], 32}, true
	case "b64", "u64", "s64", "f64":
		return Type{s[0], 64}, true
	}
	return Type{}, false
}

func (t Type) Integer() bool { return t.Kind == 'u' || t.Kind == 's' }
func (t Type) Bytes() int    { return t.Bits / 8 }

// cut leaves the low bits of a type.
func (t Type) Cut(x uint64) uint64 {
	if t.Bits == 64 {
		return x
	}
	return x & (1<<t.Bits - 1)
}

// extend reads the low bits of x as a value of the type, sign-extended when it is
// signed.
func (t Type) Extend(x uint64) uint64 {
	if t.Kind == 's' {
		return uint64(int64(x) << (64 - t.Bits) >> (64 - t.Bits))
	}
	return t.Cut(x)
}

// fits says whether a register of type r may stand for an operand of type t (PTX
// ISA 9.2, operand type checking): the sizes agree, untyped bits agree with all,
// signed with unsigned.
func (t Type) Fits(r Type) bool {
	if t.Bits != r.Bits || (t.Kind == 'p') != (r.Kind == 'p') {
		return false
	}
	return t.Kind == 'b' || r.Kind == 'b' || (t.Kind == 'f') == (r.Kind == 'f')
}

// fitsWide is the relaxed rule of ld, st and cvt: the register may be wider.
func (t Type) FitsWide(r Type) bool {
	if t.Kind == 'p' || r.Kind == 'p' || r.Bits < t.Bits {
		return false
	}
	if t.Kind == 'f' || r.Kind == 'f' {
		return t.Fits(r)
	}
	return true
}
