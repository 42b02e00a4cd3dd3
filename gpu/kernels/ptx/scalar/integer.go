package scalar

import "math/bits"

// Vec computes all lanes of an instruction of up to three sources. It must bear
// any content in lanes that are not executed.
type Vec func(d, a, b, c *[32]uint64)

// Each makes a Vec of a function of one lane.
func Each(f func(a, b, c uint64) uint64) Vec {
	return func(d, a, b, c *[32]uint64) {
		for i := range d {
			d[i] = f(a[i], b[i], c[i])
		}
	}
}

// Integer is the arithmetic of one integer type (PTX ISA, Integer Arithmetic Instructions), n its
// number of sources. Values are kept zero-extended.
func Integer(op string, t Type) (f Vec, n int) {
	s := t.Extend
	sign := Type{'s', t.Bits}
	switch op {
	case "add":
		if t.Bits == 32 {
			return func(d, a, b, _ *[32]uint64) {
				for i := range d {
					d[i] = uint64(uint32(a[i] + b[i]))
				}
			}, 2
		}
		return Each(func(a, b, _ uint64) uint64 { return t.Cut(a + b) }), 2
	case "sub":
		return Each(func(a, b, _ uint64) uint64 { return t.Cut(a - b) }), 2
	case "mul.lo":
		return Each(func(a, b, _ uint64) uint64 { return t.Cut(a * b) }), 2
	case "mad.lo":
		return Each(func(a, b, c uint64) uint64 { return t.Cut(a*b + c) }), 3
	case "mul.hi":
		return Each(func(a, b, _ uint64) uint64 { return t.Cut(high(t, a, b)) }), 2
	case "mad.hi":
		return Each(func(a, b, c uint64) uint64 { return t.Cut(high(t, a, b) + c) }), 3
	case "mul.wide":
		w := Type{t.Kind, 2 * t.Bits}
		return Each(func(a, b, _ uint64) uint64 { return w.Cut(s(a) * s(b)) }), 2
	case "mad.wide":
		w := Type{t.Kind, 2 * t.Bits}
		return Each(func(a, b, c uint64) uint64 { return w.Cut(s(a)*s(b) + c) }), 3
	case "div", "rem":
		return Each(func(a, b, _ uint64) uint64 { return t.Cut(divide(op, t, s(a), s(b))) }), 2
	case "min", "max":
		return Each(func(a, b, _ uint64) uint64 {
			if less(t, a, b) == (op == "min") {
				return a
			}
			return b
		}), 2
	case "abs":
		if t.Kind != 's' {
			return nil, 0
		}
		return Each(func(a, _, _ uint64) uint64 {
			if int64(sign.Extend(a)) < 0 {
				a = -a
			}
			return t.Cut(a)
		}), 1
	case "neg":
		if t.Kind != 's' {
			return nil, 0
		}
		return Each(func(a, _, _ uint64) uint64 { return t.Cut(-a) }), 1
	}
	return nil, 0
}

func less(t Type, a, b uint64) bool {
	if t.Kind == 's' {
		return int64(t.Extend(a)) < int64(t.Extend(b))
	}
	return a < b
}

// high is the upper Half of a product.
func high(t Type, a, b uint64) uint64 {
	a, b = t.Extend(a), t.Extend(b)
	if t.Bits < 64 {
		return a * b >> t.Bits
	}
	h, _ := bits.Mul64(a, b)
	if t.Kind == 's' {
		if int64(a) < 0 {
			h -= b
		}
		if int64(b) < 0 {
			h -= a
		}
	}
	return h
}

// divide is div or rem of extended values; a division by zero is a fault of the
// lane that is executed, and nothing here.
func divide(op string, t Type, a, b uint64) uint64 {
	switch {
	case b == 0:
		return 0
	case t.Kind == 's' && op == "div":
		if int64(b) == -1 {
			return -a
		}
		return uint64(int64(a) / int64(b))
	case t.Kind == 's':
		if int64(b) == -1 {
			return 0
		}
		return uint64(int64(a) % int64(b))
	case op == "div":
		return a / b
	}
	return a % b
}

// Logic is the instructions of bits (PTX ISA, Logic and Shift Instructions).
func Logic(op string, t Type) (f Vec, n int) {
	switch op {
	case "and":
		return func(d, a, b, _ *[32]uint64) {
			for i := range d {
				d[i] = a[i] & b[i]
			}
		}, 2
	case "or":
		return func(d, a, b, _ *[32]uint64) {
			for i := range d {
				d[i] = a[i] | b[i]
			}
		}, 2
	case "xor":
		return func(d, a, b, _ *[32]uint64) {
			for i := range d {
				d[i] = a[i] ^ b[i]
			}
		}, 2
	case "not":
		return Each(func(a, _, _ uint64) uint64 { return t.Cut(^a) }), 1
	case "popc":
		return Each(func(a, _, _ uint64) uint64 { return uint64(bits.OnesCount64(a)) }), 1
	case "clz":
		return Each(func(a, _, _ uint64) uint64 { return uint64(bits.LeadingZeros64(a) - 64 + t.Bits) }), 1
	case "brev":
		return Each(func(a, _, _ uint64) uint64 { return bits.Reverse64(a) >> (64 - t.Bits) }), 1
	}
	return nil, 0
}

// Shift is shl and shr; an amount above the width is as the width. b is a u32.
func Shift(op string, t Type) Vec {
	if op == "shl" {
		return Each(func(a, b, _ uint64) uint64 { return t.Cut(a << b) })
	}
	return Each(func(a, b, _ uint64) uint64 {
		if t.Kind == 's' {
			return t.Cut(uint64(int64(t.Extend(a)) >> b))
		}
		return a >> b
	})
}

// Funnel is shf.l and shf.r of b32: c is the amount.
func Funnel(left, wrap bool) Vec {
	if left && wrap {
		return func(d, a, b, c *[32]uint64) {
			for i := range d {
				d[i] = (b[i]<<32 | a[i]) << (c[i] & 31) >> 32
			}
		}
	}
	return Each(func(a, b, c uint64) uint64 {
		if c &= 0xffffffff; wrap {
			c &= 31
		} else {
			c = min(c, 32)
		}
		if left {
			if c == 32 {
				return a
			}
			return (b<<32 | a) << c >> 32
		}
		return (b<<32 | a) >> c & 0xffffffff
	})
}

// Lop3 is any function of three bits: the table's bit 4a + 2b + c.
func Lop3(table uint64) Vec {
	var masks [8]uint64
	for i := range masks {
		masks[i] = -(table >> i & 1)
	}
	return Each(func(a, b, c uint64) uint64 {
		var d uint64
		for i, m := range masks {
			x, y, z := a, b, c
			if i&4 == 0 {
				x = ^x
			}
			if i&2 == 0 {
				y = ^y
			}
			if i&1 == 0 {
				z = ^z
			}
			d |= x & y & z & m
		}
		return d & 0xffffffff
	})
}

// Permute is prmt.b32 in its default mode (PTX ISA, prmt): each nibble of c
// chooses one of eight bytes, or its sign.
func Permute(a, b, c uint64) uint64 {
	both := b<<32 | a
	var d uint64
	for i := range 4 {
		sel := c >> (4 * i) & 15
		v := both >> (8 * (sel & 7)) & 0xff
		if sel&8 != 0 {
			v = -(v >> 7) & 0xff
		}
		d |= v << (8 * i)
	}
	return d
}

// Extract is bfe (PTX ISA, bfe): c bits of a from bit b on.
func Extract(t Type) Vec {
	return Each(func(a, b, c uint64) uint64 {
		pos, n := int(b&0xff), int(c&0xff)
		var top uint64
		if t.Kind == 's' && n > 0 {
			top = -(a >> min(pos+n-1, t.Bits-1) & 1)
		}
		if pos >= t.Bits {
			return t.Cut(top)
		}
		m := min(n, t.Bits-pos)
		v := a >> pos & (uint64(1)<<m - 1)
		if m < t.Bits {
			v |= top << m
		}
		if n == 0 {
			v = 0
		}
		return t.Cut(v)
	})
}

// Insert is bfi (PTX ISA, bfi): d bits of a into b from bit c on.
func Insert(t Type, a, b, c, d uint64) uint64 {
	pos, n := int(c&0xff), int(d&0xff)
	if pos >= t.Bits || n == 0 {
		return b
	}
	n = min(n, t.Bits-pos)
	m := (uint64(1)<<n - 1) << pos
	return t.Cut(b&^m | a<<pos&m)
}
