package main

import (
	"fmt"
	"os"
	"syscall"
)

// takeOutput moves the standard output elsewhere, for the one who has it, and leaves
// what is written to its number to the standard error: a driver's library may print,
// and between two frames that would be the end of them.
func takeOutput() (*os.File, error) {
	fd, err := syscall.Dup(1)
	if err != nil {
		return nil, fmt.Errorf("take the standard output: %w", err)
	}
	syscall.CloseOnExec(fd)
	if err := syscall.Dup3(2, 1, 0); err != nil {
		return nil, fmt.Errorf("take the standard output: %w", err)
	}
	return os.NewFile(uintptr(fd), "frames"), nil
}
