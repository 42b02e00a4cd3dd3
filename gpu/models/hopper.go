package models

// hopper has the cards of GH100. Tensor peaks are published for a lower clock than
// boost, which follows from them: peak / SMs / ops of an SM.
func hopper() []Spec {
	const (
		h100 = "peaks and boost: NVIDIA H100 datasheet and whitepaper, read in reports of them"
		nvl  = "peaks: datasheet's 3341 TOPS and 1671 TFLOPS with sparsity, recalled; "
		gh   = "peaks: GH200 datasheet, H100's, read in stas00/ml-engineering; boost and SMs: a driver's report, read; width and L2 recalled; power: of the GPU with its memory, read"
		h20  = "peaks, fp64 included: H20 datasheet, a quarter of the units' rate and less, read in news and in citsjtu2020/LLM-Prof; SMs: a driver's report, read; boost, width and L2 recalled"
	)
	return []Spec{
		{
			Name: "h100-pcie", Title: "NVIDIA H100 PCIe 80GB", Names: [2]string{"NVIDIA H100 PCIe"}, PCI: [6]uint16{0x2331},
			Major: 9, SMs: 114, ClockHz: 1755 * mhz, TensorHz: 1620 * mhz, Memory: 80 * gib, MemoryHz: 1593 * mhz, BusBits: 5120, Bandwidth: 2039 * gb, L2: 50 * mib, Watts: 350,
			Peak: Rates{Int8: 1513 * tera, BF16: 756.5 * tera}, Memories: 5006, Source: h100,
		},
		{
			Name: "h100-sxm", Title: "NVIDIA H100 SXM5 80GB", Names: [2]string{"NVIDIA H100 80GB HBM3"}, PCI: [6]uint16{0x2330},
			Major: 9, SMs: 132, ClockHz: 1980 * mhz, TensorHz: 1830 * mhz, Memory: 80 * gib, MemoryHz: 2617 * mhz, BusBits: 5120, Bandwidth: 3350 * gb, L2: 50 * mib, Watts: 700,
			Peak: Rates{Int8: 1979 * tera, BF16: 989.4 * tera}, Memories: 5006, Source: h100 + "; memory clock follows from 3.35 TB/s",
		},
		{
			Name: "h100-nvl", Title: "NVIDIA H100 NVL 94GB", Names: [2]string{"NVIDIA H100 NVL"}, PCI: [6]uint16{0x2321},
			Major: 9, SMs: 132, ClockHz: 1785 * mhz, TensorHz: 1545 * mhz, Memory: 94 * gib, MemoryHz: 2620 * mhz, BusBits: 6016, Bandwidth: 3940 * gb, L2: 50 * mib, Watts: 400,
			Peak: Rates{Int8: 1671 * tera, BF16: 835.5 * tera}, Memories: 5007, Source: nvl + "one card of the pair",
		},
		{
			Name: "h200-sxm", Title: "NVIDIA H200 SXM 141GB", Names: [2]string{"NVIDIA H200"}, PCI: [6]uint16{0x2335},
			Major: 9, SMs: 132, ClockHz: 1980 * mhz, TensorHz: 1830 * mhz, Memory: 141 * gib, MemoryHz: 3125 * mhz, BusBits: 6144, Bandwidth: 4800 * gb, L2: 60 * mib, Watts: 700,
			Peak: Rates{Int8: 1979 * tera, BF16: 989.4 * tera}, Memories: 5007, Source: "peaks: NVIDIA H200 datasheet, read in stas00/ml-engineering; L2: a driver's report, read (TechPowerUp has 50); memory clock follows from 4.8 TB/s",
		},
		{
			Name: "h200-nvl", Title: "NVIDIA H200 NVL 141GB", Names: [2]string{"NVIDIA H200 NVL"}, PCI: [6]uint16{0x233b},
			Major: 9, SMs: 132, ClockHz: 1785 * mhz, TensorHz: 1545 * mhz, Memory: 141 * gib, MemoryHz: 3125 * mhz, BusBits: 6144, Bandwidth: 4800 * gb, L2: 60 * mib, Watts: 600,
			Peak: Rates{Int8: 1671 * tera, BF16: 835.5 * tera}, Memories: 5007, Source: nvl + "L2: of H200; memory clock follows from 4.8 TB/s",
		},
		{
			Name: "h20", Title: "NVIDIA H20 96GB", Names: [2]string{"NVIDIA H20"}, PCI: [6]uint16{0x2329},
			Major: 9, SMs: 78, ClockHz: 1980 * mhz, TensorHz: 1853 * mhz, Memory: 96 * gib, MemoryHz: 2604 * mhz, BusBits: 6144, Bandwidth: 4000 * gb, L2: 60 * mib,
			Peak: Rates{Int8: 296 * tera, BF16: 148 * tera, FP64: 1 * tera}, Memories: 5007, Source: h20,
		},
		{
			Name: "h20-3e", Title: "NVIDIA H20 141GB", Names: [2]string{"NVIDIA H20-3e"}, PCI: [6]uint16{0x232c},
			Major: 9, SMs: 78, ClockHz: 1980 * mhz, TensorHz: 1853 * mhz, Memory: 141 * gib, MemoryHz: 3125 * mhz, BusBits: 6144, Bandwidth: 4800 * gb, L2: 60 * mib,
			Peak: Rates{Int8: 296 * tera, BF16: 148 * tera, FP64: 1 * tera}, Memories: 5007, Source: h20,
		},
		{
			Name: "gh200-96", Title: "NVIDIA GH200 96GB HBM3", Names: [2]string{"NVIDIA GH200 480GB", "NVIDIA GH200 120GB"}, PCI: [6]uint16{0x2342},
			Major: 9, SMs: 132, ClockHz: 1980 * mhz, TensorHz: 1830 * mhz, Memory: 96 * gib, MemoryHz: 2604 * mhz, BusBits: 6144, Bandwidth: 4000 * gb, L2: 60 * mib, Watts: 900,
			Peak: Rates{Int8: 1979 * tera, BF16: 989.4 * tera}, Memories: 5008, Source: gh,
		},
		{
			Name: "gh200-144", Title: "NVIDIA GH200 144GB HBM3e", Names: [2]string{"NVIDIA GH200 144G HBM3e"}, PCI: [6]uint16{0x2348},
			Major: 9, SMs: 132, ClockHz: 1980 * mhz, TensorHz: 1830 * mhz, Memory: 144 * gib, MemoryHz: 3125 * mhz, BusBits: 6144, Bandwidth: 4800 * gb, L2: 60 * mib, Watts: 900,
			Peak: Rates{Int8: 1979 * tera, BF16: 989.4 * tera}, Memories: 5008, Source: gh + "; 4.8 TB/s read, 4.9 recalled",
		},
	}
}
