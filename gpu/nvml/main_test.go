package nvml

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests, or is a process that uses one library: only one can be
// used in each, and one that lacks a symbol might end it.
func TestMain(m *testing.M) {
	if path := os.Getenv("ASSAY_TEST_NVML"); path != "" {
		os.Exit(probe(path))
	}
	goleak.VerifyTestMain(m)
}
