// All kernels as one translation unit: what the modules are compiled from.
//
// Grids and blocks are one-dimensional; blocks are whole warps. Pointers are global
// addresses and, but for a message, multiples of 16. A key is eight words. Counts may
// be what they are: threads without work write nothing.
#include "device.h"

#include "generator.c"
#include "fma.c"
#include "blake3.c"
#include "memory.c"
#include "gather.c"

#include "matmul.c"
#if SM == 90
#include "matmul_hopper.c"
#endif
