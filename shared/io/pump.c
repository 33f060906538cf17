/* shared/io/pump.c - one direction of a relay
 *
 * THEORY OF OPERATION
 *   One linear buffer. While it is empty the source is watched; while it holds bytes only the sink
 *   is. A round reads once and writes until the sink is full, so several pumps on a loop share it
 *   fairly. Files are always ready; the loop knows.
 */
#include "io/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/util.h"
#include "io/loop.h"

/* What a terminal holds besides the bytes it admits to (FIONREAD): its flip buffers. */
#define FINISH_SLACK_BYTES (128u * 1024)

struct pump {
	struct watch *in, *out;
	struct loop *loop;
	int from, to;
	uint8_t *buf;
	size_t at, len;
	uint64_t bytes;
	size_t left; /* to be read while finishing: writers may never stop */
	bool finishing, ended, dead;
	int busy;
	pump_end_fn on_end;
	void *arg;
};

static void pump_ready(struct watch *w, int fd, uint32_t events, void *arg);

static void unwatch(struct pump *p)
{
	p->in = watch_remove(p->in);
	p->out = watch_remove(p->out);
}

static void destroy(struct pump *p)
{
	free(p->buf);
	free(p);
}

struct pump *pump_free(struct pump *p)
{
	if (!p || p->dead)
		return NULL;
	p->dead = true;
	unwatch(p);
	if (!p->busy)
		destroy(p);
	return NULL;
}

/* Each side is registered only while it is waited for: the same descriptor may serve two pumps. */
static int rewatch(struct pump *p)
{
	bool want_out = p->len > 0;

	if (want_out) {
		p->in = watch_remove(p->in);
		if (!p->out)
			p->out = loop_watch(p->loop, p->to, EPOLLOUT, pump_ready, p);
		return p->out ? 0 : -errno;
	}
	p->out = watch_remove(p->out);
	if (!p->in)
		p->in = loop_watch(p->loop, p->from, EPOLLIN, pump_ready, p);
	return p->in ? 0 : -errno;
}

struct pump *pump_new(struct loop *loop, int from, int to, pump_end_fn on_end, void *arg)
{
	struct pump *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct pump) { .loop = loop, .from = from, .to = to, .on_end = on_end, .arg = arg };
	p->buf = malloc(PUMP_BUFFER_BYTES);
	if (p->buf && rewatch(p) == 0)
		return p;
	unwatch(p);
	destroy(p);
	return NULL;
}

static void end(struct pump *p, int error)
{
	if (p->ended || p->dead)
		return;
	p->ended = true;
	unwatch(p);
	p->on_end(p, error, p->arg);
}

/* 1: bytes in the buffer, 0: nothing yet, -ENODATA: the end, -errno */
static int fill(struct pump *p)
{
	size_t room = p->finishing ? MIN(p->left, (size_t)PUMP_BUFFER_BYTES) : PUMP_BUFFER_BYTES;
	ssize_t n = read(p->from, p->buf, room);

	if (n > 0) {
		if (p->finishing)
			p->left -= (size_t)n;
		p->at = 0;
		p->len = (size_t)n;
		return 1;
	}
	if (n == 0 || errno == EIO)
		return -ENODATA;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

/* 1: buffer empty, 0: sink full, -errno */
static int drain(struct pump *p)
{
	while (p->len) {
		ssize_t n = write(p->to, p->buf + p->at, p->len);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		p->at += (size_t)n;
		p->len -= (size_t)n;
		p->bytes += (size_t)n;
	}
	return 1;
}

/* @readable: the source said so, or never blocks. A sink with room says nothing about the source. */
static int turn(struct pump *p, bool readable)
{
	int r = drain(p);

	while (r > 0 && readable) {
		r = fill(p);
		if (r == 0 && p->finishing)
			r = -ENODATA;
		if (r <= 0)
			break;
		r = drain(p);
		readable = p->finishing;
	}
	return r;
}

static void run(struct pump *p, bool readable)
{
	int r;

	p->busy++;
	r = turn(p, readable);
	if (r == -ENODATA)
		end(p, 0);
	else if (r < 0)
		end(p, r);
	else if (!p->dead && (r = rewatch(p)) < 0)
		end(p, r);
	if (--p->busy == 0 && p->dead)
		destroy(p);
}

static void pump_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct pump *p = arg;

	(void)fd, (void)events;
	run(p, w == p->in || p->finishing);
}

void pump_finish(struct pump *p)
{
	int held = 0;

	if (p->ended)
		return;
	p->finishing = true;
	if (ioctl(p->from, FIONREAD, &held) < 0 || held < 0)
		held = 0;
	p->left = MAX((size_t)held, (size_t)FINISH_SLACK_BYTES);
	run(p, true);
}

uint64_t pump_bytes(const struct pump *p)
{
	return p->bytes;
}

bool pump_holds(const struct pump *p)
{
	return p->len > 0;
}
