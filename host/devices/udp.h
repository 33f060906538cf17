/* host/devices/udp.h - a UDP port of the host's loopback whose datagrams go to the guest's
 *
 * Each peer is a stream of its own to one vsock port, see io/datagrams.h, so
 * that the guest's program sees as many peers as there are and answers reach the right one.
 */
#ifndef HOST_DEVICES_UDP_H
#define HOST_DEVICES_UDP_H

#include <stdint.h>

struct loop;
struct udp_forward;
struct vsock;

/* Takes @fd, a bound, non-blocking socket; closes it also when memory is out (NULL). */
struct udp_forward *udp_forward_new(struct loop *loop, struct vsock *vsock, uint32_t port, int fd);
struct udp_forward *udp_forward_free(struct udp_forward *u);

#endif
