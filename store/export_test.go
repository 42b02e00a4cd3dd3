package store

import "testing"

// HoldFew makes checks hold few rows at once, for a test.
func HoldFew(t testing.TB) {
	old := checkBatch
	checkBatch = 2
	t.Cleanup(func() { checkBatch = old })
}
