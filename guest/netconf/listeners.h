/* guest/netconf/listeners.h - which TCP ports the VM listens on, by sock_diag(7)
 *
 * A set of (family, port) pairs. Sockets bound to a wildcard or a loopback address count; a
 * dual-stack socket on [::] counts for both families (spec network.md section 4).
 */
#ifndef GUEST_NETCONF_LISTENERS_H
#define GUEST_NETCONF_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

struct listeners {
	uint64_t bits[2][65536 / 64]; /* [0]: IPv4, [1]: IPv6 */
};

/* A netlink socket for listeners_read(): fd or -errno. */
int listeners_open(void);
int listeners_read(int fd, struct listeners *ret);

static inline bool listeners_has(const struct listeners *l, unsigned family, unsigned port)
{
	return l->bits[family == 6][port / 64] >> (port % 64) & 1;
}

/* Calls @fn for every pair that is in @now and not in @before. */
void listeners_difference(const struct listeners *now, const struct listeners *before,
			  void (*fn)(unsigned family, unsigned port, void *arg), void *arg);

#endif
