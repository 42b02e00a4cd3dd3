// What the parts of the fake library share: settings, cards, and how a call begins.
#ifndef FAKE_H
#define FAKE_H

#include <stdint.h>

#define API __attribute__((visibility("default")))

// Codes of nvml.h.
enum {
	OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
	TIMEOUT = 10, GPU_IS_LOST = 15, RESET_REQUIRED = 16, VERSION_MISMATCH = 25, UNKNOWN = 999,
};

enum { MAX_CARDS = 16 };

struct card { int index; }; // nvmlDevice_t points to one

// The settings as one call sees them.
struct settings {
	char text[16384];
	int n;
	struct { const char *key, *value; } pair[256];
};

void settings_read(struct settings *s);

// A setting of a card, KEY.CARD before KEY; null: not set.
const char *setting(const struct settings *s, const struct card *c, const char *key);
int64_t number(const struct settings *s, const struct card *c, const char *key, int64_t otherwise);

// Whether a list with semicolons has a name; what stands behind its colon is put into rest.
int listed(const char *list, const char *name, const char **rest);

// Every call begins so: it reads the settings, and gives a code where it is to fail.
int begin(const char *call, const struct card *c, struct settings *s);

int cards(const struct settings *s);
struct card *card_at(int index);

int put(char *to, unsigned size, const char *from); // a text into a caller's buffer

// The beginning of a call on a card.
#define CARD(c)                                                  \
	struct settings s;                                       \
	int r = begin(__func__, (c) ? (c) : card_at(-1), &s);    \
	if (r) return r

#endif
