// Copies of pieces that are spread over the device's memory, and the last step of a
// product by a library.
#include "device.h"

typedef struct {
	u64 source; // a device address, a multiple of 16
	u32 offset; // in out, a multiple of 16
	u32 bytes;  // a multiple of 32
} gather_job;

// gather copies each job's bytes to their place in out, one warp a job.
KERNEL void gather(const u64 *jobs, u8 *out, u32 n) {
	u64 thread = thread_index();
	u64 i = thread / 32;
	if (i >= n) return;
	gather_job j = ((const gather_job *)jobs)[i];
	for (u32 at = (u32)(thread % 32) * 16; at < j.bytes; at += 32 * 16) {
		store16(out + j.offset + at, load16((const void *)(j.source + at)));
	}
}

// to_int32 turns exact integers in binary32, as a library's product leaves them, into
// int32 in place, four a thread. n is a multiple of 4.
KERNEL void to_int32(f32 *data, u64 n) {
	u64 i = 4 * thread_index();
	if (i >= n) return;
	v4 words = load16(data + i);
	UNROLL for (u32 j = 0; j < 4; j++) {
		union {
			u32 bits;
			f32 value;
		} f;
		f.bits = words[j];
		words[j] = (u32)(s32)f.value;
	}
	store16(data + i, words);
}
