package main

import (
	"os"
	"syscall"
)

// againWith runs the program again, in the same process, with more in its environment.
// The driver reads the C library's environment, which has what the process began with:
// os.Setenv does not reach it in a program without cgo. It returns if nothing is
// missing, as it is the second time, or if the program cannot be run again; the driver
// then does as it does by itself.
func againWith(missing []string) {
	if len(missing) == 0 {
		return
	}
	self, err := os.Executable()
	if err != nil {
		return
	}
	_ = syscall.Exec(self, os.Args, append(os.Environ(), missing...))
}
