#define _GNU_SOURCE
#include "fake.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char file[4096];
static struct card all[MAX_CARDS];
static int users; // of nvmlInit
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// The settings lie in a file beside the library, so that a test can change those of
// a library that another process has loaded.
static void find(void) {
	Dl_info self;
	const char *named = getenv("ASSAY_FAKE_NVML");
	if (named && *named) snprintf(file, sizeof file, "%s", named);
	else if (dladdr(all, &self)) snprintf(file, sizeof file, "%s.settings", self.dli_fname);
	for (int i = 0; i < MAX_CARDS; i++) all[i].index = i;
}

// The file is replaced whole, so that it is never half a one: lines KEY=VALUE.
void settings_read(struct settings *s) {
	pthread_once(&once, find);
	s->n = 0;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, s->text, sizeof s->text - 1);
	if (fd >= 0) close(fd);
	s->text[n < 0 ? 0 : n] = 0;
	char *save = NULL;
	for (char *line = strtok_r(s->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, '=');
		if (!value || s->n == (int)(sizeof s->pair / sizeof *s->pair)) abort();
		*value++ = 0;
		s->pair[s->n].key = line, s->pair[s->n].value = value;
		s->n++;
	}
}

static const char *get(const struct settings *s, const char *key) {
	for (int i = 0; i < s->n; i++)
		if (!strcmp(s->pair[i].key, key)) return s->pair[i].value;
	return NULL;
}

const char *setting(const struct settings *s, const struct card *c, const char *key) {
	char own[64];
	const char *value = NULL;
	if (c) {
		snprintf(own, sizeof own, "%s.%d", key, c->index);
		value = get(s, own);
	}
	if (!value) value = get(s, key);
	return value && *value ? value : NULL;
}

int64_t number(const struct settings *s, const struct card *c, const char *key, int64_t otherwise) {
	const char *value = setting(s, c, key);
	return value ? strtoll(value, NULL, 0) : otherwise;
}

int listed(const char *list, const char *name, const char **rest) {
	size_t n = strlen(name);
	for (const char *at = list; at && *at;) {
		const char *end = strchrnul(at, ';');
		if (!strncmp(at, name, n) && (at[n] == ':' || at + n == end)) {
			if (rest) *rest = at[n] == ':' ? at + n + 1 : "";
			return 1;
		}
		at = *end ? end + 1 : end;
	}
	return 0;
}

int cards(const struct settings *s) {
	int64_t n = number(s, NULL, "cards", 1);
	return n < 0 || n > MAX_CARDS ? MAX_CARDS : (int)n;
}

struct card *card_at(int index) {
	static struct card none = {-1};
	return index < 0 || index >= MAX_CARDS ? &none : &all[index];
}

int begin(const char *call, const struct card *c, struct settings *s) {
	const char *rest;
	settings_read(s);
	while (listed(setting(s, c, "stuck"), call, NULL)) {
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
		settings_read(s);
	}
	if (listed(setting(s, c, "crash"), call, NULL)) abort();
	int initialising = !strncmp(call, "nvmlI", 5); // no whole name: a missing one is changed wherever it stands
	pthread_mutex_lock(&lock);
	int ready = users > 0;
	pthread_mutex_unlock(&lock);
	if (!initialising && !ready) return UNINITIALIZED;
	if (listed(setting(s, c, "fail"), call, &rest)) return *rest ? atoi(rest) : UNKNOWN;
	if (!c) return OK;
	if (c < all || c >= all + MAX_CARDS || c->index >= cards(s)) return INVALID_ARGUMENT;
	if (number(s, c, "lost", 0)) return GPU_IS_LOST;
	if (number(s, c, "reset", 0)) return RESET_REQUIRED;
	return OK;
}

int put(char *to, unsigned size, const char *from) {
	if (strlen(from) >= size) return INSUFFICIENT_SIZE;
	strcpy(to, from);
	return OK;
}

static int init(const char *call) {
	struct settings s;
	int r = begin(call, NULL, &s);
	if (r) return r;
	pthread_mutex_lock(&lock);
	users++;
	pthread_mutex_unlock(&lock);
	return OK;
}

API int nvmlInit(void) { return init(__func__); }
API int nvmlInit_v2(void) { return init(__func__); }

API int nvmlShutdown(void) {
	struct settings s;
	int r = begin(__func__, NULL, &s);
	if (r) return r;
	pthread_mutex_lock(&lock);
	users--;
	pthread_mutex_unlock(&lock);
	return OK;
}

API const char *nvmlErrorString(int code) {
	(void)code;
	return "an error of the fake library";
}
