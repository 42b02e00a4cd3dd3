package challenges

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges/memory"
)

// Whatever arrives: no panic, bounded work, and nothing but canonical bytes is
// accepted. The seeds are the vectors.

func seedMessages(f *testing.F) map[string][]byte {
	f.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", "messages.json"))
	if err != nil {
		f.Fatal(err)
	}
	var vectors []messageVector
	if err := json.Unmarshal(b, &vectors); err != nil {
		f.Fatal(err)
	}
	out := map[string][]byte{}
	for _, v := range vectors {
		out[v.Name] = v.Bytes
	}
	return out
}

func seedTranscripts(f *testing.F) [][]byte {
	f.Helper()
	var out [][]byte
	names, err := filepath.Glob(filepath.Join("testdata", "vectors", "*.transcript"))
	if err != nil || len(names) != 8 {
		f.Fatalf("transcripts %v, %v", names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// canonical decodes into a fresh value of m's type and, if that succeeds,
// requires that the value encodes to the same bytes.
func canonical(t *testing.T, data []byte, m any) (any, bool) {
	t.Helper()
	v := reflect.New(reflect.TypeOf(m).Elem()).Interface()
	if Unmarshal(data, v) != nil {
		return nil, false
	}
	if !bytes.Equal(Marshal(v), data) {
		t.Fatalf("%T: accepted %x, encodes to %x", v, data, Marshal(v))
	}
	return v, true
}

func FuzzEnvelope(f *testing.F) {
	f.Add(seedMessages(f)["Envelope"])
	for _, b := range seedTranscripts(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := DecodeEnvelope(data)
		if err != nil {
			return
		}
		if !bytes.Equal(Marshal(&e), data) {
			t.Fatalf("accepted %x", data)
		}
		_, _ = e.Open(testNetwork, KindChallenge)
		_, _ = OpenChallenge(e, e.Network)
		_ = e.ID()
	})
}

func FuzzTranscript(f *testing.F) {
	for _, b := range seedTranscripts(f) {
		f.Add(b)
		e, err := DecodeEnvelope(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.Payload)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		if e, err := DecodeEnvelope(data); err == nil {
			if tr, _, err := OpenTranscript(e); err == nil {
				_, _ = Replay(tr)
			}
			data = e.Payload // as if the checker had signed it
		}
		var tr Transcript
		if Unmarshal(data, &tr) != nil {
			return
		}
		v, err := Replay(tr)
		if err == nil && v.Check() != nil {
			t.Fatalf("verdict %+v: %v", v, v.Check())
		}
	})
}

func FuzzFrame(f *testing.F) {
	frames := []any{
		&RootFrame{}, &PositionsFrame{}, &OpeningFrame{}, &ResultFrame{}, &RefusalFrame{}, &AbortFrame{},
		&AttachFrame{}, &PingFrame{}, &PongFrame{}, &FilledFrame{}, &NonceFrame{},
	}
	others := []any{&ComputeParams{}, &memory.Params{}, &ProbeParams{}, &Challenge{}}
	for _, b := range seedMessages(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		accepted := 0
		for _, m := range frames {
			if _, ok := canonical(t, data, m); ok {
				accepted++
			}
		}
		for _, m := range others {
			canonical(t, data, m)
		}
		if accepted > 1 {
			t.Fatalf("%x is a frame of %d types", data, accepted)
		}
		_ = peekType(data)
	})
}

func FuzzOffer(f *testing.F) {
	f.Add(seedMessages(f)["Offer"])
	f.Fuzz(func(t *testing.T, data []byte) {
		v, ok := canonical(t, data, &Offer{})
		if !ok {
			return
		}
		o := v.(*Offer)
		_ = o.DevicesHash()
		for _, d := range o.Devices {
			if got, ok := o.Device(d.ID); !ok || got != d {
				t.Fatalf("device %q: got %+v", d.ID, got)
			}
		}
	})
}

// FuzzSessionStep cuts data into events: a byte of flags, two of length, the
// frame. The session must end in a verdict that it can write down and repeat.
func FuzzSessionStep(f *testing.F) {
	pack := func(flags byte, frame []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{flags}, uint16(len(frame))), frame...)
	}
	for _, walks := range []bool{false, true} {
		var whole []byte
		s := honestForFuzz(walks)
		for _, e := range s.events {
			flags := e.Stream
			if e.Out {
				flags |= 2
			}
			whole = append(whole, pack(flags, e.Frame)...)
		}
		f.Add(true, walks, whole)
		for _, b := range seedMessages(f) {
			f.Add(true, walks, pack(0, b))
			f.Add(false, walks, pack(1, b))
		}
	}
	f.Fuzz(func(t *testing.T, signs, walks bool, data []byte) {
		e, secret := challengeForFuzz(walks)
		s, err := NewSession(e, secret)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		signers := [streams]*FrameSigner{}
		for i := range signers {
			signers[i] = NewFrameSigner(providerKey, testNetwork, e.ID(), uint8(i))
		}
		done := false
		for at := time.Duration(0); len(data) >= 3 && !done; at += time.Microsecond {
			flags, n := data[0], int(binary.BigEndian.Uint16(data[1:]))
			data = data[3:]
			n = min(n, len(data), MaxFrame-signatureBytes)
			ev := Event{At: at, Stream: flags & 1, Out: flags&2 != 0, Frame: data[:n]}
			data = data[n:]
			if ev.Out && len(s.waiting[ev.Stream]) > 0 && flags&4 == 0 {
				ev.Frame = s.waiting[ev.Stream][0] // as the session wants it
			}
			if !ev.Out && signs {
				ev.Frame = signers[ev.Stream].Sign(ev.Frame)
			}
			_, done = s.Step(ev)
		}
		if !done {
			s.Step(Event{At: time.Minute, End: EndTimeout})
		}
		v := s.Verdict()
		if err := v.Check(); err != nil {
			t.Fatalf("%+v: %v", v, err)
		}
		if v.Outcome == Wrong && !signs {
			t.Fatal("wrong without the provider's key")
		}
		if s.fault != nil {
			return
		}
		tr := s.Transcript()
		var read Transcript
		if err := Unmarshal(Marshal(&tr), &read); err != nil {
			t.Fatalf("transcript: %v", err)
		}
		if again, err := Replay(read); err != nil || again != v {
			t.Fatalf("replays as %+v, %v; was %+v", again, err, v)
		}
	})
}

func challengeForFuzz(walks bool) (Envelope, Secret) {
	if walks {
		return testChallenge(502, 0)
	}
	return testChallenge(2, 1e8)
}

func honestForFuzz(walks bool) *Session {
	e, secret := challengeForFuzz(walks)
	s, err := NewSession(e, secret)
	if err != nil {
		panic(err)
	}
	return play(new(testing.T), s, newPlayer(e, providerKey))
}
