/* shared/io/netlink.c - requests to the kernel over a netlink socket */
#include "io/netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"

int nl_open(struct nl *nl, int protocol)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	nl->fd = fd;
	nl->seq = 0;
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int e = -errno;

		drop_fd(&nl->fd);
		return e;
	}
	return 0;
}

void nl_close(struct nl *nl)
{
	drop_fd(&nl->fd);
}

void *nl_begin(struct nl *nl, uint16_t type, uint16_t flags, size_t bytes)
{
	memset(&nl->request, 0, sizeof(nl->request));
	nl->len = NLMSG_HDRLEN + NLMSG_ALIGN(bytes);
	nl->request.head.nlmsg_type = type;
	nl->request.head.nlmsg_flags = NLM_F_REQUEST | flags;
	return nl->request.bytes + NLMSG_HDRLEN;
}

void nl_put(struct nl *nl, uint16_t type, const void *data, size_t len)
{
	struct rtattr a = { .rta_type = type, .rta_len = (unsigned short)RTA_LENGTH(len) };

	if (nl->len + RTA_SPACE(len) > sizeof(nl->request)) {
		nl->len = sizeof(nl->request) + 1; /* sticks; nl_send() refuses */
		return;
	}
	memcpy(nl->request.bytes + nl->len, &a, sizeof(a));
	memcpy(nl->request.bytes + nl->len + RTA_LENGTH(0), data, len);
	nl->len += RTA_SPACE(len);
}

void nl_put_u32(struct nl *nl, uint16_t type, uint32_t value)
{
	nl_put(nl, type, &value, sizeof(value));
}

static int nl_send(struct nl *nl, uint16_t flags)
{
	if (nl->len > sizeof(nl->request))
		return -EMSGSIZE;
	nl->request.head.nlmsg_len = (uint32_t)nl->len;
	nl->request.head.nlmsg_flags |= flags;
	nl->request.head.nlmsg_seq = ++nl->seq;
	return send(nl->fd, &nl->request, nl->len, 0) < 0 ? -errno : 0;
}

/* One datagram of the kernel: its length or -errno. */
static ssize_t nl_receive(struct nl *nl)
{
	ssize_t n;

	do
		n = recv(nl->fd, &nl->reply, sizeof(nl->reply), 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int verdict(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);

	return h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) ? -EBADMSG : e->error;
}

/* 1: done, 0: there is more, or -errno */
static int read_replies(struct nl *nl, nl_fn fn, void *arg, int *failed)
{
	ssize_t n = nl_receive(nl);
	uint32_t left = n < 0 ? 0 : (uint32_t)n;

	if (n < 0)
		return (int)n;
	for (const struct nlmsghdr *h = &nl->reply.head; NLMSG_OK(h, left);
	     h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_seq != nl->seq)
			continue; /* of a request that was given up */
		if (h->nlmsg_type == NLMSG_ERROR)
			return verdict(h) < 0 ? verdict(h) : 1;
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (fn && *failed == 0)
			*failed = fn(h, arg);
	}
	return 0;
}

static int read_all_replies(struct nl *nl, nl_fn fn, void *arg)
{
	int failed = 0, r;

	do
		r = read_replies(nl, fn, arg, &failed);
	while (r == 0);
	return r < 0 ? r : failed;
}

int nl_ask(struct nl *nl)
{
	int r = nl_send(nl, NLM_F_ACK);

	return r < 0 ? r : read_all_replies(nl, NULL, NULL);
}

int nl_list(struct nl *nl, nl_fn fn, void *arg)
{
	int r = nl_send(nl, NLM_F_DUMP);

	return r < 0 ? r : read_all_replies(nl, fn, arg);
}

const struct rtattr *nl_find(const void *attributes, size_t bytes, uint16_t type)
{
	const struct rtattr *a = attributes;
	size_t left = bytes;

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

const void *nl_attr(const struct nlmsghdr *h, size_t bytes, uint16_t type, size_t min)
{
	const struct rtattr *a = h->nlmsg_len < NLMSG_SPACE(bytes)
					 ? NULL
					 : nl_find((const uint8_t *)h + NLMSG_SPACE(bytes),
						   h->nlmsg_len - NLMSG_SPACE(bytes), type);

	return a && RTA_PAYLOAD(a) >= min ? RTA_DATA(a) : NULL;
}
