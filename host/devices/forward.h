/* host/devices/forward.h - host ports whose connections go to the guest's loopback
 *
 * Sockets come from wslservice (RELAY_FORWARD): the relay itself cannot make them. An
 * accepted connection becomes a stream to the vsock port that the message names, where the guest's
 * localhost process joins it with the program that listens.
 */
#ifndef HOST_DEVICES_FORWARD_H
#define HOST_DEVICES_FORWARD_H

struct forwards;
struct loop;
struct msg_port;
struct vsock;

struct forwards *forwards_new(struct loop *loop, struct vsock *vsock);
struct forwards *forwards_free(struct forwards *all);
/* Takes @socket. 0 or -errno; what is not a listener is refused. */
int forwards_add(struct forwards *all, const struct msg_port *port, int socket);
void forwards_remove(struct forwards *all, const struct msg_port *port);

#endif
