package gpu

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/assaynet/assay/challenges"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testJob is a job on the small profile: four rounds of int8 3x256x64.
func testJob(t *testing.T, window int) Job {
	t.Helper()
	return jobOf(t, 2, window)
}

// jobOf is a job on a row of the profile table.
func jobOf(t *testing.T, profile uint16, window int) Job {
	t.Helper()
	row, err := challenges.LookupProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	return Job{ID: challenges.Hash{1, 2, 3}, Device: "gpu0", Profile: row, Window: window}
}

// next asks for a root that must come.
func next(t *testing.T, r Run) Root {
	t.Helper()
	root, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func open(t *testing.T, r Run, round int, at ...uint32) []byte {
	t.Helper()
	opening, err := r.Open(t.Context(), round, at)
	if err != nil {
		t.Fatal(err)
	}
	return opening
}
