// The kernels for Ampere and all later ones: the source's host build.
#define SM 80
#include "device.h"

// All of them stay within this file: the other targets' have the same names.
#undef KERNEL
#define KERNEL static
#include "all.c"

#include "fake.h"

// The products are made by the host build of one target, whatever the module: a
// launch for another gets that one's geometry.
static void reshape(const struct arguments *a, u32 rows, u32 cols, unsigned *grid) {
	*grid = ((u32)a->value[3] + rows - 1) / rows * ((u32)a->value[4] / cols);
}

static void reshape_int8(const struct arguments *a, unsigned *grid, unsigned *block, unsigned *shared) {
	reshape(a, MATMUL_INT8_ROWS, MATMUL_INT8_COLS, grid);
	*block = MATMUL_INT8_THREADS, *shared = MATMUL_INT8_SHARED;
}

static void reshape_short(const struct arguments *a, unsigned *grid, unsigned *block, unsigned *shared) {
	reshape(a, MATMUL_SHORT_ROWS, MATMUL_SHORT_COLS, grid);
	*block = MATMUL_SHORT_THREADS, *shared = MATMUL_SHORT_SHARED;
}

#define RESHAPE_INT8 reshape_int8
#define RESHAPE_SHORT reshape_short
#define TABLE kernels_80
#include "kernels.h"
