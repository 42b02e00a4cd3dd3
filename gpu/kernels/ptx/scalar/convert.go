package scalar

import "math"

// Conversion converts an extended value; the result is extended too.
func Conversion(round string, to, from Type) func(uint64) uint64 {
	switch {
	case to.Integer() && from.Integer():
		if round == "" {
			return to.Extend
		}
	case to.Kind == 'f' && from.Integer():
		if round == "rn" && to.Bits > 16 {
			return func(x uint64) uint64 { return fromInteger(to, from, x) }
		}
	case to.Integer():
		r := map[string]func(float64) float64{"rni": math.RoundToEven, "rzi": math.Trunc, "rmi": math.Floor, "rpi": math.Ceil}[round]
		if r != nil && from.Bits > 16 && to.Bits > 16 {
			return func(x uint64) uint64 { return toInteger(to, r(Float(from, x))) }
		}
	case to == from:
		r := map[string]func(float64) float64{"rni": math.RoundToEven, "rzi": math.Trunc, "rmi": math.Floor, "rpi": math.Ceil}[round]
		if r != nil && to.Bits > 16 {
			return func(x uint64) uint64 { return unfloat(to, r(Float(to, x))) }
		}
	case to.Bits > from.Bits:
		if round == "" {
			return func(x uint64) uint64 { return unfloat(to, Float(from, x)) }
		}
	default:
		if round == "rn" {
			return func(x uint64) uint64 { return unfloat(to, Float(from, x)) }
		}
	}
	return nil
}

func fromInteger(to, from Type, x uint64) uint64 {
	switch {
	case to == F32 && from.Kind == 's':
		return uint64(math.Float32bits(float32(int64(x))))
	case to == F32:
		return uint64(math.Float32bits(float32(x)))
	case from.Kind == 's':
		return math.Float64bits(float64(int64(x)))
	}
	return math.Float64bits(float64(x))
}

// toInteger clamps to the type's range; NaN is 0 in 32 bits and the highest bit
// in 64 (PTX ISA, cvt).
func toInteger(t Type, x float64) uint64 {
	low, high := 0.0, math.Ldexp(1, t.Bits)
	if t.Kind == 's' {
		low, high = -math.Ldexp(1, t.Bits-1), math.Ldexp(1, t.Bits-1)
	}
	switch {
	case x != x && t.Bits == 64:
		return 1 << 63
	case x != x:
		return 0
	case x >= high && t.Kind == 's':
		return 1<<(t.Bits-1) - 1
	case x >= high:
		return t.Cut(^uint64(0))
	case x <= low && t.Kind == 's':
		return t.Cut(1 << (t.Bits - 1))
	case x <= low:
		return 0
	case t.Kind == 's':
		return t.Cut(uint64(int64(x)))
	}
	return uint64(x)
}

// Float is the value of a float's bits; exact.
func Float(t Type, x uint64) float64 {
	switch t.Bits {
	case 16:
		return Half(x)
	case 32:
		return float64(math.Float32frombits(uint32(x)))
	}
	return math.Float64frombits(x)
}

// unfloat rounds to nearest even.
func unfloat(t Type, v float64) uint64 {
	switch t.Bits {
	case 16:
		return ToHalf(v)
	case 32:
		return uint64(math.Float32bits(float32(v)))
	}
	return math.Float64bits(v)
}

// Half is the value of IEEE binary16.
func Half(x uint64) float64 {
	e, m := int(x>>10&31), float64(x&1023)
	var v float64
	switch {
	case e == 0:
		v = math.Ldexp(m, -24)
	case e == 31 && m == 0:
		v = math.Inf(1)
	case e == 31:
		return math.NaN()
	default:
		v = math.Ldexp(1024+m, e-25)
	}
	if x>>15&1 != 0 {
		return -v
	}
	return v
}

// ToHalf rounds to binary16; v must come from at most 32 bits, or be rounded once
// only all the same.
func ToHalf(v float64) uint64 {
	sign := math.Float64bits(v) >> 63 << 15
	v = math.Abs(v)
	switch {
	case v != v:
		return 0x7fff
	case v >= 65520:
		return sign | 0x7c00
	case v < math.Ldexp(1, -14):
		return sign | uint64(math.RoundToEven(math.Ldexp(v, 24)))
	}
	m, e := math.Frexp(v) // v = m 2^e, m in [1/2, 1)
	r := uint64(math.RoundToEven(math.Ldexp(m, 11)))
	return sign | uint64(e+13)<<10 + r
}

// ToBF16 rounds f32 to nearest even.
func ToBF16(x uint64) uint64 {
	if x&0x7fffffff > 0x7f800000 {
		return 0x7fff
	}
	return (x + 0x7fff + x>>16&1) >> 16
}
