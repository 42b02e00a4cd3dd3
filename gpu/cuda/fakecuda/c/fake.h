// A driver library without a card: what the files of this folder share.
//
// It is as unfriendly as the driver's contract allows. Work in a stream is done
// only when somebody asks for an event that needs it, and not at the first time of
// asking; memory is filled with rubbish, and stays out of reach once it is freed;
// blocks, and threads between barriers, run in changing order.
#ifndef ASSAY_FAKE_H
#define ASSAY_FAKE_H

#include <pthread.h>
#include <stdint.h>

#include "executor.h"

typedef int CUresult;
typedef uint64_t CUdeviceptr;

#define API __attribute__((visibility("default")))

// Codes of cuda.h.
enum {
	OK = 0,
	INVALID_VALUE = 1,
	OUT_OF_MEMORY = 2,
	NOT_INITIALIZED = 3,
	DEVICE_UNAVAILABLE = 46,
	NO_DEVICE = 100,
	INVALID_DEVICE = 101,
	INVALID_IMAGE = 200,
	INVALID_CONTEXT = 201,
	INVALID_PTX = 218,
	NO_BINARY_FOR_GPU = 209,
	JIT_COMPILER_NOT_FOUND = 221,
	UNSUPPORTED_PTX_VERSION = 222,
	INVALID_HANDLE = 400,
	NOT_FOUND = 500,
	NOT_READY = 600,
	ILLEGAL_ADDRESS = 700,
	CONTEXT_IS_DESTROYED = 709,
	LAUNCH_FAILED = 719,
	HUNG = -1 // never leaves this library: the work doesn't end
};

enum { MAX_DEVICES = 16, MAX_PARAMETERS = 16, MAX_ENTRIES = 64, POISON = 0xcb };

// kernels.h: the kernels that modules can have, for each target that they are built
// for. The last one has no name.
struct arguments {
	uint64_t value[MAX_PARAMETERS];
};
struct kernel {
	const char *name;
	const char *parameters; // a letter each: p pointer into the card's memory, u 32 bits, U 64 bits
	executor_body *body;
	// Where the kernel's output begins, for a launch that is to be wrong.
	void *(*output)(const struct arguments *a);
	// The launch that the host build wants in place of another target's; null: the same.
	void (*reshape)(const struct arguments *a, unsigned *grid, unsigned *block, unsigned *shared);
};
extern const struct kernel kernels_75[], kernels_80[];

// settings.c: what fake_configure and the environment's ASSAY_FAKE_CUDA set.
struct settings {
	int devices, major, minor, ptx_major, ptx_minor, nojit, polls;
	uint64_t memory;      // bytes of a card
	int64_t oom_after;    // allocations that succeed; -1: all
	int64_t pinned_after; // the same of pinned memory
	int64_t lost_after;   // calls within a context that succeed; -1: all
	int lost_code;
	int only; // the card that faults are for; -1: all
	char hang[64], illegal[64], wrong[64], reject[64], stuck[64], fail[64];
	int fail_code, fail_skip;
};
struct settings settings_now(void);
// The code that a call is to fail with; it doesn't return while the call is to be stuck.
CUresult settings_fault(const char *call, int device);

// allocations.c
struct memory {
	char *base;
	uint64_t size, mapped;
	int pinned, freed;
	struct memory *next;
};
// modules.c, streams.c, contexts.c
struct function {
	const struct kernel *kernel;
	struct module *module;
	unsigned allowed; // dynamic shared memory, bytes
};
struct module {
	struct device *device;
	int unloaded, entries, native; // native: its launches have the host build's geometry
	struct function function[MAX_ENTRIES];
	struct module *next;
};
struct event {
	struct device *device;
	int destroyed, timing, polled;
	uint64_t recorded, done; // serial numbers of records; 0: never
	struct stream *stream;   // of the last record
	double ms;
	struct event *next;
};
struct op;
struct stream {
	struct device *device;
	int destroyed;
	struct op *head, *tail;
	struct stream *next;
};
struct device {
	int ordinal, retained;
	uint64_t life; // counts contexts: a binding to an older one is void
	pthread_mutex_t lock;
	CUresult sticky;
	struct memory *memory;
	struct module *modules;
	struct event *events;
	struct stream *streams;
	struct executor *executor;
};
struct device *device_at(int ordinal); // null: none
int device_optin(void);                // bytes of shared memory

// Begins a call that needs a current context: its device is locked. end unlocks.
CUresult begin(const char *call, struct device **d);
CUresult end(struct device *d, CUresult code);

struct memory *memory_find(struct device *d, uint64_t at, uint64_t bytes, int pinned); // null: not all of it is live
CUresult memory_intact(struct device *d); // after a kernel: nothing beside the allocations is written
void memory_drop(struct device *d);
uint64_t memory_used(struct device *d);
int streams_use(struct device *d, const char *base, uint64_t bytes); // something queued touches it
CUresult streams_drain(struct device *d);
void streams_drop(struct device *d);
// How many live things there are, or have been; see fake_count.
void count(const char *name, const char *detail, int64_t by);

#endif
