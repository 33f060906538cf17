/* guest/distro/sessions.c - forks relays, passes messages on, reports ends
 *
 * A session is over when its relay was reaped and its connection has been read to the end: the answer
 * of a relay that dies at once must not be overtaken by its death.
 */
#include "distro/sessions.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "boot/kmsg.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "io/channel.h"
#include "io/loop.h"

#define SPARE_DELAY_MS 5 /* the fork of the next relay must not slow down the present session */

struct session {
	struct session *next;
	struct sessions *all;
	struct channel *relay;
	pid_t pid; /* 0: reaped */
	uint64_t id;
	uint32_t seq; /* of the request that still waits for its answer, or 0 */
	bool created;
};

static void session_over(struct session *s)
{
	struct sessions *all = s->all;
	struct session **p = &all->list;
	struct msg_number ended = { s->id };
	struct err err = ERR_INIT;

	if (s->pid || s->relay)
		return;
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	all->n--;
	if (all->spare == s)
		all->spare = NULL;
	err_set(&err, -EIO, "The session ended before it began.");
	if (all->service && s->created)
		channel_send(all->service, MSG_SESSION_ENDED, 0, &ended);
	else if (all->service && s->seq)
		channel_result(all->service, s->seq, &err);
	free(s);
}

static void relay_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct session *s = arg;
	uint16_t type = m->header.type;

	(void)c;
	if (type == MSG_SESSION_CREATED)
		s->created = true;
	else if (type != MSG_RESULT && type != MSG_OOBE_DONE)
		return;
	if (type != MSG_OOBE_DONE)
		s->seq = 0;
	if (s->all->service)
		channel_send(s->all->service, type, m->header.seq, m->msg);
}

static void relay_close(struct channel *c, int reason, void *arg)
{
	struct session *s = arg;

	(void)c, (void)reason;
	s->relay = channel_free(s->relay);
	session_over(s);
}

static const struct channel_ops relay_ops = { relay_message, relay_close };

static pid_t fork_relay(struct sessions *all, int *ret_fd)
{
	auto_close int ours = -1;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	pid = fork();
	if (pid == 0) {
		close_others(pair[1]);
		_exit(relay_main(&all->context, pair[1]));
	}
	if (pid < 0)
		pid = -errno;
	else
		*ret_fd = take_fd(&ours);
	close(pair[1]);
	return pid;
}

static int session_new(struct sessions *all, struct session **ret)
{
	struct session *s = calloc(1, sizeof(*s));
	int fd = -1;
	pid_t pid;

	if (!s)
		return -ENOMEM;
	pid = fork_relay(all, &fd);
	if (pid > 0)
		s->relay = channel_new(all->loop, fd, &relay_ops, s);
	if (pid > 0 && !s->relay) {
		kill(pid, SIGKILL);
		pid = -ENOMEM;
	}
	if (pid < 0) {
		free(s);
		return pid;
	}
	s->all = all;
	s->pid = pid;
	s->next = all->list;
	all->list = s;
	all->n++;
	*ret = s;
	return 0;
}

static void make_spare(struct timer *t, void *arg)
{
	struct sessions *all = arg;

	(void)t;
	if (!all->spare && all->service && session_new(all, &all->spare) < 0)
		log_warn("no relay in reserve: %s", strerror(errno));
}

int sessions_init(struct sessions *all)
{
	all->spare_timer = loop_timer(all->loop, make_spare, all);
	if (!all->spare_timer)
		return -ENOMEM;
	timer_set(all->spare_timer, 0);
	return 0;
}

static int assign(struct sessions *all, uint32_t seq, const struct msg_create_session *m,
		  struct err *err)
{
	struct session *s;
	int r;

	if (all->n >= LIMIT_SESSIONS)
		return err_set(err, -EAGAIN, "The distribution has too many sessions.");
	s = take_ptr(all->spare);
	r = s && s->relay ? 0 : session_new(all, &s);
	if (r < 0)
		return err_code(err, r, "cannot start a session");
	s->id = m->session;
	r = channel_send(s->relay, MSG_CREATE_SESSION, seq, m);
	if (r < 0)
		return err_code(err, r, "cannot reach the session's process");
	s->seq = seq;
	timer_set(all->spare_timer, SPARE_DELAY_MS);
	return 0;
}

void sessions_create(struct sessions *all, uint32_t seq, const struct msg_create_session *m)
{
	struct err err = ERR_INIT;

	if (assign(all, seq, m, &err) < 0)
		channel_result(all->service, seq, &err);
}

bool sessions_reaped(struct sessions *all, pid_t pid, int status)
{
	struct session *s = all->list;

	while (s && s->pid != pid)
		s = s->next;
	if (!s)
		return false;
	if (status && s->created)
		log_warn("the relay of session %llu ended with status 0x%x",
			 (unsigned long long)s->id, status);
	s->pid = 0;
	session_over(s);
	return true;
}
