#define _GNU_SOURCE
#include "executor.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { MAX_BLOCK = 1024, WARP = 32, STACK = 256 << 10, GUARD = 4096, MAX_COLLECTIVE = 1024 };

// Where a thread of the block stands.
enum state { FRESH, RUNNING, AT_BARRIER, AT_COLLECTIVE, ENDED };

struct thread {
	enum state state;
	struct fiber *fiber; // that runs it; null before it began and after it ended
	const void *mine;    // of the collective it waits in
	void *all;
	unsigned bytes;
};

// A fiber runs threads to their end one after another; it is stuck with the one that waits.
struct fiber {
	char *stack;
	jmp_buf at;
	int started;
};

struct executor {
	executor_body *body;
	const void *arguments;
	unsigned grid, block, block_index;
	unsigned self;  // the running thread
	int descending; // threads start from the last to the first
	struct thread threads[MAX_BLOCK];
	struct fiber fibers[MAX_BLOCK];
	struct fiber *idle[MAX_BLOCK]; // fibers without a thread
	unsigned idle_count;
	unsigned waiting_barrier, ended;
	jmp_buf scheduler;
	ucontext_t scheduler_context;
	char *shared; // aligned to 1024, with a page that can't be touched after the end of the pages
	size_t shared_capacity, shared_used;
	const char *fault;
	char text[256];
};

static _Thread_local struct executor *current;

struct executor *executor_new(void) {
	return calloc(1, sizeof(struct executor));
}

// What device.h wants of its host.
unsigned host_thread(void) { return current->self; }
unsigned host_block(void) { return current->block_index; }
unsigned host_block_dim(void) { return current->block; }
unsigned host_grid_dim(void) { return current->grid; }
unsigned char *host_shared(void) { return (unsigned char *)current->shared; }

static void fail(struct executor *e, const char *what, unsigned thread) {
	if (!e->fault) {
		snprintf(e->text, sizeof e->text, "block %u, thread %u: %s", e->block_index, thread, what);
		e->fault = e->text;
	}
}

// Gives the processor to the scheduler until it comes back to this fiber. The
// running thread's number is restored by the scheduler.
static __attribute__((noinline)) void yield(struct executor *e, struct fiber *f) {
	if (!_setjmp(f->at)) _longjmp(e->scheduler, 1);
}

void host_barrier(void) {
	struct executor *e = current;
	struct thread *t = &e->threads[e->self];
	t->state = AT_BARRIER;
	e->waiting_barrier++;
	yield(e, t->fiber);
}

// The last lane to come serves all of them: the others wait with their pointers left behind.
void host_warp_all(const void *mine, unsigned bytes, void *all) {
	struct executor *e = current;
	unsigned first = e->self / WARP * WARP;
	struct thread *t = &e->threads[e->self], *warp = &e->threads[first];
	t->mine = mine, t->bytes = bytes, t->all = all;
	if (first + WARP > e->block || bytes > MAX_COLLECTIVE) {
		fail(e, "collective in a warp that isn't whole, or of too many bytes", e->self);
		t->state = AT_COLLECTIVE;
		yield(e, t->fiber); // never comes back
	}
	for (unsigned i = 0; i < WARP; i++) {
		if (&warp[i] == t) continue;
		if (warp[i].state == AT_COLLECTIVE && warp[i].bytes == bytes) continue;
		t->state = AT_COLLECTIVE;
		yield(e, t->fiber);
		return;
	}
	static _Thread_local unsigned char gathered[WARP * MAX_COLLECTIVE];
	for (unsigned i = 0; i < WARP; i++) memcpy(gathered + i * bytes, warp[i].mine, bytes);
	for (unsigned i = 0; i < WARP; i++) {
		memcpy(warp[i].all, gathered, WARP * bytes);
		warp[i].state = RUNNING;
	}
}

// The next thread that can run, from where the last one was taken, upwards or downwards.
static struct thread *choose(struct executor *e, unsigned *cursor) {
	for (unsigned n = 0; n < e->block; n++) {
		unsigned i = *cursor;
		*cursor = e->descending ? (i + e->block - 1) % e->block : (i + 1) % e->block;
		if (e->threads[i].state == RUNNING || e->threads[i].state == FRESH) return &e->threads[i];
	}
	return NULL;
}

// The next thread that hasn't begun, after one has ended without waiting for
// anybody; kernels without barriers run in one fiber by that.
static struct thread *choose_fresh(struct executor *e) {
	unsigned i = e->self;
	i = e->descending ? i - 1 : i + 1; // wraps to a large number
	if (i < e->block && e->threads[i].state == FRESH) return &e->threads[i];
	return NULL;
}

// A fiber's life: run the thread it was given, then others, then wait for work.
static void fiber_main(unsigned low, unsigned high) {
	struct fiber *f = (struct fiber *)((unsigned long)low | (unsigned long)high << 32);
	for (;;) {
		struct executor *e = current;
		struct thread *t = &e->threads[e->self];
		t->fiber = f;
		t->state = RUNNING;
		e->body(e->arguments);
		t->state = ENDED;
		t->fiber = NULL;
		e->ended++;
		struct thread *next = e->fault ? NULL : choose_fresh(e);
		if (next) {
			e->self = (unsigned)(next - e->threads);
			continue;
		}
		e->idle[e->idle_count++] = f;
		yield(e, f);
	}
}

static __attribute__((noinline)) void start(struct executor *e, struct fiber *f) {
	ucontext_t context;
	getcontext(&context);
	context.uc_stack.ss_sp = f->stack + GUARD;
	context.uc_stack.ss_size = STACK;
	context.uc_link = NULL;
	unsigned long at = (unsigned long)f;
	makecontext(&context, (void (*)(void))fiber_main, 2, (unsigned)at, (unsigned)(at >> 32));
	f->started = 1;
	if (!_setjmp(e->scheduler)) swapcontext(&e->scheduler_context, &context);
}

// Switches after a fiber's first go by longjmp, which makes no system call.
static __attribute__((noinline)) void enter(struct executor *e, struct fiber *f) {
	if (!_setjmp(e->scheduler)) _longjmp(f->at, 1);
}

// Runs a thread until it waits or ends.
static int resume(struct executor *e, struct thread *t) {
	struct fiber *f = t->fiber;
	e->self = (unsigned)(t - e->threads);
	if (!f) {
		if (!e->idle_count) return -1;
		f = e->idle[--e->idle_count];
		if (!f->stack) {
			char *stack = mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			if (stack == MAP_FAILED) return -1;
			mprotect(stack, GUARD, PROT_NONE);
			f->stack = stack;
		}
		if (!f->started) {
			start(e, f);
			return 0;
		}
	}
	enter(e, f);
	return 0;
}

static void run_block(struct executor *e) {
	unsigned cursor = e->descending ? e->block - 1 : 0;
	memset(e->threads, 0, e->block * sizeof e->threads[0]);
	e->waiting_barrier = e->ended = 0;
	while (e->ended < e->block && !e->fault) {
		struct thread *t = choose(e, &cursor);
		if (t) {
			if (resume(e, t)) fail(e, "no memory for a stack", e->self);
			continue;
		}
		// Nobody can run: a barrier that everybody alive has come to opens.
		unsigned stuck = 0;
		if (e->waiting_barrier && e->waiting_barrier + e->ended == e->block) {
			for (unsigned i = 0; i < e->block; i++)
				if (e->threads[i].state == AT_BARRIER) e->threads[i].state = RUNNING;
			e->waiting_barrier = 0;
			e->descending = !e->descending;
			cursor = e->descending ? e->block - 1 : 0;
			continue;
		}
		while (stuck + 1 < e->block && e->threads[stuck].state != AT_COLLECTIVE) stuck++;
		fail(e, "waits for lanes or threads that don't come", stuck);
	}
}

// Fibers start anew with each launch: what they hold of a thread that never went
// on is of no more use, and a launch may come on another thread of the system.
static void reset_fibers(struct executor *e) {
	e->idle_count = MAX_BLOCK;
	for (unsigned i = 0; i < MAX_BLOCK; i++) {
		e->fibers[i].started = 0;
		e->idle[MAX_BLOCK - 1 - i] = &e->fibers[i];
	}
}

static int reserve_shared(struct executor *e, unsigned bytes) {
	size_t need = e->shared_used = ((size_t)bytes + 4096) / 4096 * 4096;
	if (e->shared && need <= e->shared_capacity) return 0;
	if (e->shared) munmap(e->shared, e->shared_capacity + GUARD);
	e->shared = mmap(NULL, need + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (e->shared == MAP_FAILED) {
		e->shared = NULL;
		return -1;
	}
	mprotect(e->shared + need, GUARD, PROT_NONE);
	e->shared_capacity = need;
	return 0;
}

const char *executor_run(struct executor *e, executor_body *body, const void *arguments, unsigned grid, unsigned block,
                         unsigned shared) {
	enum { POISON = 0xc9 };
	struct executor *before = current;
	current = e;
	e->fault = NULL;
	e->body = body, e->arguments = arguments;
	e->grid = grid, e->block = block;
	reset_fibers(e);
	if (reserve_shared(e, shared)) fail(e, "no memory for shared memory", 0);
	for (unsigned i = 0; i < grid && !e->fault; i++) {
		// From both ends in turns: no order of blocks is promised.
		e->block_index = i % 2 ? grid - 1 - i / 2 : i / 2;
		e->descending = i % 2;
		memset(e->shared, POISON, e->shared_used);
		run_block(e);
		for (size_t j = shared; j < e->shared_used && !e->fault; j++)
			if ((unsigned char)e->shared[j] != POISON) fail(e, "wrote past its shared memory", 0);
	}
	current = before;
	return e->fault;
}
