/* shared/io/listener.h - a socket that waits for others: where it is bound, in messages, as a socket
 *
 * Sockets are non-blocking and close-on-exec; functions that make one return it or -errno.
 */
#ifndef SHARED_IO_LISTENER_H
#define SHARED_IO_LISTENER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct msg_port;

#define LISTENER_NAME (INET6_ADDRSTRLEN + sizeof("[]:65535/udp"))

struct listener {
	unsigned family, protocol, port; /* 4 or 6; IPPROTO_TCP or IPPROTO_UDP */
	uint8_t address[16];             /* of IPv4 the first 4 bytes, the others are zero */
};

/* With the loopback or the wildcard address of the family. */
struct listener listener_loopback(unsigned family, unsigned protocol, unsigned port);
struct listener listener_any(unsigned family, unsigned protocol, unsigned port);
bool listener_is_loopback(const struct listener *at); /* 127.0.0.1, ::1 */
bool listener_is_any(const struct listener *at);
bool listener_same(const struct listener *a, const struct listener *b);

/* "127.0.0.1:80", "[::]:53/udp" */
const char *listener_name(const struct listener *at, char name[LISTENER_NAME]);

/* From a peer that may say anything: false when it is not a listener. */
bool listener_parse(const struct msg_port *m, struct listener *ret);
/* The message's address points to @text. */
struct msg_port listener_message(const struct listener *at, uint32_t stream,
				 char text[INET6_ADDRSTRLEN]);

/* Bound there; with TCP listening, with UDP telling the address that was asked (IP_PKTINFO). An IPv6
 * wildcard is for IPv6 alone. */
int listener_open(const struct listener *at);
/* Connecting to it, with UDP connected. */
int listener_connect(const struct listener *at);

#endif
