package models

func turing() []Spec {
	return []Spec{
		{
			Name: "t4", Title: "NVIDIA T4", Names: [2]string{"Tesla T4"}, PCI: [6]uint16{0x1eb8},
			Major: 7, Minor: 5, SMs: 40, ClockHz: 1590 * mhz, Memory: 16 * gib, MemoryHz: 5000 * mhz, BusBits: 256, Bandwidth: 320 * gb, L2: 4 * mib, Watts: 70,
			Peak: Rates{Int8: 130 * tera, FP16: 65 * tera}, Memories: 5001,
			Source: "peaks: T4 datasheet, read in reports of it; no bf16 units, 9-bit entries go through fp16",
		},
	}
}

// ampere has the cards of GA100, GA102, GA104 and GA107 but GeForce.
func ampere() []Spec {
	const a100 = "peaks: NVIDIA A100 whitepaper, table 4, read; bandwidth: A100 datasheet; "
	return []Spec{
		{
			Name: "a100-pcie-40", Title: "NVIDIA A100 40GB PCIe", Names: [2]string{"NVIDIA A100-PCIE-40GB"}, PCI: [6]uint16{0x20f1, 0x20b1},
			Major: 8, SMs: 108, ClockHz: 1410 * mhz, Memory: 40 * gib, MemoryHz: 1215 * mhz, BusBits: 5120, Bandwidth: 1555 * gb, L2: 40 * mib, Watts: 250,
			Peak: Rates{Int8: 624 * tera, BF16: 312 * tera}, Memories: 5005, Source: a100 + "read",
		},
		{
			Name: "a100-pcie-80", Title: "NVIDIA A100 80GB PCIe", Names: [2]string{"NVIDIA A100 80GB PCIe"}, PCI: [6]uint16{0x20b5},
			Major: 8, SMs: 108, ClockHz: 1410 * mhz, Memory: 80 * gib, MemoryHz: 1512 * mhz, BusBits: 5120, Bandwidth: 1935 * gb, L2: 40 * mib, Watts: 300,
			Peak: Rates{Int8: 624 * tera, BF16: 312 * tera}, Memories: 5005, Source: a100 + "1935 recalled, 1940 read; L2: whitepaper, TechPowerUp has 80",
		},
		{
			Name: "a100-sxm-40", Title: "NVIDIA A100 40GB SXM4", Names: [2]string{"NVIDIA A100-SXM4-40GB"}, PCI: [6]uint16{0x20b0},
			Major: 8, SMs: 108, ClockHz: 1410 * mhz, Memory: 40 * gib, MemoryHz: 1215 * mhz, BusBits: 5120, Bandwidth: 1555 * gb, L2: 40 * mib, Watts: 400,
			Peak: Rates{Int8: 624 * tera, BF16: 312 * tera}, Memories: 5005, Source: a100 + "read",
		},
		{
			Name: "a100-sxm-80", Title: "NVIDIA A100 80GB SXM4", Names: [2]string{"NVIDIA A100-SXM4-80GB"}, PCI: [6]uint16{0x20b2},
			Major: 8, SMs: 108, ClockHz: 1410 * mhz, Memory: 80 * gib, MemoryHz: 1593 * mhz, BusBits: 5120, Bandwidth: 2039 * gb, L2: 40 * mib, Watts: 400,
			Peak: Rates{Int8: 624 * tera, BF16: 312 * tera}, Memories: 5005, Source: a100 + "read",
		},
		{
			Name: "a30", Title: "NVIDIA A30", Names: [2]string{"NVIDIA A30"}, PCI: [6]uint16{0x20b7},
			Major: 8, SMs: 56, ClockHz: 1440 * mhz, Memory: 24 * gib, MemoryHz: 1215 * mhz, BusBits: 3072, Bandwidth: 933 * gb, L2: 24 * mib, Watts: 165,
			Peak: Rates{Int8: 330 * tera, BF16: 165 * tera}, Memories: 5005, Source: "peaks: A30 datasheet, recalled",
		},
		{
			Name: "a10", Title: "NVIDIA A10", Names: [2]string{"NVIDIA A10"}, PCI: [6]uint16{0x2236},
			Major: 8, Minor: 6, SMs: 72, ClockHz: 1695 * mhz, Memory: 24 * gib, MemoryHz: 6252 * mhz, BusBits: 384, Bandwidth: 600 * gb, L2: 6 * mib, Watts: 150,
			Peak: Rates{Int8: 250 * tera, BF16: 125 * tera}, Memories: 5002, Source: "peaks: A10 datasheet, read in astroC86/gpu-datasheet",
		},
		{
			Name: "a10g", Title: "NVIDIA A10G", Names: [2]string{"NVIDIA A10G"}, PCI: [6]uint16{0x2237},
			Major: 8, Minor: 6, SMs: 80, ClockHz: 1710 * mhz, Memory: 24 * gib, MemoryHz: 6252 * mhz, BusBits: 384, Bandwidth: 600 * gb, L2: 6 * mib, Watts: 300,
			Peak: Rates{Int8: 140 * tera, BF16: 70 * tera}, Memories: 5002,
			Source: "peaks: A10G datasheet, recalled: half of the units' rate; SMs and L2: a driver's report, read (TechPowerUp has 72); power recalled",
		},
		{
			Name: "a16", Title: "NVIDIA A16 (one of four)", Names: [2]string{"NVIDIA A16"}, PCI: [6]uint16{0x25b6},
			Major: 8, Minor: 6, SMs: 10, ClockHz: 1755 * mhz, Memory: 16 * gib, MemoryHz: 6252 * mhz, BusBits: 128, Bandwidth: 200 * gb, L2: 2 * mib, Watts: 62,
			Peak: Rates{Int8: 35.9 * tera, BF16: 17.9 * tera}, Memories: 5001, Source: "peaks: A16 datasheet, a quarter of the board, read in a dealer's copy; power: a quarter of 250 W",
		},
		{
			Name: "a40", Title: "NVIDIA A40", Names: [2]string{"NVIDIA A40"}, PCI: [6]uint16{0x2235},
			Major: 8, Minor: 6, SMs: 84, ClockHz: 1740 * mhz, Memory: 48 * gib, MemoryHz: 7248 * mhz, BusBits: 384, Bandwidth: 696 * gb, L2: 6 * mib, Watts: 300,
			Peak: Rates{Int8: 299.3 * tera, BF16: 149.7 * tera}, Memories: 5002, Source: "peaks: A40 datasheet, read in a dealer's copy",
		},
		{
			Name: "rtx-a4000", Title: "NVIDIA RTX A4000", Names: [2]string{"NVIDIA RTX A4000"}, PCI: [6]uint16{0x24b0},
			Major: 8, Minor: 6, SMs: 48, ClockHz: 1560 * mhz, Memory: 16 * gib, MemoryHz: 7000 * mhz, BusBits: 256, Bandwidth: 448 * gb, L2: 4 * mib, Watts: 140,
			Peak: Rates{Int8: 153.4 * tera, BF16: 76.7 * tera}, Memories: 5002, Source: "peaks: half and all of the datasheet's 153.4 TFLOPS with sparsity, read in a dealer's copy",
		},
		{
			Name: "rtx-a5000", Title: "NVIDIA RTX A5000", Names: [2]string{"NVIDIA RTX A5000"}, PCI: [6]uint16{0x2231},
			Major: 8, Minor: 6, SMs: 64, ClockHz: 1695 * mhz, Memory: 24 * gib, MemoryHz: 8000 * mhz, BusBits: 384, Bandwidth: 768 * gb, L2: 6 * mib, Watts: 230,
			Peak: Rates{Int8: 222.2 * tera, BF16: 111.1 * tera}, Memories: 5002, Source: "peaks: half and all of the datasheet's 222.2 TFLOPS with sparsity, recalled",
		},
		{
			Name: "rtx-a6000", Title: "NVIDIA RTX A6000", Names: [2]string{"NVIDIA RTX A6000"}, PCI: [6]uint16{0x2230},
			Major: 8, Minor: 6, SMs: 84, ClockHz: 1800 * mhz, Memory: 48 * gib, MemoryHz: 8000 * mhz, BusBits: 384, Bandwidth: 768 * gb, L2: 6 * mib, Watts: 300,
			Peak: Rates{Int8: 309.7 * tera, BF16: 154.8 * tera}, Memories: 5002, Source: "peaks: NVIDIA GA102 whitepaper 2.0, table 3, read in quotations of it",
		},
	}
}
