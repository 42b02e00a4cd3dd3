#define _GNU_SOURCE
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The context that is current to a thread.
static _Thread_local struct device *bound;
static _Thread_local uint64_t bound_life;

static struct device devices[MAX_DEVICES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of the fields that aren't set yet, and started
static int started;

struct device *device_at(int ordinal) {
	if (ordinal < 0 || ordinal >= settings_now().devices || ordinal >= MAX_DEVICES) return NULL;
	return &devices[ordinal];
}

int device_optin(void) {
	struct settings s = settings_now();
	int cc = s.major * 10 + s.minor;
	if (cc < 80) return 64 << 10;
	if (cc == 80 || cc == 87) return 163 << 10;
	if (cc < 90 || cc >= 120) return 99 << 10;
	return 227 << 10;
}

CUresult begin(const char *call, struct device **out) {
	if (!bound) return INVALID_CONTEXT;
	struct device *d = bound;
	count("calls", NULL, 1);
	CUresult fault = settings_fault(call, d->ordinal);
	pthread_mutex_lock(&d->lock);
	if (!d->retained || d->life != bound_life) return end(d, CONTEXT_IS_DESTROYED);
	if (d->sticky) return end(d, d->sticky);
	if (fault == settings_now().lost_code || fault >= 700) d->sticky = fault;
	if (fault) return end(d, fault);
	*out = d;
	return OK;
}

CUresult end(struct device *d, CUresult code) {
	pthread_mutex_unlock(&d->lock);
	return code;
}

// For calls that need no context.
static CUresult ready(const char *call) {
	CUresult fault = settings_fault(call, -1);
	if (fault) return fault;
	pthread_mutex_lock(&lock);
	int s = started;
	pthread_mutex_unlock(&lock);
	return s ? OK : NOT_INITIALIZED;
}

API CUresult cuDriverGetVersion(int *version) {
	*version = 12040;
	return OK;
}

API CUresult cuInit(unsigned flags) {
	CUresult fault = settings_fault(__func__, -1);
	if (fault) return fault;
	if (flags) return INVALID_VALUE;
	if (settings_now().devices == 0) return NO_DEVICE;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < MAX_DEVICES && !started; i++) {
		devices[i].ordinal = i;
		pthread_mutex_init(&devices[i].lock, NULL);
	}
	started = 1;
	pthread_mutex_unlock(&lock);
	return OK;
}

API CUresult cuGetErrorName(CUresult code, const char **name) {
	static const struct { CUresult code; const char *name; } names[] = {
		{OK, "CUDA_SUCCESS"},
		{INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
		{OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
		{NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED"},
		{DEVICE_UNAVAILABLE, "CUDA_ERROR_DEVICE_UNAVAILABLE"},
		{NO_DEVICE, "CUDA_ERROR_NO_DEVICE"},
		{INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
		{INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"},
		{INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
		{INVALID_PTX, "CUDA_ERROR_INVALID_PTX"},
		{NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
		{JIT_COMPILER_NOT_FOUND, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND"},
		{UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
		{INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
		{NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
		{NOT_READY, "CUDA_ERROR_NOT_READY"},
		{ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
		{CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED"},
		{LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
		{999, "CUDA_ERROR_UNKNOWN"},
	};
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		if (names[i].code != code) continue;
		*name = names[i].name;
		return OK;
	}
	*name = NULL;
	return INVALID_VALUE;
}

API CUresult cuDeviceGetCount(int *n) {
	CUresult r = ready(__func__);
	if (!r) *n = settings_now().devices;
	return r;
}

API CUresult cuDeviceGet(int *device, int ordinal) {
	CUresult r = ready(__func__);
	if (r) return r;
	if (!device_at(ordinal)) return INVALID_DEVICE;
	*device = ordinal;
	return OK;
}

API CUresult cuDeviceGetName(char *name, int size, int device) {
	CUresult r = ready(__func__);
	if (r) return r;
	if (!device_at(device)) return INVALID_DEVICE;
	snprintf(name, (size_t)size, "Fake %d", device);
	return OK;
}

API CUresult cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
	CUresult r = ready(__func__);
	if (r) return r;
	if (!device_at(device)) return INVALID_DEVICE;
	for (int i = 0; i < 16; i++) uuid[i] = (unsigned char)(0xa0 + i);
	uuid[15] = (unsigned char)device;
	return OK;
}

API CUresult cuDeviceGetPCIBusId(char *id, int size, int device) {
	CUresult r = ready(__func__);
	if (r) return r;
	if (!device_at(device)) return INVALID_DEVICE;
	snprintf(id, (size_t)size, "0000:%02x:00.0", device + 1);
	return OK;
}

API CUresult cuDeviceTotalMem_v2(size_t *bytes, int device) {
	CUresult r = ready(__func__);
	if (r) return r;
	if (!device_at(device)) return INVALID_DEVICE;
	*bytes = settings_now().memory;
	return OK;
}

API CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
	CUresult r = ready(__func__);
	if (r) return r;
	if (!device_at(device)) return INVALID_DEVICE;
	struct settings s = settings_now();
	switch (attribute) {
	case 13: *value = 1000000; return OK;
	case 16: *value = 2; return OK;
	case 36: *value = 2000000; return OK;
	case 37: *value = 64; return OK;
	case 38: *value = 1 << 20; return OK;
	case 75: *value = s.major; return OK;
	case 76: *value = s.minor; return OK;
	case 97: *value = device_optin(); return OK;
	}
	return INVALID_VALUE;
}

API CUresult cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
	CUresult r = ready(__func__);
	if (r) return r;
	if (!device_at(device)) return INVALID_DEVICE;
	return flags == 4 ? OK : INVALID_VALUE; // anything but BLOCKING_SYNC is a mistake of ours
}

API CUresult cuDevicePrimaryCtxRetain(void **context, int device) {
	CUresult r = ready(__func__);
	if (r) return r;
	struct device *d = device_at(device);
	if (!d) return INVALID_DEVICE;
	pthread_mutex_lock(&d->lock);
	if (!d->retained++) {
		d->life++;
		if (!d->executor) d->executor = executor_new();
		count("contexts", NULL, 1);
	}
	*context = d;
	return end(d, OK);
}

// The last one to give it back waits for the card, as the driver does.
API CUresult cuDevicePrimaryCtxRelease_v2(int device) {
	CUresult r = ready(__func__);
	if (r) return r;
	struct device *d = device_at(device);
	if (!d) return INVALID_DEVICE;
	pthread_mutex_lock(&d->lock);
	if (!d->retained) return end(d, INVALID_CONTEXT);
	if (d->retained == 1) {
		streams_drain(d);
		streams_drop(d);
		memory_drop(d);
		d->sticky = OK;
		count("contexts", NULL, -1);
	}
	d->retained--;
	return end(d, OK);
}

API CUresult cuCtxSetCurrent(void *context) {
	CUresult r = ready(__func__);
	if (r) return r;
	struct device *d = context;
	if (d) {
		pthread_mutex_lock(&d->lock);
		if (!d->retained) return end(d, INVALID_CONTEXT);
		bound_life = d->life;
		pthread_mutex_unlock(&d->lock);
	}
	bound = d;
	return OK;
}
