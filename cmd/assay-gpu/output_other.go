//go:build !linux

package main

import "os"

// takeOutput is the standard output: no library is loaded here that could print.
func takeOutput() (*os.File, error) { return os.Stdout, nil }
