/* shared/io/channel.h - a stream socket that carries framed messages, driven by the loop
 *
 * Ownership  channel_new() takes the descriptor. channel_free() closes it; it may be called from
 *            any callback, its own included. The payload and the descriptors given to on_message are
 *            the channel's: take a descriptor by setting its slot to -1.
 * Errors     a peer that breaks framing, floods (LIMIT_CHANNEL_QUEUE) or goes away ends the channel:
 *            on_close is called once with a negative errno value (-ENODATA: an orderly end).
 */
#ifndef SHARED_IO_CHANNEL_H
#define SHARED_IO_CHANNEL_H

#include <stdint.h>

#include "protocol/message.h"

struct channel;
struct loop;

struct channel_message {
	struct message_header header;
	const void *msg; /* the decoded struct of header.type */
	int *fds;
	unsigned n_fds;
};

struct channel_ops {
	void (*on_message)(struct channel *c, struct channel_message *m, void *arg);
	void (*on_close)(struct channel *c, int reason, void *arg);
};

/* NULL when memory is out (the descriptor is closed then, too). */
struct channel *channel_new(struct loop *loop, int fd, const struct channel_ops *ops, void *arg);
struct channel *channel_free(struct channel *c);

/* Queues a message; descriptors are duplicated. 0 or -errno; a failed channel reports on_close later. */
int channel_send(struct channel *c, uint16_t type, uint32_t seq, const void *msg);
int channel_send_fds(struct channel *c, uint16_t type, uint32_t seq, const void *msg, const int *fds,
		     unsigned n_fds);
/* A RESULT: success, or the error. */
struct err;
int channel_result(struct channel *c, uint32_t seq, const struct err *err_or_null);

/* Fills *err from a received RESULT; returns 0 for success, else -errnum. */
int message_result(const struct msg_result *m, struct err *err);

/* Hands the channel to another owner, also from within a callback. */
void channel_set_owner(struct channel *c, const struct channel_ops *ops, void *arg);
int channel_fd(const struct channel *c);
uint32_t channel_next_seq(struct channel *c); /* 1, 2, 3, ... */
/* Frees the channel once everything queued is written or the peer is gone; no callbacks any more. */
void channel_free_after_flush(struct channel *c);

#endif
