package cheat

import (
	"context"
	"math"
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

// Maker makes the items of a dataset: what [gpu.CPUConfig] and [gpu.SimConfig] take.
type Maker = func(set memory.Dataset, key challenges.Hash) gpu.Items

// batch is how many items are made side by side.
const batch = 1 << 12

// partial is a dataset of which a share is held, spread evenly, and the rest made
// again from the cache when it is read.
type partial struct {
	set   memory.Dataset
	key   [32]byte
	cache []memory.Item
	share uint64 // in 2^-32
	items []memory.Item

	missing []uint64 // of one read, and where they belong
	places  []int
	made    []memory.Item
}

// NewPartial is a dataset of which a share is held, 0 to 1. Nothing held is a
// claimant without memory; what it fills is nothing then.
func NewPartial(share float64) Maker {
	return func(set memory.Dataset, key challenges.Hash) gpu.Items { return newPartial(share, set, key) }
}

func newPartial(share float64, set memory.Dataset, key challenges.Hash) *partial {
	return &partial{set: set, key: key, share: uint64(math.Round(share * (1 << 32)))}
}

// at is where an item is held. Items whose number, times the share, crosses a whole
// number are.
func (p *partial) at(item uint64) (at uint64, held bool) {
	x := item * p.share
	return x >> 32, x&(1<<32-1)+p.share >= 1<<32
}

// Fill makes what is held.
func (p *partial) Fill(ctx context.Context) (gpu.Costs, error) {
	p.cache = p.set.Cache(&p.key)
	p.items = make([]memory.Item, 0, p.set.Items*p.share>>32)
	var costs gpu.Costs
	numbers := make([]uint64, 0, batch)
	for item := range p.set.Items {
		if _, held := p.at(item); held {
			numbers = append(numbers, item)
		}
		if len(numbers) < batch && item+1 < p.set.Items {
			continue
		}
		if err := ctx.Err(); err != nil {
			return costs, err
		}
		n := len(p.items)
		p.items = append(p.items, make([]memory.Item, len(numbers))...)
		p.set.Make(&p.key, p.cache, numbers, p.items[n:])
		costs.Made += uint64(len(numbers))
		numbers = numbers[:0]
	}
	return costs, nil
}

// Read copies what is held and makes the rest, all at once.
func (p *partial) Read(ctx context.Context, at []uint64, out []memory.Item) (gpu.Costs, error) {
	p.missing, p.places = p.missing[:0], p.places[:0]
	for i, item := range at {
		if j, held := p.at(item); held {
			out[i] = p.items[j]
			continue
		}
		p.missing, p.places = append(p.missing, item), append(p.places, i)
	}
	p.make(out)
	n := uint64(len(p.missing))
	return gpu.Costs{Held: uint64(len(at)) - n, Made: n}, ctx.Err()
}

// make makes what is missing and puts it into its places.
func (p *partial) make(out []memory.Item) {
	if len(p.made) < len(p.missing) {
		p.made = make([]memory.Item, len(p.missing))
	}
	p.set.Make(&p.key, p.cache, p.missing, p.made)
	for i, place := range p.places {
		out[place] = p.made[i]
	}
}

// Close frees the items.
func (p *partial) Close() error {
	p.items, p.cache = nil, nil
	return nil
}

// Forgetful is a claimant without memory, who makes every item again.
func Forgetful(set memory.Dataset, key challenges.Hash) gpu.Items { return newPartial(0, set, key) }

// sorted is a partial dataset that reads each batch in order, and makes an item
// that several walks want at one step once.
type sorted struct {
	*partial
	order []int // of the batch, by item
	list  []uint64
}

// NewSorted is a dataset of which a share is held, read in order.
func NewSorted(share float64) Maker {
	return func(set memory.Dataset, key challenges.Hash) gpu.Items {
		return &sorted{partial: newPartial(share, set, key)}
	}
}

// Read costs less the more walks want the same item.
func (s *sorted) Read(ctx context.Context, at []uint64, out []memory.Item) (gpu.Costs, error) {
	// A number and its place fit one word.
	s.list = s.list[:0]
	for i, item := range at {
		s.list = append(s.list, item<<24|uint64(i))
	}
	slices.Sort(s.list)
	s.missing, s.places = s.missing[:0], s.places[:0]
	var costs gpu.Costs
	for k, x := range s.list {
		item, i := x>>24, int(x&(1<<24-1))
		if j, held := s.at(item); held {
			out[i] = s.items[j]
			costs.Held++
			continue
		}
		if k == 0 || s.list[k-1]>>24 != item {
			s.missing, s.places = append(s.missing, item), append(s.places, i)
			continue
		}
		// The same as the one before it.
		s.order = append(s.order, i, s.places[len(s.places)-1])
	}
	s.make(out)
	for k := 0; k < len(s.order); k += 2 {
		out[s.order[k]] = out[s.order[k+1]]
	}
	s.order = s.order[:0]
	costs.Made = uint64(len(s.missing))
	return costs, ctx.Err()
}

// window is a dataset of which one window is held at a time.
type window struct {
	set   memory.Dataset
	key   [32]byte
	cache []memory.Item
	now   uint64 // which one
	items []memory.Item
}

// OneWindow has memory for one window, and fills it again with another whenever a
// walk is there.
func OneWindow(set memory.Dataset, key challenges.Hash) gpu.Items {
	return &window{set: set, key: key}
}

// Fill makes the first window.
func (w *window) Fill(ctx context.Context) (gpu.Costs, error) {
	w.cache = w.set.Cache(&w.key)
	w.items = make([]memory.Item, w.set.Items/w.set.Windows())
	return w.load(ctx, 0)
}

func (w *window) load(ctx context.Context, n uint64) (gpu.Costs, error) {
	w.now = n
	size := len(w.items)
	for from := 0; from < size; from += batch {
		if err := ctx.Err(); err != nil {
			return gpu.Costs{}, err
		}
		w.set.Fill(&w.key, w.cache, n*uint64(size)+uint64(from), w.items[from:min(from+batch, size)])
	}
	return gpu.Costs{Made: uint64(size)}, nil
}

// Read goes through the windows that are read in, from the one that is there on.
func (w *window) Read(ctx context.Context, at []uint64, out []memory.Item) (gpu.Costs, error) {
	costs := gpu.Costs{Held: uint64(len(at))}
	size, windows := uint64(len(w.items)), w.set.Windows()
	for k, first := uint64(0), w.now; k < windows; k++ {
		n := (first + k) % windows
		for i, item := range at {
			if item/size != n {
				continue
			}
			if w.now != n {
				c, err := w.load(ctx, n)
				if err != nil {
					return costs, err
				}
				costs.Add(c)
			}
			out[i] = w.items[item%size]
		}
	}
	return costs, ctx.Err()
}

// Close frees the window.
func (w *window) Close() error {
	w.items, w.cache = nil, nil
	return nil
}

// abandoning is a partial dataset whose walks are given up at an item that is not
// held, as long as there are some to give up.
type abandoning struct {
	*partial
	share  float64 // of the walks
	budget float64 // walks to give up yet
	step   int
	given  []bool // by walk of the group
}

// NewAbandon is a dataset of which a share is held. Of all walks another share is
// given up, and what they end in is invented: those that meet an item that is not
// held before others do. Who waits for a second such item has made the first.
func NewAbandon(held, walks float64) Maker {
	return func(set memory.Dataset, key challenges.Hash) gpu.Items {
		return &abandoning{partial: newPartial(held, set, key), share: walks}
	}
}

// Read makes nothing for walks that are given up. The engine leads a group of walks
// through all steps before the next.
func (a *abandoning) Read(ctx context.Context, at []uint64, out []memory.Item) (gpu.Costs, error) {
	if a.step == 0 {
		a.given = append(a.given[:0], make([]bool, len(at))...)
		a.budget += a.share * float64(len(at))
	}
	a.missing, a.places = a.missing[:0], a.places[:0]
	var costs gpu.Costs
	for i, item := range at {
		j, held := a.at(item)
		switch {
		case held:
			out[i] = a.items[j]
			costs.Held++
		case a.given[i]:
		case a.budget >= 1:
			a.budget--
			a.given[i] = true
			out[i] = memory.Item{} // the state is another one from here on
		default:
			a.missing, a.places = append(a.missing, item), append(a.places, i)
		}
	}
	a.make(out)
	a.step = (a.step + 1) % a.set.Steps
	costs.Made = uint64(len(a.missing))
	return costs, ctx.Err()
}
