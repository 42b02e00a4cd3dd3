#define _GNU_SOURCE
#include "fake.h"

#include <stdio.h>
#include <string.h>

// The setting cc: 0 off, 1 on, 2 with developer tools, below zero not known to the driver.
API int nvmlSystemGetConfComputeState(unsigned *out) {
	struct settings s;
	int r = begin(__func__, NULL, &s);
	if (r) return r;
	int64_t cc = number(&s, NULL, "cc", 0);
	if (cc < 0) return NOT_SUPPORTED;
	out[0] = cc ? 2 : 0, out[1] = cc > 0, out[2] = cc == 2;
	return OK;
}

struct report {
	unsigned has_cec, size, cec_size;
	unsigned char nonce[32], report[8192], cec[4096];
};

// An SPDM 1.1 exchange as a card in the mode makes it, but for values and signature:
// the request with the nonce, 64 blocks, no opaque data.
API int nvmlDeviceGetConfComputeGpuAttestationReport(struct card *c, struct report *out) {
	CARD(c);
	if (number(&s, NULL, "cc", 0) <= 0) return NOT_SUPPORTED;
	static const unsigned char request[4] = {0x11, 0xe0, 0x01, 0xff}, response[4] = {0x11, 0x60, 0, 0};
	unsigned char *p = out->report;
	enum { BLOCKS = 64, BLOCK = 55 };
	memcpy(p, request, 4), memcpy(p + 4, out->nonce, 32), p[36] = 0, p += 37;
	memcpy(p, response, 4), p[4] = BLOCKS;
	p[5] = BLOCKS * BLOCK & 255, p[6] = BLOCKS * BLOCK >> 8, p[7] = 0, p += 8;
	for (int i = 0; i < BLOCKS; i++, p += BLOCK) {
		const unsigned char head[7] = {(unsigned char)(i + 1), 1, 51, 0, 1, 48, 0};
		memcpy(p, head, sizeof head);
		memset(p + sizeof head, i, BLOCK - sizeof head);
	}
	memset(p, 0xa5, 32), p += 32; // the card's own nonce
	p[0] = p[1] = 0, p += 2;
	memset(p, 0x5a, 96), p += 96; // where the signature stands
	out->has_cec = 0, out->cec_size = 0;
	out->size = (unsigned)number(&s, c, "report_size", p - out->report);
	return OK;
}

struct certificates {
	unsigned chain_size, attestation_size;
	unsigned char chain[4096], attestation[5120];
};

API int nvmlDeviceGetConfComputeGpuCertificate(struct card *c, struct certificates *out) {
	CARD(c);
	if (number(&s, NULL, "cc", 0) <= 0) return NOT_SUPPORTED;
	memset(out, 0, sizeof *out);
	char *at = (char *)out->attestation;
	for (int i = 0; i < 5; i++)
		at += sprintf(at, "-----BEGIN CERTIFICATE-----\nTm8gY2VydGlmaWNhdGUu\n-----END CERTIFICATE-----\n");
	out->attestation_size = (unsigned)number(&s, c, "certificate_size", at - (char *)out->attestation);
	return OK;
}
