#define _GNU_SOURCE
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct settings settings;

static void set(const char *key, const char *value) {
	struct settings *s = &settings;
	struct { const char *key; int *to; } numbers[] = {
		{"devices", &s->devices}, {"nojit", &s->nojit}, {"polls", &s->polls},
		{"lost_code", &s->lost_code}, {"only", &s->only},
	};
	struct { const char *key; int64_t *to; } counts[] = {
		{"oom_after", &s->oom_after}, {"pinned_after", &s->pinned_after}, {"lost_after", &s->lost_after},
		{"memory", (int64_t *)&s->memory},
	};
	struct { const char *key; char *to; } names[] = {
		{"hang", s->hang}, {"illegal", s->illegal}, {"wrong", s->wrong}, {"reject", s->reject}, {"stuck", s->stuck},
	};
	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (!strcmp(key, numbers[i].key)) { *numbers[i].to = atoi(value); return; }
	for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++)
		if (!strcmp(key, counts[i].key)) { *counts[i].to = atoll(value); return; }
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(key, names[i].key)) { snprintf(names[i].to, 64, "%s", value); return; }
	if (!strcmp(key, "cc") && sscanf(value, "%d.%d", &s->major, &s->minor) == 2) return;
	if (!strcmp(key, "ptx") && sscanf(value, "%d.%d", &s->ptx_major, &s->ptx_minor) == 2) return;
	if (!strcmp(key, "fail")) { // CALL:CODE or CALL:CODE:SKIP
		s->fail[0] = 0, s->fail_code = 1, s->fail_skip = 0;
		if (!*value || sscanf(value, "%63[^:]:%d:%d", s->fail, &s->fail_code, &s->fail_skip) >= 2) return;
	}
	fprintf(stderr, "fake CUDA: no such setting: %s=%s\n", key, value);
	abort();
}

static void apply(const char *text) {
	char copy[1024], *save = NULL;
	snprintf(copy, sizeof copy, "%s", text);
	for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		char *value = strchr(part, '=');
		if (value) *value++ = 0;
		set(part, value ? value : "1");
	}
}

static void defaults(void) {
	settings = (struct settings){.devices = 1, .major = 8, .ptx_major = 8, .ptx_minor = 4, .memory = 1 << 30, .polls = 1,
		.oom_after = -1, .pinned_after = -1, .lost_after = -1, .lost_code = DEVICE_UNAVAILABLE, .only = -1};
	const char *text = getenv("ASSAY_FAKE_CUDA");
	if (text) apply(text);
}

// fake_configure changes settings: pairs KEY=VALUE with commas between them.
//
//	devices=N cc=8.0 memory=BYTES ptx=8.4   the cards, and the newest PTX the driver takes
//	polls=N                                 how often work is not ready before it is done
//	oom_after=N pinned_after=N              allocations that succeed from now on
//	hang=KERNEL illegal=KERNEL wrong=KERNEL launches that don't end, fault, give one wrong bit
//	lost_after=N lost_code=CODE             calls within a context until the card is gone
//	nojit=1 reject=TARGET                   no compiler; a target it doesn't know
//	fail=CALL:CODE:SKIP stuck=CALL          a call that fails after SKIP good ones, or doesn't return
//	only=ORDINAL                            the card that faults are for
API void fake_configure(const char *text) {
	pthread_once(&once, defaults);
	pthread_mutex_lock(&lock);
	apply(text);
	pthread_mutex_unlock(&lock);
}

struct settings settings_now(void) {
	pthread_once(&once, defaults);
	pthread_mutex_lock(&lock);
	struct settings s = settings;
	pthread_mutex_unlock(&lock);
	return s;
}

// fake_count: launches, launches.KERNEL, and the live allocations, pinned, streams,
// events, modules, contexts; calls within a context, stuck ones; leaked: what contexts
// still had when they were given back; early: what was freed while queued work used it.
static struct { char name[64]; int64_t n; } counters[128];

// The lock is held.
static int64_t *counter(const char *name) {
	for (unsigned i = 0; i < sizeof counters / sizeof *counters; i++) {
		if (!counters[i].name[0]) snprintf(counters[i].name, sizeof counters[i].name, "%s", name);
		if (!strcmp(counters[i].name, name)) return &counters[i].n;
	}
	abort();
}

// Takes one from a budget; 0: it is used up.
static int take(int64_t *budget) {
	if (*budget < 0) return 1;
	if (*budget == 0) return 0;
	--*budget;
	return 1;
}

CUresult settings_fault(const char *call, int device) {
	pthread_once(&once, defaults);
	CUresult code = OK;
	pthread_mutex_lock(&lock);
	int ours = settings.only < 0 || device < 0 || settings.only == device;
	if (ours && !strcmp(settings.stuck, call)) *counter("stuck") += 1;
	while (ours && !strcmp(settings.stuck, call)) {
		pthread_mutex_unlock(&lock);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		pthread_mutex_lock(&lock);
	}
	if (ours && !strcmp(settings.fail, call) && --settings.fail_skip < 0) code = settings.fail_code;
	if (ours && !code && !strcmp(call, "cuMemAlloc_v2") && !take(&settings.oom_after)) code = OUT_OF_MEMORY;
	if (ours && !code && !strcmp(call, "cuMemHostAlloc") && !take(&settings.pinned_after)) code = OUT_OF_MEMORY;
	if (ours && !code && device >= 0 && !take(&settings.lost_after)) code = settings.lost_code;
	pthread_mutex_unlock(&lock);
	return code;
}

void count(const char *name, const char *detail, int64_t by) {
	char full[64];
	snprintf(full, sizeof full, "%s%s%s", name, detail ? "." : "", detail ? detail : "");
	pthread_mutex_lock(&lock);
	*counter(full) += by;
	pthread_mutex_unlock(&lock);
}

API int64_t fake_count(const char *name) {
	pthread_mutex_lock(&lock);
	int64_t n = *counter(name);
	pthread_mutex_unlock(&lock);
	return n;
}
