package cuda

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/challenges/fma"
	"github.com/assaynet/assay/challenges/simd"
	"github.com/assaynet/assay/gpu"
)

// check runs every kernel on a small input of its own and compares it with the
// processor: a provider must learn it before a checker does. Then it chooses the
// makers.
func (d *Device) check(ctx context.Context, cfg Config) error {
	t, err := newTrial(ctx, d)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	for _, check := range []func(*trial){
		checkDerive, checkInt8, checkShort, checkIntegers, checkFMA, checkChunks, checkParents, checkGather, checkMemory,
	} {
		check(t)
		t.drop()
	}
	if t.err == nil {
		d.choose(ctx, t, cfg)
	}
	err = d.release(&t.holds)
	if t.err != nil {
		return fmt.Errorf("check: %w", t.err)
	}
	return err
}

// testKey is the key of all checks.
var testKey = [32]byte{'c', 'h', 'e', 'c', 'k'}

// noise is n bytes without a pattern.
func noise(n int) []byte {
	out := make([]byte, (n+lineBlock-1)/lineBlock*lineBlock)
	simd.ChaCha8(out, &testKey, 99, 0)
	return out[:n]
}

func words(cvs [][8]uint32) []byte {
	var out []byte
	for _, cv := range cvs {
		for _, w := range cv {
			out = binary.LittleEndian.AppendUint32(out, w)
		}
	}
	return out
}

func checkDerive(t *trial) {
	for _, n := range []int{64, 88, 136, 168, messageBytes} {
		message := noise(n)
		words := contextWords(contextKey)
		context, at, out := t.put(words[:]), t.put(message), t.room(32)
		t.run(func(q queue) error { return q.derive(context, at, n, out) })
		var want [32]byte
		blake3.DeriveKey(want[:], contextKey, message)
		t.same(deriveKey, out, want[:])
	}
}

// checkShape is odd where it may be: the last tile of A is not full, nor is the
// last slab of a line.
func checkShape(f challenges.Flavour) challenges.Shape {
	if f == challenges.BF16 {
		return challenges.Shape{Flavour: f, M: 130, N: 256, K: 192}
	}
	return challenges.Shape{Flavour: f, M: 130, N: 256, K: 320}
}

func checkInt8(t *trial) { checkGenerator(t, challenges.Int8, genInt8) }

func checkShort(t *trial) { checkGenerator(t, challenges.BF16, genShort) }

func checkGenerator(t *trial, f challenges.Flavour, kernel string) {
	s := checkShape(f)
	key := t.put(testKey[:])
	for _, tiled := range []bool{false, true} {
		for matrix, n := range []int{matrixA: s.M, matrixB: s.N} {
			l := lines{f, s.Line(), tiled}
			want := factor(s, l, t.p.Half, uint32(matrix), n)
			out := t.room(len(want))
			t.run(func(q queue) error {
				// In two pieces, as a run makes A.
				if err := q.generate(key, out, l, uint32(matrix), 0, tileLines); err != nil {
					return err
				}
				return q.generate(key, out, l, uint32(matrix), tileLines, n-tileLines)
			})
			t.same(kernel, out, want)
		}
	}
}

// factor is a matrix as the generator makes it: tiles are full.
func factor(s challenges.Shape, l lines, half bool, matrix uint32, n int) []byte {
	out := make([]byte, l.size(n))
	if l.tiled {
		n = int(ceil(uint64(n), tileLines)) * tileLines
	}
	line := make([]byte, l.line)
	key := challenges.Hash(testKey)
	for i := range n {
		if matrix == matrixA {
			s.RowA(&key, i, line)
		} else {
			s.ColB(&key, i, line)
		}
		if s.Flavour == challenges.BF16 {
			shorts(line, half)
		}
		if !l.tiled {
			copy(out[i*l.line:], line)
			continue
		}
		for p := 0; p < l.line/16; p++ {
			tile := uint64(i/tileLines)*l.slabs() + uint64(p/8)
			at := int(tile)*tileLines*128 + i%tileLines*128 + (p%8^i%8)*16
			copy(out[at:], line[16*p:][:16])
		}
	}
	return out
}

// shorts turns 9-bit entries into bfloat16 or binary16, which hold them exactly.
func shorts(line []byte, half bool) {
	for i := 0; i < len(line); i += 2 {
		w := binary.LittleEndian.Uint16(line[i:])
		v := float32(w & 0xff)
		if w>>8&1 == 1 {
			v = float32(int(w&0xff)^-1) + 1
		}
		bits := math.Float32bits(v)
		out := uint16(bits >> 16)
		if half && bits != 0 {
			out = uint16(bits>>16&0x8000 | (bits&0x7fffffff-112<<23)>>13)
		}
		binary.LittleEndian.PutUint16(line[i:], out)
	}
}

// right runs a maker on the odd shape.
func right(t *trial, f challenges.Flavour, m maker) {
	s := checkShape(f)
	l := lines{f, s.Line(), m.tiled()}
	want := make([]byte, s.Bytes())
	if err := (gpu.Exact{}).Compute(context.Background(), challenges.Hash(testKey), s, want); err != nil {
		t.err = errors.Join(t.err, err)
		return
	}
	a, b := t.put(factor(s, l, t.p.Half, matrixA, s.M)), t.put(factor(s, l, t.p.Half, matrixB, s.N))
	c, scratch := t.room(s.Bytes()), t.scratch(m)
	t.run(func(q queue) error {
		return m.multiply(q, product{flavour: f, a: a, b: b, c: c, scratch: scratch, m: s.M, n: s.N, lines: l})
	})
	t.same(m.kernel(f), c, want)
}

func checkIntegers(t *trial) {
	const n = 516
	var in, want []byte
	for i := range n {
		v := int32(i-n/2) * 65_000
		in = binary.LittleEndian.AppendUint32(in, math.Float32bits(float32(v/8)))
		want = binary.LittleEndian.AppendUint32(want, uint32(v/8))
	}
	at := t.put(in)
	t.run(func(q queue) error { return q.integers(at, n) })
	t.same(toInt32, at, want)
}

func checkFMA(t *trial) {
	s := challenges.Shape{Flavour: challenges.FP64, M: 3, N: 128, K: 130}
	coef := make([]float64, 8*s.K)
	fma.Coefficients(&testKey, 0, coef)
	var wantCoef []byte
	for _, c := range coef {
		wantCoef = binary.LittleEndian.AppendUint64(wantCoef, math.Float64bits(c))
	}
	key, made := t.put(testKey[:]), t.room(len(wantCoef))
	t.run(func(q queue) error { return q.coefficients(key, made, s.K) })
	t.same(fmaCoefficients, made, wantCoef)

	want := make([]byte, s.Bytes())
	if err := (gpu.Exact{}).Compute(context.Background(), challenges.Hash(testKey), s, want); err != nil {
		t.err = errors.Join(t.err, err)
		return
	}
	given, out := t.put(wantCoef), t.room(len(want))
	t.run(func(q queue) error { return q.lanes(key, given, out, s.Entries(), s.K) })
	t.same(fmaLanes, out, want)
}

func checkChunks(t *trial) {
	const n, first = 70, 37 // more than two warps
	data := noise(n * commit.ChunkBytes)
	index, want := make([]uint64, n), make([][8]uint32, n)
	for i := range index {
		index[i] = uint64(i)
	}
	simd.Chunks(want, data, index)
	at, out := t.put(data), t.room(n*cvBytes)
	t.run(func(q queue) error {
		if err := q.chunks(at, out, 0, first); err != nil {
			return err
		}
		return q.chunks(at, out, first, n-first)
	})
	t.same(b3Chunks, out, words(want))

	root := t.room(32)
	t.run(func(q queue) error { return q.single(at, root) })
	sum := blake3.Sum256(data[:commit.ChunkBytes])
	t.same(b3Single, root, sum[:])
	two := t.put(words(want[:2]))
	t.run(func(q queue) error { return q.top(two, root) })
	sum = blake3.Sum256(data[:2*commit.ChunkBytes])
	t.same(b3Top, root, sum[:])
}

func checkParents(t *trial) {
	const n = 71 // odd
	cvs, want := make([][8]uint32, n), make([][8]uint32, (n+1)/2)
	in := noise(n * cvBytes)
	for i := range cvs {
		for j := range cvs[i] {
			cvs[i][j] = binary.LittleEndian.Uint32(in[i*cvBytes+4*j:])
		}
	}
	simd.Parents(want[:n/2], cvs[:n-1])
	want[n/2] = cvs[n-1]
	at, out := t.put(in), t.room(len(want)*cvBytes)
	t.run(func(q queue) error { return q.parents(at, out, n) })
	t.same(b3Parents, out, words(want))
}

func checkGather(t *trial) {
	data := noise(8 * commit.ChunkBytes)
	at := t.put(data)
	var jobs, want []byte
	for i := range 11 { // more than one block
		from, n := 64*i, cvBytes
		if i%3 == 0 {
			n = commit.ChunkBytes
		}
		jobs = binary.LittleEndian.AppendUint64(jobs, uint64(at)+uint64(from))
		jobs = binary.LittleEndian.AppendUint32(jobs, uint32(len(want)))
		jobs = binary.LittleEndian.AppendUint32(jobs, uint32(n))
		want = append(want, data[from:][:n]...)
	}
	list, out := t.put(jobs), t.room(len(want))
	t.run(func(q queue) error { return q.gather(list, out, len(jobs)/jobBytes) })
	t.same(gatherParts, out, bytes.Clone(want))
}
