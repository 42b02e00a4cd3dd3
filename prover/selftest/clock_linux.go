package selftest

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// KernelClock asks the kernel about its clock; it sets nothing.
func KernelClock() (Clock, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return Clock{}, fmt.Errorf("adjtimex: %w", err)
	}
	return Clock{
		Synchronised: state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0,
		Most:         time.Duration(t.Maxerror) * time.Microsecond,
	}, nil
}
