/* shared/io/netlink.h - requests to the kernel over a netlink socket
 *
 * A request is built with nl_begin() and nl_put*() in the handle's own buffer, then sent by
 * nl_ask(), which waits for the kernel's verdict, or by nl_list(), which hands each object of a
 * dump to a function.
 *
 * Errors  0 or -errno, the kernel's own where it has an opinion.
 */
#ifndef SHARED_IO_NETLINK_H
#define SHARED_IO_NETLINK_H

#include <stddef.h>
#include <stdint.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#define NL_REQUEST_BYTES 512u
#define NL_REPLY_BYTES   32768u

struct nl {
	int fd;
	uint32_t seq;
	size_t len; /* of the request */
	union {
		struct nlmsghdr head;
		uint8_t bytes[NL_REQUEST_BYTES];
	} request;
	union {
		struct nlmsghdr head;
		uint8_t bytes[NL_REPLY_BYTES];
	} reply;
};

/* @protocol: NETLINK_ROUTE, NETLINK_SOCK_DIAG. */
int nl_open(struct nl *nl, int protocol);
void nl_close(struct nl *nl);

/* Starts a request; returns its fixed part, @bytes long and zeroed. */
void *nl_begin(struct nl *nl, uint16_t type, uint16_t flags, size_t bytes);
void nl_put(struct nl *nl, uint16_t type, const void *data, size_t len);
void nl_put_u32(struct nl *nl, uint16_t type, uint32_t value);
int nl_ask(struct nl *nl);

/* A negative value ends the listing and is returned. Requests may not be made from within. */
typedef int (*nl_fn)(const struct nlmsghdr *h, void *arg);
int nl_list(struct nl *nl, nl_fn fn, void *arg);

/* Of several attributes, @bytes in all, the one of this type; NULL: there is none. */
const struct rtattr *nl_find(const void *attributes, size_t bytes, uint16_t type);
/* The attribute of this type behind a fixed part of @bytes, if its payload has at least @min bytes;
 * else NULL. */
const void *nl_attr(const struct nlmsghdr *h, size_t bytes, uint16_t type, size_t min);

#endif
