package models

// ada has the cards of AD102 and AD104 but GeForce.
func ada() []Spec {
	return []Spec{
		{
			Name: "l4", Title: "NVIDIA L4", Names: [2]string{"NVIDIA L4"}, PCI: [6]uint16{0x27b8},
			Major: 8, Minor: 9, SMs: 58, ClockHz: 2040 * mhz, Memory: 24 * gib, MemoryHz: 6252 * mhz, BusBits: 192, Bandwidth: 300 * gb, L2: 48 * mib, Watts: 72,
			Peak: Rates{Int8: 242 * tera, BF16: 121 * tera}, Memories: 5003,
			Source: "peaks: L4 datasheet, read in winston-zhang-orz/gpu-specs; SMs: 30.3 fp32 TFLOPS of it / 256 / clock (TechPowerUp has 60)",
		},
		{
			Name: "l40", Title: "NVIDIA L40", Names: [2]string{"NVIDIA L40"}, PCI: [6]uint16{0x26b5},
			Major: 8, Minor: 9, SMs: 142, ClockHz: 2490 * mhz, Memory: 48 * gib, MemoryHz: 9000 * mhz, BusBits: 384, Bandwidth: 864 * gb, L2: 96 * mib, Watts: 300,
			Peak: Rates{Int8: 362 * tera, BF16: 181.05 * tera}, Memories: 5004, Source: "peaks: L40 datasheet, half of the units' rate, read in a dealer's copy",
		},
		{
			Name: "l40s", Title: "NVIDIA L40S", Names: [2]string{"NVIDIA L40S"}, PCI: [6]uint16{0x26b9},
			Major: 8, Minor: 9, SMs: 142, ClockHz: 2520 * mhz, Memory: 48 * gib, MemoryHz: 9000 * mhz, BusBits: 384, Bandwidth: 864 * gb, L2: 96 * mib, Watts: 350,
			Peak: Rates{Int8: 733 * tera, BF16: 362.05 * tera}, Memories: 5004, Source: "peaks and power: L40S datasheet, read in a dealer's copy; L2: L40's, the same chip (TechPowerUp has 48)",
		},
		{
			Name: "rtx-4000-ada", Title: "NVIDIA RTX 4000 Ada Generation", Names: [2]string{"NVIDIA RTX 4000 Ada Generation"}, PCI: [6]uint16{0x27b2},
			Major: 8, Minor: 9, SMs: 48, ClockHz: 2175 * mhz, TensorHz: 1666 * mhz, Memory: 20 * gib, MemoryHz: 9000 * mhz, BusBits: 160, Bandwidth: 360 * gb, L2: 48 * mib, Watts: 130,
			Peak: Rates{Int8: 163.8 * tera, BF16: 81.9 * tera}, Memories: 5004,
			Source: "peaks: a half and a quarter of the datasheet's 327.6 TFLOPS of fp8 with sparsity, recalled; tensor clock follows from them; at boost it would be 213.8 and 106.9",
		},
		{
			Name: "rtx-5000-ada", Title: "NVIDIA RTX 5000 Ada Generation", Names: [2]string{"NVIDIA RTX 5000 Ada Generation"}, PCI: [6]uint16{0x26b2},
			Major: 8, Minor: 9, SMs: 100, ClockHz: 2550 * mhz, Memory: 32 * gib, MemoryHz: 9000 * mhz, BusBits: 256, Bandwidth: 576 * gb, L2: 72 * mib, Watts: 250,
			Peak: Rates{Int8: 522.2 * tera, BF16: 261.1 * tera}, Memories: 5004, Source: "peaks: hmc-tech's table, read; the datasheet's 1044.4 TFLOPS of fp8 with sparsity agrees, recalled",
		},
		{
			Name: "rtx-6000-ada", Title: "NVIDIA RTX 6000 Ada Generation", Names: [2]string{"NVIDIA RTX 6000 Ada Generation"}, PCI: [6]uint16{0x26b1},
			Major: 8, Minor: 9, SMs: 142, ClockHz: 2505 * mhz, Memory: 48 * gib, MemoryHz: 10000 * mhz, BusBits: 384, Bandwidth: 960 * gb, L2: 96 * mib, Watts: 300,
			Peak: Rates{Int8: 728.5 * tera, BF16: 364.2 * tera}, Memories: 5004, Source: "peaks: a half and a quarter of the datasheet's 1457 TFLOPS of fp8 with sparsity, recalled",
		},
	}
}
