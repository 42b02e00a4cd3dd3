package why_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
	"github.com/assaynet/assay/prover/why"
)

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

var network = challenges.Hash{1, 2}

// ended is a copy of a challenge that the checker says ended so; outcome 0: it says
// nothing. A reason makes the agent's last frame a refusal, or an abort after it.
func ended(t *testing.T, o challenges.Outcome, clause, result, reason string) (challenges.Hash, receipt.Copy) {
	t.Helper()
	secret := challenges.Secret{4}
	p := challenges.ComputeParams{Profile: 2, Window: 1, Claim: 1e6}
	row, err := challenges.LookupProfile(p.Profile)
	if err != nil {
		t.Fatal(err)
	}
	ch := challenges.Challenge{
		Network: network, Provider: challenges.IDOf(key(2)), Device: "gpu0", Kind: challenges.Matmul,
		Commit: secret.Commit(), Deadline: row.Deadline(p.Claim, 0), Params: challenges.Marshal(&p),
	}
	e := challenges.Seal(network, challenges.KindChallenge, challenges.Marshal(&ch), key(1))
	c := receipt.Copy{Challenge: challenges.Marshal(&e), At: 5e9, Ended: 7e9, Result: result, Reason: reason}
	if o != 0 {
		r := receipt.Seal(receipt.Receipt{Challenge: e.ID(), Outcome: o, Clause: clause, Roots: receipt.RootsHash(nil), Secret: secret}, network, key(1))
		c.Receipt = challenges.Marshal(&r)
	}
	return e.ID(), c
}

// said adds our frames to a copy.
func said(t *testing.T, id challenges.Hash, c receipt.Copy, bodies ...[]byte) receipt.Copy {
	t.Helper()
	sign := challenges.NewFrameSigner(key(2), network, id, challenges.StreamControl)
	c.Events = append(c.Events, challenges.Event{Stream: challenges.StreamBulk, Out: true, Frame: challenges.NewAttach(id)})
	for i, b := range bodies {
		c.Events = append(c.Events, challenges.Event{At: time.Duration(i), Frame: b})
		c.Signatures = append(c.Signatures, sign.Sign(b)[len(b):])
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	return c
}

// remedies collects remedies, and fails where two are alike or one is empty.
type remedies map[string]string

func (r remedies) add(t *testing.T, name, remedy string) {
	t.Helper()
	if strings.TrimSpace(remedy) == "" {
		t.Errorf("%s: no remedy", name)
	}
	if other, ok := r[remedy]; ok {
		t.Errorf("%s and %s have the same remedy: %q", name, other, remedy)
	}
	r[remedy] = name
}

// blames are words that only evidence allows.
func blames(e why.Explanation) bool {
	text := strings.ToLower(e.Says + e.Remedy)
	return strings.Contains(text, "evidence") || strings.Contains(text, "otherwise")
}

func explain(t *testing.T, id challenges.Hash, c receipt.Copy) why.Explanation {
	t.Helper()
	e := why.Explain(id, c, network)
	if e.Challenge != id || e.Checker != challenges.IDOf(key(1)) || e.Device != "gpu0" || e.Kind != challenges.Matmul || e.Took != 2 || e.At.Unix() != 5 {
		t.Errorf("%+v", e)
	}
	if e.Says == "" || !strings.HasSuffix(e.Says, ".") || e.Own == "" || e.Mark == "" {
		t.Errorf("says %q, own %q, mark %q", e.Says, e.Own, e.Mark)
	}
	if blames(e) != e.Contradicts {
		t.Errorf("contradicts %v, and says: %s %s", e.Contradicts, e.Says, e.Remedy)
	}
	return e
}

func TestOutcomes(t *testing.T) {
	all := remedies{}
	for _, c := range []struct {
		name           string
		o              challenges.Outcome
		clause, result string
		reason         string
		proof          bool
		mark, says     string
	}{
		{"pass", challenges.Pass, "", "answered", "", false, why.MarkNone, "right, and in time"},
		{"wrong", challenges.Wrong, "M6", "left", "", true, why.MarkProof, "a value is wrong"},
		{"late", challenges.Late, "M9", "answered", "", false, why.MarkFailure, "below the claim"},
		{"filled late", challenges.Late, "D4", "left", "", false, why.MarkFailure, "filled too late"},
		{"proved late", challenges.Late, "D5", "answered", "", false, why.MarkFailure, "less than half"},
		{"silent", challenges.Withheld, "M7", "left", "", false, why.MarkFailure, "no usable answer."},
		{"not authentic", challenges.Withheld, "M5", "left", "", false, why.MarkFailure, "broke rule M5"},
		{"other keys", challenges.Withheld, "M2", "left", "", false, why.MarkFailure, "broke rule M2"},
		{"root order", challenges.Withheld, "M1", "left", "", false, why.MarkFailure, "broke rule M1"},
		{"echo", challenges.Withheld, "M3", "left", "", false, why.MarkFailure, "broke rule M3"},
		{"shape", challenges.Withheld, "M4", "left", "", false, why.MarkFailure, "broke rule M4"},
		{"result", challenges.Withheld, "M8", "left", "", false, why.MarkFailure, "broke rule M8"},
		{"sequence", challenges.Withheld, "S5", "left", "", false, why.MarkFailure, "broke rule S5"},
		{"filled twice", challenges.Withheld, "D4", "left", "", false, why.MarkFailure, "broke rule D4"},
		{"a refusal too late", challenges.Withheld, "S6", "left", "", false, why.MarkFailure, "broke rule S6"},
		{"a tenant in the middle", challenges.Withheld, "S7", "yielded", "tenant", false, why.MarkFailure, "a tenant came"},
		{"a fault in the middle", challenges.Withheld, "S7", "failed", "fault", false, why.MarkFailure, "gave the run up"},
		{"an overrun that counts", challenges.Withheld, "S7", "aborted", "overrun", false, why.MarkFailure, "too slow for the simulated"},
		{"unreachable", challenges.Unreachable, "M7", "left", "", false, why.MarkReach, "before the first result."},
		{"overrun", challenges.Unknown, "S7", "aborted", "overrun", false, why.MarkUncounted, "does not count"},
		{"the checker was stopped", challenges.Unknown, "S4", "left", "", false, why.MarkUncounted, "does not count"},
		{"quota", challenges.Refused, "S6", "refused_quota", "quota", true, why.MarkRefusal, "refused (quota)"},
		{"busy", challenges.Refused, "S6", "refused_busy", "busy", true, why.MarkRefusal, "refused (busy)"},
		{"tenant", challenges.Refused, "S6", "refused_tenant", "tenant", true, why.MarkNeutral, "refused (tenant)"},
		{"drain", challenges.Refused, "S6", "refused_drain", "drain", true, why.MarkNeutral, "refused (drain)"},
		{"collision", challenges.Refused, "S6", "refused_collision", "collision", true, why.MarkNeutral, "refused (collision)"},
		{"unsupported", challenges.Refused, "S6", "refused_unsupported", "unsupported", true, why.MarkRefusal, "refused (unsupported)"},
		{"not a member", challenges.Refused, "S6", "refused_not_member", "not-member", true, why.MarkRefusal, "refused (not-member)"},
		{"replay", challenges.Refused, "S6", "refused_replay", "replay", true, why.MarkRefusal, "refused (replay)"},
		{"fault", challenges.Refused, "S6", "refused_fault", "fault", true, why.MarkRefusal, "refused (fault)"},
		{"another reason", challenges.Refused, "S6", "refused_other", "", true, why.MarkRefusal, "no reason is known"},
		{"no word, answered", 0, "", "answered", "", false, why.MarkNotKnown, "not received; the agent says: answered"},
		{"no word, left", 0, "", "left", "", false, why.MarkNotKnown, "not received"},
		{"no word, failed", 0, "", "failed", "", false, why.MarkNotKnown, "not received"},
		{"no word, aborted", 0, "", "aborted", "", false, why.MarkNotKnown, "not received"},
		{"no word, yielded", 0, "", "yielded", "", false, why.MarkNotKnown, "not received"},
		{"no word, refused", 0, "", "refused_not_member", "not-member", false, why.MarkNotKnown, "not received"},
		{"no word, anything", 0, "", "sang", "", false, why.MarkNotKnown, "not received"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, kept := ended(t, c.o, c.clause, c.result, c.reason)
			e := explain(t, id, kept)
			if e.Proof != c.proof || e.Mark != c.mark || !strings.Contains(e.Says, c.says) || e.Contradicts || e.Agrees != (c.o == challenges.Pass) {
				t.Errorf("%+v", e)
			}
			if c.o == 0 != strings.Contains(e.Remedy, "assay transcripts list --api URL") {
				t.Errorf("remedy %q", e.Remedy)
			}
			if c.mark == why.MarkNeutral && !strings.HasPrefix(e.Remedy, "Nothing to do") {
				t.Errorf("neutral, and to do: %q", e.Remedy)
			}
			all.add(t, c.name, e.Remedy)
		})
	}
}

func TestFaults(t *testing.T) {
	all := remedies{}
	for _, class := range []string{gpu.FaultCrash, gpu.FaultHang, gpu.FaultMemory, gpu.FaultLost, gpu.FaultDriver, gpu.FaultWrong, gpu.FaultAbsent, "a new one"} {
		id, c := ended(t, challenges.Withheld, "S7", "failed", "fault")
		c.Fault, c.Detail = class, "as the driver says"
		e := explain(t, id, c)
		if e.Fault != class || e.Detail != c.Detail || !strings.Contains(e.Says, "("+class+")") {
			t.Errorf("%s: %+v", class, e)
		}
		all.add(t, class, e.Remedy)
		for _, x := range []struct {
			o      challenges.Outcome
			result string
		}{{challenges.Unreachable, "failed"}, {challenges.Refused, "refused_fault"}, {0, "failed"}, {challenges.Late, "answered"}} {
			id, c := ended(t, x.o, "", x.result, "")
			c.Fault = class
			if got := explain(t, id, c); !strings.HasPrefix(got.Remedy, e.Remedy) {
				t.Errorf("%s, %v: remedy %q", class, x.o, got.Remedy)
			}
		}
	}
	for _, xid := range []uint32{13, 31, 43, 45, 48, 61, 62, 63, 64, 74, 79, 94, 95, 119, 120} {
		id, c := ended(t, challenges.Withheld, "M7", "failed", "")
		c.Xid = xid
		e := explain(t, id, c)
		all.add(t, "Xid", e.Remedy)
		c.Fault = gpu.FaultLost
		if both := explain(t, id, c).Remedy; !strings.Contains(both, e.Remedy) || !strings.Contains(both, "is gone from the machine") || e.Xid != xid {
			t.Errorf("Xid %d: %q", xid, both)
		}
	}
	id, c := ended(t, challenges.Withheld, "M7", "failed", "")
	c.Xid = 999
	if e := explain(t, id, c); !strings.Contains(e.Remedy, "dmesg") {
		t.Errorf("an unknown Xid: %q", e.Remedy)
	}
	id, c = ended(t, challenges.Wrong, "M6", "answered", "")
	c.Fault = gpu.FaultWrong
	if e := explain(t, id, c); !strings.Contains(e.Remedy, "out of the offer at once") || !strings.Contains(e.Remedy, "computes wrong") {
		t.Errorf("wrong, with a fault: %q", e.Remedy)
	}
	id, c = ended(t, challenges.Pass, "", "answered", "")
	c.Xid = 31
	if e := explain(t, id, c); e.Remedy != "Nothing to do." {
		t.Errorf("a pass, with an Xid: %q", e.Remedy)
	}
}

func TestThrottle(t *testing.T) {
	record := func(bits ...int64) []byte {
		var r telemetry.Record
		for i, b := range bits {
			s := telemetry.Snapshot{At: time.Duration(i)}
			if b >= 0 {
				s.Set(telemetry.Throttle, b)
			}
			r.Snapshots = append(r.Snapshots, s)
		}
		return challenges.Marshal(&r)
	}
	all := remedies{}
	for _, c := range []struct {
		name   string
		record []byte
		words  string
		remedy string
	}{
		{"none is known", nil, "", "the p10 of"},
		{"power", record(telemetry.ThrottleIdle, telemetry.ThrottlePowerCap, telemetry.ThrottleIdle), "power cap", "-pl"},
		{"heat, and power", record(-1, telemetry.ThrottlePowerCap, telemetry.ThrottleThermal), "power cap, thermal slowdown", "cooling"},
		{"brake", record(telemetry.ThrottlePowerBrake | telemetry.ThrottleHardware), "hardware slowdown, power brake", "cables"},
		{"clocks", record(telemetry.ThrottleApplication), "application clocks", "-rac"},
	} {
		id, kept := ended(t, challenges.Late, "M9", "answered", "")
		kept.Telemetry = c.record
		e := explain(t, id, kept)
		if e.Throttle != c.words || !strings.Contains(e.Remedy, c.remedy) {
			t.Errorf("%s: throttle %q, remedy %q", c.name, e.Throttle, e.Remedy)
		}
		all.add(t, c.name, e.Remedy)
	}
	for name, bad := range map[string][]byte{"idle": record(telemetry.ThrottleIdle), "garbage": {1, 2, 3}} {
		id, kept := ended(t, challenges.Late, "M9", "answered", "")
		kept.Telemetry = bad
		if e := explain(t, id, kept); e.Throttle != "" || !strings.Contains(e.Remedy, "the p10 of") {
			t.Errorf("%s: %q, %q", name, e.Throttle, e.Remedy)
		}
	}
}

// TestOwn: what the copy says itself, where it has frames.
func TestOwn(t *testing.T) {
	refusal := challenges.NewRefusal(challenges.ReasonBusy, 0)
	id, c := ended(t, challenges.Refused, "S6", "refused_busy", "busy")
	e := explain(t, id, said(t, id, c, refusal))
	if !e.Agrees || e.Contradicts || !strings.Contains(e.Own, "refused (S6)") {
		t.Errorf("a refusal: %+v", e)
	}
	// A checker that says wrong of a refusal.
	id, c = ended(t, challenges.Wrong, "M6", "refused_busy", "busy")
	e = explain(t, id, said(t, id, c, refusal))
	if e.Agrees || !e.Contradicts || !strings.Contains(e.Remedy, "Keep the copy") || !strings.Contains(e.Remedy, "To be sure of the device") || strings.Contains(e.Remedy, "out of the offer") {
		t.Errorf("called wrong: %+v", e)
	}
	// Silence is the checker's word.
	id, c = ended(t, challenges.Unreachable, "M7", "refused_busy", "busy")
	e = explain(t, id, said(t, id, c, refusal))
	if e.Agrees || e.Contradicts {
		t.Errorf("not reached: %+v", e)
	}
}

func TestExplainGarbage(t *testing.T) {
	id, c := ended(t, challenges.Pass, "", "answered", "")
	c.Challenge[len(c.Challenge)-1] ^= 1
	e := why.Explain(id, c, network)
	if e.Challenge != id || !strings.Contains(e.Says, "cannot be read") || !strings.Contains(e.Remedy, "assay store check") || e.Mark != why.MarkNotKnown {
		t.Errorf("%+v", e)
	}
}

func TestJSON(t *testing.T) {
	for _, o := range append(challenges.Outcomes(), 0) {
		id, c := ended(t, o, "", "left", "")
		e := why.Explain(id, c, network)
		b, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		var again why.Explanation
		if err := json.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%v: %s, %v", o, b, err)
		}
		if strings.Contains(string(b), `"outcome"`) != (o != 0) {
			t.Errorf("%s", b)
		}
	}
}
