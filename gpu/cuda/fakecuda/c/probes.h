// Kernels of the tests of the driver's layer itself.
#include "device.h"

static void probe_add(const u32 *in, u32 *out, u32 n, u32 v) {
	u64 i = thread_index();
	if (i < n) out[i] = in[i] + v;
}

// Reverses each block's words through shared memory.
static void probe_reverse(u32 *data, u32 n) {
	u32 *shared = (u32 *)shared_memory();
	u64 i = thread_index();
	if (i < n) shared[thread_x()] = data[i];
	barrier();
	if (i < n) data[i] = shared[block_dim() - 1 - thread_x()];
}

// Sums each warp's words into each of them.
static void probe_warp(u32 *data) {
	u64 i = thread_index();
	u32 mine = data[i], sum = 0;
	for (u32 lane = 0; lane < 32; lane++) sum += warp_shuffle(mine, lane);
	data[i] = sum;
}

// A barrier that half of the threads don't come to, though they live.
static void probe_deadlock(u32 *data) {
	if (thread_x() % 2) barrier();
	else data[thread_x()] = warp_shuffle(1, 0);
}

// Writes one word after the n of data.
static void probe_overrun(u32 *data, u32 n) {
	if (thread_index() == 0) data[n] = 1;
}
