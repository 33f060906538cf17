/* shared/io/udp-port.h - a UDP socket each of whose peers has a stream of its own
 *
 * The stream carries datagrams as io/datagrams.h has them, so that who serves it sees as many peers as
 * there are and answers reach the right one, from the address it had asked.
 */
#ifndef SHARED_IO_UDP_PORT_H
#define SHARED_IO_UDP_PORT_H

struct loop;
struct udp_port;

/* A peer has come; takes @stream, non-blocking, and closes it if it cannot serve it. */
typedef void (*udp_port_fn)(void *arg, int stream);

/* Takes @fd, as listener_open() makes it; closes it also when memory is out (NULL). */
struct udp_port *udp_port_new(struct loop *loop, int fd, udp_port_fn fn, void *arg);
struct udp_port *udp_port_free(struct udp_port *u); /* streams end */

#endif
