package node

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also what runs cards, where a fleet starts this program as assay-gpu.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(fakeWorker())
	}
	if len(os.Args) > 1 && os.Args[1] == "cards" {
		os.Exit(fakeCards(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}
