package models

// geforce30 has the cards of GA102 to GA106.
func geforce30() []Spec {
	const source = "peaks: SMs x ops x boost, sums in fp32 at half rate"
	return []Spec{
		geforce(Spec{
			Name: "rtx-3060-8", Title: "NVIDIA GeForce RTX 3060 8GB", Names: [2]string{"NVIDIA GeForce RTX 3060"}, PCI: [6]uint16{0x24c7},
			Major: 8, Minor: 6, SMs: 28, ClockHz: 1777 * mhz, Memory: 8 * gib, MemoryHz: 7500 * mhz, BusBits: 128, Bandwidth: 240 * gb, L2: 3 * mib, Watts: 170,
			Memories: 5001, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-3060-12", Title: "NVIDIA GeForce RTX 3060 12GB", Names: [2]string{"NVIDIA GeForce RTX 3060"}, PCI: [6]uint16{0x2501, 0x2503, 0x2504, 0x2509, 0x2487},
			Major: 8, Minor: 6, SMs: 28, ClockHz: 1777 * mhz, Memory: 12 * gib, MemoryHz: 7500 * mhz, BusBits: 192, Bandwidth: 360 * gb, L2: 3 * mib, Watts: 170,
			Memories: 5002, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-3060-ti", Title: "NVIDIA GeForce RTX 3060 Ti", Names: [2]string{"NVIDIA GeForce RTX 3060 Ti"}, PCI: [6]uint16{0x2486, 0x2489, 0x2414, 0x248e},
			Major: 8, Minor: 6, SMs: 38, ClockHz: 1665 * mhz, Memory: 8 * gib, MemoryHz: 7000 * mhz, BusBits: 256, Bandwidth: 448 * gb, L2: 4 * mib, Watts: 200,
			Memories: 5002, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-3060-ti-g6x", Title: "NVIDIA GeForce RTX 3060 Ti GDDR6X", Names: [2]string{"NVIDIA GeForce RTX 3060 Ti"}, PCI: [6]uint16{0x24c9},
			Major: 8, Minor: 6, SMs: 38, ClockHz: 1665 * mhz, Memory: 8 * gib, MemoryHz: 9504 * mhz, BusBits: 256, Bandwidth: 608 * gb, L2: 4 * mib, Watts: 225,
			Memories: 5002, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-3070", Title: "NVIDIA GeForce RTX 3070", Names: [2]string{"NVIDIA GeForce RTX 3070"}, PCI: [6]uint16{0x2484, 0x2488, 0x248d},
			Major: 8, Minor: 6, SMs: 46, ClockHz: 1725 * mhz, Memory: 8 * gib, MemoryHz: 7000 * mhz, BusBits: 256, Bandwidth: 448 * gb, L2: 4 * mib, Watts: 220,
			Memories: 5002, Source: source + "; the whitepaper's GA104 table has 163 and 40.6, recalled",
		}),
		geforce(Spec{
			Name: "rtx-3070-ti", Title: "NVIDIA GeForce RTX 3070 Ti", Names: [2]string{"NVIDIA GeForce RTX 3070 Ti"}, PCI: [6]uint16{0x2482, 0x2207, 0x248c},
			Major: 8, Minor: 6, SMs: 48, ClockHz: 1770 * mhz, Memory: 8 * gib, MemoryHz: 9504 * mhz, BusBits: 256, Bandwidth: 608 * gb, L2: 4 * mib, Watts: 290,
			Memories: 5002, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-3080-10", Title: "NVIDIA GeForce RTX 3080 10GB", Names: [2]string{"NVIDIA GeForce RTX 3080"}, PCI: [6]uint16{0x2206, 0x2216},
			Major: 8, Minor: 6, SMs: 68, ClockHz: 1710 * mhz, Memory: 10 * gib, MemoryHz: 9504 * mhz, BusBits: 320, Bandwidth: 760 * gb, L2: 5 * mib, Watts: 320,
			Memories: 5002, Source: source + "; the whitepaper has 238 and 59.5, recalled",
		}),
		geforce(Spec{
			Name: "rtx-3080-12", Title: "NVIDIA GeForce RTX 3080 12GB", Names: [2]string{"NVIDIA GeForce RTX 3080"}, PCI: [6]uint16{0x220a},
			Major: 8, Minor: 6, SMs: 70, ClockHz: 1710 * mhz, Memory: 12 * gib, MemoryHz: 9504 * mhz, BusBits: 384, Bandwidth: 912 * gb, L2: 6 * mib, Watts: 350,
			Memories: 5002, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-3080-ti", Title: "NVIDIA GeForce RTX 3080 Ti", Names: [2]string{"NVIDIA GeForce RTX 3080 Ti"}, PCI: [6]uint16{0x2208},
			Major: 8, Minor: 6, SMs: 80, ClockHz: 1665 * mhz, Memory: 12 * gib, MemoryHz: 9504 * mhz, BusBits: 384, Bandwidth: 912 * gb, L2: 6 * mib, Watts: 350,
			Memories: 5002, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-3090", Title: "NVIDIA GeForce RTX 3090", Names: [2]string{"NVIDIA GeForce RTX 3090"}, PCI: [6]uint16{0x2204},
			Major: 8, Minor: 6, SMs: 82, ClockHz: 1695 * mhz, Memory: 24 * gib, MemoryHz: 9752 * mhz, BusBits: 384, Bandwidth: 936 * gb, L2: 6 * mib, Watts: 350,
			Memories: 5002, Source: source + "; the whitepaper has 284 and 71, read in quotations of it",
		}),
		geforce(Spec{
			Name: "rtx-3090-ti", Title: "NVIDIA GeForce RTX 3090 Ti", Names: [2]string{"NVIDIA GeForce RTX 3090 Ti"}, PCI: [6]uint16{0x2203},
			Major: 8, Minor: 6, SMs: 84, ClockHz: 1860 * mhz, Memory: 24 * gib, MemoryHz: 10504 * mhz, BusBits: 384, Bandwidth: 1008 * gb, L2: 6 * mib, Watts: 450,
			Memories: 5002, Source: source,
		}),
	}
}

// geforce40 has the cards of AD102 to AD106.
func geforce40() []Spec {
	const source = "peaks: SMs x ops x boost, sums in fp32 at half rate"
	return []Spec{
		geforce(Spec{
			Name: "rtx-4060-ti-8", Title: "NVIDIA GeForce RTX 4060 Ti 8GB", Names: [2]string{"NVIDIA GeForce RTX 4060 Ti"}, PCI: [6]uint16{0x2803, 0x2788},
			Major: 8, Minor: 9, SMs: 34, ClockHz: 2535 * mhz, Memory: 8 * gib, MemoryHz: 9000 * mhz, BusBits: 128, Bandwidth: 288 * gb, L2: 32 * mib, Watts: 160,
			Memories: 5003, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-4060-ti-16", Title: "NVIDIA GeForce RTX 4060 Ti 16GB", Names: [2]string{"NVIDIA GeForce RTX 4060 Ti"}, PCI: [6]uint16{0x2805},
			Major: 8, Minor: 9, SMs: 34, ClockHz: 2535 * mhz, Memory: 16 * gib, MemoryHz: 9000 * mhz, BusBits: 128, Bandwidth: 288 * gb, L2: 32 * mib, Watts: 165,
			Memories: 5003, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-4070", Title: "NVIDIA GeForce RTX 4070", Names: [2]string{"NVIDIA GeForce RTX 4070"}, PCI: [6]uint16{0x2786, 0x2709},
			Major: 8, Minor: 9, SMs: 46, ClockHz: 2475 * mhz, Memory: 12 * gib, MemoryHz: 10504 * mhz, BusBits: 192, Bandwidth: 504 * gb, L2: 36 * mib, Watts: 200,
			Memories: 5004, Source: source + "; later cards have GDDR6 and 480 GB/s under the same name",
		}),
		geforce(Spec{
			Name: "rtx-4070-super", Title: "NVIDIA GeForce RTX 4070 SUPER", Names: [2]string{"NVIDIA GeForce RTX 4070 SUPER"}, PCI: [6]uint16{0x2783},
			Major: 8, Minor: 9, SMs: 56, ClockHz: 2475 * mhz, Memory: 12 * gib, MemoryHz: 10504 * mhz, BusBits: 192, Bandwidth: 504 * gb, L2: 48 * mib, Watts: 220,
			Memories: 5004, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-4070-ti", Title: "NVIDIA GeForce RTX 4070 Ti", Names: [2]string{"NVIDIA GeForce RTX 4070 Ti"}, PCI: [6]uint16{0x2782},
			Major: 8, Minor: 9, SMs: 60, ClockHz: 2610 * mhz, Memory: 12 * gib, MemoryHz: 10504 * mhz, BusBits: 192, Bandwidth: 504 * gb, L2: 48 * mib, Watts: 285,
			Memories: 5004, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-4070-ti-super", Title: "NVIDIA GeForce RTX 4070 Ti SUPER", Names: [2]string{"NVIDIA GeForce RTX 4070 Ti SUPER"}, PCI: [6]uint16{0x2705, 0x2689},
			Major: 8, Minor: 9, SMs: 66, ClockHz: 2610 * mhz, Memory: 16 * gib, MemoryHz: 10504 * mhz, BusBits: 256, Bandwidth: 672 * gb, L2: 48 * mib, Watts: 285,
			Memories: 5004, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-4080", Title: "NVIDIA GeForce RTX 4080", Names: [2]string{"NVIDIA GeForce RTX 4080"}, PCI: [6]uint16{0x2704},
			Major: 8, Minor: 9, SMs: 76, ClockHz: 2505 * mhz, Memory: 16 * gib, MemoryHz: 11200 * mhz, BusBits: 256, Bandwidth: 717 * gb, L2: 64 * mib, Watts: 320,
			Memories: 5004, Source: source + "; the whitepaper has 390 TFLOPS of fp16 with sparsity, read",
		}),
		geforce(Spec{
			Name: "rtx-4080-super", Title: "NVIDIA GeForce RTX 4080 SUPER", Names: [2]string{"NVIDIA GeForce RTX 4080 SUPER"}, PCI: [6]uint16{0x2702, 0x2703},
			Major: 8, Minor: 9, SMs: 80, ClockHz: 2550 * mhz, Memory: 16 * gib, MemoryHz: 11504 * mhz, BusBits: 256, Bandwidth: 736 * gb, L2: 64 * mib, Watts: 320,
			Memories: 5004, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-4090", Title: "NVIDIA GeForce RTX 4090", Names: [2]string{"NVIDIA GeForce RTX 4090"}, PCI: [6]uint16{0x2684},
			Major: 8, Minor: 9, SMs: 128, ClockHz: 2520 * mhz, Memory: 24 * gib, MemoryHz: 10504 * mhz, BusBits: 384, Bandwidth: 1008 * gb, L2: 72 * mib, Watts: 450,
			Memories: 5004, Source: source + "; the whitepaper has 660.6 and 165.2, read in quotations of it",
		}),
	}
}

// geforce50 has the cards of GB202 to GB205.
func geforce50() []Spec {
	const source = "peaks: SMs x ops x boost, sums in fp32 at half rate"
	return []Spec{
		geforce(Spec{
			Name: "rtx-5070", Title: "NVIDIA GeForce RTX 5070", Names: [2]string{"NVIDIA GeForce RTX 5070"}, PCI: [6]uint16{0x2f04},
			Major: 12, SMs: 48, ClockHz: 2512 * mhz, Memory: 12 * gib, MemoryHz: 14000 * mhz, BusBits: 192, Bandwidth: 672 * gb, L2: 48 * mib, Watts: 250,
			Memories: 5011, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-5070-ti", Title: "NVIDIA GeForce RTX 5070 Ti", Names: [2]string{"NVIDIA GeForce RTX 5070 Ti"}, PCI: [6]uint16{0x2c05},
			Major: 12, SMs: 70, ClockHz: 2452 * mhz, Memory: 16 * gib, MemoryHz: 14000 * mhz, BusBits: 256, Bandwidth: 896 * gb, L2: 48 * mib, Watts: 300,
			Memories: 5011, Source: source,
		}),
		geforce(Spec{
			Name: "rtx-5080", Title: "NVIDIA GeForce RTX 5080", Names: [2]string{"NVIDIA GeForce RTX 5080"}, PCI: [6]uint16{0x2c02},
			Major: 12, SMs: 84, ClockHz: 2617 * mhz, Memory: 16 * gib, MemoryHz: 15000 * mhz, BusBits: 256, Bandwidth: 960 * gb, L2: 64 * mib, Watts: 360,
			Memories: 5011, Source: source + "; lamonoai/gpumap has 225 of fp16 sums, twice the fp32 sums, read",
		}),
		geforce(Spec{
			Name: "rtx-5090", Title: "NVIDIA GeForce RTX 5090", Names: [2]string{"NVIDIA GeForce RTX 5090"}, PCI: [6]uint16{0x2b85},
			Major: 12, SMs: 170, ClockHz: 2407 * mhz, Memory: 32 * gib, MemoryHz: 14000 * mhz, BusBits: 512, Bandwidth: 1792 * gb, L2: 96 * mib, Watts: 575,
			Memories: 5012, Source: source + "; the whitepaper has 838 and 209.5, read in quotations of it",
		}),
	}
}
