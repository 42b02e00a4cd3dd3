#define _GNU_SOURCE
#include "fake.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { XID = 8 };

// The setting xid is NUMBER or NUMBER:ANYTHING: an event is a value that a set has not
// yet told, so that the second of two equal errors is told by another ANYTHING.
struct set {
	pthread_mutex_t lock;
	int registered[MAX_CARDS];
	char told[MAX_CARDS][64];
};

struct event {
	struct card *card;
	uint64_t type, data;
	unsigned instance, compute;
};

API int nvmlDeviceGetSupportedEventTypes(struct card *c, uint64_t *out) {
	CARD(c);
	*out = (uint64_t)number(&s, c, "events", XID | 1);
	return OK;
}

API int nvmlEventSetCreate(struct set **out) {
	struct settings s;
	int r = begin(__func__, NULL, &s);
	if (r) return r;
	*out = calloc(1, sizeof **out);
	pthread_mutex_init(&(*out)->lock, NULL);
	return OK;
}

API int nvmlEventSetFree(struct set *p) {
	free(p);
	return OK;
}

API int nvmlDeviceRegisterEvents(struct card *c, uint64_t types, struct set *p) {
	CARD(c);
	if (types & ~(uint64_t)number(&s, c, "events", XID | 1)) return NOT_SUPPORTED;
	pthread_mutex_lock(&p->lock);
	p->registered[c->index] = (types & XID) != 0;
	pthread_mutex_unlock(&p->lock);
	return OK;
}

static int next(struct set *p, const struct settings *s, struct event *out) {
	int found = 0;
	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < cards(s) && !found; i++) {
		const char *xid = setting(s, card_at(i), "xid");
		if (!p->registered[i] || !strcmp(xid ? xid : "", p->told[i])) continue;
		snprintf(p->told[i], sizeof p->told[i], "%s", xid ? xid : "");
		if (!xid) continue;
		*out = (struct event){card_at(i), XID, strtoull(xid, NULL, 10), ~0u, ~0u};
		found = 1;
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

static int wait_for(const char *call, struct set *p, struct event *out, unsigned ms) {
	for (unsigned waited = 0;; waited += 5) {
		struct settings s;
		int r = begin(call, NULL, &s);
		if (r) return r;
		if (next(p, &s, out)) return OK;
		if (waited >= ms) return TIMEOUT;
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
}

API int nvmlEventSetWait_v2(struct set *p, struct event *out, unsigned ms) { return wait_for(__func__, p, out, ms); }
API int nvmlEventSetWait(struct set *p, struct event *out, unsigned ms) { return wait_for(__func__, p, out, ms); }
