#define _GNU_SOURCE
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// By default a card is an H100 with the address and the UUID that the fake CUDA
// driver gives to its card of the same number.
static void own_uuid(const struct card *c, char *to, unsigned size) {
	snprintf(to, size, "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadae%02x", c->index);
}

static void uuid_of(const struct settings *s, const struct card *c, char *to, unsigned size) {
	const char *set = setting(s, c, "uuid");
	if (set) snprintf(to, size, "%s", set);
	else own_uuid(c, to, size);
}

// As DOMAIN:BUS:DEVICE.FUNCTION; a card has the bus after its number.
static void address_of(const struct settings *s, const struct card *c, unsigned at[4]) {
	const char *set = setting(s, c, "pci");
	at[0] = 0, at[1] = (unsigned)c->index + 1, at[2] = 0, at[3] = 0;
	if (set) sscanf(set, "%x:%x:%x.%x", &at[0], &at[1], &at[2], &at[3]);
}

static int count(const char *call, unsigned *out) {
	struct settings s;
	int r = begin(call, NULL, &s);
	if (!r) *out = (unsigned)cards(&s);
	return r;
}

API int nvmlDeviceGetCount_v2(unsigned *out) { return count(__func__, out); }
API int nvmlDeviceGetCount(unsigned *out) { return count(__func__, out); }

static int by_index(const char *call, unsigned index, struct card **out) {
	struct settings s;
	int r = begin(call, card_at((int)index), &s);
	if (!r) *out = card_at((int)index);
	return r;
}

API int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct card **out) { return by_index(__func__, index, out); }
API int nvmlDeviceGetHandleByIndex(unsigned index, struct card **out) { return by_index(__func__, index, out); }

API int nvmlDeviceGetHandleByUUID(const char *uuid, struct card **out) {
	struct settings s;
	int r = begin(__func__, NULL, &s);
	if (r) return r;
	for (int i = 0; i < cards(&s); i++) {
		char has[128];
		uuid_of(&s, card_at(i), has, sizeof has);
		if (strcmp(has, uuid)) continue;
		if ((r = begin(__func__, card_at(i), &s))) return r;
		*out = card_at(i);
		return OK;
	}
	return NOT_FOUND;
}

static int by_address(const char *call, const char *id, struct card **out) {
	struct settings s;
	unsigned want[4] = {0};
	int r = begin(call, NULL, &s);
	if (r) return r;
	if (sscanf(id, "%x:%x:%x.%x", &want[0], &want[1], &want[2], &want[3]) != 4) return INVALID_ARGUMENT;
	for (int i = 0; i < cards(&s); i++) {
		unsigned has[4];
		address_of(&s, card_at(i), has);
		if (memcmp(has, want, sizeof has)) continue;
		if ((r = begin(call, card_at(i), &s))) return r;
		*out = card_at(i);
		return OK;
	}
	return NOT_FOUND;
}

API int nvmlDeviceGetHandleByPciBusId_v2(const char *id, struct card **out) { return by_address(__func__, id, out); }
API int nvmlDeviceGetHandleByPciBusId(const char *id, struct card **out) { return by_address(__func__, id, out); }

API int nvmlDeviceGetUUID(struct card *c, char *to, unsigned size) {
	CARD(c);
	char uuid[128];
	uuid_of(&s, c, uuid, sizeof uuid);
	return put(to, size, uuid);
}

struct pci {
	char legacy[16];
	unsigned domain, bus, device, id, subsystem;
	char name[32];
};

static int address(const char *call, struct card *c, struct pci *out) {
	struct settings s;
	unsigned at[4];
	int r = begin(call, c ? c : card_at(-1), &s);
	if (r) return r;
	address_of(&s, c, at);
	memset(out, 0, sizeof *out);
	out->domain = at[0], out->bus = at[1], out->device = at[2];
	out->id = (unsigned)number(&s, c, "pci_device", 0x233010de);
	out->subsystem = (unsigned)number(&s, c, "pci_subsystem", 0x16c110de);
	snprintf(out->legacy, sizeof out->legacy, "%04X:%02X:%02X.%x", at[0] & 0xffff, at[1] & 0xff, at[2] & 0xff, at[3] & 7);
	snprintf(out->name, sizeof out->name, "%08X:%02X:%02X.%x", at[0], at[1], at[2], at[3]);
	return OK;
}

API int nvmlDeviceGetPciInfo_v3(struct card *c, struct pci *out) { return address(__func__, c, out); }
API int nvmlDeviceGetPciInfo_v2(struct card *c, struct pci *out) { return address(__func__, c, out); }

// A text of a card; "-" stands for a card that has none.
#define TEXT(call, key, otherwise)                                      \
	API int call(struct card *c, char *to, unsigned size) {         \
		CARD(c);                                                \
		const char *set = setting(&s, c, key);                  \
		if (set && !strcmp(set, "-")) return NOT_SUPPORTED;     \
		return put(to, size, set ? set : otherwise);            \
	}

TEXT(nvmlDeviceGetName, "name", "NVIDIA H100 80GB HBM3")
TEXT(nvmlDeviceGetSerial, "serial", "1650123000000")
TEXT(nvmlDeviceGetVbiosVersion, "vbios", "96.00.89.00.01")

#define VERSION(call, key, otherwise)                                   \
	API int call(char *to, unsigned size) {                         \
		struct settings s;                                      \
		int r = begin(__func__, NULL, &s);                      \
		if (r) return r;                                        \
		const char *set = setting(&s, NULL, key);               \
		return put(to, size, set ? set : otherwise);            \
	}

VERSION(nvmlSystemGetDriverVersion, "driver", "550.54.15")
VERSION(nvmlSystemGetNVMLVersion, "nvml", "12.550.54.15")

API int nvmlSystemGetCudaDriverVersion_v2(int *out) {
	struct settings s;
	int r = begin(__func__, NULL, &s);
	if (!r) *out = (int)number(&s, NULL, "cuda", 12040);
	return r;
}

API int nvmlDeviceGetCudaComputeCapability(struct card *c, int *major, int *minor) {
	CARD(c);
	const char *set = setting(&s, c, "capability");
	*major = 9, *minor = 0;
	if (set) sscanf(set, "%d.%d", major, minor);
	return OK;
}

// Processes are PID:NAME:BYTES with semicolons between them; no bytes: not known.
static int list(const char *call, const char *key, struct card *c, unsigned *n, char *to, unsigned entry, int instances) {
	struct settings s;
	int r = begin(call, c ? c : card_at(-1), &s);
	if (r) return r;
	unsigned room = *n;
	*n = 0;
	for (const char *at = setting(&s, c, key); at && *at;) {
		const char *end = strchrnul(at, ';'), *name = strchr(at, ':');
		const char *bytes = name && name < end ? strchr(name + 1, ':') : NULL;
		uint32_t pid = (uint32_t)strtoul(at, NULL, 10), none[2] = {~0u, ~0u};
		uint64_t memory = bytes && bytes < end ? strtoull(bytes + 1, NULL, 10) : ~0ull;
		if (*n < room) {
			memcpy(to + *n * entry, &pid, sizeof pid);
			memcpy(to + *n * entry + 8, &memory, sizeof memory);
			if (instances) memcpy(to + *n * entry + 16, none, sizeof none);
		}
		++*n;
		at = *end ? end + 1 : end;
	}
	return *n > room ? INSUFFICIENT_SIZE : OK;
}

#define LIST(call, key, entry, instances) \
	API int call(struct card *c, unsigned *n, void *to) { return list(__func__, key, c, n, to, entry, instances); }

LIST(nvmlDeviceGetComputeRunningProcesses, "processes", 16, 0)
LIST(nvmlDeviceGetComputeRunningProcesses_v2, "processes", 24, 1)
LIST(nvmlDeviceGetComputeRunningProcesses_v3, "processes", 24, 1)
LIST(nvmlDeviceGetMPSComputeRunningProcesses, "mps", 16, 0)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, "mps", 24, 1)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps", 24, 1)

API int nvmlSystemGetProcessName(unsigned pid, char *to, unsigned size) {
	struct settings s;
	char key[16];
	const char *rest;
	int r = begin(__func__, NULL, &s);
	if (r) return r;
	snprintf(key, sizeof key, "%u", pid);
	for (int i = -1; i < cards(&s); i++) {
		for (int k = 0; k < 2; k++) {
			if (!listed(setting(&s, i < 0 ? NULL : card_at(i), k ? "mps" : "processes"), key, &rest)) continue;
			unsigned n = (unsigned)strcspn(rest, ":;");
			if (n >= size) n = size - 1; // the library cuts names
			memcpy(to, rest, n);
			to[n] = 0;
			return OK;
		}
	}
	return NOT_FOUND;
}
