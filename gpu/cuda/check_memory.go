package cuda

import (
	"encoding/binary"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// checkSet is a small dataset of three pieces and three windows.
func checkSet() memory.Dataset {
	return memory.Dataset{
		Profile: memory.Profile{
			Name: "check", Lines: 1 << 10, Parents: 5, Window: 1 << 10, Batch: 1 << 5, MaxWalks: 1 << 8, Steps: 20,
			MakeRate: 1 << 20, ReadRate: 1 << 20,
		},
		Items: 2600,
	}
}

func itemBytes(items []memory.Item) []byte {
	var out []byte
	for i := range items {
		for _, w := range items[i] {
			out = binary.LittleEndian.AppendUint32(out, w)
		}
	}
	return out
}

// columns is the cache as it stands on the card: a line's words c, 4+c, 8+c and
// 12+c are beside each other.
func columns(cache []memory.Item) []byte {
	out := make([]memory.Item, len(cache))
	for i := range cache {
		for w, v := range cache[i] {
			out[i][w%4*4+w/4] = v
		}
	}
	return itemBytes(out)
}

func checkMemory(t *trial) {
	const shift = 10
	set := checkSet()
	cache, items := set.Cache(&testKey), make([]memory.Item, set.Items)
	set.Fill(&testKey, cache, 0, items)
	all := itemBytes(items)

	m := &dataset{set: set, shift: shift, keyAt: t.put(testKey[:])}
	made := t.room(set.Lines * memory.ItemBytes)
	t.run(func(q queue) error { return q.cache(m.keyAt, made, set.Lines/chain, set.Lines) })
	t.same(memCache, made, columns(cache))

	var filled, given []driver.Devptr
	var filledAt, givenAt []byte
	for from := 0; from < len(all); from += memory.ItemBytes << shift {
		piece := all[from:min(from+memory.ItemBytes<<shift, len(all))]
		filled, given = append(filled, t.room(len(piece))), append(given, t.put(piece))
		filledAt = binary.LittleEndian.AppendUint64(filledAt, uint64(filled[len(filled)-1]))
		givenAt = binary.LittleEndian.AppendUint64(givenAt, uint64(given[len(given)-1]))
	}
	m.cache, m.pieces = t.put(columns(cache)), t.put(filledAt)
	t.run(func(q queue) error {
		const first = 1500
		if err := q.items(m, 0, first); err != nil {
			return err
		}
		return q.items(m, first, set.Items-first)
	})
	for i, at := range filled {
		from := i * memory.ItemBytes << shift
		t.same(memFill, at, all[from:min(from+memory.ItemBytes<<shift, len(all))])
	}

	m.pieces = t.put(givenAt)
	walks := set.Walks()
	samples, truth := make([]memory.Sample, walks), make([]uint64, walks)
	walkKey := challenges.WalkKey(testKey, challenges.Hash{1}, 0, challenges.Hash{})
	for i := range samples {
		samples[i] = memory.Sample{Key: walkKey, Walk: uint32(i)}
	}
	set.Light(&testKey, cache, samples, truth)
	var want []byte
	for _, v := range truth {
		want = binary.LittleEndian.AppendUint64(want, v)
	}
	key, out := t.put(walkKey[:]), t.room(len(want))
	t.run(func(q queue) error {
		const first = 96
		if err := q.lead(m, key, out, 0, first); err != nil {
			return err
		}
		return q.lead(m, key, out, first, walks-first)
	})
	t.same(memWalk, out, want)
}
