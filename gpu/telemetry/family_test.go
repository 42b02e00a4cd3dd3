package telemetry_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// family is whether a card with a row's ids and another name is found out.
func family(r telemetry.Record, w telemetry.Work) (found, hard bool) {
	for _, f := range telemetry.Judge(r, w).Findings {
		if f.Code == "pci-family" {
			return true, f.Hard
		}
	}
	return false, false
}

// A card's own names, with its ids, however they are spelt and whatever is added.
func TestOwnFamily(t *testing.T) {
	added := []string{
		"", "e", " Laptop GPU", " Max-Q", " with Max-Q Design", " D", " Ti", " SUPER", " SUPER Laptop GPU", " MIG 1g.10gb", " MIG 1g.5gb+me", "-24Q", "-8C", " 96GB", " 80GB HBM2e", " HBM3",
		" SXM5", "-SXM4-64GB", " PCIe", " NVL", " NVL4", " 480GB", " 144G HBM3e", "-3e", " Generation", " Ada", " Blackwell", " Server Edition", " Founders Edition", " LHR",
		" 1024", " 12GB GDDR6X", " v2", " (rev a1)", " OEM", " 0", " x16", "DX-4C", "XM-80C",
	}
	for _, s := range real() {
		for _, name := range s.Names {
			if name == "" {
				continue
			}
			r, w := honest(s, load{seconds: 2, snapshots: 1})
			for n, id := range s.PCI {
				r.Inventory.PCIDevice = uint32(id)<<16 | 0x10de
				for m, more := range added {
					if id == 0 || n > 0 && m > 3 {
						continue
					}
					full := name + more
					r.Inventory.Name = []string{full, strings.ToLower(full), strings.ReplaceAll(strings.TrimPrefix(full, "NVIDIA "), " ", "_"), strings.ReplaceAll(full, "RTX ", "RTX")}[m%4]
					if found, _ := family(r, w); found {
						t.Errorf("%q with id %04x of %s is found", r.Inventory.Name, id, s.Name)
					}
				}
			}
		}
	}
}

// Names that real cards have and the table does not, with the ids that they have.
func TestRealFamilies(t *testing.T) {
	for name, id := range map[string]uint16{
		"A100-SXM4-40GB": 0x20b0, "NVIDIA A100-SXM4-80GB": 0x20b2, "A100-PCIE-40GB": 0x20f1, "GRID A100-10C": 0x20b0, "GRID A100DX-40C": 0x20b5, "NVIDIA A100-PG509-200": 0x20b0,
		"NVIDIA A2": 0x25b6, "NVIDIA A2-16Q": 0x25b6, "GRID T4-8C": 0x1eb8, "NVIDIA H100XM-80C": 0x2330, "NVIDIA H100L-94C": 0x2321, "NVIDIA RTXA6000-48Q": 0x2230, "NVIDIA RTX6000-Ada-48Q": 0x26b1,
		"NVIDIA RTX Pro 6000 Blackwell DC-48Q": 0x2bb5, "NVIDIA L40S-48Q": 0x26b9, "NVIDIA L4-24Q": 0x27b8, "NVIDIA A10-24Q": 0x2236, "NVIDIA GH200 120GB": 0x2342, "GH200 480GB": 0x2342,
		"NVIDIA Graphics Device": 0x2330, "Graphics Device": 0x2901, "NVIDIA GeForce RTX 3060 Lite Hash Rate": 0x2504,
		// Ids of no row.
		"Quadro RTX 6000": 0x1e30, "Quadro RTX 4000": 0x1eb1, "NVIDIA A100-SXM-64GB": 0x20b3, "NVIDIA A10M": 0x2238, "NVIDIA GeForce RTX 4090 D": 0x2685, "NVIDIA GeForce RTX 4090 Laptop GPU": 0x2717,
		"NVIDIA H100": 0x2339, "NVIDIA RTX 4000 SFF Ada Generation": 0x27b0, "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": 0x2bb4, "NVIDIA H800": 0x2324, "NVIDIA L40G": 0x26b8,
		"NVIDIA L20": 0x26ba, "NVIDIA GB10": 0x2e12, "NVIDIA A800-SXM4-80GB": 0x20f3, "NVIDIA RTX A4500": 0x2232, "NVIDIA GeForce RTX 3080 Laptop GPU": 0x249c,
	} {
		r, w := honest(lookup(t, "h100-sxm"), load{seconds: 2})
		r.Inventory.Name, r.Inventory.PCIDevice = name, uint32(id)<<16|0x10de
		if found, _ := family(r, w); found {
			t.Errorf("%q with id %04x is found", name, id)
		}
	}
}

// A spelling that is not listed hides no other card.
func TestForeignFamily(t *testing.T) {
	for _, name := range []string{"NVIDIA H100 80GB HBM3e", "NVIDIA H100 SXM5 80GB", "NVIDIA H100", "H100SXM", "nvidia_h100_80gb", "NVIDIA A100", "GH200", "NVIDIA L40S 48GB", "NVIDIA RTX5090 D", "RTX 5090 Laptop GPU", "RTX 4090 / H100"} {
		r, w := honest(lookup(t, "rtx-4090"), load{seconds: 2})
		r.Inventory.Name = name
		if found, hard := family(r, w); !found || !hard || telemetry.Judge(r, w).Plausible() {
			t.Errorf("RTX 4090 as %q passes", name)
		}
	}
	// Every row of another family as every other.
	pairs := 0
	for _, is := range real() {
		for _, says := range real() {
			if kin(is, says) {
				continue
			}
			pairs++
			r, w := honest(is, load{seconds: 2, snapshots: 1})
			if r.Inventory.Name = says.Names[0] + " new"; is.Simulated || says.Simulated {
				continue
			}
			if found, _ := family(r, w); !found {
				t.Errorf("%s as %q passes", is.Name, r.Inventory.Name)
			}
		}
	}
	if pairs < 2500 {
		t.Errorf("%d pairs", pairs)
	}
}

// kin is whether the first word that says what a row's cards are is another row's too.
func kin(is, says models.Spec) bool {
	split := func(names ...string) []string {
		return strings.Fields(strings.ReplaceAll(strings.ToLower(strings.Join(names, " ")), "-", " "))
	}
	has := split(is.Names[:]...)
	for _, w := range split(says.Names[0]) {
		if strings.ContainsAny(w, "0123456789") {
			return slices.Contains(has, w)
		}
	}
	return true
}
