// Package nvml reads what NVIDIA's management library says of a card: the
// provider's own measurement of its own machine, a claim to anybody else.
//
// It is used by processes that may die of a driver. A symbol that the installed
// library lacks would kill the caller, so each is looked up before its first use,
// and what is behind a missing one is a reading that there is none of. A call into
// a dead driver may never return: no context ends it, so whoever needs an answer
// in time keeps this package in a process of its own and kills that.
//
// One process can use one library: its functions are bound for the life of the
// process, and opening another file later would call the first.
package nvml

import "errors"

// ErrNoDriver says that there is no management library, or that this build
// cannot load one (it needs cgo and Linux).
var ErrNoDriver = errors.New("no NVIDIA management library")

// ErrUnsupported says that the library, or the card, lacks what was asked.
var ErrUnsupported = errors.New("not supported by this driver or card")

// ErrClosed says that the library was closed.
var ErrClosed = errors.New("the NVIDIA management library is closed")
