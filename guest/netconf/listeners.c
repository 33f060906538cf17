/* guest/netconf/listeners.c - which TCP ports the VM listens on */
#include "netconf/listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

static int ask(int fd, int family)
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
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = 1u << TCP_LISTEN,
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

static void set(struct listeners *l, unsigned index, unsigned port)
{
	l->bits[index][port / 64] |= 1ull << (port % 64);
}

static void note(struct listeners *l, const struct nlmsghdr *h)
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
static int receive(int fd, struct listeners *l)
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

int listeners_read(int fd, struct listeners *ret)
{
	static const int families[] = { AF_INET, AF_INET6 };

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		int r = ask(fd, families[i]);

		if (r < 0)
			return r;
		do
			r = receive(fd, ret);
		while (r > 0);
		if (r < 0)
			return r;
	}
	return 0;
}

void listeners_difference(const struct listeners *now, const struct listeners *before,
			  void (*fn)(unsigned family, unsigned port, void *arg), void *arg)
{
	for (unsigned f = 0; f < 2; f++) {
		for (unsigned i = 0; i < ARRAY_SIZE(now->bits[f]); i++) {
			uint64_t fresh = now->bits[f][i] & ~before->bits[f][i];

			for (; fresh; fresh &= fresh - 1)
				fn(f ? 6 : 4, i * 64 + (unsigned)__builtin_ctzll(fresh), arg);
		}
	}
}
