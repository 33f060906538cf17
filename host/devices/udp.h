/* host/devices/udp.h - a UDP port of the host's loopback whose datagrams go to the guest's
 *
 * Each peer is a stream of its own to VSOCK_PORT_FORWARD_UDP(family, port), see io/datagrams.h, so
 * that the guest's program sees as many peers as there are and answers reach the right one.
 */
#ifndef HOST_DEVICES_UDP_H
#define HOST_DEVICES_UDP_H

struct loop;
struct udp_forward;
struct vsock;

/* Takes @fd, a bound, non-blocking socket; closes it also when memory is out (NULL). */
struct udp_forward *udp_forward_new(struct loop *loop, struct vsock *vsock, unsigned family,
				    unsigned port, int fd);
struct udp_forward *udp_forward_free(struct udp_forward *u);

#endif
