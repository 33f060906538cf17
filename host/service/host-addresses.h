/* host/service/host-addresses.h - which addresses this host has, and that they have changed
 *
 * Errors  none: what cannot be found out is not there.
 */
#ifndef HOST_SERVICE_HOST_ADDRESSES_H
#define HOST_SERVICE_HOST_ADDRESSES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/limits.h"

struct host_watch;
struct loop;

/* Addresses of global scope of interfaces that are up, neither loopback nor bridges (whose addresses
 * are those of networks behind this host: a container engine in a guest has the same), at most
 * LIMIT_HOST_ADDRESSES of each family. */
struct host_addresses {
	/* Packets to the world leave from the first address; false: they do not leave at all. */
	bool route4, route6;
	bool ipv6;                    /* this host speaks it, if only on its loopback */
	unsigned n4, n6, deprecated6; /* the last ones of n6 are for answering only */
	struct in_addr four[LIMIT_HOST_ADDRESSES];
	struct in6_addr six[LIMIT_HOST_ADDRESSES];
};

void host_addresses_read(struct host_addresses *ret);
/* @address: network byte order, of the family 4 or 6 */
bool host_addresses_have(const struct host_addresses *a, unsigned family, const uint8_t *address);
bool host_addresses_same(const struct host_addresses *a, const struct host_addresses *b);

/* Calls @fn a moment after interfaces, addresses or routes of this host have changed, once for many
 * changes. NULL when the kernel does not tell. */
struct host_watch *host_watch_new(struct loop *loop, void (*fn)(void *arg), void *arg);
struct host_watch *host_watch_free(struct host_watch *h);

#endif
