package store

import (
	"context"

	"github.com/assaynet/assay/store/inspect"
	"github.com/assaynet/assay/store/table"
)

// What a check takes and says.
type (
	CheckOptions = inspect.Options
	CheckReport  = inspect.Report
	TableReport  = inspect.TableReport
	Problem      = inspect.Problem
)

// Check reads everything in the database, as it is at the call, and compares
// tables with each other. It writes nothing. An error means that the check could
// not be made, not that it failed.
func (d *DB) Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	if err := d.enter(); err != nil {
		return CheckReport{}, err
	}
	defer d.leave()
	return inspect.Database(ctx, d.pebble, table.MetaRow{Kind: d.meta.Kind, Network: d.meta.Network, Node: d.meta.Node}, o)
}
