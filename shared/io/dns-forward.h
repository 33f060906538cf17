/* shared/io/dns-forward.h - DNS queries of many clients over one stream to a resolver
 *
 * The stream carries DNS messages with a 2-byte length before each (RFC 1035 section 4.2.2), replies
 * in any order. It is opened when the first query needs it and again when it was lost; queries under
 * way are forgotten then, and their senders ask again, as resolvers do.
 */
#ifndef SHARED_IO_DNS_FORWARD_H
#define SHARED_IO_DNS_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#define DNS_FORWARD_QUERIES 1024u /* under way at a time; beyond, queries are dropped */
#define DNS_FORWARD_CLIENTS 64u   /* over TCP; beyond, connections are closed */

struct dns_forward;
struct loop;

struct dns_forward_ops {
	/* A stream to the resolver, non-blocking, connected or connecting; negative: there
	 * is none now. */
	int (*open)(void *arg);
	/* A reply for the datagram client that dns_forward_query() was told of, cut to the size that
	 * client takes. */
	void (*reply)(const void *client, const uint8_t *m, size_t len, void *arg);
};

/* @client_bytes: the size of what tells one datagram client from another. NULL: no memory. */
struct dns_forward *dns_forward_new(struct loop *loop, size_t client_bytes,
				    const struct dns_forward_ops *ops, void *arg);
struct dns_forward *dns_forward_free(struct dns_forward *d);

/* A query that came as a datagram; @client is copied. What is none is dropped. */
void dns_forward_query(struct dns_forward *d, const uint8_t *m, size_t len, const void *client);
/* Takes the non-blocking connection of a TCP client and serves it until it ends or is idle. */
void dns_forward_serve(struct dns_forward *d, int fd);

#endif
