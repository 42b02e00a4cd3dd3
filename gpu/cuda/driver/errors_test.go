package driver

import (
	"errors"
	"fmt"
	"testing"
)

func TestErrorClasses(t *testing.T) {
	classes := []error{ErrNoDriver, ErrOutOfMemory, ErrNoJIT, ErrUnsupportedPTX, ErrSticky, ErrLost, ErrTimeout}
	for _, test := range []struct {
		code int
		want error
		ends bool
	}{
		{1, nil, false},
		{2, ErrOutOfMemory, false},
		{34, ErrNoDriver, false},
		{46, ErrLost, true},
		{100, ErrLost, true},
		{201, nil, false},
		{209, ErrUnsupportedPTX, false},
		{214, ErrSticky, true},
		{218, ErrUnsupportedPTX, false},
		{221, ErrNoJIT, false},
		{222, ErrUnsupportedPTX, false},
		{400, nil, false},
		{600, nil, false},
		{700, ErrSticky, true},
		{701, nil, false}, // a launch with too many registers hurts nobody
		{714, ErrSticky, true},
		{716, ErrSticky, true},
		{717, ErrSticky, true},
		{718, ErrSticky, true},
		{719, ErrSticky, true},
		{999, ErrSticky, true},
	} {
		err := fmt.Errorf("around: %w", &Error{Call: "cuX", Code: test.code, Name: "X"})
		for _, class := range classes {
			if is := errors.Is(err, class); is != (class == test.want) {
				t.Errorf("%d is %v: %v", test.code, class, is)
			}
		}
		if Ends(err) != test.ends {
			t.Errorf("%d ends a context: %v", test.code, !test.ends)
		}
	}
}

func TestErrorText(t *testing.T) {
	f := newFake(t, "")
	for _, test := range []struct {
		code int
		want string
	}{
		{2, "cuInit: CUDA_ERROR_OUT_OF_MEMORY (2)"},
		{12345, "cuInit: unknown CUDA error (12345)"},
	} {
		f.Configure(fmt.Sprintf("fail=cuInit:%d", test.code))
		if _, err := f.Cards(); err == nil || err.Error() != "list cards: "+test.want {
			t.Errorf("got %v", err)
		}
	}
}
