#define _GNU_SOURCE
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum kind { LAUNCH, TO_DEVICE, TO_HOST, COPY, FILL, RECORD, WAIT };

// What is in a stream and not done.
struct op {
	enum kind kind;
	uint64_t dst, src, bytes; // of copies; of FILL src is the word
	struct event *event;      // of RECORD, WAIT
	struct stream *from;      // of WAIT: where the event is recorded
	uint64_t serial;
	struct function *function;
	unsigned grid, block, shared;
	struct arguments arguments;
	struct op *next;
};

static CUresult bad(const char *what, uint64_t at) {
	fprintf(stderr, "fake CUDA: %s at %#llx is not in live memory\n", what, (unsigned long long)at);
	return ILLEGAL_ADDRESS;
}

static CUresult launch(struct device *d, struct op *op) {
	const struct kernel *k = op->function->kernel;
	struct settings s = settings_now();
	int ours = s.only < 0 || s.only == d->ordinal;
	if (ours && !strcmp(s.hang, k->name)) return HUNG;
	if (ours && !strcmp(s.illegal, k->name)) return ILLEGAL_ADDRESS;
	if (op->function->module->unloaded) return bad("a kernel of an unloaded module", 0);
	for (int i = 0; k->parameters[i]; i++)
		if (k->parameters[i] == 'p' && !memory_find(d, op->arguments.value[i], 1, 0)) return bad(k->name, op->arguments.value[i]);
	const char *fault = executor_run(d->executor, k->body, &op->arguments, op->grid, op->block, op->shared);
	if (fault) {
		fprintf(stderr, "fake CUDA: kernel %s: %s\n", k->name, fault);
		return LAUNCH_FAILED;
	}
	if (ours && !strcmp(s.wrong, k->name)) *(unsigned char *)k->output(&op->arguments) ^= 1;
	return memory_intact(d);
}

static CUresult run_until(struct device *d, struct stream *s, struct event *e, uint64_t serial);

static CUresult run(struct device *d, struct op *op) {
	switch (op->kind) {
	case LAUNCH:
		return launch(d, op);
	case TO_DEVICE:
		if (!memory_find(d, op->src, op->bytes, 1)) return bad("a copy's source in pinned memory", op->src);
		if (!memory_find(d, op->dst, op->bytes, 0)) return bad("a copy's target", op->dst);
		break;
	case TO_HOST:
		if (!memory_find(d, op->src, op->bytes, 0)) return bad("a copy's source", op->src);
		if (!memory_find(d, op->dst, op->bytes, 1)) return bad("a copy's target in pinned memory", op->dst);
		break;
	case COPY:
		if (!memory_find(d, op->src, op->bytes, 0)) return bad("a copy's source", op->src);
		if (!memory_find(d, op->dst, op->bytes, 0)) return bad("a copy's target", op->dst);
		if (op->src < op->dst + op->bytes && op->dst < op->src + op->bytes) return bad("a copy onto itself", op->dst);
		break;
	case FILL:
		if (!memory_find(d, op->dst, op->bytes, 0)) return bad("a filling's target", op->dst);
		for (uint64_t i = 0; i < op->bytes / 4; i++) ((uint32_t *)op->dst)[i] = (uint32_t)op->src;
		return OK;
	case RECORD: {
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		op->event->done = op->serial;
		op->event->ms = (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
		return OK;
	}
	case WAIT:
		return run_until(d, op->from, op->event, op->serial);
	}
	memcpy((void *)op->dst, (void *)op->src, op->bytes);
	return OK;
}

// Does the next thing in a stream. What hangs stays in it.
static CUresult step(struct device *d, struct stream *s) {
	struct op *op = s->head;
	CUresult r = run(d, op);
	if (r == HUNG) return r;
	if (r) {
		d->sticky = r;
		return r;
	}
	s->head = op->next;
	if (!s->head) s->tail = NULL;
	free(op);
	return OK;
}

static CUresult run_until(struct device *d, struct stream *s, struct event *e, uint64_t serial) {
	while (e->done < serial && s->head) {
		CUresult r = step(d, s);
		if (r) return r;
	}
	return OK;
}

int streams_use(struct device *d, const char *base, uint64_t bytes) {
	uint64_t from = (uint64_t)base, to = from + bytes;
	for (struct stream *s = d->streams; s; s = s->next) {
		for (struct op *op = s->head; op; op = op->next) {
			if (op->kind == LAUNCH) {
				const char *kinds = op->function->kernel->parameters;
				for (int i = 0; kinds[i]; i++)
					if (kinds[i] == 'p' && op->arguments.value[i] >= from && op->arguments.value[i] < to) return 1;
			} else if (op->kind != RECORD && op->kind != WAIT) {
				if ((op->dst >= from && op->dst < to) || (op->kind != FILL && op->src >= from && op->src < to)) return 1;
			}
		}
	}
	return 0;
}

// Waits for all that is queued, as long as it takes.
CUresult streams_drain(struct device *d) {
	for (struct stream *s = d->streams; s && !d->sticky;) {
		if (!s->head) {
			s = s->next;
			continue;
		}
		if (step(d, s) != HUNG) continue;
		pthread_mutex_unlock(&d->lock);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		pthread_mutex_lock(&d->lock);
	}
	return d->sticky;
}

void streams_drop(struct device *d) {
	for (struct stream *s = d->streams, *next; s; s = next) {
		next = s->next;
		for (struct op *op = s->head, *after; op; op = after) {
			after = op->next;
			free(op);
		}
		if (!s->destroyed) count("streams", NULL, -1), count("leaked", NULL, 1);
		free(s);
	}
	for (struct event *e = d->events, *next; e; e = next) {
		next = e->next;
		if (!e->destroyed) count("events", NULL, -1), count("leaked", NULL, 1);
		free(e);
	}
	for (struct module *m = d->modules, *next; m; m = next) {
		next = m->next;
		if (!m->unloaded) count("modules", NULL, -1), count("leaked", NULL, 1);
		free(m);
	}
	d->streams = NULL, d->events = NULL, d->modules = NULL;
}

static int live_stream(struct device *d, struct stream *s) {
	for (struct stream *i = d->streams; i; i = i->next)
		if (i == s) return !i->destroyed;
	return 0;
}

static int live_event(struct device *d, struct event *e) {
	for (struct event *i = d->events; i; i = i->next)
		if (i == e) return !i->destroyed;
	return 0;
}

static int live_function(struct device *d, struct function *f) {
	for (struct module *m = d->modules; m; m = m->next)
		if (f >= m->function && f < m->function + m->entries) return !m->unloaded;
	return 0;
}

static CUresult push(const char *call, struct stream *s, struct op op) {
	struct device *d;
	CUresult r = begin(call, &d);
	if (r) return r;
	if (!live_stream(d, s)) return end(d, INVALID_HANDLE);
	if ((op.kind == RECORD || op.kind == WAIT) && !live_event(d, op.event)) return end(d, INVALID_HANDLE);
	if (op.kind == LAUNCH) {
		if (!live_function(d, op.function)) return end(d, INVALID_HANDLE);
		unsigned allowed = op.function->allowed;
		if (!op.grid || op.grid > 0x7fffffff || !op.block || op.block > 1024 || op.shared > allowed) return end(d, INVALID_VALUE);
		if (!op.function->module->native && op.function->kernel->reshape)
			op.function->kernel->reshape(&op.arguments, &op.grid, &op.block, &op.shared);
		count("launches", NULL, 1);
		count("launches", op.function->kernel->name, 1);
	}
	if (op.kind == RECORD) {
		op.serial = ++op.event->recorded;
		op.event->stream = s;
		op.event->polled = 0;
	}
	if (op.kind == WAIT) {
		op.serial = op.event->recorded;
		op.from = op.event->stream;
		if (op.event->done >= op.serial) return end(d, OK);
	}
	struct op *copy = malloc(sizeof *copy);
	*copy = op;
	copy->next = NULL;
	if (s->tail) s->tail->next = copy;
	else s->head = copy;
	s->tail = copy;
	return end(d, OK);
}

API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t n, struct stream *s) {
	return push(__func__, s, (struct op){.kind = TO_DEVICE, .dst = dst, .src = (uint64_t)src, .bytes = n});
}

API CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t n, struct stream *s) {
	return push(__func__, s, (struct op){.kind = TO_HOST, .dst = (uint64_t)dst, .src = src, .bytes = n});
}

API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n, struct stream *s) {
	return push(__func__, s, (struct op){.kind = COPY, .dst = dst, .src = src, .bytes = n});
}

API CUresult cuMemsetD32Async(CUdeviceptr dst, unsigned word, size_t n, struct stream *s) {
	if (dst % 4) return INVALID_VALUE;
	return push(__func__, s, (struct op){.kind = FILL, .dst = dst, .src = word, .bytes = n * 4});
}

API CUresult cuEventRecord(struct event *e, struct stream *s) {
	return push(__func__, s, (struct op){.kind = RECORD, .event = e});
}

API CUresult cuStreamWaitEvent(struct stream *s, struct event *e, unsigned flags) {
	if (flags) return INVALID_VALUE;
	return push(__func__, s, (struct op){.kind = WAIT, .event = e});
}

// The arguments are copied now, as many bytes of each as the kernel takes.
API CUresult cuLaunchKernel(struct function *f, unsigned grid, unsigned gy, unsigned gz, unsigned block, unsigned by,
                            unsigned bz, unsigned shared, struct stream *s, void **parameters, void **extra) {
	struct op op = {.kind = LAUNCH, .function = f, .grid = grid, .block = block, .shared = shared};
	struct device *d;
	CUresult r = begin("cuLaunchKernel's arguments", &d);
	if (r) return r;
	int live = live_function(d, f);
	end(d, OK);
	if (!live) return INVALID_HANDLE;
	if (gy != 1 || gz != 1 || by != 1 || bz != 1 || extra) return INVALID_VALUE;
	for (int i = 0; f->kernel->parameters[i]; i++)
		memcpy(&op.arguments.value[i], parameters[i], f->kernel->parameters[i] == 'u' ? 4 : 8);
	return push(__func__, s, op);
}

API CUresult cuStreamCreate(struct stream **out, unsigned flags) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (flags > 1) return end(d, INVALID_VALUE);
	struct stream *s = calloc(1, sizeof *s);
	s->device = d, s->next = d->streams;
	d->streams = *out = s;
	count("streams", NULL, 1);
	return end(d, OK);
}

// Priorities are wishes: every order that they could lead to is one without them.
API CUresult cuStreamCreateWithPriority(struct stream **out, unsigned flags, int priority) {
	(void)priority;
	return cuStreamCreate(out, flags);
}

// What is in the stream goes on.
API CUresult cuStreamDestroy_v2(struct stream *s) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (!live_stream(d, s)) return end(d, INVALID_HANDLE);
	s->destroyed = 1;
	count("streams", NULL, -1);
	return end(d, OK);
}

API CUresult cuEventCreate(struct event **out, unsigned flags) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (flags > 3) return end(d, INVALID_VALUE);
	struct event *e = calloc(1, sizeof *e);
	e->device = d, e->timing = !(flags & 2), e->next = d->events;
	d->events = *out = e;
	count("events", NULL, 1);
	return end(d, OK);
}

API CUresult cuEventDestroy_v2(struct event *e) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (!live_event(d, e)) return end(d, INVALID_HANDLE);
	e->destroyed = 1;
	count("events", NULL, -1);
	return end(d, OK);
}

// Not ready for some times of asking; then what the event needs is done, and nothing else.
API CUresult cuEventQuery(struct event *e) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (!live_event(d, e)) return end(d, INVALID_HANDLE);
	if (e->done >= e->recorded) return end(d, OK);
	if (e->polled++ < settings_now().polls) return end(d, NOT_READY);
	r = run_until(d, e->stream, e, e->recorded);
	return end(d, r == HUNG ? NOT_READY : r);
}

API CUresult cuEventElapsedTime(float *ms, struct event *from, struct event *to) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (!live_event(d, from) || !live_event(d, to) || !from->timing || !to->timing || !from->recorded || !to->recorded)
		return end(d, INVALID_HANDLE);
	if (from->done < from->recorded || to->done < to->recorded) return end(d, NOT_READY);
	*ms = (float)(to->ms - from->ms);
	return end(d, OK);
}
