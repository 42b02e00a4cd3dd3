package cheat

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

// spill is a partial dataset whose rest is in a file, from which items are read
// one at a time.
type spill struct {
	*partial
	dir  string
	file *os.File
}

// NewSpill is a dataset of which a share is held; the rest is in a file in dir.
func NewSpill(share float64, dir string) Maker {
	return func(set memory.Dataset, key challenges.Hash) gpu.Items {
		return &spill{partial: newPartial(share, set, key), dir: dir}
	}
}

// Fill makes all items. The file has the missing ones in their order.
func (s *spill) Fill(ctx context.Context) (gpu.Costs, error) {
	costs, err := s.partial.Fill(ctx)
	if err != nil {
		return costs, err
	}
	if s.file, err = os.CreateTemp(s.dir, "items"); err != nil {
		return costs, fmt.Errorf("spill: %w", err)
	}
	var out [batch]memory.Item
	var raw [batch * memory.ItemBytes]byte
	var numbers []uint64
	for item := range s.set.Items {
		if _, held := s.at(item); !held {
			numbers = append(numbers, item)
		}
		if len(numbers) < batch && item+1 < s.set.Items {
			continue
		}
		if err := ctx.Err(); err != nil {
			return costs, err
		}
		s.set.Make(&s.key, s.cache, numbers, out[:len(numbers)])
		for i, it := range out[:len(numbers)] {
			for w, v := range it {
				binary.LittleEndian.PutUint32(raw[i*memory.ItemBytes+4*w:], v)
			}
		}
		if _, err := s.file.Write(raw[:len(numbers)*memory.ItemBytes]); err != nil {
			return costs, fmt.Errorf("spill: %w", err)
		}
		costs.Made += uint64(len(numbers))
		numbers = numbers[:0]
	}
	return costs, nil
}

// Read brings what is not held from the file.
func (s *spill) Read(ctx context.Context, at []uint64, out []memory.Item) (gpu.Costs, error) {
	var costs gpu.Costs
	var raw [memory.ItemBytes]byte
	for i, item := range at {
		j, held := s.at(item)
		if held {
			out[i] = s.items[j]
			costs.Held++
			continue
		}
		// Of the items before this one, j are held.
		if _, err := s.file.ReadAt(raw[:], int64(item-j)*memory.ItemBytes); err != nil {
			return costs, fmt.Errorf("spill: %w", err)
		}
		for w := range out[i] {
			out[i][w] = binary.LittleEndian.Uint32(raw[4*w:])
		}
		costs.Far++
	}
	return costs, ctx.Err()
}

// Close frees the items and the file.
func (s *spill) Close() error {
	err := s.partial.Close()
	if s.file == nil {
		return err
	}
	_ = s.file.Close()
	name := s.file.Name()
	s.file = nil
	return os.Remove(name)
}
