/* shared/io/listeners.c - which ports programs of this machine wait at */
#include "io/listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include "common/util.h"

int listeners_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

static int ask(int fd, int family, int protocol)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} m = {
		.head = {
			.nlmsg_len = sizeof(m),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.req = {
			.sdiag_family = (uint8_t)family,
			.sdiag_protocol = (uint8_t)protocol,
			/* CLOSE is what a UDP socket without a peer is in */
			.idiag_states = 1u << (protocol == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE),
		},
	};

	return send(fd, &m, sizeof(m), 0) < 0 ? -errno : 0;
}

static bool v6only(const struct nlmsghdr *h, const struct inet_diag_msg *m)
{
	const struct rtattr *a = (const void *)(m + 1);
	size_t left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*m));

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(a) >= 1)
			return *(const uint8_t *)RTA_DATA(a) != 0;
	return false;
}

/* --- the set --- */

static unsigned protocol_index(const struct listener *at)
{
	return at->protocol == IPPROTO_UDP;
}

static unsigned family_index(const struct listener *at)
{
	return at->family == 6;
}

static void set(uint64_t bits[2][2][65536 / 64], const struct listener *at)
{
	bits[protocol_index(at)][family_index(at)][at->port / 64] |= 1ull << (at->port % 64);
}

static void clear(uint64_t bits[2][2][65536 / 64], const struct listener *at)
{
	bits[protocol_index(at)][family_index(at)][at->port / 64] &= ~(1ull << (at->port % 64));
}

static bool is_other(const struct listener *at)
{
	return !listener_is_any(at) && !listener_is_loopback(at);
}

/* Where it is among the others; n_others: it is not. */
static unsigned find_other(const struct listeners *l, const struct listener *at)
{
	unsigned i = 0;

	while (i < l->n_others && !listener_same(&l->others[i], at))
		i++;
	return i;
}

bool listeners_has(const struct listeners *l, const struct listener *at)
{
	if (is_other(at))
		return find_other(l, at) < l->n_others;
	return l->bits[protocol_index(at)][family_index(at)][at->port / 64] >> (at->port % 64) & 1;
}

void listeners_clear(struct listeners *l, const struct listener *at)
{
	if (is_other(at)) {
		unsigned i = find_other(l, at);

		if (i < l->n_others)
			l->others[i] = l->others[--l->n_others];
		return;
	}
	clear(l->bits, at);
	clear(l->any, at);
}

void listeners_fold(struct listeners *l)
{
	memset(l->any, 0, sizeof(l->any));
	l->n_others = 0;
}

void listeners_keep(struct listeners *l, const struct listeners *others)
{
	for (unsigned at = 0; at < 4; at++)
		for (unsigned i = 0; i < 65536 / 64; i++)
			l->bits[at / 2][at % 2][i] &= others->bits[at / 2][at % 2][i];
}

static void difference_of_ports(const struct listeners *now, const struct listeners *before,
				unsigned protocol, unsigned family,
				void (*fn)(const struct listener *l, void *arg), void *arg)
{
	const uint64_t *is = now->bits[protocol][family], *was = before->bits[protocol][family];
	const uint64_t *any = now->any[protocol][family], *was_any = before->any[protocol][family];

	for (unsigned i = 0; i < 65536 / 64; i++) {
		uint64_t fresh = is[i] & (~was[i] | (any[i] ^ was_any[i]));

		for (; fresh; fresh &= fresh - 1) {
			unsigned bit = (unsigned)__builtin_ctzll(fresh);
			struct listener l = (any[i] >> bit & 1 ? listener_any : listener_loopback)(
				family ? 6 : 4, protocol ? IPPROTO_UDP : IPPROTO_TCP, i * 64 + bit);

			fn(&l, arg);
		}
	}
}

void listeners_difference(const struct listeners *now, const struct listeners *before,
			  void (*fn)(const struct listener *l, void *arg), void *arg)
{
	for (unsigned at = 0; at < 4; at++)
		difference_of_ports(now, before, at / 2, at % 2, fn, arg);
	for (unsigned i = 0; i < now->n_others; i++)
		if (find_other(before, &now->others[i]) == before->n_others)
			fn(&now->others[i], arg);
}

/* --- reading it --- */

struct reading {
	struct listeners *to;
	unsigned protocol;
	unsigned first, last; /* ports the kernel gives to clients */
};

/* UDP sockets of clients wait for answers at these ports, or they belong to the guest's own network. */
static bool is_of_clients(const struct reading *r, unsigned port)
{
	static const unsigned own[] = { 53, 68, 546, 5353, 5355 };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (port == own[i])
			return true;
	return port >= r->first && port <= r->last;
}

static bool is_reachable(const struct listener *at)
{
	if (at->family == 4)
		return at->address[0] != 127;
	return !IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)at->address) &&
	       !IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)at->address) &&
	       !IN6_IS_ADDR_MULTICAST((const struct in6_addr *)at->address);
}

static void add_any(struct listeners *l, const struct listener *at)
{
	set(l->bits, at);
	set(l->any, at);
}

static void note(struct reading *r, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct listener at = { .protocol = r->protocol };
	struct listeners *l = r->to;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return;
	at.family = m->idiag_family == AF_INET6 ? 6 : 4;
	at.port = ntohs(m->id.idiag_sport);
	memcpy(at.address, m->id.idiag_src, at.family == 6 ? 16 : 4);
	if (at.port == 0 || (at.protocol == IPPROTO_UDP && is_of_clients(r, at.port)))
		return;
	if (listener_is_loopback(&at)) {
		set(l->bits, &at);
	} else if (listener_is_any(&at)) {
		add_any(l, &at);
		at.family = 4;
		if (m->idiag_family == AF_INET6 && !v6only(h, m))
			add_any(l, &at);
	} else if (is_reachable(&at) && l->n_others < LISTENERS_OTHERS &&
		   find_other(l, &at) == l->n_others) {
		l->others[l->n_others++] = at;
	}
}

/* 1: more to come, 0: the end, -errno */
static int receive(int fd, struct reading *r)
{
	_Alignas(struct nlmsghdr) char buf[32768];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);
	size_t left;

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	left = (size_t)n;
	for (const struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			note(r, h);
	}
	return 1;
}

static void read_client_ports(struct reading *r)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	r->first = 32768;
	r->last = 60999;
	if (!f)
		return;
	if (fscanf(f, "%u %u", &r->first, &r->last) != 2) {
		r->first = 32768;
		r->last = 60999;
	}
	fclose(f);
}

static int read_protocol(int fd, struct reading *r, unsigned protocol)
{
	static const int families[] = { AF_INET, AF_INET6 };

	r->protocol = protocol;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		int e = ask(fd, families[i], (int)protocol);

		if (e < 0)
			return e;
		do
			e = receive(fd, r);
		while (e > 0);
		if (e < 0)
			return e;
	}
	return 0;
}

int listeners_read(int fd, struct listeners *ret)
{
	struct reading r = { .to = ret };
	int e;

	memset(ret, 0, sizeof(*ret));
	read_client_ports(&r);
	e = read_protocol(fd, &r, IPPROTO_TCP);
	if (e == 0)
		read_protocol(fd, &r, IPPROTO_UDP); /* a kernel without udp_diag has none */
	return e;
}
