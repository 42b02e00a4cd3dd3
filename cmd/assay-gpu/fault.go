package main

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/nvml"
)

// cardFault makes a fault of an error of a card; nil: it is its caller's end.
func cardFault(err error) *gpu.Fault {
	if f, ok := errors.AsType[*gpu.Fault](err); ok || err == nil {
		return f
	}
	class := classOf(err)
	if class == "" {
		return nil
	}
	return newFault(class, err)
}

// watchFault makes a fault of an error of NVML; nil: it is not the card's doing.
func watchFault(err error) *gpu.Fault {
	f := nvml.Fault(err)
	if f != nil && errors.Is(err, nvml.ErrNoDriver) {
		return newFault(f.Class, err)
	}
	return f
}

// newFault says what the driver said, and the hint that verdict has for it.
func newFault(class string, err error) *gpu.Fault {
	detail := oneLine(err.Error())
	_, hint := verdict(err)
	if hint != "" {
		hint = "; hint: " + hint
	}
	if room := gpu.MaxDetail - len(hint); len(detail) > room {
		// Not within a character: what is sent has to be UTF-8.
		detail = strings.ToValidUTF8(detail[:room-len("...")], "") + "..."
	}
	return gpu.NewFault(class, "%s%s", detail, hint)
}

// classOf is the class of a fault; empty for none. An error that has several causes is
// what is worst of them: a card that is lost to the process is not only full.
func classOf(err error) string {
	switch {
	case errors.Is(err, cuda.ErrMiscomputes):
		return gpu.FaultWrong
	case errors.Is(err, driver.ErrNoDriver), errors.Is(err, errNoCard), neverThere(err):
		return gpu.FaultAbsent
	case errors.Is(err, driver.ErrTimeout):
		return gpu.FaultHang
	case errors.Is(err, driver.ErrLost):
		return gpu.FaultLost
	case errors.Is(err, driver.ErrSticky):
		return gpu.FaultDriver
	case errors.Is(err, driver.ErrOutOfMemory):
		return gpu.FaultMemory
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ""
	default:
		return gpu.FaultDriver
	}
}

// neverThere says that the driver showed no card when it started: none was lost.
func neverThere(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	return ok && e.Call == "cuInit" && errors.Is(e, driver.ErrLost)
}

// oneLine is a text of the driver that does nothing to a terminal.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}
