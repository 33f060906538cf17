/* tests/fuzz/fuzz-guest-dns.c - a program's DNS query, and a reply, as the guest's forwarder sees them */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/dns-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *m;
	size_t limit, cut;

	if (size < DNS_HEADER_BYTES) {
		if (dns_is_query(data, size))
			abort();
		return 0;
	}
	m = malloc(size);
	if (!m)
		return 0;
	memcpy(m, data, size);
	limit = dns_udp_limit(m, size);
	if (limit < DNS_UDP_MIN || limit > DNS_UDP_MAX)
		abort();
	cut = dns_truncate(m, size);
	if (cut < DNS_HEADER_BYTES || cut > size ||
	    dns_is_query(m, cut) != dns_is_query(data, size))
		abort();
	free(m);
	return 0;
}
