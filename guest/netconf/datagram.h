/* guest/netconf/datagram.h - the guest's end of forwarded connections: sockets to its own loopback */
#ifndef GUEST_NETCONF_DATAGRAM_H
#define GUEST_NETCONF_DATAGRAM_H

struct listener;
struct loop;

/* A non-blocking socket that connects, or with UDP is connected, to the loopback address of @at's
 * family; -1 with errno set. */
int local_connect(const struct listener *at);

/* Joins @stream, which is taken, with a UDP socket to @at until it ends or is idle. */
void datagram_serve(struct loop *loop, const struct listener *at, int stream);

#endif
