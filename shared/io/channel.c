/* shared/io/channel.c - framed messages over a stream socket
 *
 * THEORY OF OPERATION
 *   Input collects in one growing buffer; whole messages are handed out from its front. Output goes
 *   to the socket at once while nothing is queued; what does not fit waits in a list of frames until
 *   the loop reports room. Descriptors ride on the first byte of their frame. Freeing during a
 *   callback only marks the channel; the dispatcher frees it when it has unwound.
 */
#include "io/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/util.h"
#include "io/loop.h"
#include "io/socket.h"

struct frame {
	struct frame *next;
	size_t len, sent;
	int fds[LIMIT_MESSAGE_FDS];
	unsigned n_fds;
	uint8_t data[];
};

struct channel {
	struct loop *loop;
	struct watch *watch;
	const struct channel_ops *ops;
	void *arg;
	int fd;
	uint8_t *in;
	size_t in_len, in_size;
	int fds[LIMIT_MESSAGE_FDS];
	unsigned n_fds;
	struct frame *out, **out_end;
	size_t out_bytes;
	uint32_t seq;
	int busy; /* callbacks on the stack */
	bool dead, closing, flushing;
};

static void channel_ready(struct watch *w, int fd, uint32_t events, void *arg);

struct channel *channel_new(struct loop *loop, int fd, const struct channel_ops *ops, void *arg)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (!c || fd_set_nonblock(fd, 1) < 0)
		goto fail;
	*c = (struct channel) { .loop = loop, .ops = ops, .arg = arg, .fd = fd };
	c->out_end = &c->out;
	c->watch = loop_watch(loop, fd, EPOLLIN, channel_ready, c);
	if (c->watch)
		return c;
fail:
	close(fd);
	free(c);
	return NULL;
}

static void frame_free(struct frame *f)
{
	for (unsigned i = 0; i < f->n_fds; i++)
		drop_fd(&f->fds[i]);
	free(f);
}

static void destroy(struct channel *c)
{
	while (c->out) {
		struct frame *f = c->out;

		c->out = f->next;
		frame_free(f);
	}
	for (unsigned i = 0; i < c->n_fds; i++)
		drop_fd(&c->fds[i]);
	free(c->in);
	free(c);
}

struct channel *channel_free(struct channel *c)
{
	if (!c || c->dead)
		return NULL;
	c->dead = true;
	c->watch = watch_remove(c->watch);
	drop_fd(&c->fd);
	if (!c->busy)
		destroy(c);
	return NULL;
}

void channel_set_owner(struct channel *c, const struct channel_ops *ops, void *arg)
{
	c->ops = ops;
	c->arg = arg;
}

int channel_fd(const struct channel *c)
{
	return c->fd;
}

uint32_t channel_next_seq(struct channel *c)
{
	if (++c->seq == 0)
		c->seq = 1;
	return c->seq;
}

static void leave(struct channel *c)
{
	if (--c->busy == 0 && c->dead)
		destroy(c);
}

static void fail(struct channel *c, int reason)
{
	if (c->dead || c->closing)
		return;
	c->closing = true;
	c->watch = watch_remove(c->watch);
	if (c->flushing) {
		channel_free(c);
		return;
	}
	c->busy++;
	c->ops->on_close(c, reason, c->arg);
	leave(c);
}

/* Writes queued frames; returns 0 (all gone or the socket is full) or -errno. */
static int flush(struct channel *c)
{
	while (c->out) {
		struct frame *f = c->out;
		ssize_t n = send_fds(c->fd, f->data + f->sent, f->len - f->sent, f->fds,
				     f->sent ? 0 : f->n_fds, MSG_DONTWAIT);

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		f->sent += (size_t)n;
		if (f->sent < f->len)
			continue;
		c->out = f->next;
		if (!c->out)
			c->out_end = &c->out;
		c->out_bytes -= f->len;
		frame_free(f);
	}
	return 0;
}

static void update_events(struct channel *c)
{
	if (c->watch)
		watch_set(c->watch, (c->flushing ? 0 : EPOLLIN) | (c->out ? EPOLLOUT : 0));
}

static int frame_add_fds(struct frame *f, const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

		if (fd < 0)
			return -errno;
		f->fds[f->n_fds++] = fd;
	}
	return 0;
}

int channel_send_fds(struct channel *c, uint16_t type, uint32_t seq, const void *msg, const int *fds,
		     unsigned n_fds)
{
	size_t len = message_size(type, msg);
	struct frame *f;
	ssize_t n;
	int r;

	if (c->dead || c->closing)
		return -EPIPE;
	if (len > LIMIT_MESSAGE_BYTES || n_fds > LIMIT_MESSAGE_FDS)
		return -EMSGSIZE;
	if (c->out_bytes + len > LIMIT_CHANNEL_QUEUE)
		return -ENOBUFS;
	f = calloc(1, sizeof(*f) + len);
	if (!f)
		return -ENOMEM;
	f->len = len;
	n = message_encode(type, seq, n_fds, msg, f->data, len);
	r = n < 0 ? (int)n : frame_add_fds(f, fds, n_fds);
	if (r < 0) {
		frame_free(f);
		return r;
	}
	*c->out_end = f;
	c->out_end = &f->next;
	c->out_bytes += len;
	r = flush(c);
	update_events(c);
	return r; /* the loop reports a broken socket through on_close */
}

int channel_send(struct channel *c, uint16_t type, uint32_t seq, const void *msg)
{
	return channel_send_fds(c, type, seq, msg, NULL, 0);
}

int channel_result(struct channel *c, uint32_t seq, const struct err *err)
{
	struct msg_result m = { 0 };

	if (err) {
		m.errnum = (uint32_t)(err->errnum ? err->errnum : EIO);
		m.error = err->id;
		m.text = err->text;
		m.context = err->context;
	}
	return channel_send(c, MSG_RESULT, seq, &m);
}

int message_result(const struct msg_result *m, struct err *err)
{
	if (m->errnum == 0)
		return 0;
	if (m->errnum > 4095)
		return err_set(err, -EPROTO, "the peer answered with an impossible error number");
	if (err) {
		err_set(err, -(int)m->errnum, "%s", m->text);
		err->id = m->error < ERR_ID_COUNT ? (enum err_id)m->error : ERR_NONE;
		snprintf(err->context, sizeof(err->context), "%s", m->context);
	}
	return -(int)m->errnum;
}

/* Hands out one message from the front; 1: done, 0: incomplete, -errno: broken peer. */
static int dispatch_one(struct channel *c, size_t *used)
{
	union message_any any = { 0 };
	struct channel_message m = { .msg = &any, .fds = c->fds };
	const uint8_t *at = c->in + *used;
	size_t have = c->in_len - *used;
	int r;

	if (have < MESSAGE_HEADER)
		return 0;
	r = message_header_decode(at, &m.header);
	if (r == -EBADMSG)
		return r;
	if (have < m.header.length)
		return 0;
	if (m.header.fds > c->n_fds)
		return -EBADMSG;
	*used += m.header.length;
	m.n_fds = m.header.fds;
	if (r == 0)
		r = message_decode(m.header.type, at + MESSAGE_HEADER,
				   m.header.length - MESSAGE_HEADER, &any);
	if (r == 0)
		c->ops->on_message(c, &m, c->arg);
	for (unsigned i = 0; i < m.n_fds; i++)
		drop_fd(&c->fds[i]);
	c->n_fds -= m.n_fds;
	memmove(c->fds, c->fds + m.n_fds, c->n_fds * sizeof(int));
	if (r == -EOPNOTSUPP && !c->dead) { /* a newer peer: refuse clearly, go on */
		struct err err = ERR_INIT;

		err_id(&err, ERR_WSL_E_PROTOCOL_MISMATCH, "message type 0x%x is not known here",
		       m.header.type);
		channel_result(c, m.header.seq, &err);
		r = 0;
	}
	return r < 0 ? r : 1;
}

static int dispatch(struct channel *c)
{
	size_t used = 0;
	int r;

	do
		r = dispatch_one(c, &used);
	while (r > 0 && !c->dead && !c->closing);
	if (!c->dead) {
		c->in_len -= used;
		memmove(c->in, c->in + used, c->in_len);
	}
	return r;
}

static int make_room(struct channel *c)
{
	size_t size = c->in_size ? c->in_size * 2 : 4096;
	uint8_t *in;

	if (c->in_size - c->in_len >= 2048)
		return 0;
	if (size > 2 * LIMIT_MESSAGE_BYTES)
		return -EBADMSG;
	in = realloc(c->in, size);
	if (!in)
		return -ENOMEM;
	c->in = in;
	c->in_size = size;
	return 0;
}

static void receive(struct channel *c)
{
	while (!c->dead && !c->closing) {
		unsigned n_fds = 0;
		ssize_t n;
		int r = make_room(c);

		if (r < 0) {
			fail(c, r);
			return;
		}
		n = recv_fds(c->fd, c->in + c->in_len, c->in_size - c->in_len, c->fds + c->n_fds,
			     LIMIT_MESSAGE_FDS - c->n_fds, &n_fds, MSG_DONTWAIT);
		c->n_fds += n_fds;
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			fail(c, n < 0 ? (int)n : c->in_len ? -EPIPE : -ENODATA);
			return;
		}
		c->in_len += (size_t)n;
		r = dispatch(c);
		if (r < 0)
			fail(c, r);
	}
}

static void channel_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct channel *c = arg;
	int r = 0;

	(void)w, (void)fd;
	c->busy++;
	/* Reading first, and again when writing fails: a peer's last words count, even if it left
	 * before ours arrived. */
	if (!c->flushing && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		receive(c);
	if (!c->dead && !c->closing && (events & EPOLLOUT)) {
		r = flush(c);
		if (r < 0 && !c->flushing)
			receive(c);
		if (r < 0)
			fail(c, r);
		else if (c->flushing && !c->out)
			channel_free(c);
		else
			update_events(c);
	}
	if (!c->dead && c->flushing && (events & (EPOLLHUP | EPOLLERR)))
		channel_free(c);
	leave(c);
}

void channel_free_after_flush(struct channel *c)
{
	if (!c || c->dead)
		return;
	if (!c->out || c->closing) {
		channel_free(c);
		return;
	}
	c->flushing = true;
	update_events(c);
}
