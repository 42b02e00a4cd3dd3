// How each kernel takes its arguments: a TABLE of the kernels that the including file
// has for one target.
#include "fake.h"
#include "probes.h"

#define ADDRESS(i) ((void *)a->value[i])
#define WORD(i) ((u32)a->value[i])
#define LONG(i) (a->value[i])

#define DEFINE(name, output, ...)                                                             \
	static void run_##name(const void *arguments) {                                           \
		const struct arguments *a = arguments;                                                \
		name(__VA_ARGS__);                                                                    \
	}                                                                                         \
	static void *output_##name(const struct arguments *a) { return (void *)(output); }

// Where the line that a generator was asked for first stands.
static void *generated(const struct arguments *a) {
	u64 first = WORD(3), blocks = WORD(5), tiled = WORD(6);
	return (u8 *)ADDRESS(1) + (tiled ? first / 128 * ((blocks + 1) / 2) * 16384 : first * blocks * 64);
}

static void *filled(const struct arguments *a) {
	u64 shift = WORD(5), from = LONG(6), *pieces = ADDRESS(4);
	return (u8 *)pieces[from >> shift] + 64 * (from & (((u64)1 << shift) - 1));
}

DEFINE(gen_int8, generated(a), ADDRESS(0), ADDRESS(1), WORD(2), WORD(3), WORD(4), WORD(5), WORD(6))
DEFINE(gen_short, generated(a), ADDRESS(0), ADDRESS(1), WORD(2), WORD(3), WORD(4), WORD(5), WORD(6))
DEFINE(fma_coefficients, ADDRESS(1), ADDRESS(0), ADDRESS(1), WORD(2))
DEFINE(fma_lanes, ADDRESS(2), ADDRESS(0), ADDRESS(1), ADDRESS(2), LONG(3), WORD(4))
DEFINE(b3_chunks, (u32 *)ADDRESS(1) + 8 * LONG(2), ADDRESS(0), ADDRESS(1), LONG(2), LONG(3))
DEFINE(b3_parents, ADDRESS(1), ADDRESS(0), ADDRESS(1), LONG(2))
DEFINE(b3_top, ADDRESS(1), ADDRESS(0), ADDRESS(1))
DEFINE(b3_single, ADDRESS(1), ADDRESS(0), ADDRESS(1))
DEFINE(derive_key, ADDRESS(3), ADDRESS(0), ADDRESS(1), WORD(2), ADDRESS(3))
DEFINE(mem_cache, ADDRESS(1), ADDRESS(0), ADDRESS(1), WORD(2), WORD(3))
DEFINE(mem_fill, filled(a), ADDRESS(0), ADDRESS(1), WORD(2), WORD(3), ADDRESS(4), WORD(5), LONG(6), LONG(7))
DEFINE(mem_walk, (u64 *)ADDRESS(3) + LONG(4), ADDRESS(0), ADDRESS(1), WORD(2), ADDRESS(3), LONG(4), LONG(5), LONG(6), WORD(7), WORD(8), WORD(9))
DEFINE(mem_random, ADDRESS(2), ADDRESS(0), WORD(1), ADDRESS(2), LONG(3), LONG(4), WORD(5), WORD(6), WORD(7), WORD(8))
DEFINE(gather, (u8 *)ADDRESS(1) + (u32)((u64 *)ADDRESS(0))[1], ADDRESS(0), ADDRESS(1), WORD(2))
DEFINE(probe_add, ADDRESS(1), ADDRESS(0), ADDRESS(1), WORD(2), WORD(3))
DEFINE(probe_reverse, ADDRESS(0), ADDRESS(0), WORD(1))
DEFINE(probe_warp, ADDRESS(0), ADDRESS(0))
DEFINE(probe_deadlock, ADDRESS(0), ADDRESS(0))
DEFINE(probe_overrun, ADDRESS(0), ADDRESS(0), WORD(1))

DEFINE(matmul_int8, ADDRESS(2), ADDRESS(0), ADDRESS(1), ADDRESS(2), WORD(3), WORD(4), WORD(5))
DEFINE(matmul_short, ADDRESS(2), ADDRESS(0), ADDRESS(1), ADDRESS(2), WORD(3), WORD(4), WORD(5))
DEFINE(to_int32, ADDRESS(0), ADDRESS(0), LONG(1))

#define ENTRY(name, parameters) {#name, parameters, run_##name, output_##name, 0}

const struct kernel TABLE[] = {
	ENTRY(gen_int8, "ppuuuuu"),
	ENTRY(gen_short, "ppuuuuu"),
	{"matmul_int8", "pppuuu", run_matmul_int8, output_matmul_int8, RESHAPE_INT8},
	{"matmul_short", "pppuuu", run_matmul_short, output_matmul_short, RESHAPE_SHORT},
	ENTRY(to_int32, "pU"),
	ENTRY(fma_coefficients, "ppu"),
	ENTRY(fma_lanes, "pppUu"),
	ENTRY(b3_chunks, "ppUU"),
	ENTRY(b3_parents, "ppU"),
	ENTRY(b3_top, "pp"),
	ENTRY(b3_single, "pp"),
	ENTRY(derive_key, "ppup"),
	ENTRY(mem_cache, "ppuu"),
	ENTRY(mem_fill, "ppuupuUU"),
	ENTRY(mem_walk, "ppupUUUuuu"),
	ENTRY(mem_random, "pupUUuuuu"),
	ENTRY(gather, "ppu"),
	ENTRY(probe_add, "ppuu"),
	ENTRY(probe_reverse, "pu"),
	ENTRY(probe_warp, "p"),
	ENTRY(probe_deadlock, "p"),
	ENTRY(probe_overrun, "pu"),
	{0, 0, 0, 0, 0},
};
