package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/assaynet/assay/challenges"
)

// lockedBuffer can be written and read at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

func (l *lockedBuffer) String() string { return string(l.bytes()) }

// FuzzServe gives a child anything: it answers in frames or ends, and never dies.
func FuzzServe(f *testing.F) {
	say := func(requests ...request) []byte {
		b := hello()
		for i := range requests {
			b = append(b, frame(&requests[i])...)
		}
		return b
	}
	device := request{Call: 1, Op: opSetup, Payload: challenges.Marshal(&Setup{Role: RoleDevice})}
	reads := request{Call: 1, Op: opSetup, Payload: challenges.Marshal(&Setup{Role: RoleMonitor})}
	start, err := newJob(7, job(2, 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add(say())
	f.Add(say(device, request{Op: opPing}, request{Call: 1, Op: opCancel}))
	f.Add(say(device, request{Call: 2, Op: opStart, Payload: challenges.Marshal(start)}))
	f.Add(say(device, request{Call: 2, Op: opNext, Payload: challenges.Marshal(&handleMessage{Number: 7})}))
	f.Add(say(reads, request{Call: 2, Op: opSample, Payload: challenges.Marshal(&cardMessage{UUID: "GPU-1"})}))
	f.Fuzz(func(t *testing.T, in []byte) {
		if large(in) {
			return
		}
		out, _ := talk(t, in)
		r := newFrames(bytes.NewReader(out))
		var g greeting
		if err := r.next(&g); err != nil {
			if len(out) != 0 {
				t.Fatalf("%v", err)
			}
			return
		}
		for {
			var m reply
			err := r.next(&m)
			if errors.Is(err, errFrame) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
		}
	})
}

// large says whether a job among requests would take long: that one is refused is
// not what is looked for.
func large(in []byte) bool {
	f := newFrames(bytes.NewReader(in))
	var g greeting
	if f.next(&g) != nil {
		return false
	}
	for {
		var r request
		if f.next(&r) != nil {
			return false
		}
		if m, err := decode[jobMessage](r.Payload); err == nil && (m.shape().Ops() > 1<<20 || m.Rounds > 1000) {
			return true
		}
		if m, err := decode[fillMessage](r.Payload); err == nil && (m.Items > 1<<12 || m.Lines > 1<<10 || m.Parents > 100) {
			return true
		}
	}
}

// FuzzReplies gives the parent anything: it takes it as replies to its calls, or
// sees that it is none.
func FuzzReplies(f *testing.F) {
	say := func(replies ...reply) []byte {
		b := hello()
		for i := range replies {
			b = append(b, frame(&replies[i])...)
		}
		return b
	}
	f.Add(say(reply{Call: 1, Payload: []byte{1}}, reply{Call: 2, Status: statusEOF}))
	f.Add(say(reply{}, reply{Call: 1, Status: statusFailed, Payload: []byte("no")}))
	f.Add(say(reply{Call: 1, Status: statusCancelled}, reply{Call: 1, Status: statusCancelled}))
	f.Add(binary.BigEndian.AppendUint32(hello(), 1<<31))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newFrames(bytes.NewReader(in))
		var g greeting
		if r.next(&g) != nil {
			return
		}
		calls := map[uint64]*call{}
		p := &process{calls: map[uint64]*call{}}
		for id := uint64(1); id < 4; id++ {
			calls[id] = &call{id: id, done: make(chan struct{})}
			p.calls[id] = calls[id]
		}
		p.cfg.Setup.Role = RoleMonitor
		for {
			var m reply
			if r.next(&m) != nil {
				return
			}
			if m.Call == 0 && m.Status == statusFault {
				return // ends a process, and here is none
			}
			if c := calls[m.Call]; c != nil && p.calls[m.Call] != nil {
				if err := p.take(&m); err != nil {
					return
				}
				<-c.done
				if (m.Status == statusOK) != (c.err == nil) {
					t.Fatalf("status %d: %v", m.Status, c.err)
				}
				_, _ = decode[rootMessage](c.payload)
				_, _ = decode[cardsMessage](c.payload)
				_, _ = decode[evidenceMessage](c.payload)
				continue
			}
			if m.Call != 0 {
				if err := p.take(&m); err == nil {
					t.Fatalf("a reply to call %d, which is not open, was taken", m.Call)
				}
				return
			}
		}
	})
}
