package models

// blackwell has the cards of GB100, GB110 and GB202 but GeForce. Grace's cards have
// no class of memory yet: no row of challenges/memory has both their reads and the
// rate of their link to the host's memory.
func blackwell() []Spec {
	const (
		b200 = "peaks, bandwidth, power: NVIDIA Blackwell datasheet, read in a copy; clock: a driver's report, read in stas00/ml-engineering; width: hmc-tech's table, memory clock and tensor clock follow; "
		b300 = "peaks: Verda's table of NVIDIA's datasheets; tensor clock follows from bf16; int8 is cut; fp64: 2 units an SM; "
	)
	return []Spec{
		{
			Name: "b200", Title: "NVIDIA B200 180GB", Names: [2]string{"NVIDIA B200"}, PCI: [6]uint16{0x2901},
			Major: 10, SMs: 148, ClockHz: 1965 * mhz, TensorHz: 1856 * mhz, Memory: 180 * gib, MemoryHz: 3760 * mhz, BusBits: 8192, Bandwidth: 7700 * gb, L2: 126 * mib, Watts: 1000,
			Peak: Rates{Int8: 4500 * tera, BF16: 2250 * tera}, Memories: 5009, Source: b200 + "SMs and L2: a driver's report, read",
		},
		{
			Name: "gb200", Title: "NVIDIA GB200 186GB", Names: [2]string{"NVIDIA GB200"}, PCI: [6]uint16{0x2941},
			Major: 10, SMs: 152, ClockHz: 2062 * mhz, TensorHz: 2008 * mhz, Memory: 186 * gib, MemoryHz: 3906 * mhz, BusBits: 8192, Bandwidth: 8000 * gb, L2: 126 * mib, Watts: 1200,
			Peak: Rates{Int8: 5000 * tera, BF16: 2500 * tera}, Memories: 5010, Source: b200 + "SMs: a driver's report, read; L2: ml-engineering",
		},
		{
			Name: "b300", Title: "NVIDIA B300 288GB", Names: [2]string{"NVIDIA B300 SXM6 AC"}, PCI: [6]uint16{0x3182},
			Major: 10, Minor: 3, SMs: 148, ClockHz: 2032 * mhz, TensorHz: 1856 * mhz, Memory: 288 * gib, MemoryHz: 3906 * mhz, BusBits: 8192, Bandwidth: 8000 * gb, Watts: 1100,
			Peak: Rates{Int8: 150 * tera, BF16: 2250 * tera}, Memories: 5009, Source: b300 + "read; width: B200's; memory clock follows from 8 TB/s; drivers report 268 GiB",
		},
		{
			Name: "gb300", Title: "NVIDIA GB300 288GB", Names: [2]string{"NVIDIA GB300"}, PCI: [6]uint16{0x31c2, 0x31c3},
			Major: 10, Minor: 3, SMs: 152, TensorHz: 2008 * mhz, Memory: 288 * gib, MemoryHz: 3906 * mhz, BusBits: 8192, Bandwidth: 8000 * gb, Watts: 1400,
			Peak: Rates{Int8: 165 * tera, BF16: 2500 * tera, FP64: 1.2 * tera}, Memories: 5010, Source: b300 + "not read again, at the tensor clock; SMs: a driver's report, read; width: B200's",
		},
		{
			Name: "rtx-pro-6000-ws", Title: "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
			Names: [2]string{"NVIDIA RTX PRO 6000 Blackwell Workstation Edition"}, PCI: [6]uint16{0x2bb1},
			Major: 12, SMs: 188, ClockHz: 2617 * mhz, Memory: 96 * gib, MemoryHz: 14000 * mhz, BusBits: 512, Bandwidth: 1792 * gb, L2: 128 * mib, Watts: 600,
			Peak: Rates{Int8: 1007.6 * tera, BF16: 503.8 * tera}, Memories: 5012,
			Source: "peaks: hmc-tech's table, read; NVIDIA publishes no int8 peak; bandwidth, power: datasheet, read in atineoSE/coding-model-seeks-gpu",
		},
		{
			Name: "rtx-pro-6000-server", Title: "NVIDIA RTX PRO 6000 Blackwell Server Edition",
			Names: [2]string{"NVIDIA RTX PRO 6000 Blackwell Server Edition"}, PCI: [6]uint16{0x2bb5},
			Major: 12, SMs: 188, ClockHz: 2430 * mhz, Memory: 96 * gib, MemoryHz: 12480 * mhz, BusBits: 512, Bandwidth: 1597 * gb, L2: 128 * mib, Watts: 600,
			Peak: Rates{Int8: 935.7 * tera, BF16: 467.8 * tera}, Memories: 5012,
			Source: "peaks: SMs x ops x clock; NVIDIA prints 1 PFLOPS of bf16 with sparsity and no int8; clock: its 234 TFLOPS of tf32 with sparsity / SMs / 512; " +
				"bandwidth, power: its page, read in a copy; memory clock follows from 1597 GB/s",
		},
	}
}
