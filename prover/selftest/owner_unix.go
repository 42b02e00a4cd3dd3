//go:build unix

package selftest

import (
	"io/fs"
	"syscall"
)

// ownerOf is the user id that a file belongs to; -1: not known.
func ownerOf(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}
