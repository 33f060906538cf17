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

typedef uint64_t port_bits[65536 / 64];

static void set(port_bits *families, unsigned index, unsigned port)
{
	families[index][port / 64] |= 1ull << (port % 64);
}

static void note(port_bits *l, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	unsigned port = ntohs(m->id.idiag_sport);
	const struct in6_addr *six = (const void *)m->id.idiag_src;
	uint32_t four = m->id.idiag_src[0];

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || port == 0)
		return;
	if (m->idiag_family == AF_INET) {
		if (four == htonl(INADDR_ANY) || four == htonl(INADDR_LOOPBACK))
			set(l, 0, port);
	} else if (IN6_IS_ADDR_UNSPECIFIED(six)) {
		set(l, 1, port);
		if (!v6only(h, m))
			set(l, 0, port);
	} else if (IN6_IS_ADDR_LOOPBACK(six)) {
		set(l, 1, port);
	}
}

/* 1: more to come, 0: the end, -errno */
static int receive(int fd, port_bits *l)
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
			note(l, h);
	}
	return 1;
}

static void remove_port(port_bits *l, unsigned port)
{
	for (unsigned f = 0; f < 2; f++)
		l[f][port / 64] &= ~(1ull << (port % 64));
}

/* Sockets of clients wait for answers at these ports, or they belong to the guest's own network. */
static void remove_clients(port_bits *l)
{
	static const unsigned own[] = { 53, 68, 546, 5353, 5355 };
	unsigned first = 32768, last = 60999;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (f) {
		if (fscanf(f, "%u %u", &first, &last) != 2 || last > 65535) {
			first = 32768;
			last = 60999;
		}
		fclose(f);
	}
	for (unsigned port = first; port <= last; port += port % 64 || port + 63 > last ? 1 : 64) {
		if (port % 64 || port + 63 > last)
			remove_port(l, port);
		else
			l[0][port / 64] = l[1][port / 64] = 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		remove_port(l, own[i]);
}

static int read_protocol(int fd, int protocol, port_bits *l)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		int r = ask(fd, families[i], protocol);

		if (r < 0)
			return r;
		do
			r = receive(fd, l);
		while (r > 0);
		if (r < 0)
			return r;
	}
	return 0;
}

int listeners_read(int fd, struct listeners *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = read_protocol(fd, IPPROTO_TCP, ret->bits[0]);
	if (r < 0)
		return r;
	if (read_protocol(fd, IPPROTO_UDP, ret->bits[1]) < 0) /* a kernel without udp_diag */
		memset(ret->bits[1], 0, sizeof(ret->bits[1]));
	remove_clients(ret->bits[1]);
	return 0;
}

void listeners_keep(struct listeners *l, const struct listeners *others)
{
	for (unsigned at = 0; at < 4; at++)
		for (unsigned i = 0; i < 65536 / 64; i++)
			l->bits[at / 2][at % 2][i] &= others->bits[at / 2][at % 2][i];
}

void listeners_difference(const struct listeners *now, const struct listeners *before,
			  void (*fn)(const struct listener *l, void *arg), void *arg)
{
	for (unsigned at = 0; at < 4; at++) {
		const uint64_t *is = now->bits[at / 2][at % 2], *was = before->bits[at / 2][at % 2];

		for (unsigned i = 0; i < 65536 / 64; i++) {
			for (uint64_t fresh = is[i] & ~was[i]; fresh; fresh &= fresh - 1) {
				struct listener l = listener_loopback(
					at % 2 ? 6 : 4, at / 2 ? IPPROTO_UDP : IPPROTO_TCP,
					i * 64 + (unsigned)__builtin_ctzll(fresh));

				fn(&l, arg);
			}
		}
	}
}
