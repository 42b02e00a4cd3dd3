#define _GNU_SOURCE
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

// Each allocation lies alone between pages that can't be touched. What is left of
// its last page is looked after by memory_intact.
static CUresult take(struct device *d, uint64_t bytes, int pinned, struct memory **out) {
	struct memory *m = calloc(1, sizeof *m);
	m->size = bytes, m->pinned = pinned;
	m->mapped = (bytes + PAGE - 1) / PAGE * PAGE;
	char *at = mmap(NULL, m->mapped + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED || mprotect(at + PAGE, m->mapped, PROT_READ | PROT_WRITE)) {
		if (at != MAP_FAILED) munmap(at, m->mapped + 2 * PAGE);
		free(m);
		return OUT_OF_MEMORY;
	}
	m->base = at + PAGE;
	memset(m->base, POISON, m->mapped);
	m->next = d->memory;
	d->memory = m;
	*out = m;
	return OK;
}

// The addresses stay taken, and can't be touched, until the context ends.
static CUresult give(struct device *d, uint64_t at, int pinned) {
	for (struct memory *m = d->memory; m; m = m->next) {
		if ((uint64_t)m->base != at || m->freed || m->pinned != pinned) continue;
		m->freed = 1;
		// A driver would wait here for the work to end: nobody is to make it.
		if (streams_use(d, m->base, m->mapped)) count("early", NULL, 1);
		// In one step: another thread's memory could land in a gap.
		mmap(m->base, m->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		return OK;
	}
	return INVALID_VALUE;
}

struct memory *memory_find(struct device *d, uint64_t at, uint64_t bytes, int pinned) {
	for (struct memory *m = d->memory; m; m = m->next) {
		if (m->freed || m->pinned != pinned || at < (uint64_t)m->base) continue;
		uint64_t off = at - (uint64_t)m->base;
		if (off < m->size && bytes <= m->size - off) return m;
	}
	return NULL;
}

CUresult memory_intact(struct device *d) {
	for (struct memory *m = d->memory; m; m = m->next) {
		for (uint64_t i = m->size; !m->freed && i < m->mapped; i++) {
			if ((unsigned char)m->base[i] == POISON) continue;
			fprintf(stderr, "fake CUDA: byte %llu of an allocation of %llu bytes is written\n", (unsigned long long)i,
			        (unsigned long long)m->size);
			return ILLEGAL_ADDRESS;
		}
	}
	return OK;
}

uint64_t memory_used(struct device *d) {
	uint64_t n = 0;
	for (struct memory *m = d->memory; m; m = m->next)
		if (!m->freed && !m->pinned) n += m->size;
	return n;
}

void memory_drop(struct device *d) {
	for (struct memory *m = d->memory, *next; m; m = next) {
		next = m->next;
		if (!m->freed) {
			count(m->pinned ? "pinned" : "allocations", NULL, -1);
			count("leaked", NULL, 1);
		}
		munmap(m->base - PAGE, m->mapped + 2 * PAGE);
		free(m);
	}
	d->memory = NULL;
}

API CUresult cuMemGetInfo_v2(size_t *available, size_t *total) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	*total = settings_now().memory;
	*available = *total - memory_used(d);
	return end(d, OK);
}

API CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t bytes) {
	struct device *d;
	struct memory *m;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (!bytes) return end(d, INVALID_VALUE);
	if (bytes > settings_now().memory - memory_used(d)) return end(d, OUT_OF_MEMORY);
	if ((r = take(d, bytes, 0, &m))) return end(d, r);
	*out = (CUdeviceptr)m->base;
	count("allocations", NULL, 1);
	return end(d, OK);
}

API CUresult cuMemFree_v2(CUdeviceptr at) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (!at) return end(d, OK);
	if (!(r = give(d, at, 0))) count("allocations", NULL, -1);
	return end(d, r);
}

API CUresult cuMemHostAlloc(void **out, size_t bytes, unsigned flags) {
	struct device *d;
	struct memory *m;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (!bytes || flags & ~7u) return end(d, INVALID_VALUE);
	if ((r = take(d, bytes, 1, &m))) return end(d, r);
	*out = m->base;
	count("pinned", NULL, 1);
	return end(d, OK);
}

API CUresult cuMemFreeHost(void *at) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (!(r = give(d, (uint64_t)at, 1))) count("pinned", NULL, -1);
	return end(d, r);
}
