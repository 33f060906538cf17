/* host/service/host-addresses.c - which addresses this host has, by rtnetlink(7)
 *
 * The first address of a family is found by connecting a datagram socket, which asks the routes as
 * programs do (several tables, marks, VPNs) and sends nothing. It counts whatever its interface: a
 * host whose only card is part of a bridge has its address there.
 */
#include "service/host-addresses.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_addr.h>
#include <linux/if_link.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "io/loop.h"
#include "io/netlink.h"

#define MAX_INTERFACES 4096u
#define SETTLE_MS      100u
#define GROUPS                                                                                     \
	(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |               \
	 RTMGRP_IPV6_ROUTE)

/* Benchmarking networks (RFC 2544, RFC 5180): somewhere out there, and nobody's. */
#define WORLD4 "198.18.0.1"
#define WORLD6 "2001:2::1"

struct reading {
	struct host_addresses *to;
	unsigned n_links;
	int links[MAX_INTERFACES]; /* indexes of interfaces that count */
	bool deprecated;           /* of this pass */
};

/* --- where packets to the world leave from --- */

static bool leaves_from(int family, const char *world, struct sockaddr_storage *ret)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	auto_close int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = (sa_family_t)family;
	four->sin_port = htons(9); /* at the same place in both */
	inet_pton(family, world,
		  family == AF_INET ? (void *)&four->sin_addr : (void *)&six->sin6_addr);
	return fd >= 0 && connect(fd, (struct sockaddr *)ret, len) == 0 &&
	       getsockname(fd, (struct sockaddr *)ret, &len) == 0;
}

static void read_primaries(struct host_addresses *a)
{
	struct sockaddr_storage sa;
	const struct sockaddr_in *four = (const struct sockaddr_in *)&sa;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&sa;

	if (leaves_from(AF_INET, WORLD4, &sa) && ntohl(four->sin_addr.s_addr) >> 24 != 127) {
		a->route4 = true;
		a->four[a->n4++] = four->sin_addr;
	}
	if (leaves_from(AF_INET6, WORLD6, &sa) && !IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) &&
	    !IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr)) {
		a->route6 = true;
		a->six[a->n6++] = six->sin6_addr;
	}
}

/* --- all of them --- */

static bool is_bridge(const struct nlmsghdr *h)
{
	static const char bridge[] = "bridge";
	const struct rtattr *info, *kind;

	info = nl_find(IFLA_RTA(NLMSG_DATA(h)), IFLA_PAYLOAD(h), IFLA_LINKINFO);
	kind = info ? nl_find(RTA_DATA(info), RTA_PAYLOAD(info), IFLA_INFO_KIND) : NULL;
	return kind && RTA_PAYLOAD(kind) >= sizeof(bridge) &&
	       memcmp(RTA_DATA(kind), bridge, sizeof(bridge)) == 0;
}

static int see_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	struct reading *r = arg;

	if (h->nlmsg_type == RTM_NEWLINK && h->nlmsg_len >= NLMSG_SPACE(sizeof(*m)) &&
	    (m->ifi_flags & (IFF_UP | IFF_LOOPBACK)) == IFF_UP && !is_bridge(h) &&
	    r->n_links < MAX_INTERFACES)
		r->links[r->n_links++] = m->ifi_index;
	return 0;
}

static bool counts(const struct reading *r, unsigned index)
{
	for (unsigned i = 0; i < r->n_links; i++)
		if ((unsigned)r->links[i] == index)
			return true;
	return false;
}

static void add4(struct host_addresses *a, const struct in_addr *address)
{
	for (unsigned i = 0; i < a->n4; i++)
		if (a->four[i].s_addr == address->s_addr)
			return;
	if (a->n4 < LIMIT_HOST_ADDRESSES)
		a->four[a->n4++] = *address;
}

static void add6(struct host_addresses *a, const struct in6_addr *address, bool deprecated)
{
	for (unsigned i = 0; i < a->n6; i++)
		if (IN6_ARE_ADDR_EQUAL(&a->six[i], address))
			return;
	if (a->n6 == LIMIT_HOST_ADDRESSES)
		return;
	a->six[a->n6++] = *address;
	a->deprecated6 += deprecated;
}

static int see_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	struct reading *r = arg;
	const void *bytes;
	size_t len;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_SPACE(sizeof(*m)))
		return 0;
	if (m->ifa_family == AF_INET6)
		r->to->ipv6 = true;
	if (m->ifa_scope != RT_SCOPE_UNIVERSE || !counts(r, m->ifa_index) ||
	    m->ifa_flags & (IFA_F_DADFAILED | IFA_F_TENTATIVE))
		return 0;
	len = m->ifa_family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	bytes = nl_attr(h, sizeof(*m), IFA_LOCAL, len);
	if (!bytes)
		bytes = nl_attr(h, sizeof(*m), IFA_ADDRESS, len);
	if (!bytes || r->deprecated != !!(m->ifa_flags & IFA_F_DEPRECATED))
		return 0;
	if (m->ifa_family == AF_INET)
		add4(r->to, bytes);
	else if (m->ifa_family == AF_INET6)
		add6(r->to, bytes, r->deprecated);
	return 0;
}

static int list(struct nl *nl, uint16_t type, size_t bytes, nl_fn fn, struct reading *r)
{
	nl_begin(nl, type, 0, bytes); /* of every family */
	return nl_list(nl, fn, r);
}

void host_addresses_read(struct host_addresses *ret)
{
	auto_free struct reading *r = calloc(1, sizeof(*r));
	auto_free struct nl *nl = calloc(1, sizeof(*nl));

	memset(ret, 0, sizeof(*ret));
	read_primaries(ret);
	ret->ipv6 = ret->route6;
	if (!r || !nl || nl_open(nl, NETLINK_ROUTE) < 0)
		return;
	r->to = ret;
	if (list(nl, RTM_GETLINK, sizeof(struct ifinfomsg), see_link, r) == 0 &&
	    list(nl, RTM_GETADDR, sizeof(struct ifaddrmsg), see_address, r) == 0) {
		r->deprecated = true;
		list(nl, RTM_GETADDR, sizeof(struct ifaddrmsg), see_address, r);
	}
	nl_close(nl);
}

bool host_addresses_have(const struct host_addresses *a, unsigned family, const uint8_t *address)
{
	for (unsigned i = 0; family == 4 && i < a->n4; i++)
		if (memcmp(&a->four[i], address, sizeof(a->four[i])) == 0)
			return true;
	for (unsigned i = 0; family == 6 && i < a->n6; i++)
		if (memcmp(&a->six[i], address, sizeof(a->six[i])) == 0)
			return true;
	return false;
}

bool host_addresses_same(const struct host_addresses *a, const struct host_addresses *b)
{
	return a->route4 == b->route4 && a->route6 == b->route6 && a->ipv6 == b->ipv6 &&
	       a->n4 == b->n4 && a->n6 == b->n6 && a->deprecated6 == b->deprecated6 &&
	       memcmp(a->four, b->four, a->n4 * sizeof(a->four[0])) == 0 &&
	       memcmp(a->six, b->six, a->n6 * sizeof(a->six[0])) == 0;
}

/* --- changes --- */

struct host_watch {
	void (*fn)(void *arg);
	void *arg;
	struct watch *watch;
	struct timer *settle;
	int fd;
};

/* What comes until things have settled stays in the socket, and what does not fit there is not missed:
 * only that there was something counts. A host with a busy routing table costs ten looks a second. */
static void changed(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct host_watch *h = arg;

	(void)fd, (void)events;
	watch_set(w, 0);
	timer_set(h->settle, SETTLE_MS);
}

static void settled(struct timer *t, void *arg)
{
	struct host_watch *h = arg;
	char dropped;

	(void)t;
	while (recv(h->fd, &dropped, sizeof(dropped), MSG_DONTWAIT) >= 0)
		continue;
	watch_set(h->watch, EPOLLIN);
	h->fn(h->arg);
}

struct host_watch *host_watch_new(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK, .nl_groups = GROUPS };
	struct host_watch *h = calloc(1, sizeof(*h));
	int one = 1;

	if (!h)
		return NULL;
	*h = (struct host_watch) { .fn = fn, .arg = arg, .fd = -1 };
	h->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	setsockopt(h->fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	h->settle = loop_timer(loop, settled, h);
	if (h->fd >= 0 && h->settle && bind(h->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		h->watch = loop_watch(loop, h->fd, EPOLLIN, changed, h);
	return h->watch ? h : host_watch_free(h);
}

struct host_watch *host_watch_free(struct host_watch *h)
{
	if (!h)
		return NULL;
	watch_remove(h->watch);
	timer_free(h->settle);
	drop_fd(&h->fd);
	free(h);
	return NULL;
}
