/* host/vm/console.c - the guest may print without end: the file stops at a limit, the tail moves on */
#include "vm/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "common/util.h"
#include "io/loop.h"
#include "io/socket.h"

#define TAIL_BYTES 16384u

struct console {
	struct watch *watch;
	int fd, log;
	size_t logged;
	char tail[2 * TAIL_BYTES + 1];
	size_t tail_len;
};

static void keep_tail(struct console *c, const char *data, size_t n)
{
	if (c->tail_len + n > 2 * TAIL_BYTES) {
		memmove(c->tail, c->tail + c->tail_len - TAIL_BYTES, TAIL_BYTES);
		c->tail_len = TAIL_BYTES;
	}
	memcpy(c->tail + c->tail_len, data, n);
	c->tail_len += n;
	c->tail[c->tail_len] = '\0';
}

static void keep_log(struct console *c, const char *data, size_t n)
{
	static const char cut[] = "\n[the rest of this boot's console is not kept]\n";

	if (c->log < 0 || c->logged >= LIMIT_CONSOLE_LOG_BYTES)
		return;
	c->logged += n;
	if (write_all(c->log, data, n) < 0 ||
	    (c->logged >= LIMIT_CONSOLE_LOG_BYTES && write_all(c->log, cut, sizeof(cut) - 1) < 0))
		drop_fd(&c->log);
}

void console_catch_up(struct console *c)
{
	char buf[8192];
	ssize_t n;

	while ((n = read(c->fd, buf, sizeof(buf))) > 0) {
		keep_tail(c, buf, (size_t)n);
		keep_log(c, buf, (size_t)n);
	}
	if (n == 0 || errno != EAGAIN)
		c->watch = watch_remove(c->watch);
}

static void ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	(void)w, (void)fd, (void)events;
	console_catch_up(arg);
}

struct console *console_new(struct loop *loop, int fd, const char *path)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c || fd_set_nonblock(fd, 1) < 0) {
		close(fd);
		free(c);
		return NULL;
	}
	c->fd = fd;
	c->log = -1;
	if (path)
		c->log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	c->watch = loop_watch(loop, fd, EPOLLIN, ready, c);
	return c->watch ? c : console_free(c);
}

struct console *console_free(struct console *c)
{
	if (!c)
		return NULL;
	watch_remove(c->watch);
	drop_fd(&c->fd);
	drop_fd(&c->log);
	free(c);
	return NULL;
}

const char *console_tail(struct console *c)
{
	return c->tail;
}
