#define _GNU_SOURCE
#include "fake.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t milliseconds(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// A number of a card; below zero stands for a card that has none.
#define NUMBER(call, type, key, otherwise)                               \
	API int call(struct card *c, type *out) {                        \
		CARD(c);                                                 \
		int64_t v = number(&s, c, key, otherwise);               \
		if (v < 0) return NOT_SUPPORTED;                         \
		*out = (type)v;                                          \
		return OK;                                               \
	}

NUMBER(nvmlDeviceGetPowerUsage, unsigned, "power", 350000)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, "power_limit", 700000)
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, uint64_t, "throttle", 0)
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, uint64_t, "throttle", 0)
NUMBER(nvmlDeviceGetPerformanceState, int, "pstate", 0)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, "pcie_generation", 5)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, "pcie_generation_max", 5)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, unsigned, "pcie_width", 16)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, unsigned, "pcie_width_max", 16)
NUMBER(nvmlDeviceGetPcieReplayCounter, unsigned, "pcie_replays", 0)
NUMBER(nvmlDeviceGetNumGpuCores, unsigned, "cores", 16896)
NUMBER(nvmlDeviceGetMemoryBusWidth, unsigned, "bus", 5120)

// Without a setting the counter rises by 350 W.
API int nvmlDeviceGetTotalEnergyConsumption(struct card *c, uint64_t *out) {
	CARD(c);
	int64_t v = number(&s, c, "energy", (int64_t)(milliseconds() * 350));
	if (v < 0) return NOT_SUPPORTED;
	*out = (uint64_t)v;
	return OK;
}

API int nvmlDeviceGetPowerManagementLimitConstraints(struct card *c, unsigned *least, unsigned *most) {
	CARD(c);
	*least = 200000, *most = (unsigned)number(&s, c, "power_max", 700000);
	return OK;
}

static int clock_of(struct card *c, const char *call, int kind, unsigned *out, const char *sm, const char *memory) {
	struct settings s;
	int r = begin(call, c ? c : card_at(-1), &s);
	if (r) return r;
	if (kind != 1 && kind != 2) return INVALID_ARGUMENT;
	int64_t v = kind == 1 ? number(&s, c, sm, 1980) : number(&s, c, memory, 2619);
	if (v < 0) return NOT_SUPPORTED;
	*out = (unsigned)v;
	return OK;
}

API int nvmlDeviceGetClockInfo(struct card *c, int kind, unsigned *out) {
	return clock_of(c, __func__, kind, out, "clock_sm", "clock_memory");
}

API int nvmlDeviceGetMaxClockInfo(struct card *c, int kind, unsigned *out) {
	return clock_of(c, __func__, kind, out, "clock_sm_max", "clock_memory_max");
}

API int nvmlDeviceGetTemperature(struct card *c, int sensor, unsigned *out) {
	CARD(c);
	if (sensor) return INVALID_ARGUMENT;
	*out = (unsigned)number(&s, c, "temperature", 45);
	return OK;
}

static void memory(const struct settings *s, const struct card *c, uint64_t out[4]) { // total, reserved, free, used
	out[0] = (uint64_t)number(s, c, "memory", 81559ll << 20);
	out[1] = (uint64_t)number(s, c, "memory_reserved", 500ll << 20);
	out[3] = (uint64_t)number(s, c, "memory_used", 0);
	out[2] = out[0] - out[1] - out[3];
}

struct memory_v2 { unsigned version; uint64_t is[4]; };

API int nvmlDeviceGetMemoryInfo_v2(struct card *c, struct memory_v2 *out) {
	CARD(c);
	if (out->version != (sizeof *out | 2 << 24)) return VERSION_MISMATCH;
	memory(&s, c, out->is);
	return OK;
}

API int nvmlDeviceGetMemoryInfo(struct card *c, uint64_t *out) {
	CARD(c);
	uint64_t is[4];
	memory(&s, c, is);
	out[0] = is[0], out[1] = is[2], out[2] = is[1] + is[3];
	return OK;
}

API int nvmlDeviceGetUtilizationRates(struct card *c, unsigned *out) {
	CARD(c);
	out[0] = (unsigned)number(&s, c, "util", 0), out[1] = (unsigned)number(&s, c, "util_memory", 0);
	return OK;
}

API int nvmlDeviceGetEccMode(struct card *c, int *now, int *later) {
	CARD(c);
	int64_t v = number(&s, c, "ecc", 1);
	if (v < 0) return NOT_SUPPORTED;
	*now = *later = (int)v;
	return OK;
}

API int nvmlDeviceGetTotalEccErrors(struct card *c, int kind, int since, uint64_t *out) {
	CARD(c);
	if (number(&s, c, "ecc", 1) <= 0) return NOT_SUPPORTED;
	if (kind < 0 || kind > 1 || since) return INVALID_ARGUMENT; // since the driver was loaded
	*out = (uint64_t)number(&s, c, kind ? "ecc_uncorrected" : "ecc_corrected", 0);
	return OK;
}

API int nvmlDeviceGetRemappedRows(struct card *c, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
	CARD(c);
	int64_t v = number(&s, c, "remapped_corrected", 0);
	if (v < 0) return NOT_SUPPORTED;
	*corrected = (unsigned)v, *uncorrected = (unsigned)number(&s, c, "remapped_uncorrected", 0);
	*pending = (unsigned)number(&s, c, "remap_pending", 0), *failed = (unsigned)number(&s, c, "remap_failed", 0);
	return OK;
}

// Pages are retired by cards before Ampere, so not by default.
API int nvmlDeviceGetRetiredPages(struct card *c, int cause, unsigned *n, uint64_t *out) {
	CARD(c);
	int64_t v = number(&s, c, cause ? "retired_double" : "retired_single", -1);
	if (v < 0) return NOT_SUPPORTED;
	unsigned room = *n;
	*n = (unsigned)v;
	if (room < *n) return INSUFFICIENT_SIZE;
	for (unsigned i = 0; i < *n; i++) out[i] = i;
	return OK;
}

API int nvmlDeviceGetPcieThroughput(struct card *c, int counter, unsigned *out) {
	CARD(c);
	if (counter < 0 || counter > 1) return INVALID_ARGUMENT;
	int64_t v = number(&s, c, counter ? "pcie_received" : "pcie_sent", 0);
	if (v < 0) return NOT_SUPPORTED;
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); // it is measured for so long
	*out = (unsigned)v;
	return OK;
}

API int nvmlDeviceGetMigMode(struct card *c, unsigned *now, unsigned *later) {
	CARD(c);
	int64_t v = number(&s, c, "mig", 0);
	if (v < 0) return NOT_SUPPORTED;
	*now = *later = (unsigned)v;
	return OK;
}

struct support { unsigned version, yes; };

API int nvmlGpmQueryDeviceSupport(struct card *c, struct support *out) {
	CARD(c);
	const char *set = setting(&s, c, "gpm");
	out->yes = !set || *set != '-';
	return OK;
}

struct sample { struct card *card; uint64_t at; };

API int nvmlGpmSampleAlloc(struct sample **out) {
	struct settings s;
	int r = begin(__func__, NULL, &s);
	if (!r) *out = calloc(1, sizeof **out);
	return r;
}

API int nvmlGpmSampleFree(struct sample *p) {
	free(p);
	return OK;
}

API int nvmlGpmSampleGet(struct card *c, struct sample *p) {
	CARD(c);
	if (number(&s, c, "mig", 0) > 0) return NOT_SUPPORTED;
	p->card = c, p->at = milliseconds();
	return OK;
}

struct metrics {
	unsigned version, n;
	struct sample *from, *to;
	struct { unsigned id, code; double value; const char *texts[3]; } metric[333];
};

// Metric ID is the setting gpm, 50 without it, and ID hundredths.
API int nvmlGpmMetricsGet(struct metrics *m) {
	struct settings s;
	int r = begin(__func__, m->to ? m->to->card : NULL, &s);
	if (r) return r;
	if (m->version != 1 || m->n > 333 || !m->from || !m->to || !m->from->card) return INVALID_ARGUMENT;
	if (m->to->at < m->from->at + 90) return UNKNOWN; // the samples are too near, or in the wrong order
	const char *set = setting(&s, m->to->card, "gpm");
	for (unsigned i = 0; i < m->n; i++) {
		m->metric[i].code = OK;
		m->metric[i].value = (set ? atof(set) : 50) + m->metric[i].id / 100.0;
	}
	return OK;
}
