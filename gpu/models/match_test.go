package models

import (
	"strings"
	"testing"
)

const mib64 = uint64(1) << 20

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name   string
		pci    uint32
		memory uint64
		sms    int
		want   string
	}{
		// As drivers and frameworks print them.
		{"Tesla T4", 0x1eb810de, 15102 * mib64, 40, "t4"},
		{"Tesla T4", 0, 14930 * mib64, 40, "t4"},
		{"NVIDIA A10G", 0x223710de, 22587 * mib64, 80, "a10g"},
		{"NVIDIA A10", 0x223610de, 23028 * mib64, 72, "a10"},
		{"NVIDIA A16", 0x25b610de, 15356 * mib64, 10, "a16"},
		{"NVIDIA A100-SXM4-40GB", 0x20b010de, 42298834944, 108, "a100-sxm-40"},
		{"A100-SXM4-40GB", 0, 0, 0, "a100-sxm-40"},
		{"NVIDIA A100-SXM4-80GB", 0x20b210de, 81920 * mib64, 108, "a100-sxm-80"},
		{"NVIDIA A100-PCIE-40GB", 0x20f110de, 40960 * mib64, 108, "a100-pcie-40"},
		{"NVIDIA A100 80GB PCIe", 0x20b5, 81920 * mib64, 108, "a100-pcie-80"},
		{"NVIDIA RTX A6000", 0x2230, 46068 * mib64, 84, "rtx-a6000"},
		{"NVIDIA L4", 0x27b8, 22564 * mib64, 58, "l4"},
		{"NVIDIA L40", 0x26b5, 45589 * mib64, 142, "l40"},
		{"NVIDIA L40S", 0x26b9, 45589 * mib64, 142, "l40s"},
		{"NVIDIA GeForce RTX 4090", 0x2684, 24563 * mib64, 128, "rtx-4090"},
		{"nvidia geforce rtx 4090", 0, 0, 0, "rtx-4090"},
		{"RTX 4090", 0, 0, 0, "rtx-4090"},
		{"NVIDIA RTX 4000 Ada Generation", 0x27b2, 20475 * mib64, 48, "rtx-4000-ada"},
		{"NVIDIA H100 80GB HBM3", 0x233010de, 81089 * mib64, 132, "h100-sxm"},
		{"NVIDIA H100 PCIe", 0x233110de, 81008 * mib64, 114, "h100-pcie"},
		{"NVIDIA H100 NVL", 0x232110de, 99456909312, 132, "h100-nvl"},
		{"NVIDIA H200", 0x233510de, 143156 * mib64, 132, "h200-sxm"},
		{"NVIDIA H200 NVL", 0x233b10de, 143771 * mib64, 132, "h200-nvl"},
		{"NVIDIA H20", 0x232910de, 97285 * mib64, 78, "h20"},
		{"NVIDIA H20-3e", 0x232c10de, 143771 * mib64, 78, "h20-3e"},
		{"NVIDIA GH200 480GB", 0x234210de, 97280 * mib64, 132, "gh200-96"},
		{"NVIDIA GH200 144G HBM3e", 0x234810de, 153008209920, 132, "gh200-144"},
		{"NVIDIA B200", 0x290110de, 182642 * mib64, 148, "b200"},
		{"NVIDIA GB200", 0x294110de, 189471 * mib64, 152, "gb200"},
		{"NVIDIA B300 SXM6 AC", 0x318210de, 275040 * mib64, 148, "b300"},
		{"NVIDIA GB300", 0x31c210de, 284208 * mib64, 152, "gb300"},
		{"NVIDIA GeForce RTX 5090", 0x2b85, 32607 * mib64, 170, "rtx-5090"},
		{"NVIDIA RTX PRO 6000 Blackwell Server Edition", 0x2bb5, 97250 * mib64, 188, "rtx-pro-6000-server"},
		{"NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 0x2bb1, 97887 * mib64, 188, "rtx-pro-6000-ws"},
		// Simulated ones, which no driver names.
		{"NVIDIA H100 80GB HBM3 (simulated)", 0xff1010de, 4 << 20, 132, "sim-h100"},
		{"NVIDIA GeForce RTX 4090 (simulated)", 0, 0, 0, "sim-4090"},
		{"NVIDIA H100 80GB HBM3 (simulated)", 0xff4010de, 3 << 20, 128, ""},
		{"NVIDIA H100 80GB HBM3", 0xff1010de, 81089 * mib64, 132, ""},
		// Two models of one name.
		{"NVIDIA GeForce RTX 3060", 0, 12288 * mib64, 28, "rtx-3060-12"},
		{"NVIDIA GeForce RTX 3060", 0x2504, 8192 * mib64, 28, "rtx-3060-8"}, // ids of 8 GB cards are known in part
		{"NVIDIA GeForce RTX 3060", 0x2504, 0, 0, "rtx-3060-12"},
		{"NVIDIA GeForce RTX 3060", 0, 0, 28, ""},
		{"NVIDIA GeForce RTX 3080", 0, 10240 * mib64, 0, "rtx-3080-10"},
		{"NVIDIA GeForce RTX 3080", 0, 0, 70, "rtx-3080-12"},
		{"NVIDIA GeForce RTX 4060 Ti", 0, 16380 * mib64, 34, "rtx-4060-ti-16"},
		{"NVIDIA GeForce RTX 4060 Ti", 0, 8188 * mib64, 34, "rtx-4060-ti-8"},
		{"NVIDIA GeForce RTX 3060 Ti", 0x24c9, 8192 * mib64, 38, "rtx-3060-ti-g6x"},
		{"NVIDIA GeForce RTX 3060 Ti", 0x2489, 8192 * mib64, 38, "rtx-3060-ti"},
		{"NVIDIA GeForce RTX 3060 Ti", 0, 8192 * mib64, 38, ""}, // GDDR6 or GDDR6X?
		// Not the model that it looks like.
		{"NVIDIA H100 80GB HBM3 MIG 1g.10gb", 0x233010de, 9856 * mib64, 16, ""},
		{"NVIDIA H100 80GB HBM3", 0x233010de, 9856 * mib64, 16, ""},
		{"NVIDIA H100 80GB HBM3", 0x233110de, 81089 * mib64, 132, ""}, // the PCIe card's id
		{"NVIDIA H100 PCIe", 0x2331, 81008 * mib64, 132, ""},
		{"NVIDIA H100", 0x2339, 95830 * mib64, 132, ""},
		{"NVIDIA A10-24Q", 0, 0, 0, ""},
		{"NVIDIA A10M", 0, 0, 0, ""},
		{"NVIDIA A100", 0, 0, 0, ""},
		{"NVIDIA A100-SXM-64GB", 0x20b3, 65536 * mib64, 124, ""},
		{"NVIDIA GeForce RTX 4090 D", 0x2685, 24564 * mib64, 114, ""},
		{"NVIDIA GeForce RTX 4090 Laptop GPU", 0x2717, 16376 * mib64, 76, ""},
		{"NVIDIA GeForce RTX 4090", 0, 24563 * mib64, 114, ""},
		{"NVIDIA GeForce RTX 4090", 0, 49140 * mib64, 128, ""}, // refitted with 48 GB
		{"Quadro RTX 4000", 0x1eb1, 8192 * mib64, 36, ""},
		{"NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 0x2bb4, 97887 * mib64, 188, ""},
		{"Tesla V100-SXM2-16GB", 0x1db1, 16384 * mib64, 80, ""},
		{"NVIDIA GB300", 0x31c210de, 256703 * mib64, 152, ""}, // DGX Station's has 252 GB and slower memory
		{"Tesla T4", 0x1eb81002, 15102 * mib64, 40, ""},       // another vendor
		{"NVIDIA", 0, 0, 0, ""},
		{"", 0x1eb8, 15102 * mib64, 40, ""},
	} {
		got, ok := Match(c.name, c.pci, c.memory, c.sms)
		if ok != (c.want != "") || got.Name != c.want {
			t.Errorf("%q, %x, %d, %d: %q, want %q", c.name, c.pci, c.memory, c.sms, got.Name, c.want)
		}
	}
}

// Every row is found by what its own driver says, and by nothing that names another.
func TestMatchRows(t *testing.T) {
	all := rows(t)
	for _, s := range all {
		for _, name := range s.Names {
			if name == "" {
				continue
			}
			for _, n := range []string{name, strings.ToUpper(name), strings.ReplaceAll(name, " ", "_")} {
				got, ok := Match(n, uint32(s.PCI[0])<<16|nvidia, s.Memory/1000*950, s.SMs)
				if !ok || got != s {
					t.Errorf("%s by %q: %q, %v", s.Name, n, got.Name, ok)
				}
			}
			for _, other := range all {
				if other.Names == s.Names {
					continue
				}
				if got, ok := Match(name, uint32(other.PCI[0]), 0, 0); ok {
					t.Errorf("%q with the id of %s: %s", name, other.Name, got.Name)
				}
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, s := range Table() {
		f.Add(s.Names[0], uint32(s.PCI[0])<<16|nvidia, s.Memory, s.SMs)
	}
	f.Add("\xff(NVIDIA)--\u0130 RTX 4090", uint32(0x10de10de), ^uint64(0), -1)
	f.Fuzz(func(t *testing.T, name string, pci uint32, memory uint64, sms int) {
		got, ok := Match(name, pci, memory, sms)
		if !ok {
			if got != (Spec{}) {
				t.Errorf("no match, but %+v", got)
			}
			return
		}
		if row, err := Lookup(got.Name); err != nil || row != got || got.Simulated != strings.HasSuffix(strings.Join(Words(name), " "), " simulated") {
			t.Errorf("not a row: %+v", got)
		}
		if memory != 0 && !got.holds(memory) || sms != 0 && sms != got.SMs || !got.named(Words(name)) {
			t.Errorf("%q, %d, %d: %s", name, memory, sms, got.Name)
		}
	})
}
