/* guest/distro/sessions.c - forks relays, answers requests, reports ends
 *
 * A session is over when its relay was reaped and its connection has been read to the end: what a
 * relay that dies at once has to say must not be overtaken by its death.
 */
#include "distro/sessions.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "boot/kmsg.h"
#include "boot/transport.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "distro/pty.h"
#include "distro/settings.h"
#include "distro/users.h"
#include "io/channel.h"
#include "io/loop.h"

#define SPARE_DELAY_MS 5 /* the fork of the next relay must not slow down the present session */

struct session {
	struct session *next;
	struct sessions *all;
	struct channel *relay;
	pid_t pid;    /* 0: reaped */
	int listener; /* the relay has it; closed here once it is in use */
	uint32_t port;
	uint64_t id;
	bool created;
};

static void session_over(struct session *s)
{
	struct sessions *all = s->all;
	struct session **p = &all->list;
	struct msg_number ended = { s->id };

	if (s->pid || s->relay)
		return;
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	all->n--;
	if (all->spare == s)
		all->spare = NULL;
	if (all->service && s->created)
		channel_send(all->service, MSG_SESSION_ENDED, 0, &ended);
	drop_fd(&s->listener);
	free(s);
}

static void relay_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct session *s = arg;

	(void)c;
	if (m->header.type == MSG_OOBE_DONE && s->all->service)
		channel_send(s->all->service, MSG_OOBE_DONE, 0, m->msg);
}

static void relay_close(struct channel *c, int reason, void *arg)
{
	struct session *s = arg;

	(void)c, (void)reason;
	s->relay = channel_free(s->relay);
	session_over(s);
}

static const struct channel_ops relay_ops = { relay_message, relay_close };

static pid_t fork_relay(struct sessions *all, int listener, int *ret_fd)
{
	auto_close int ours = -1;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	pid = fork();
	if (pid == 0) {
		close_others(pair[1], listener);
		_exit(relay_main(&all->context, pair[1], listener));
	}
	if (pid < 0)
		pid = -errno;
	else
		*ret_fd = take_fd(&ours);
	close(pair[1]);
	return pid;
}

static int start_relay(struct session *s)
{
	int fd = -1;
	pid_t pid;

	s->listener = session_listen(&s->port);
	if (s->listener < 0)
		return s->listener;
	pid = fork_relay(s->all, s->listener, &fd);
	if (pid < 0)
		return pid;
	s->relay = channel_new(s->all->loop, fd, &relay_ops, s);
	if (!s->relay) {
		kill(pid, SIGKILL);
		return -ENOMEM;
	}
	s->pid = pid;
	return 0;
}

static int session_new(struct sessions *all, struct session **ret)
{
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->all = all;
	s->listener = -1;
	r = start_relay(s);
	if (r < 0) {
		drop_fd(&s->listener);
		free(s);
		return r;
	}
	s->next = all->list;
	all->list = s;
	all->n++;
	*ret = s;
	return 0;
}

static void make_spare(struct timer *t, void *arg)
{
	struct sessions *all = arg;
	int r;

	(void)t;
	if (all->spare || !all->service)
		return;
	r = session_new(all, &all->spare);
	if (r < 0)
		log_warn("no relay in reserve: %s", strerror(-r));
}

int sessions_init(struct sessions *all)
{
	all->spare_timer = loop_timer(all->loop, make_spare, all);
	if (!all->spare_timer)
		return -ENOMEM;
	timer_set(all->spare_timer, 0);
	return 0;
}

/* Refuses unknown users; opens the terminal of those who are known. */
static int open_terminal(struct sessions *all, const struct msg_create_session *m, struct pty *ret,
			 struct err *err)
{
	struct user_choice choice = { m->user, all->context.settings->user, m->default_uid };
	bool tty = m->flags & (SESSION_TTY_STDIN | SESSION_TTY_STDOUT | SESSION_TTY_STDERR);
	struct user user;
	int r;

	if (!tty && !m->user[0])
		return 0; /* nothing can be wrong, nothing is needed */
	r = user_choose(&choice, &user, err);
	if (r < 0)
		return r;
	if (tty)
		r = pty_open(ret, user.uid, m->rows, m->cols, err);
	user_done(&user);
	return r;
}

/* The reserve, or a new one; NULL with *err set. */
static struct session *take_relay(struct sessions *all, struct err *err)
{
	struct session *s;
	int r;

	if (all->n >= LIMIT_SESSIONS) {
		err_set(err, -EAGAIN, "The distribution has too many sessions.");
		return NULL;
	}
	s = take_ptr(all->spare);
	if (s && s->relay)
		return s;
	r = session_new(all, &s);
	if (r == 0)
		return s;
	err_code(err, r, "cannot start a session");
	return NULL;
}

/* The answer goes first: the client's way is the longer one. */
static int hand_over(struct session *s, uint32_t seq, const struct msg_create_session *m,
		     const struct pty *pty)
{
	struct msg_session_created created = {
		.session = m->session,
		.port = s->port,
		.pid = (uint32_t)s->pid,
		.streams = relay_streams(m->flags),
	};
	int fds[2] = { pty->master, pty->slave };

	s->id = m->session;
	s->created = true;
	drop_fd(&s->listener);
	channel_send(s->all->service, MSG_SESSION_CREATED, seq, &created);
	return channel_send_fds(s->relay, MSG_CREATE_SESSION, 0, m, fds, fds[0] >= 0 ? 2 : 0);
}

static int check_request(const struct msg_create_session *m, struct err *err)
{
	if (m->shell == SHELL_NONE && m->argv.n == 0)
		return err_id(err, ERR_E_INVALIDARG, "No program was given.");
	return 0;
}

void sessions_create(struct sessions *all, uint32_t seq, const struct msg_create_session *m)
{
	struct pty pty = { -1, -1 };
	struct session *s = NULL;
	struct err err = ERR_INIT;

	if (check_request(m, &err) == 0 && open_terminal(all, m, &pty, &err) == 0)
		s = take_relay(all, &err);
	if (!s) {
		channel_result(all->service, seq, &err);
	} else {
		if (hand_over(s, seq, m, &pty) < 0) /* reported as any end of a session */
			log_err("cannot reach the relay of session %llu",
				(unsigned long long)s->id);
		timer_set(all->spare_timer, SPARE_DELAY_MS);
	}
	drop_fd(&pty.master);
	drop_fd(&pty.slave);
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
