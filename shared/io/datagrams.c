/* shared/io/datagrams.c - datagrams over a stream, each with its length before it */
#include "io/datagrams.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "io/loop.h"

#define FRAME_MAX (2u + DATAGRAM_MAX_BYTES)

struct datagrams {
	struct loop *loop;
	const struct datagrams_ops *ops;
	void *arg;
	int fd;
	struct watch *watch;
	struct timer *idle;
	uint64_t idle_ms;
	bool *freed; /* set when it is freed within a callback */
	size_t in_len, out_len, out_sent;
	uint8_t in[FRAME_MAX], out[FRAME_MAX];
};

static void end(struct datagrams *d)
{
	d->watch = watch_remove(d->watch);
	timer_cancel(d->idle);
	d->ops->on_end(d, d->arg);
}

static bool flush(struct datagrams *d)
{
	ssize_t n;

	if (d->out_sent == d->out_len)
		return true;
	n = send(d->fd, d->out + d->out_sent, d->out_len - d->out_sent,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	d->out_sent += n > 0 ? (size_t)n : 0;
	watch_set(d->watch, EPOLLIN | (d->out_sent < d->out_len ? EPOLLOUT : 0));
	return true;
}

void datagrams_send(struct datagrams *d, const uint8_t *data, size_t len)
{
	if (!d->watch || d->out_sent < d->out_len || len > DATAGRAM_MAX_BYTES)
		return;
	d->out[0] = (uint8_t)(len >> 8);
	d->out[1] = (uint8_t)len;
	memcpy(d->out + 2, data, len);
	d->out_len = 2 + len;
	d->out_sent = 0;
	timer_set(d->idle, d->idle_ms);
	flush(d); /* a failure shows when the stream is read */
}

/* false: it was freed meanwhile */
static bool hand_out(struct datagrams *d)
{
	size_t used = 0;
	bool freed = false;

	d->freed = &freed;
	while (d->in_len - used >= 2) {
		size_t len = (size_t)d->in[used] << 8 | d->in[used + 1];

		if (d->in_len - used < 2 + len)
			break;
		d->ops->on_datagram(d, d->in + used + 2, len, d->arg);
		if (freed)
			return false;
		used += 2 + len;
	}
	d->freed = NULL;
	d->in_len -= used;
	memmove(d->in, d->in + used, d->in_len);
	return true;
}

static void ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct datagrams *d = arg;
	ssize_t n;

	(void)w;
	if ((events & EPOLLOUT) && !flush(d)) {
		end(d);
		return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = recv(fd, d->in + d->in_len, sizeof(d->in) - d->in_len, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		end(d);
		return;
	}
	if (n < 0)
		return;
	d->in_len += (size_t)n;
	timer_set(d->idle, d->idle_ms);
	hand_out(d);
}

static void idle(struct timer *t, void *arg)
{
	(void)t;
	end(arg);
}

struct datagrams *datagrams_new(struct loop *loop, int fd, uint64_t idle_ms,
				const struct datagrams_ops *ops, void *arg)
{
	struct datagrams *d = calloc(1, sizeof(*d));

	if (!d) {
		close(fd);
		return NULL;
	}
	d->loop = loop;
	d->ops = ops;
	d->arg = arg;
	d->fd = fd;
	d->idle_ms = idle_ms;
	d->idle = loop_timer(loop, idle, d);
	d->watch = d->idle ? loop_watch(loop, fd, EPOLLIN, ready, d) : NULL;
	if (!d->watch)
		return datagrams_free(d);
	timer_set(d->idle, idle_ms);
	return d;
}

struct datagrams *datagrams_free(struct datagrams *d)
{
	if (!d)
		return NULL;
	if (d->freed)
		*d->freed = true;
	watch_remove(d->watch);
	timer_free(d->idle);
	drop_fd(&d->fd);
	free(d);
	return NULL;
}
