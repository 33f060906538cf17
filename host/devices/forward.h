/* host/devices/forward.h - host ports whose connections go to the guest's loopback
 *
 * Listening sockets come from wslservice (RELAY_FORWARD): the relay itself cannot make them. An
 * accepted connection becomes a stream to VSOCK_PORT_FORWARD(family, port), where the guest's
 * localhost process joins it with the program that listens.
 */
#ifndef HOST_DEVICES_FORWARD_H
#define HOST_DEVICES_FORWARD_H

struct forwards;
struct loop;
struct vsock;

struct forwards *forwards_new(struct loop *loop, struct vsock *vsock);
struct forwards *forwards_free(struct forwards *f);
/* Takes @fd. @family 4 or 6, @port 1..65535; others are refused. 0 or -errno. */
int forwards_add(struct forwards *f, unsigned family, unsigned port, int fd);
void forwards_remove(struct forwards *f, unsigned family, unsigned port);

#endif
