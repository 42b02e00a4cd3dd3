#define _GNU_SOURCE
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Leaves a text in the caller's error log, where there is one.
static void complain(unsigned n, const int *options, void **values, const char *text) {
	char *log = NULL;
	size_t size = 0;
	for (unsigned i = 0; i < n; i++) {
		if (options[i] == 5) log = values[i];
		if (options[i] == 6) size = (size_t)(uintptr_t)values[i];
	}
	if (log && size) snprintf(log, size, "ptxas application ptx input: %s\n", text);
}

static const struct kernel *named(const struct kernel *k, const char *name, size_t length) {
	for (; k->name; k++)
		if (strlen(k->name) == length && !memcmp(k->name, name, length)) return k;
	return NULL;
}

// Machine code needs no compiler. It says in its header for which card it is, and runs
// on those of the same major and at least the same minor version. Its kernels are the
// sections .text.NAME.
static CUresult load_code(struct device *d, struct settings s, struct module **out, const char *elf) {
	uint64_t sections;
	uint32_t flags;
	uint16_t size, n;
	memcpy(&sections, elf + 40, 8), memcpy(&flags, elf + 48, 4), memcpy(&size, elf + 58, 2), memcpy(&n, elf + 60, 2);
	int sm = flags & 0xff, cc = s.major * 10 + s.minor;
	if (sm / 10 != s.major || sm > cc) return NO_BINARY_FOR_GPU;
	struct module *m = calloc(1, sizeof *m);
	m->device = d, m->native = sm < 90;
	for (const struct kernel *k = sm < 80 ? kernels_75 : kernels_80; k->name && m->entries < MAX_ENTRIES; k++) {
		char name[64];
		int length = snprintf(name, sizeof name, ".text.%s", k->name);
		if (!memmem(elf, sections + (uint64_t)size * n, name, (size_t)length + 1)) continue;
		m->function[m->entries++] = (struct function){.kernel = k, .module = m, .allowed = 48 << 10};
	}
	m->next = d->modules;
	d->modules = *out = m;
	count("modules", NULL, 1);
	return OK;
}

// Reads what a compiler would have to know: version, target and the kernels' names.
API CUresult cuModuleLoadDataEx(struct module **out, const char *ptx, unsigned n, int *options, void **values) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	struct settings s = settings_now();
	int ours = s.only < 0 || s.only == d->ordinal;
	if (!memcmp(ptx, "\177ELF", 4)) return end(d, load_code(d, s, out, ptx));
	if (ours && s.nojit) return end(d, JIT_COMPILER_NOT_FOUND);
	int major, minor, sm, end_of_number = 0;
	char target[16] = "";
	const char *version = strstr(ptx, ".version "), *at = strstr(ptx, ".target ");
	if (!version || !at || sscanf(version, ".version %d.%d", &major, &minor) != 2 || sscanf(at, ".target %15[a-z_0-9]", target) != 1 ||
	    sscanf(target, "sm_%d%n", &sm, &end_of_number) != 1) {
		complain(n, options, values, "fatal   : Ptx assembly aborted due to errors");
		return end(d, INVALID_IMAGE);
	}
	if (major * 10 + minor > s.ptx_major * 10 + s.ptx_minor) {
		complain(n, options, values, "fatal   : Unsupported .version");
		return end(d, UNSUPPORTED_PTX_VERSION);
	}
	int cc = s.major * 10 + s.minor, exact = target[end_of_number] != 0;
	if (sm > cc || (exact && sm != cc) || (ours && !strcmp(s.reject, target))) {
		complain(n, options, values, "fatal   : SM version specified by .target is not supported");
		return end(d, INVALID_PTX);
	}
	struct module *m = calloc(1, sizeof *m);
	m->device = d, m->native = !exact;
	const struct kernel *table = sm < 80 ? kernels_75 : kernels_80;
	for (const char *entry = ptx; (entry = strstr(entry, ".visible .entry ")) && m->entries < MAX_ENTRIES;) {
		entry += strlen(".visible .entry ");
		m->function[m->entries].kernel = named(table, entry, strcspn(entry, " (\t\n"));
		m->function[m->entries].module = m;
		m->function[m->entries].allowed = 48 << 10;
		if (m->function[m->entries].kernel) m->entries++;
	}
	if (!strchr(ptx, '}')) {
		free(m);
		complain(n, options, values, "fatal   : no kernel");
		return end(d, INVALID_PTX);
	}
	m->next = d->modules;
	d->modules = *out = m;
	count("modules", NULL, 1);
	return end(d, OK);
}

static int live(struct device *d, struct module *m) {
	for (struct module *i = d->modules; i; i = i->next)
		if (i == m) return !i->unloaded;
	return 0;
}

API CUresult cuModuleUnload(struct module *m) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (!live(d, m)) return end(d, INVALID_HANDLE);
	m->unloaded = 1;
	count("modules", NULL, -1);
	return end(d, OK);
}

API CUresult cuModuleGetFunction(struct function **out, struct module *m, const char *name) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (!live(d, m)) return end(d, INVALID_HANDLE);
	for (int i = 0; i < m->entries; i++) {
		if (strcmp(m->function[i].kernel->name, name)) continue;
		*out = &m->function[i];
		return end(d, OK);
	}
	return end(d, NOT_FOUND);
}

API CUresult cuFuncSetAttribute(struct function *f, int attribute, int value) {
	struct device *d;
	CUresult r = begin(__func__, &d);
	if (r) return r;
	if (attribute != 8 || value < 0 || value > device_optin()) return end(d, INVALID_VALUE);
	if (value > 48 << 10) f->allowed = (unsigned)value;
	return end(d, OK);
}
