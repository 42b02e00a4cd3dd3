// The device as the kernels see it: on a card through the compiler's builtins
// and PTX, in a test's host build through the functions that its executor has.
#ifndef ASSAY_DEVICE_H
#define ASSAY_DEVICE_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef int s32;
typedef float f32;
typedef double f64;

// Four words that move in one access of 16 bytes, of whatever they are words of.
typedef u32 v4 __attribute__((vector_size(16), may_alias));

// UNROLL stands before a loop whose counter indexes registers: they have no
// addresses, and an array that is not resolved goes to slow local memory. LOOP stands
// before one that is to stay a loop.
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#define LOOP _Pragma("nounroll")
#else
#define UNROLL
#define LOOP
#endif

#define INLINE static inline __attribute__((always_inline))

#ifdef __NVPTX__

#define KERNEL __attribute__((nvptx_kernel))
#define SHARED __attribute__((address_space(3)))
#define GLOBAL __attribute__((address_space(1)))

extern SHARED u8 dynamic_shared[] __attribute__((aligned(1024)));

INLINE u32 thread_x(void) { return __nvvm_read_ptx_sreg_tid_x(); }
INLINE u32 block_x(void) { return __nvvm_read_ptx_sreg_ctaid_x(); }
INLINE u32 block_dim(void) { return __nvvm_read_ptx_sreg_ntid_x(); }
INLINE u32 grid_dim(void) { return __nvvm_read_ptx_sreg_nctaid_x(); }
INLINE void barrier(void) { __syncthreads(); }
INLINE SHARED u8 *shared_memory(void) { return dynamic_shared; }
INLINE f64 fma64(f64 a, f64 b, f64 c) { return __builtin_fma(a, b, c); }

// warp_sync waits for the 32 threads of the warp; what they wrote to shared memory
// is seen after it.
INLINE void warp_sync(void) { __asm__ volatile("bar.warp.sync 0xffffffff;" ::: "memory"); }

INLINE u32 warp_shuffle(u32 value, u32 lane) {
	u32 out;
	__asm__ volatile("shfl.sync.idx.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=r"(out) : "r"(value), "r"(lane));
	return out;
}

INLINE v4 warp_shuffle4(v4 value, u32 lane) {
	v4 out = {warp_shuffle(value[0], lane), warp_shuffle(value[1], lane), warp_shuffle(value[2], lane), warp_shuffle(value[3], lane)};
	return out;
}

// funnel is the upper word of two words shifted left by n, 1 to 31.
INLINE u32 funnel(u32 high, u32 low, u32 n) {
	u32 out;
	__asm__("shf.l.wrap.b32 %0, %1, %2, %3;" : "=r"(out) : "r"(low), "r"(high), "n"(n));
	return out;
}

// split gives the words of a binary64, and joined makes one of them.
INLINE void split(f64 value, u32 *low, u32 *high) { __asm__("mov.b64 {%0, %1}, %2;" : "=r"(*low), "=r"(*high) : "d"(value)); }

INLINE f64 joined(u32 low, u32 high) {
	f64 out;
	__asm__("mov.b64 %0, {%1, %2};" : "=d"(out) : "r"(low), "r"(high));
	return out;
}

#else

#define KERNEL
#define SHARED
#define GLOBAL

u32 host_thread(void), host_block(void), host_block_dim(void), host_grid_dim(void);
void host_barrier(void);
u8 *host_shared(void);
// host_warp_all is a collective of the 32 threads of a warp: each gives bytes, and
// gets those of all, in the lanes' order.
void host_warp_all(const void *mine, u32 bytes, void *all);

INLINE u32 thread_x(void) { return host_thread(); }
INLINE u32 block_x(void) { return host_block(); }
INLINE u32 block_dim(void) { return host_block_dim(); }
INLINE u32 grid_dim(void) { return host_grid_dim(); }
INLINE void barrier(void) { host_barrier(); }
INLINE SHARED u8 *shared_memory(void) { return host_shared(); }
INLINE f64 fma64(f64 a, f64 b, f64 c) { return __builtin_fma(a, b, c); }

INLINE u32 funnel(u32 high, u32 low, u32 n) { return high << n | low >> (32 - n); }

INLINE void split(f64 value, u32 *low, u32 *high) {
	u64 bits;
	__builtin_memcpy(&bits, &value, 8);
	*low = (u32)bits;
	*high = (u32)(bits >> 32);
}

INLINE f64 joined(u32 low, u32 high) {
	u64 bits = (u64)high << 32 | low;
	f64 out;
	__builtin_memcpy(&out, &bits, 8);
	return out;
}

INLINE void warp_sync(void) {
	u32 mine = 0, all[32];
	host_warp_all(&mine, 4, all);
}

INLINE u32 warp_shuffle(u32 value, u32 lane) {
	u32 all[32];
	host_warp_all(&value, 4, all);
	return all[lane & 31];
}

INLINE v4 warp_shuffle4(v4 value, u32 lane) {
	v4 all[32];
	host_warp_all(&value, 16, all);
	return all[lane & 31];
}

#endif

// Both addresses are in global memory and multiples of 16.
INLINE v4 load16(const void *at) { return *(const GLOBAL v4 *)at; }
INLINE void store16(void *at, v4 value) { *(GLOBAL v4 *)at = value; }

INLINE u64 thread_index(void) { return (u64)block_x() * block_dim() + thread_x(); }
INLINE u32 rotr32(u32 x, u32 n) { return x >> n | x << (32 - n); }
INLINE u32 rotl32(u32 x, u32 n) { return x << n | x >> (32 - n); }
INLINE u64 mulhi64(u64 a, u64 b) { return (u64)((unsigned __int128)a * b >> 64); }

#endif
