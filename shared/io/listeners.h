/* shared/io/listeners.h - which ports programs of this machine wait at, by sock_diag(7)
 *
 * A set of listeners. A dual-stack socket on [::] counts for both families, 127/8 beside 127.0.0.1 and
 * link-local addresses not at all. TCP: what listens. UDP: what is not connected, apart from ports
 * the kernel hands out to clients and those of DNS, DHCP and multicast names, which mean the guest
 * itself.
 */
#ifndef SHARED_IO_LISTENERS_H
#define SHARED_IO_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

#include "io/listener.h"

#define LISTENERS_OTHERS 256u /* what is more is not seen */

struct listeners {
	/* [0]: TCP, [1]: UDP; [0]: IPv4, [1]: IPv6 */
	uint64_t bits[2][2][65536 / 64]; /* on the loopback or the wildcard address */
	uint64_t any[2][2][65536 / 64];  /* on the latter */
	unsigned n_others;               /* on an address of an interface */
	struct listener others[LISTENERS_OTHERS];
};

/* A netlink socket for listeners_read(): fd or -errno. */
int listeners_open(void);
int listeners_read(int fd, struct listeners *ret);

bool listeners_has(const struct listeners *l, const struct listener *at);
/* The port on loopback and wildcard, or at another address. */
void listeners_clear(struct listeners *l, const struct listener *at);
/* The wildcard counts as loopback, other addresses not at all. */
void listeners_fold(struct listeners *l);
/* Of two folded sets: removes from @l what is not in @others, too. */
void listeners_keep(struct listeners *l, const struct listeners *others);
/* Calls @fn for everything that is in @now and not in @before. */
void listeners_difference(const struct listeners *now, const struct listeners *before,
			  void (*fn)(const struct listener *l, void *arg), void *arg);

#endif
