package models

// What is guessed where nobody published a measurement, in percent of a peak. They
// are guesses: a card may do better.
//
// 16 bits: the published ones below are 73 % to 87 % of their peaks. Int8: products
// of fp8, which the same units do at the same rate, reach 71 % to 78 % in the same
// table. FP64: 31.3 of GH200's 33.5 TFLOPS in ProjectPhysX's OpenCL-Benchmark, as
// printed in mredenti/PowerCapping.
const (
	shareInt8 = 75
	shareHalf = 80
	shareFP64 = 90
)

const (
	fromInt8  = "estimate: 75 % of the int8 peak"
	fromHalf  = "estimate: 80 % of the 16-bit peak"
	fromFP64  = "estimate: 90 % of the fp64 peak of the vector units"
	viaDigits = ", three products for one"
	viaHalf   = ", entries held in 16-bit floating point"
	mamf      = "stas00/ml-engineering at 744d01e, compute/accelerator: the most of any shape of bf16 products through PyTorch"
)

// published has the measured rates of products of 16-bit entries that were found,
// ops/s.
func published(name string) (uint64, string) {
	switch name {
	case "a100-sxm-80":
		return 271.2 * tera, mamf
	case "a100-pcie-80":
		return 252.9 * tera, mamf
	case "h100-sxm":
		return 794.5 * tera, mamf
	case "h200-sxm":
		return 794.5 * tera, mamf + " (said to be H100's)"
	case "gh200-144":
		return 828.6 * tera, mamf
	case "b200":
		return 1745 * tera, mamf
	case "b300":
		return 1769 * tera, mamf
	case "gb200":
		return 1822 * tera, mamf
	}
	return 0, ""
}

// complete fills in what follows from a row's other columns: the peaks that are
// derived, and the reference.
func complete(s Spec) Spec {
	each := perSM(s.Major, s.Minor)
	if s.Peak.FP64 == 0 {
		s.Peak.FP64 = uint64(s.SMs) * each.FP64 * s.ClockHz
	}
	if s.Peak.FP16 == 0 {
		s.Peak.FP16 = s.Peak.BF16
	}

	half, basis := max(s.Peak.BF16, s.Peak.FP16)/100*shareHalf, Basis{From: fromHalf}
	if ops, from := published(s.Name); ops > 0 {
		half, basis = ops, Basis{Measured: true, From: from}
	}
	eight := s.Peak.Int8 / 100 * shareInt8
	s.Int8Ops, s.Reference.Int8 = eight, Basis{From: fromInt8}
	if half > eight {
		s.Int8Ops, s.Reference.Int8 = half, Basis{Measured: basis.Measured, From: basis.From + viaHalf}
	}
	s.BF16Ops, s.Reference.BF16 = half, basis
	if eight/digits > half {
		s.BF16Ops, s.Reference.BF16 = eight/digits, Basis{From: fromInt8 + viaDigits}
	}
	s.FP64Ops, s.Reference.FP64 = s.Peak.FP64/100*shareFP64, Basis{From: fromFP64}
	return s
}

// perSM are the ops of an SM in a clock by compute capability, with fp32 sums at
// full rate. GeForce has half of it in BF16 and FP16.
//
// Source: the peaks of NVIDIA's whitepapers divided by SMs and clock (Turing 130
// TOPS of T4; GA100 table 4; GA102 and Ada appendices; H100 table 2; the Blackwell
// datasheet), and for FP64 the CUDA programming guide's table of throughputs.
func perSM(major, minor int) Rates {
	switch {
	case major == 7:
		return Rates{Int8: 2048, FP16: 1024, FP64: 4}
	case major == 8 && minor == 0:
		return Rates{Int8: 4096, BF16: 2048, FP16: 2048, FP64: 64}
	case major == 9:
		return Rates{Int8: 8192, BF16: 4096, FP16: 4096, FP64: 128}
	case major == 10 && minor == 0:
		return Rates{Int8: 16384, BF16: 8192, FP16: 8192, FP64: 128}
	case major == 10:
		return Rates{Int8: 512, BF16: 8192, FP16: 8192, FP64: 4}
	}
	return Rates{Int8: 2048, BF16: 1024, FP16: 1024, FP64: 4} // 8.6, 8.9, 12.0
}

// geforce derives the tensor peaks of a GeForce card: SMs x ops x boost, with fp32
// sums at half rate. The whitepapers print them for some models, and they agree.
func geforce(s Spec) Spec {
	each, clocks := perSM(s.Major, s.Minor), uint64(s.SMs)*s.ClockHz
	s.Peak = Rates{Int8: clocks * each.Int8, BF16: clocks * each.BF16 / 2, FP16: clocks * each.FP16 / 2}
	return s
}
