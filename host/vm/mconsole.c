/* host/vm/mconsole.c - the management console of a User-Mode-Linux kernel */
#include "vm/mconsole.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "io/loop.h"

#define MCONSOLE_MAGIC	     0xcafebabeu
#define MCONSOLE_VERSION     2u
#define MCONSOLE_TEXT_BYTES  512
#define MCONSOLE_TIMEOUT_MS  5000

struct wire_request {
	uint32_t magic, version, len;
	char text[MCONSOLE_TEXT_BYTES];
};

struct wire_reply {
	uint32_t error, more, len;
	char text[MCONSOLE_TEXT_BYTES];
};

struct request {
	struct request *next;
	char text[MCONSOLE_TEXT_BYTES];
	mconsole_fn fn;
	void *arg;
};

struct mconsole {
	struct loop *loop;
	struct watch *watch;
	struct timer *timer;
	int fd, dirfd;
	char name[64];
	struct request *queue;
	char reply[4096];
	size_t reply_len;
};

static void send_next(struct mconsole *m);

static void finish(struct mconsole *m, const struct err *err)
{
	struct request *q = m->queue;

	timer_cancel(m->timer);
	m->queue = q->next;
	q->fn(err, m->reply, q->arg);
	free(q);
}

static void timed_out(struct timer *t, void *arg)
{
	struct mconsole *m = arg;
	struct err err = ERR_INIT;

	(void)t;
	err_id(&err, ERR_ERROR_TIMEOUT, "the kernel did not answer '%s' within %d s", m->queue->text,
	       MCONSOLE_TIMEOUT_MS / 1000);
	finish(m, &err);
	send_next(m);
}

static void on_reply(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct mconsole *m = arg;
	struct wire_reply r = { 0 };
	struct err err = ERR_INIT;
	ssize_t n = recv(fd, &r, sizeof(r), MSG_DONTWAIT);
	size_t len;

	(void)w, (void)events;
	if (n < (ssize_t)offsetof(struct wire_reply, text) || !m->queue)
		return;
	len = strnlen(r.text, MIN((size_t)n - offsetof(struct wire_reply, text), sizeof(r.text)));
	len = MIN(len, sizeof(m->reply) - 1 - m->reply_len);
	memcpy(m->reply + m->reply_len, r.text, len);
	m->reply_len += len;
	m->reply[m->reply_len] = '\0';
	if (r.more)
		return;
	if (r.error)
		err_set(&err, -EIO, "the kernel refused '%s': %s", m->queue->text, m->reply);
	finish(m, r.error ? &err : NULL);
	send_next(m);
}

static int send_request(struct mconsole *m, const struct request *q)
{
	struct wire_request wire = { .magic = MCONSOLE_MAGIC, .version = MCONSOLE_VERSION };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int r = str_format(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%s", m->dirfd, m->name);

	if (r < 0)
		return r;
	wire.len = (uint32_t)strlen(q->text);
	memcpy(wire.text, q->text, wire.len);
	if (sendto(m->fd, &wire, sizeof(wire), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&sa,
		   sizeof(sa)) < 0)
		return -errno;
	return 0;
}

static void send_next(struct mconsole *m)
{
	while (m->queue && !timer_armed(m->timer)) {
		struct err err = ERR_INIT;
		int r;

		m->reply_len = 0;
		m->reply[0] = '\0';
		timer_set(m->timer, MCONSOLE_TIMEOUT_MS);
		r = send_request(m, m->queue);
		if (r == 0)
			return;
		err_code(&err, r, "cannot send '%s' to the kernel's console", m->queue->text);
		finish(m, &err);
	}
}

struct mconsole *mconsole_new(struct loop *loop, int dirfd, const char *socket_name)
{
	struct mconsole *m = calloc(1, sizeof(*m));
	struct sockaddr_un any = { .sun_family = AF_UNIX };

	if (!m)
		return NULL;
	*m = (struct mconsole) { .loop = loop, .dirfd = dirfd };
	m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	m->timer = loop_timer(loop, timed_out, m);
	/* an automatic abstract name, for replies */
	if (m->fd >= 0 && m->timer && bind(m->fd, (struct sockaddr *)&any, sizeof(sa_family_t)) == 0 &&
	    str_format(m->name, sizeof(m->name), "%s", socket_name) == 0)
		m->watch = loop_watch(loop, m->fd, EPOLLIN, on_reply, m);
	return m->watch ? m : mconsole_free(m);
}

struct mconsole *mconsole_free(struct mconsole *m)
{
	if (!m)
		return NULL;
	while (m->queue) {
		struct request *q = m->queue;

		m->queue = q->next;
		free(q);
	}
	watch_remove(m->watch);
	timer_free(m->timer);
	drop_fd(&m->fd);
	free(m);
	return NULL;
}

void mconsole_request(struct mconsole *m, const char *text, mconsole_fn fn, void *arg)
{
	struct request *q = calloc(1, sizeof(*q)), **end = &m->queue;
	struct err err = ERR_INIT;

	if (!q || str_format(q->text, sizeof(q->text), "%s", text) < 0) {
		err_set(&err, -ENOMEM, "a request to the kernel's console is too long");
		free(q);
		fn(&err, "", arg);
		return;
	}
	q->fn = fn;
	q->arg = arg;
	while (*end)
		end = &(*end)->next;
	*end = q;
	if (m->queue == q)
		send_next(m);
}
