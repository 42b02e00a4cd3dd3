// Package nvml reads what NVIDIA's management library says of a card: the
// provider's own measurement of its own machine, a claim to anybody else.
//
// It is used by processes that may die of a driver: a symbol that the installed
// library lacks would kill the caller, so each is looked up before its first use.
package nvml

import "errors"

// ErrNoDriver says that there is no management library, or that this build
// cannot load one (it needs cgo and Linux).
var ErrNoDriver = errors.New("no NVIDIA management library")

// ErrUnsupported says that the library, or the card, lacks what was asked.
var ErrUnsupported = errors.New("not supported by this driver or card")
