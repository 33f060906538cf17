/* shared/io/datagrams.h - datagrams over a stream, each with its length before it
 *
 * How UDP crosses the border to the guest: 2 bytes of length, most significant first, then the bytes.
 * As with UDP itself what cannot be sent at once is lost, whole; what was sent arrives once, in order.
 *
 * Ownership  datagrams_new() takes the stream; datagrams_free() closes it. It may be called from both
 *            callbacks.
 * End        on_end is called once: the stream ended, or nothing passed for the idle time.
 */
#ifndef SHARED_IO_DATAGRAMS_H
#define SHARED_IO_DATAGRAMS_H

#include <stddef.h>
#include <stdint.h>

#define DATAGRAM_MAX_BYTES 65535u

struct datagrams;
struct loop;

struct datagrams_ops {
	void (*on_datagram)(struct datagrams *d, const uint8_t *data, size_t len, void *arg);
	void (*on_end)(struct datagrams *d, void *arg);
};

/* @fd: non-blocking. NULL when memory is out (it is closed then, too). */
struct datagrams *datagrams_new(struct loop *loop, int fd, uint64_t idle_ms,
				const struct datagrams_ops *ops, void *arg);
struct datagrams *datagrams_free(struct datagrams *d);
void datagrams_send(struct datagrams *d, const uint8_t *data, size_t len);

#endif
