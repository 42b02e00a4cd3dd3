package devnet

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/file"
)

// keys lists the fields of a JSON object in their order.
func keys(t *testing.T, object json.RawMessage) (out []string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		out = append(out, name.(string))
	}
	return out
}

// at walks into a JSON document by names of fields, and into lists to their first
// element.
func at(t *testing.T, doc json.RawMessage, path ...string) json.RawMessage {
	t.Helper()
	for _, name := range path {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(doc, &fields); err != nil {
			t.Fatal(err)
		}
		doc = fields[name]
		var list []json.RawMessage
		if json.Unmarshal(doc, &list) == nil {
			if len(list) == 0 {
				t.Fatalf("%s is an empty list", name)
			}
			doc = list[0]
		}
	}
	return doc
}

func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network for 18.5 s")
	}
	dir := t.TempDir()
	var out bytes.Buffer
	r, err := Run(t.Context(), Config{
		Checkers: []string{Honest, Honest}, Providers: []string{Honest, Liar}, Seed: 7, For: 17 * time.Second,
		Dir: dir, Listen: "127.0.0.1:0", JSON: true, Out: &out,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Met() || len(r.Expectations) != 7 {
		t.Errorf("expectations %+v", r.Expectations)
	}
	if r.DurationS < 17 || r.DurationS > 30 || r.Epochs != 4 {
		t.Errorf("%v s, %d epochs", r.DurationS, r.Epochs)
	}
	checkContract(t, out.Bytes())
	var again Report
	if err := json.Unmarshal(out.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	honest := again.Providers[0]
	for i, f := range challenges.Flavours() {
		// Four epochs, a flavour or the memory each. A machine that is busy elsewhere may
		// leave the last one, which is short, without a figure.
		if len(honest.Throughput) != 3 || honest.Throughput[i].Flavour != f || honest.Throughput[i].ClaimOps == 0 {
			t.Errorf("throughput of the honest one %+v, want that of %v", honest.Throughput, f)
		}
	}
	if m := honest.Memory; m.ClaimBytes != 2<<20 || m.Figures == 0 || m.Bytes == nil || *m.Bytes > m.ClaimBytes {
		t.Errorf("memory of the honest one %+v", m)
	}
	if honest.ByKind["memory"].Pass == 0 || len(honest.Shared)+len(honest.Reasons) > 0 || honest.Together.Figures > 0 {
		t.Errorf("the honest one %+v", honest)
	}
	liar := again.Providers[1]
	if again.Network != "devnet-7" || liar.Behaviour != Liar || liar.Outcomes.Wrong == 0 || liar.Score != 0 || liar.ThroughputOps != nil ||
		len(liar.Reasons) != 1 || liar.Reasons[0].Code != "work-incorrect" {
		t.Errorf("network %q, liar %+v", again.Network, liar)
	}
	checkFolder(t, dir, r)
}

// checkContract holds the printed document against what scripts rely on.
func checkContract(t *testing.T, doc []byte) {
	t.Helper()
	outcomes := []string{"pass", "wrong", "late", "withheld", "refused", "unreachable", "unknown"}
	for _, c := range []struct {
		path []string
		want []string
	}{
		{nil, []string{"network", "duration_s", "epochs", "checkers", "providers", "expectations"}},
		{[]string{"checkers"}, []string{"name", "id", "api", "verdicts"}},
		{[]string{"providers"}, []string{
			"name", "id", "behaviour", "level", "score", "throughput_ops", "throughput", "memory", "together", "shared",
			"availability", "outcomes", "by_kind", "flags", "reasons", "attested", "cards",
		}},
		{[]string{"providers", "throughput"}, []string{"flavour", "ops", "claim_ops"}},
		{[]string{"providers", "memory"}, []string{"bytes", "claim_bytes", "figures", "read_bytes"}},
		{[]string{"providers", "together"}, []string{"share", "figures"}},
		{[]string{"providers", "availability"}, []string{"confirmed", "reachability", "lower95"}},
		{[]string{"providers", "outcomes"}, outcomes},
		{[]string{"providers", "by_kind"}, []string{"fma", "matmul", "memory", "probe"}},
		{[]string{"providers", "by_kind", "fma"}, outcomes},
		{[]string{"providers", "by_kind", "matmul"}, outcomes},
		{[]string{"providers", "by_kind", "memory"}, outcomes},
		{[]string{"expectations"}, []string{"provider", "expect", "met"}},
	} {
		if got := keys(t, at(t, doc, c.path...)); !slices.Equal(got, c.want) {
			t.Errorf("fields of %v: %v, want %v", c.path, got, c.want)
		}
	}
	// What is not known is null, and a list is never.
	for _, list := range []string{"throughput", "shared", "flags", "reasons"} {
		if strings.Contains(string(doc), `"`+list+`": null`) {
			t.Errorf("%s is null", list)
		}
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	var first json.RawMessage
	if err := d.Decode(&first); err != nil || d.More() {
		t.Errorf("not one document: %v", err)
	}
}

// TestReportLists holds the fields of lists that an honest provider's are empty of.
func TestReportLists(t *testing.T) {
	var out bytes.Buffer
	r := Report{Providers: []ProviderRow{{
		Shared:  []client.SharedDevice{{Device: "gpu0", OtherDevice: "gpu1", Together: 8, TogetherSlow: 7, Apart: 9, ApartSlow: 1}},
		Reasons: []evidence.Reason{{Code: "shared-device", Detail: "so"}},
	}}}
	if err := r.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	for list, want := range map[string][]string{
		"shared":  {"device", "other", "other_device", "together", "together_slow", "apart", "apart_slow"},
		"reasons": {"code", "detail"},
	} {
		if got := keys(t, at(t, out.Bytes(), "providers", list)); !slices.Equal(got, want) {
			t.Errorf("fields of %s: %v, want %v", list, got, want)
		}
	}
}

// checkFolder reads what the devnet left: it is stopped, and all of it is there.
func checkFolder(t *testing.T, dir string, r *Report) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "registry.cbor"))
	if err != nil {
		t.Fatal(err)
	}
	registry, err := committee.DecodeRegistry(b)
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if b, err = os.ReadFile(filepath.Join(dir, "devnet.json")); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if m.NetworkID != registry.Hash() || m.Network != r.Network || m.Seed != 7 || !m.Genesis.Equal(registry.Clock().Genesis) || len(m.Nodes) != 4 {
		t.Errorf("manifest %+v", m)
	}
	for i, n := range m.Nodes {
		k, err := file.ReadKey(filepath.Join(dir, n.Name, "key"))
		if err != nil || !k.Equal(key(7, n.Name)) || n.ID != challenges.IDOf(k) {
			t.Errorf("%s: id %v, %v", n.Name, n.ID, err)
		}
		if i < 2 && (n.API != r.Checkers[i].API || registry.Index(n.ID) < 0) {
			t.Errorf("%s: API %q, place %d in the registry", n.Name, n.API, registry.Index(n.ID))
		}
	}
	src, err := node.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	list, err := src.List(t.Context(), report.Query{Outcome: challenges.Wrong, Limit: 1})
	if err != nil || len(list) != 1 || list[0].Provider != r.Providers[1].ID {
		t.Fatalf("%+v, %v", list, err)
	}
	file, err := src.Get(t.Context(), list[0].Hash)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := client.Verify(file, &registry, evidence.NVIDIA()); err != nil || !f.OK || *f.Outcome != challenges.Wrong {
		t.Errorf("the evidence: %+v, %v", f, err)
	}
}

// TestRunCancelled ends a devnet without a time limit as Ctrl-C does, in the
// middle of its first epoch: it is judged and printed as ever.
func TestRunCancelled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network for 3 s")
	}
	ctx, cancel := context.WithTimeout(t.Context(), settle+1300*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	dir := t.TempDir()
	r, err := Run(ctx, Config{
		Checkers: []string{Honest}, Providers: []string{Honest, Busy}, Dir: dir, Listen: "127.0.0.1:0", Out: &out,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Met() || r.Epochs != 1 || r.Providers[0].ByKind["probe"].Pass == 0 || r.Checkers[0].Verdicts == 0 {
		t.Errorf("report %+v", r)
	}
	for _, want := range []string{
		"starting 1 checkers and 2 providers", "checker-1  " + r.Checkers[0].API, "data       " + dir, "(level L0)",
		"1 epochs sealed by 1 checkers", "PROVIDER", "provider-1  honest", "provider-2  busy",
		"MISSED  provider-1   at least 3 passes", "met     provider-2   probes answered", "data is kept in " + dir,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed no %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("escapes in a file: %q", out.String())
	}
}
