package cuda

import (
	"context"
	"errors"
	"fmt"

	"github.com/assaynet/assay/gpu/cuda/driver"
)

// release waits until the streams are empty and frees what there is. Nobody else may
// use it any more.
func (d *Device) release(h *driver.Holds) error {
	// Whoever ends a run does so under a context that has ended.
	ctx := context.Background()
	var marks []driver.Event
	err := d.thread.Do(ctx, func(c *driver.Calls) error {
		for i, s := range h.Streams {
			if err := c.Record(h.Marks[i], s); err != nil {
				return err
			}
		}
		marks = h.Marks
		return nil
	})
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	for _, mark := range marks {
		if err := d.poll(ctx, func(c *driver.Calls) (bool, error) { return c.Done(mark) }); err != nil {
			return err
		}
	}
	return d.thread.Do(ctx, h.Free)
}

// take runs f on the thread with something to hold; on an error nothing is held.
func (d *Device) take(ctx context.Context, h *driver.Holds, f func(c *driver.Calls) error) error {
	err := d.thread.Do(ctx, f)
	if err == nil {
		return nil
	}
	if freeErr := d.release(h); freeErr != nil && !driver.Ends(err) {
		return errors.Join(err, freeErr)
	}
	return err
}
