/* shared/io/listeners.h - which ports programs of this machine wait at, by sock_diag(7)
 *
 * A set of families, protocols and ports. Sockets bound to a wildcard or a loopback address count; a
 * dual-stack socket on [::] counts for both families (spec network.md section 4). TCP: what listens.
 * UDP: what is not connected, apart from ports the kernel hands out to clients and those of DNS,
 * DHCP and multicast names, which mean the guest itself.
 */
#ifndef SHARED_IO_LISTENERS_H
#define SHARED_IO_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

#include "io/listener.h"

struct listeners {
	uint64_t bits[2][2][65536 / 64]; /* [0]: TCP, [1]: UDP; [0]: IPv4, [1]: IPv6 */
};

/* A netlink socket for listeners_read(): fd or -errno. */
int listeners_open(void);
int listeners_read(int fd, struct listeners *ret);

static inline bool listeners_has(const struct listeners *l, const struct listener *at)
{
	return l->bits[at->protocol == IPPROTO_UDP][at->family == 6][at->port / 64] >>
		       (at->port % 64) &
	       1;
}

static inline void listeners_clear(struct listeners *l, const struct listener *at)
{
	l->bits[at->protocol == IPPROTO_UDP][at->family == 6][at->port / 64] &=
		~(1ull << (at->port % 64));
}

/* Removes from @l what is not in @others, too. */
void listeners_keep(struct listeners *l, const struct listeners *others);
/* Calls @fn for everything that is in @now and not in @before. */
void listeners_difference(const struct listeners *now, const struct listeners *before,
			  void (*fn)(const struct listener *l, void *arg), void *arg);

#endif
