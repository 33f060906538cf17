/* guest/boot/transport.h - the way to the host: AF_VSOCK in the VM, UNIX sockets in tests/guest
 *
 * tests/guest links its own implementation in the place of transport.c.
 *
 * Errors  descriptors or -errno. All descriptors are close-on-exec; connected and accepted ones are
 *         non-blocking.
 */
#ifndef GUEST_BOOT_TRANSPORT_H
#define GUEST_BOOT_TRANSPORT_H

#include <stdint.h>

/* Begins to connect a control channel to the service; host_connect_finish() waits for it (and
 * closes the descriptor if that fails), so that other work fits in between. */
int host_connect_start(void);
int host_connect_finish(int fd, uint64_t deadline_ms);

/* A listener for the streams of one session, at a port the kernel chooses. */
int session_listen(uint32_t *ret_port);
/* Takes one connection; refuses peers that are not the host. -EAGAIN: nobody (left) there. */
int session_accept(int listener);

#endif
