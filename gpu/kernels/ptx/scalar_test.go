package ptx_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/kernels/ptx"
)

func s16(x uint64) int64   { return int64(int16(x)) }
func s32(x uint64) int64   { return int64(int32(x)) }
func f32(x uint64) float32 { return math.Float32frombits(uint32(x)) }
func f64(x uint64) float64 { return math.Float64frombits(x) }
func u32(x float32) uint64 { return uint64(math.Float32bits(x)) }
func u64(x float64) uint64 { return math.Float64bits(x) }
func truth(b bool) uint64  { return map[bool]uint64{true: 1}[b] }

// scalars is every instruction of registers: its text, with $d, $a, $b and $c for
// the operands, and what it computes in Go. types has the registers' classes of d,
// a, b and c: h, r, f, d (f64) or l (b64).
var scalars = []struct {
	text, types string
	f           func(a, b, c uint64) uint64
}{
	{"add.s32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return a + b }},
	{"add.u16 $d, $a, $b;", "hhh", func(a, b, _ uint64) uint64 { return a + b }},
	{"add.s64 $d, $a, $b;", "lll", func(a, b, _ uint64) uint64 { return a + b }},
	{"add.s64 $d, $a, -24;", "lll", func(a, _, _ uint64) uint64 { return a - 24 }},
	{"sub.s32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return a - b }},
	{"sub.u64 $d, $a, $b;", "lll", func(a, b, _ uint64) uint64 { return a - b }},
	{"mul.lo.s32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return a * b }},
	{"mul.lo.u64 $d, $a, $b;", "lll", func(a, b, _ uint64) uint64 { return a * b }},
	{"mul.hi.s32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return uint64(s32(a) * s32(b) >> 32) }},
	{"mul.hi.u32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return a * b >> 32 }},
	{"mul.hi.u64 $d, $a, $b;", "lll", func(a, b, _ uint64) uint64 { h, _ := bits.Mul64(a, b); return h }},
	{"mul.hi.s64 $d, $a, $b;", "lll", func(a, b, _ uint64) uint64 {
		p := new(big.Int).Mul(big.NewInt(int64(a)), big.NewInt(int64(b)))
		return uint64(p.Rsh(p, 64).Int64())
	}},
	{"mul.wide.u32 $d, $a, $b;", "lrr", func(a, b, _ uint64) uint64 { return a * b }},
	{"mul.wide.s32 $d, $a, $b;", "lrr", func(a, b, _ uint64) uint64 { return uint64(s32(a) * s32(b)) }},
	{"mul.wide.s16 $d, $a, $b;", "rhh", func(a, b, _ uint64) uint64 { return uint64(s16(a) * s16(b)) }},
	{"mul.wide.u16 $d, $a, $b;", "rhh", func(a, b, _ uint64) uint64 { return a * b }},
	{"mad.lo.s32 $d, $a, $b, $c;", "rrrr", func(a, b, c uint64) uint64 { return a*b + c }},
	{"mad.lo.s64 $d, $a, $b, $c;", "llll", func(a, b, c uint64) uint64 { return a*b + c }},
	{"mad.hi.u32 $d, $a, $b, $c;", "rrrr", func(a, b, c uint64) uint64 { return a*b>>32 + c }},
	{"mad.wide.u32 $d, $a, $b, $c;", "lrrl", func(a, b, c uint64) uint64 { return a*b + c }},
	{"mad.wide.s32 $d, $a, $b, $c;", "lrrl", func(a, b, c uint64) uint64 { return uint64(s32(a)*s32(b)) + c }},
	{"div.u32 $d, $a, 7;", "rrr", func(a, _, _ uint64) uint64 { return a / 7 }},
	{"div.s32 $d, $a, -7;", "rrr", func(a, _, _ uint64) uint64 { return uint64(s32(a) / -7) }},
	{"div.s64 $d, $a, -1;", "lll", func(a, _, _ uint64) uint64 { return -a }},
	{"rem.u64 $d, $a, 1000003;", "lll", func(a, _, _ uint64) uint64 { return a % 1000003 }},
	{"rem.s32 $d, $a, 10;", "rrr", func(a, _, _ uint64) uint64 { return uint64(s32(a) % 10) }},
	{"min.s32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return uint64(min(s32(a), s32(b))) }},
	{"max.u32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return max(a, b) }},
	{"min.u64 $d, $a, $b;", "lll", func(a, b, _ uint64) uint64 { return min(a, b) }},
	{"max.s64 $d, $a, $b;", "lll", func(a, b, _ uint64) uint64 { return uint64(max(int64(a), int64(b))) }},
	{"abs.s32 $d, $a;", "rr", func(a, _, _ uint64) uint64 { return uint64(max(s32(a), -s32(a))) }},
	{"neg.s32 $d, $a;", "rr", func(a, _, _ uint64) uint64 { return -a }},
	{"neg.s64 $d, $a;", "ll", func(a, _, _ uint64) uint64 { return -a }},
	{"and.b32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return a & b }},
	{"and.b32 $d, $a, -8;", "rrr", func(a, _, _ uint64) uint64 { return a &^ 7 }},
	{"or.b64 $d, $a, $b;", "lll", func(a, b, _ uint64) uint64 { return a | b }},
	{"xor.b16 $d, $a, $b;", "hhh", func(a, b, _ uint64) uint64 { return a ^ b }},
	{"not.b32 $d, $a;", "rr", func(a, _, _ uint64) uint64 { return ^a }},
	{"popc.b32 $d, $a;", "rr", func(a, _, _ uint64) uint64 { return uint64(bits.OnesCount32(uint32(a))) }},
	{"popc.b64 $d, $a;", "rl", func(a, _, _ uint64) uint64 { return uint64(bits.OnesCount64(a)) }},
	{"clz.b32 $d, $a;", "rr", func(a, _, _ uint64) uint64 { return uint64(bits.LeadingZeros32(uint32(a))) }},
	{"clz.b64 $d, $a;", "rl", func(a, _, _ uint64) uint64 { return uint64(bits.LeadingZeros64(a)) }},
	{"brev.b32 $d, $a;", "rr", func(a, _, _ uint64) uint64 { return uint64(bits.Reverse32(uint32(a))) }},
	{"shl.b32 $d, $a, 5;", "rrr", func(a, _, _ uint64) uint64 { return a << 5 }},
	{"shl.b32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return uint64(uint32(a) << min(b, 32)) }},
	{"shl.b64 $d, $a, $b;", "llr", func(a, b, _ uint64) uint64 { return a << min(b, 64) }},
	{"shr.u32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return a >> min(b, 32) }},
	{"shr.s32 $d, $a, $b;", "rrr", func(a, b, _ uint64) uint64 { return uint64(s32(a) >> min(b, 31)) }},
	{"shr.u64 $d, $a, 33;", "lll", func(a, _, _ uint64) uint64 { return a >> 33 }},
	{"shr.s64 $d, $a, $b;", "llr", func(a, b, _ uint64) uint64 { return uint64(int64(a) >> min(b, 63)) }},
	{"shf.l.wrap.b32 $d, $a, $a, 25;", "rrr", func(a, _, _ uint64) uint64 { return uint64(bits.RotateLeft32(uint32(a), 25)) }},
	{"shf.l.wrap.b32 $d, $a, $b, $c;", "rrrr", func(a, b, c uint64) uint64 { return (b<<32 | a) << (c % 32) >> 32 }},
	{"shf.r.wrap.b32 $d, $a, $b, $c;", "rrrr", func(a, b, c uint64) uint64 { return (b<<32 | a) >> (c % 32) }},
	{"shf.l.clamp.b32 $d, $a, $b, $c;", "rrrr", func(a, b, c uint64) uint64 {
		if c >= 32 {
			return a
		}
		return (b<<32 | a) << c >> 32
	}},
	{"shf.r.clamp.b32 $d, $a, $b, $c;", "rrrr", func(a, b, c uint64) uint64 { return (b<<32 | a) >> min(c, 32) }},
	{"prmt.b32 $d, $a, 0, 291;", "rrr", func(a, _, _ uint64) uint64 { return uint64(bits.ReverseBytes32(uint32(a))) }},
	{"prmt.b32 $d, $a, $b, 29936;", "rrr", func(a, b, _ uint64) uint64 { // 0x74f0
		return a&0xff | uint64(uint8(int8(b>>24)>>7))<<8 | b&0xff<<16 | b>>24<<24
	}},
	{"lop3.b32 $d, $a, $b, $c, 150;", "rrrr", func(a, b, c uint64) uint64 { return a ^ b ^ c }},
	{"lop3.b32 $d, $a, $b, $c, 202;", "rrrr", func(a, b, c uint64) uint64 { return a&b | ^a&c }},
	{"bfe.u32 $d, $a, 5, 9;", "rrr", func(a, _, _ uint64) uint64 { return a >> 5 & 511 }},
	{"bfe.s32 $d, $a, 8, 8;", "rrr", func(a, _, _ uint64) uint64 { return uint64(int64(int8(a >> 8))) }},
	{"bfe.s32 $d, $a, 28, 8;", "rrr", func(a, _, _ uint64) uint64 { return uint64(s32(a) >> 28) }},
	{"bfe.u64 $d, $a, 60, 32;", "lll", func(a, _, _ uint64) uint64 { return a >> 60 }},
	{"bfi.b32 $d, $a, $b, 8, 12;", "rrr", func(a, b, _ uint64) uint64 { return b&^0xfff00 | a&0xfff<<8 }},
	{"{.reg .b32 %x; add.cc.u32 %x, $a, $b; addc.u32 $d, $c, 0;}", "rrrr", func(a, b, c uint64) uint64 { return c + (a+b)>>32 }},
	{"{.reg .b32 %x; sub.cc.u32 %x, $a, $b; subc.u32 $d, $c, 0;}", "rrrr", func(a, b, c uint64) uint64 { return c - truth(a < b) }},
	{"add.rn.f32 $d, $a, $b;", "fff", func(a, b, _ uint64) uint64 { return u32(f32(a) + f32(b)) }},
	{"mul.rn.f32 $d, $a, $b;", "fff", func(a, b, _ uint64) uint64 { return u32(f32(a) * f32(b)) }},
	{"sub.rn.f64 $d, $a, $b;", "ddd", func(a, b, _ uint64) uint64 { return u64(f64(a) - f64(b)) }},
	{"div.rn.f64 $d, $a, 0d400C000000000000;", "ddd", func(a, _, _ uint64) uint64 { return u64(f64(a) / 3.5) }},
	{"add.rn.f64 $d, $a, 0d3FF0000000000000;", "dd", func(a, _, _ uint64) uint64 { return u64(f64(a) + 1) }},
	{"fma.rn.f64 $d, $a, $b, $c;", "dddd", func(a, b, c uint64) uint64 { return u64(math.FMA(f64(a), f64(b), f64(c))) }},
	{"fma.rn.f32 $d, $a, $b, $c;", "ffff", func(a, b, c uint64) uint64 { return fma32(a, b, c) }},
	{"neg.f64 $d, $a;", "dd", func(a, _, _ uint64) uint64 { return u64(-f64(a)) }},
	{"abs.f32 $d, $a;", "ff", func(a, _, _ uint64) uint64 { return a &^ (1 << 31) }},
	{"cvt.u64.u32 $d, $a;", "lr", func(a, _, _ uint64) uint64 { return a }},
	{"cvt.s64.s32 $d, $a;", "lr", func(a, _, _ uint64) uint64 { return uint64(s32(a)) }},
	{"cvt.u32.u64 $d, $a;", "rl", func(a, _, _ uint64) uint64 { return a }},
	{"cvt.u16.u32 $d, $a;", "hr", func(a, _, _ uint64) uint64 { return a }},
	{"cvt.s32.s8 $d, $a;", "rr", func(a, _, _ uint64) uint64 { return uint64(int64(int8(a))) }},
	{"cvt.u32.u8 $d, $a;", "rh", func(a, _, _ uint64) uint64 { return a & 255 }},
	{"cvt.s16.s8 $d, $a;", "hh", func(a, _, _ uint64) uint64 { return uint64(int64(int8(a))) }},
	{"cvt.rn.f32.s32 $d, $a;", "fr", func(a, _, _ uint64) uint64 { return u32(float32(s32(a))) }},
	{"cvt.rn.f64.u64 $d, $a;", "dl", func(a, _, _ uint64) uint64 { return u64(float64(a)) }},
	{"cvt.rzi.s32.f32 $d, $a;", "rf", func(a, _, _ uint64) uint64 { return uint64(clamp(math.Trunc(float64(f32(a))))) }},
	{"cvt.rni.s32.f32 $d, $a;", "rf", func(a, _, _ uint64) uint64 { return uint64(clamp(math.RoundToEven(float64(f32(a))))) }},
	{"cvt.f64.f32 $d, $a;", "df", func(a, _, _ uint64) uint64 { return u64(float64(f32(a))) }},
	{"cvt.rn.f32.f64 $d, $a;", "fd", func(a, _, _ uint64) uint64 { return u32(float32(f64(a))) }},
	{"{.reg .f32 %x; and.b32 %r9, $a, 0xffff; cvt.rn.f32.u32 %x, %r9; cvt.rn.bf16x2.f32 $d, %x, 0f3F800000;}", "rr", func(a, _, _ uint64) uint64 {
		x := u32(float32(a & 0xffff))
		return (x+0x7fff+x>>16&1)>>16<<16 | 0x3f80
	}},
	{"{.reg .b16 %x; .reg .f32 %y; and.b32 %r9, $a, 2047; cvt.rn.f32.u32 %y, %r9; cvt.rn.f16.f32 %x, %y; cvt.f32.f16 %y, %x; cvt.rzi.u32.f32 $d, %y;}", "rr", func(a, _, _ uint64) uint64 { return a & 2047 }},
	{"mov.b64 $d, {$a, $b};", "lrr", func(a, b, _ uint64) uint64 { return b<<32 | a }},
	{"{.reg .b32 %x; mov.b64 {%x, $d}, $a;}", "rl", func(a, _, _ uint64) uint64 { return a >> 32 }},
	{"mov.b32 $d, {$a, $b};", "rhh", func(a, b, _ uint64) uint64 { return b<<16 | a }},
	{"mov.b64 $d, $a;", "ld", func(a, _, _ uint64) uint64 { return a }},
	{"setp.lt.s32 %p1, $a, $b; selp.b32 $d, $a, $b, %p1;", "rrr", func(a, b, _ uint64) uint64 { return uint64(min(s32(a), s32(b))) }},
	{"setp.ge.u64 %p1, $a, $b; selp.u32 $d, 1, 0, %p1;", "rll", func(a, b, _ uint64) uint64 { return truth(a >= b) }},
	{"setp.hi.u32 %p1, $a, $b; selp.u32 $d, 1, 0, %p1;", "rrr", func(a, b, _ uint64) uint64 { return truth(a > b) }},
	{"setp.gt.f64 %p1, $a, $b; selp.u32 $d, 1, 0, %p1;", "rdd", func(a, b, _ uint64) uint64 { return truth(f64(a) > f64(b)) }},
	{"setp.leu.f32 %p1, $a, $b; selp.u32 $d, 1, 0, %p1;", "rff", func(a, b, _ uint64) uint64 { return truth(!(f32(a) > f32(b))) }},
	{"setp.ne.f64 %p1, $a, $a; selp.u32 $d, 1, 0, %p1;", "rd", func(_, _, _ uint64) uint64 { return 0 }},
	{"setp.lt.u32 %p2, $a, $c; setp.eq.and.b32 %p1|%p3, $a, $b, !%p2; not.pred %p4, %p1; and.pred %p4, %p4, %p3; selp.u32 $d, 1, 0, %p4;", "rrrr", func(a, b, c uint64) uint64 {
		return truth(a != b && a >= c)
	}},
	{"mov.pred %p1, -1; mov.pred %p2, 0; xor.pred %p1, %p1, %p2; selp.b32 $d, $a, 0, %p1;", "rr", func(a, _, _ uint64) uint64 { return a }},
	{"setp.eq.b32 %p1, $a, $b; mov.u32 $d, 3; @!%p1 mov.u32 $d, 4;", "rrr", func(a, b, _ uint64) uint64 { return 4 - truth(a == b) }},
}

func clamp(x float64) int64 {
	if x != x {
		return 0
	}
	return int64(max(math.MinInt32, min(x, math.MaxInt32)))
}

// fma32 rounds the exact value once.
func fma32(a, b, c uint64) uint64 {
	x, y, z := float64(f32(a)), float64(f32(b)), float64(f32(c))
	if s := x*y + z; s != s || math.IsInf(s, 0) {
		return u32(float32(s))
	}
	exact := func(v float64) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(v) }
	r := exact(x)
	r.Mul(r, exact(y)).Add(r, exact(z))
	v, _ := r.Float32()
	if v == 0 && r.Sign() == 0 {
		return u32(float32(x*y + z))
	}
	return u32(v)
}

var classes = map[byte]struct {
	reg, load string
	bits      int
}{'h': {"%h", "b16", 16}, 'r': {"%r1", "b32", 32}, 'f': {"%f", "f32", 32}, 'l': {"%rd1", "b64", 64}, 'd': {"%fd", "f64", 64}}

func TestScalars(t *testing.T) {
	special := []uint64{0, 1, 2, 31, 32, 33, 63, 64, 65, 0x7f, 0x80, 0x7fff, 0x8000, 0x7fffffff, 0x80000000, 0xffffffff, 0x3f800000, 0xbf800000, 0x7f800000, 1 << 63, 1<<63 - 1, ^uint64(0), u64(1), u64(-2.5), u64(math.Inf(1))}
	const threads, rounds = 96, 40
	for _, s := range scalars {
		t.Run(s.text, func(t *testing.T) {
			body, text := "mad.wide.u32 %rd1, %r0, 24, %rd1;\nmad.wide.u32 %rd2, %r0, 8, %rd2;\n", s.text
			for i := 1; i < len(s.types); i++ {
				c := classes[s.types[i]]
				reg := fmt.Sprintf("%s%d", c.reg, i+2)
				body += fmt.Sprintf("ld.global.%s %s, [%%rd1+%d];\n", c.load, reg, 8*i-8)
				text = strings.ReplaceAll(text, "$"+"dabc"[i:i+1], reg)
			}
			d := classes[s.types[0]]
			text = strings.ReplaceAll(text, "$d", d.reg+"7")
			body += text + fmt.Sprintf("\nst.global.%s [%%rd2], %s7;\n", d.load, d.reg)
			src := kernel(sm80, body)
			rng := random(1)
			for range rounds {
				var in []byte
				for range 3 * threads {
					x := rng.Uint64()
					if rng.IntN(2) == 0 {
						x = special[rng.IntN(len(special))]
					}
					in = binary.LittleEndian.AppendUint64(in, x)
				}
				out := must(t, ptx.Config{}, src, 1, threads, 0, in, 8*threads)
				for i := range threads {
					var v [3]uint64
					for j := range v {
						v[j] = binary.LittleEndian.Uint64(in[24*i+8*j:])
						if j+1 < len(s.types) {
							v[j] &= 1<<(classes[s.types[j+1]].bits-1)<<1 - 1
						}
					}
					mask := uint64(1)<<(d.bits-1)<<1 - 1
					got, want := binary.LittleEndian.Uint64(out[8*i:])&mask, s.f(v[0], v[1], v[2])&mask
					if got != want && !nan(s.types[0], got, want) {
						t.Fatalf("of %#x: %#x, want %#x", v, got, want)
					}
				}
			}
		})
	}
}

// nan says whether both are NaN, whose bits no kernel may depend on.
func nan(class byte, a, b uint64) bool {
	if class == 'f' {
		return f32(a) != f32(a) && f32(b) != f32(b)
	}
	return class == 'd' && f64(a) != f64(a) && f64(b) != f64(b)
}

// TestFmaRoundsOnce has a sum that is half a unit and a little in 24 bits, and just
// half a unit in 53.
func TestFmaRoundsOnce(t *testing.T) {
	src := kernel(sm80, "ld.global.v2.f32 {%f1, %f2}, [%rd1]; fma.rn.f32 %f3, %f1, %f1, %f2; st.global.f32 [%rd2], %f3;")
	for _, sign := range []float64{1, -1} {
		in := []uint32{math.Float32bits(1 + 1.0/4096), math.Float32bits(float32(sign * math.Ldexp(1, -60)))}
		want := float32(1 + 1.0/2048)
		if sign > 0 {
			want = math.Nextafter32(want, 2)
		}
		if got := math.Float32frombits(words32(must(t, ptx.Config{}, src, 1, 1, 0, bytes32(in), 4))[0]); got != want {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}
