package scalar

import "math"

// Floating is the arithmetic of f32 and f64 (PTX ISA, Floating-Point Instructions), rounded to nearest
// even, subnormals kept.
func Floating(op string, t Type) (f Vec, n int) {
	if t == F32 {
		return single(op)
	}
	u, v := math.Float64bits, math.Float64frombits
	switch op {
	case "add.rn":
		return Each(func(a, b, _ uint64) uint64 { return u(v(a) + v(b)) }), 2
	case "sub.rn":
		return Each(func(a, b, _ uint64) uint64 { return u(v(a) - v(b)) }), 2
	case "mul.rn":
		return Each(func(a, b, _ uint64) uint64 { return u(v(a) * v(b)) }), 2
	case "div.rn":
		return Each(func(a, b, _ uint64) uint64 { return u(v(a) / v(b)) }), 2
	case "fma.rn":
		return func(d, a, b, c *[32]uint64) {
			for i := range d {
				d[i] = u(math.FMA(v(a[i]), v(b[i]), v(c[i])))
			}
		}, 3
	case "neg":
		return Each(func(a, _, _ uint64) uint64 { return a ^ 1<<63 }), 1
	case "abs":
		return Each(func(a, _, _ uint64) uint64 { return a &^ (1 << 63) }), 1
	}
	return nil, 0
}

func single(op string) (f Vec, n int) {
	u := func(x float32) uint64 { return uint64(math.Float32bits(x)) }
	v := func(x uint64) float32 { return math.Float32frombits(uint32(x)) }
	switch op {
	case "add.rn":
		return Each(func(a, b, _ uint64) uint64 { return u(v(a) + v(b)) }), 2
	case "sub.rn":
		return Each(func(a, b, _ uint64) uint64 { return u(v(a) - v(b)) }), 2
	case "mul.rn":
		return Each(func(a, b, _ uint64) uint64 { return u(v(a) * v(b)) }), 2
	case "div.rn":
		return Each(func(a, b, _ uint64) uint64 { return u(v(a) / v(b)) }), 2
	case "fma.rn":
		return Each(func(a, b, c uint64) uint64 { return u(fma32(v(a), v(b), v(c))) }), 3
	case "neg":
		return Each(func(a, _, _ uint64) uint64 { return a ^ 1<<31 }), 1
	case "abs":
		return Each(func(a, _, _ uint64) uint64 { return a &^ (1 << 31) }), 1
	}
	return nil, 0
}

// fma32 rounds a*b + c once. The product is exact in 64 bits; the sum is rounded
// to odd there, which has bits enough for the second rounding to be the only one.
func fma32(a, b, c float32) float32 {
	p, q := float64(a)*float64(b), float64(c)
	s := p + q
	if math.IsNaN(s) || math.IsInf(s, 0) {
		return float32(s)
	}
	t := s - p
	lost := (p - (s - t)) + (q - t)
	if bits := math.Float64bits(s); lost != 0 && bits&1 == 0 {
		if (lost > 0) == (s > 0) {
			bits++
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}

// Compare is setp's comparison (PTX ISA, Comparison and Selection Instructions): of integers with their sign, of
// floats ordered, or with a u before it unordered too.
func Compare(op string, t Type) func(a, b uint64) bool {
	if t.Kind != 'f' {
		unsigned := map[string]string{"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
		if o, ok := unsigned[op]; ok && t.Kind == 'u' {
			op = o
		}
		switch op {
		case "eq":
			return func(a, b uint64) bool { return a == b }
		case "ne":
			return func(a, b uint64) bool { return a != b }
		}
		if t.Kind == 'b' {
			return nil
		}
		switch op {
		case "lt":
			return func(a, b uint64) bool { return less(t, a, b) }
		case "le":
			return func(a, b uint64) bool { return !less(t, b, a) }
		case "gt":
			return func(a, b uint64) bool { return less(t, b, a) }
		case "ge":
			return func(a, b uint64) bool { return !less(t, a, b) }
		}
		return nil
	}
	v := math.Float64frombits
	if t == F32 {
		v = func(x uint64) float64 { return float64(math.Float32frombits(uint32(x))) }
	}
	switch op {
	case "eq":
		return func(a, b uint64) bool { return v(a) == v(b) }
	case "ne":
		return func(a, b uint64) bool { return v(a) < v(b) || v(a) > v(b) }
	case "lt":
		return func(a, b uint64) bool { return v(a) < v(b) }
	case "le":
		return func(a, b uint64) bool { return v(a) <= v(b) }
	case "gt":
		return func(a, b uint64) bool { return v(a) > v(b) }
	case "ge":
		return func(a, b uint64) bool { return v(a) >= v(b) }
	case "equ":
		return func(a, b uint64) bool { return !(v(a) < v(b) || v(a) > v(b)) }
	case "neu":
		return func(a, b uint64) bool { return v(a) != v(b) }
	case "ltu":
		return func(a, b uint64) bool { return !(v(a) >= v(b)) }
	case "leu":
		return func(a, b uint64) bool { return !(v(a) > v(b)) }
	case "gtu":
		return func(a, b uint64) bool { return !(v(a) <= v(b)) }
	case "geu":
		return func(a, b uint64) bool { return !(v(a) < v(b)) }
	case "num":
		return func(a, b uint64) bool { return v(a) == v(a) && v(b) == v(b) }
	case "nan":
		return func(a, b uint64) bool { return v(a) != v(a) || v(b) != v(b) }
	}
	return nil
}
