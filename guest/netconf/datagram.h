/* guest/netconf/datagram.h - datagrams between a stream and a UDP socket */
#ifndef GUEST_NETCONF_DATAGRAM_H
#define GUEST_NETCONF_DATAGRAM_H

struct listener;
struct loop;

/* Joins @stream, which is taken, with a UDP socket to @at until it ends or is idle. */
void datagram_serve(struct loop *loop, const struct listener *at, int stream);

#endif
