/* guest/distro/relay.c - one session: streams, terminal, program, exit status
 *
 * THEORY OF OPERATION
 *   idle       waits for CREATE_SESSION with its listener open: forking and binding are done before
 *              a session is wanted, and a rehearsal has touched the pages that will be needed.
 *   joining    the client, which init has already answered, connects; meanwhile the program is
 *              forked and waits for a byte on a pipe. The first byte of a connection is its stream.
 *   running    all streams are there, the byte is sent. (First run: oobe.command runs before the
 *              program, which is forked when that has succeeded.)
 *   finishing  the program was reaped: what pipes and terminal hold at that moment is moved, the
 *              output streams are ended, EXIT_STATUS is sent.
 *   left       descendants live on: their output is read and thrown away. With the last one the
 *              relay ends, and init reports SESSION_ENDED.
 * TERMINAL
 *   The relay is the session's leader and holds the slave, so the terminal outlives the program and
 *   background processes are not hung up by its end. As a leader without job control it wakes a
 *   program that was stopped from the keyboard.
 * HANG-UP
 *   The client is gone before EXIT_STATUS (control stream closed), or closed its terminal: SIGHUP.
 * SIGNALS
 *   All are blocked in the relay (a child inherits that until it is ready); SIGCHLD and SIGTERM
 *   come through the loop. SIGTERM means that the distribution stops.
 */
#include "distro/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot/transport.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/util.h"
#include "distro/environment.h"
#include "distro/flow.h"
#include "distro/program.h"
#include "distro/pty.h"
#include "distro/settings.h"
#include "distro/users.h"
#include "io/channel.h"
#include "io/loop.h"
#include "io/socket.h"

#define JOIN_TIMEOUT_MS  30000
#define PIPE_BYTES       (1 << 20)
#define PENDING_MAX      8 /* connections that have not yet said which stream they are */
#define PROGRAM_WAITS    true
#define PROGRAM_STARTS   false
#define OOBE_FAIL_STATUS (1 << 8)

enum { IN_STDIN, IN_PTY, OUT_STDOUT, OUT_STDERR, OUT_PTY, FLOW_COUNT };

struct request { /* a copy of CREATE_SESSION */
	uint64_t session;
	char *user, *cwd;
	struct strv argv, env;
	uint32_t shell, flags, rows, cols, default_uid;
};

struct pending {
	struct relay *relay;
	struct watch *watch;
	int fd;
};

struct relay {
	const struct relay_context *context;
	struct loop *loop;
	struct channel *init, *control;
	struct watch *accept;
	struct timer *join_timer;
	int listener;
	struct request request;
	struct user user;
	struct environment env;
	struct command command;
	gid_t *gids;
	size_t n_gids;
	struct pty pty;
	int pipes[3];       /* our ends; -1 where the handle is the terminal */
	int program_fds[3]; /* the program's ends; -1 once it has them */
	int streams[SESSION_STREAM_COUNT];
	uint32_t wanted, joined; /* bits of streams */
	struct pending pending[PENDING_MAX];
	struct flow flows[FLOW_COUNT];
	int go; /* writing sends the program off */
	pid_t pid;
	int status;
	bool running, in_oobe, exited, reported, discarding, hung_up, childless;
};

static void program_ended(struct relay *r, int status);

/* --- the program --- */

static bool is_tty(const struct relay *r, int handle)
{
	return r->request.flags & (SESSION_TTY_STDIN << handle);
}

/* Pipes for the handles that are no terminals: ours never block, the program's do. */
static int make_pipe(struct relay *r, int handle)
{
	int ends[2], ours = handle == STDIN_FILENO;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	fd_set_nonblock(ends[ours], 1);
	r->pipes[handle] = ends[ours];
	r->program_fds[handle] = ends[!ours];
	return 0;
}

static int open_handles(struct relay *r, struct err *err)
{
	if (r->pty.slave >= 0)
		ioctl(r->pty.slave, TIOCSCTTY, 0);
	for (int handle = 0; handle < 3; handle++) {
		int code = 0;

		if (is_tty(r, handle))
			r->program_fds[handle] = r->pty.slave;
		else
			code = make_pipe(r, handle);
		if (code < 0)
			return err_code(err, code, "cannot make a pipe");
	}
	return 0;
}

static void drop_program_fds(struct relay *r)
{
	for (int handle = 0; handle < 3; handle++) {
		if (is_tty(r, handle))
			r->program_fds[handle] = -1; /* the slave stays ours */
		drop_fd(&r->program_fds[handle]);
	}
}

static int run(struct relay *r, const struct command *command, const char *cwd, bool wait)
{
	struct program p = {
		.command = command,
		.user = &r->user,
		.gids = r->gids,
		.n_gids = r->n_gids,
		.envp = r->env.vars,
		.cwd = cwd,
		.fds = r->program_fds,
		.tty = r->pty.slave,
		.go = { -1, -1 },
	};
	pid_t pid;

	if (wait && pipe2(p.go, O_CLOEXEC) < 0)
		return -errno;
	pid = program_start(&p);
	drop_fd(&p.go[0]);
	if (pid < 0) {
		drop_fd(&p.go[1]);
		return pid;
	}
	r->go = p.go[1];
	r->pid = pid;
	r->childless = false;
	return 0;
}

static void forget_user(struct relay *r)
{
	command_done(&r->command);
	environment_done(&r->env);
	user_done(&r->user);
	free(r->gids);
	r->gids = NULL;
}

static int choose_user(struct relay *r, const char *name, struct err *err)
{
	struct user_choice choice = {
		.name = name,
		.default_name = r->context->settings->user,
		.default_uid = r->request.default_uid,
	};

	return user_choose(&choice, &r->user, err);
}

static int prepare_user(struct relay *r, struct err *err)
{
	int code = user_groups(&r->user, &r->gids, &r->n_gids);

	if (code < 0)
		return err_code(err, code, "cannot find the groups of %s", r->user.name);
	environment_build(&r->env, &r->user, r->context->hostname, r->context->distro,
			  &r->request.env);
	return 0;
}

static int start_program(struct relay *r, bool wait, struct err *err)
{
	const char *cwd = r->request.flags & SESSION_CWD_HOME ? "~" : r->request.cwd;
	int code = prepare_user(r, err);

	if (code < 0)
		return code;
	code = run(r, &r->command, cwd, wait);
	drop_program_fds(r);
	return code < 0 ? err_code(err, code, "cannot start %s", r->command.file) : 0;
}

/* --- first run --- */

static void program_failed(struct relay *r)
{
	drop_program_fds(r);
	program_ended(r, OOBE_FAIL_STATUS);
}

static void start_real_program(struct relay *r)
{
	struct err err = ERR_INIT;
	int code;

	forget_user(r);
	code = choose_user(r, r->request.user, &err);
	if (code == 0)
		code = command_build(&r->command, &r->user, r->request.shell, &r->request.argv,
				     &err);
	if (code == 0 && r->pty.slave >= 0 && fchown(r->pty.slave, r->user.uid, (gid_t)-1) < 0)
		code = err_errno(&err, "cannot give the terminal to %s", r->user.name);
	if (code == 0)
		code = start_program(r, PROGRAM_STARTS, &err);
	if (code < 0) {
		dprintf(r->program_fds[STDERR_FILENO], "wsl: %s\n", err.text);
		program_failed(r);
	}
}

static void oobe_done(struct relay *r, const struct oobe_settings *oobe)
{
	struct msg_oobe_done done = { r->request.session, UINT32_MAX };

	if (oobe->default_uid >= 0 && oobe->default_uid < UINT32_MAX) {
		done.default_uid = (uint32_t)oobe->default_uid;
		r->request.default_uid = done.default_uid;
	}
	if (r->init)
		channel_send(r->init, MSG_OOBE_DONE, 0, &done);
	start_real_program(r);
}

static void start_oobe(struct relay *r)
{
	static char sh[] = "/bin/sh", dash_c[] = "-c";
	struct warnings ignored = { 0 };
	struct oobe_settings oobe;
	struct command command = { .file = sh };
	struct err err = ERR_INIT;

	oobe_settings_read(&oobe, &ignored);
	if (!oobe.command[0]) {
		oobe_done(r, &oobe);
		return;
	}
	forget_user(r);
	command.argv = (char *[]) { sh, dash_c, oobe.command, NULL };
	r->in_oobe = true;
	if (choose_user(r, "root", &err) < 0 || prepare_user(r, &err) < 0 ||
	    run(r, &command, "~", PROGRAM_STARTS) < 0)
		program_failed(r);
}

static void oobe_exited(struct relay *r, int status)
{
	struct warnings ignored = { 0 };
	struct oobe_settings oobe;

	r->in_oobe = false;
	oobe_settings_read(&oobe, &ignored);
	if (status == 0 && !r->hung_up) {
		oobe_done(r, &oobe);
		return;
	}
	dprintf(r->program_fds[STDERR_FILENO], "OOBE command \"%s\" failed, exiting\n",
		oobe.command);
	program_failed(r);
}

/* --- the end --- */

static bool outputs_ended(const struct relay *r)
{
	return r->flows[OUT_STDOUT].ended && r->flows[OUT_STDERR].ended && r->flows[OUT_PTY].ended;
}

static void report_exit(struct relay *r)
{
	struct msg_exit_status m = { (uint32_t)r->status };

	for (int s = SESSION_STREAM_STDOUT; s < SESSION_STREAM_COUNT; s++)
		if (r->streams[s] >= 0)
			shutdown(r->streams[s], SHUT_WR);
	if (r->control)
		channel_send(r->control, MSG_EXIT_STATUS, 0, &m);
	r->reported = true;
}

/* Leftovers of the session may go on writing: nobody listens, but nobody shall notice. */
static void discard_outputs(struct relay *r)
{
	if (r->discarding)
		return;
	r->discarding = true;
	for (int f = OUT_STDOUT; f <= OUT_PTY; f++)
		flow_discard(&r->flows[f]);
	for (int s = 0; s < SESSION_STREAM_COUNT; s++)
		drop_fd(&r->streams[s]);
}

static void check_finished(struct relay *r)
{
	if (r->exited && r->running && !r->reported && outputs_ended(r))
		report_exit(r);
	if (!r->reported)
		return;
	if (r->childless)
		loop_stop(r->loop, 0);
	else
		discard_outputs(r);
}

static void program_ended(struct relay *r, int status)
{
	r->exited = true;
	r->status = status;
	for (int f = OUT_STDOUT; r->running && f <= OUT_PTY; f++)
		flow_finish(&r->flows[f]);
	check_finished(r);
}

static void reap(int signo, void *arg)
{
	struct relay *r = arg;
	int status, end_status = 0;
	bool ended = false;
	pid_t pid;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != r->pid)
			continue;
		if (WIFSTOPPED(status)) {
			if (WSTOPSIG(status) == SIGTSTP)
				kill(-pid, SIGCONT);
			continue;
		}
		r->pid = 0;
		ended = true;
		end_status = status;
	}
	r->childless = pid < 0;
	if (ended && r->in_oobe)
		oobe_exited(r, end_status);
	else if (ended)
		program_ended(r, end_status);
	else
		check_finished(r);
}

static void signal_group(struct relay *r, int signo)
{
	pid_t group = 0;

	if (r->pty.master >= 0 && (ioctl(r->pty.master, TIOCGPGRP, &group) < 0 || group <= 0))
		group = 0;
	if (group == 0)
		group = r->pid;
	if (group > 0)
		kill(-group, signo);
}

static void hang_up(struct relay *r)
{
	if (r->hung_up)
		return;
	r->hung_up = true;
	drop_fd(&r->go);
	if (!r->exited)
		signal_group(r, SIGHUP); /* before the terminal forgets its groups */
	flow_close(&r->flows[IN_STDIN]);
	flow_close(&r->flows[IN_PTY]);
	flow_close(&r->flows[OUT_PTY]);
	flow_discard(&r->flows[OUT_STDOUT]);
	flow_discard(&r->flows[OUT_STDERR]);
	drop_fd(&r->pty.master);
	if (r->pid > 0) {
		kill(-r->pid, SIGHUP);
		kill(-r->pid, SIGCONT);
	}
	check_finished(r);
}

static void terminated(int signo, void *arg)
{
	struct relay *r = arg;

	(void)signo;
	if (!r->running) /* a program that still waits sees its pipe close */
		loop_stop(r->loop, 0);
	else if (r->pty.master >= 0 && !r->exited)
		signal_group(r, SIGHUP); /* shells take no notice of SIGTERM */
}

/* --- streams --- */

static void input_ended(struct flow *f, int error, void *arg)
{
	struct relay *r = arg;
	bool pty = f == &r->flows[IN_PTY];

	(void)error;
	if (!pty)
		flow_close(f); /* the program reads the end */
	else if (is_tty(r, STDIN_FILENO) && !r->reported)
		hang_up(r);
}

static void output_ended(struct flow *f, int error, void *arg)
{
	struct relay *r = arg;

	if (error < 0 && (r->exited || f == &r->flows[OUT_PTY]))
		flow_discard(f);
	else if (error < 0)
		flow_close(f); /* the program gets SIGPIPE, as with any pipe */
	else if (!r->exited && f != &r->flows[OUT_PTY])
		shutdown(f->to, SHUT_WR);
	check_finished(r);
}

static int dup_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static int start_flow(struct relay *r, int which, int from, int to)
{
	return flow_start(&r->flows[which], r->loop, from, to,
			  which <= IN_PTY ? input_ended : output_ended, r);
}

static int start_flows(struct relay *r)
{
	int *s = r->streams, *p = r->pipes;
	int code = 0;

	if (p[0] >= 0)
		code = start_flow(r, IN_STDIN, take_fd(&s[SESSION_STREAM_STDIN]), take_fd(&p[0]));
	if (code == 0 && p[1] >= 0)
		code = start_flow(r, OUT_STDOUT, take_fd(&p[1]), dup_fd(s[SESSION_STREAM_STDOUT]));
	if (code == 0 && p[2] >= 0)
		code = start_flow(r, OUT_STDERR, take_fd(&p[2]), dup_fd(s[SESSION_STREAM_STDERR]));
	if (code < 0 || r->pty.master < 0)
		return code;
	code = start_flow(r, IN_PTY, dup_fd(s[SESSION_STREAM_PTY]), dup_fd(r->pty.master));
	if (code == 0)
		code = start_flow(r, OUT_PTY, dup_fd(r->pty.master), dup_fd(s[SESSION_STREAM_PTY]));
	return code;
}

static void control_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct relay *r = arg;

	(void)c;
	if (m->header.type == MSG_WINDOW_SIZE) {
		const struct msg_window_size *size = m->msg;

		if (r->pty.master >= 0)
			pty_resize(r->pty.master, size->rows, size->cols);
	} else if (m->header.type == MSG_SIGNAL) {
		const struct msg_number *number = m->msg;

		if (number->number > 0 && number->number < NSIG && !r->exited)
			signal_group(r, (int)number->number);
	}
}

static void control_close(struct channel *c, int reason, void *arg)
{
	struct relay *r = arg;

	(void)c, (void)reason;
	r->control = channel_free(r->control);
	if (!r->reported)
		hang_up(r);
}

static const struct channel_ops control_ops = { control_message, control_close };

static void stop_listening(struct relay *r)
{
	r->accept = watch_remove(r->accept);
	drop_fd(&r->listener);
	r->join_timer = timer_free(r->join_timer);
	for (int i = 0; i < PENDING_MAX; i++) {
		r->pending[i].watch = watch_remove(r->pending[i].watch);
		drop_fd(&r->pending[i].fd);
	}
}

/* Every stream is there: off it goes. */
static void all_joined(struct relay *r)
{
	static const char go = 1;

	r->running = true;
	if (r->go >= 0 && write(r->go, &go, 1) < 0) /* at once: the exec takes a while */
		log_warn("the program died before it was started");
	drop_fd(&r->go);
	stop_listening(r);
	if (start_flows(r) < 0) {
		log_err("session %llu: out of memory", (unsigned long long)r->request.session);
		hang_up(r);
		return;
	}
	r->control =
		channel_new(r->loop, take_fd(&r->streams[SESSION_STREAM_CONTROL]), &control_ops, r);
	if (!r->control)
		hang_up(r);
	else if (r->request.flags & SESSION_RUN_OOBE)
		start_oobe(r);
	else if (r->exited)
		program_ended(r, r->status); /* killed while it waited */
}

/* Reads the first byte; true when the connection has found its place or was refused. */
static bool identify(struct relay *r, int fd)
{
	uint8_t stream;
	ssize_t n = read(fd, &stream, 1);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n != 1 || stream >= SESSION_STREAM_COUNT || !(r->wanted & 1u << stream) ||
	    (r->joined & 1u << stream)) {
		close(fd);
		return true;
	}
	r->streams[stream] = fd;
	r->joined |= 1u << stream;
	return true;
}

static void pending_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct pending *p = arg;

	(void)w, (void)events;
	if (!identify(p->relay, fd))
		return;
	p->watch = watch_remove(p->watch);
	p->fd = -1;
	if (p->relay->joined == p->relay->wanted)
		all_joined(p->relay);
}

static void add_pending(struct relay *r, int fd)
{
	for (struct pending *p = r->pending; p < r->pending + PENDING_MAX; p++) {
		if (p->fd >= 0)
			continue;
		*p = (struct pending) { .relay = r, .fd = fd };
		p->watch = loop_watch(r->loop, fd, EPOLLIN, pending_ready, p);
		if (p->watch)
			return;
		p->fd = -1;
		break;
	}
	close(fd);
}

static void accept_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct relay *r = arg;
	int stream = session_accept(fd);

	(void)w, (void)events;
	if (stream < 0)
		return;
	if (!identify(r, stream))
		add_pending(r, stream);
	else if (r->joined == r->wanted)
		all_joined(r);
}

static void join_due(struct timer *t, void *arg)
{
	struct relay *r = arg;

	(void)t;
	log_warn("session %llu: the client did not connect",
		 (unsigned long long)r->request.session);
	drop_fd(&r->go);
	if (r->pid > 0)
		kill(r->pid, SIGKILL);
	loop_stop(r->loop, 1);
}

/* --- the request --- */

static struct strv copy_strv(const struct strv *v)
{
	char *packed = malloc(v->bytes + 1u);

	if (!packed)
		abort();
	if (v->bytes)
		memcpy(packed, v->packed, v->bytes);
	return (struct strv) { .n = v->n, .bytes = v->bytes, .packed = packed };
}

static void copy_request(struct request *q, const struct msg_create_session *m)
{
	*q = (struct request) {
		.session = m->session,
		.user = str_dup(m->user),
		.cwd = str_dup(m->cwd),
		.argv = copy_strv(&m->argv),
		.env = copy_strv(&m->env),
		.shell = m->shell,
		.flags = m->flags,
		.rows = m->rows,
		.cols = m->cols,
		.default_uid = m->default_uid,
	};
}

uint32_t relay_streams(uint32_t flags)
{
	uint32_t wanted = 1u << SESSION_STREAM_CONTROL;

	for (int handle = 0; handle < 3; handle++)
		wanted |= flags & (SESSION_TTY_STDIN << handle)
				  ? 1u << SESSION_STREAM_PTY
				  : 1u << (SESSION_STREAM_STDIN + handle);
	return wanted;
}

static int create(struct relay *r, struct err *err)
{
	int code = choose_user(r, r->request.user, err);

	if (code == 0)
		code = command_build(&r->command, &r->user, r->request.shell, &r->request.argv,
				     err);
	if (code == 0)
		code = open_handles(r, err);
	if (code < 0)
		return code;
	r->accept = loop_watch(r->loop, r->listener, EPOLLIN, accept_ready, r);
	r->join_timer = loop_timer(r->loop, join_due, r);
	if (!r->accept || !r->join_timer)
		return err_set(err, -ENOMEM, "out of memory");
	timer_set(r->join_timer, JOIN_TIMEOUT_MS);
	if (r->request.flags & SESSION_RUN_OOBE)
		return 0;
	return start_program(r, PROGRAM_WAITS, err);
}

static void init_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct relay *r = arg;
	struct err err = ERR_INIT;

	(void)c;
	if (m->header.type != MSG_CREATE_SESSION || r->wanted)
		return;
	copy_request(&r->request, m->msg);
	r->wanted = relay_streams(r->request.flags);
	if (m->n_fds == 2)
		r->pty = (struct pty) { take_fd(&m->fds[0]), take_fd(&m->fds[1]) };
	if (create(r, &err) == 0)
		return;
	log_err("session %llu: %s", (unsigned long long)r->request.session, err.text);
	loop_stop(r->loop, 1);
}

/* Init is PID 1: with it everything else ends. */
static void init_close(struct channel *c, int reason, void *arg)
{
	struct relay *r = arg;

	(void)c, (void)reason;
	r->init = channel_free(r->init);
	if (!r->wanted)
		loop_stop(r->loop, 0);
}

static const struct channel_ops init_ops = { init_message, init_close };

static void relay_clear(struct relay *r)
{
	r->go = r->pty.master = r->pty.slave = -1;
	for (int i = 0; i < 3; i++)
		r->pipes[i] = r->program_fds[i] = -1;
	for (int i = 0; i < SESSION_STREAM_COUNT; i++)
		r->streams[i] = -1;
	for (int i = 0; i < FLOW_COUNT; i++)
		r->flows[i] = FLOW_INIT;
	for (int i = 0; i < PENDING_MAX; i++)
		r->pending[i].fd = -1;
}

/* After a fork every page is faulted in again at its first use: better now than in a session. */
static void rehearse(struct relay *r)
{
	static const char echo[] = "true";
	struct strv argv = { .n = 1, .bytes = sizeof(echo), .packed = echo };

	r->request = (struct request) { .default_uid = 0 };
	if (choose_user(r, "", NULL) == 0 &&
	    command_build(&r->command, &r->user, SHELL_STANDARD, &argv, NULL) == 0)
		prepare_user(r, NULL);
	forget_user(r);
}

static int set_up(struct relay *r, int init, int listener)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	umask((mode_t)(r->context->settings->umask & 0777));
	r->loop = loop_new();
	if (!r->loop || loop_signal(r->loop, SIGCHLD, reap, r) < 0 ||
	    loop_signal(r->loop, SIGTERM, terminated, r) < 0)
		return -ENOMEM;
	r->listener = listener;
	r->init = channel_new(r->loop, init, &init_ops, r);
	if (!r->init)
		return -ENOMEM;
	rehearse(r);
	return 0;
}

int relay_main(const struct relay_context *context, int init, int listener)
{
	struct relay r = { .context = context, .childless = true };
	int code;

	relay_clear(&r);
	code = set_up(&r, init, listener);
	if (code < 0) {
		log_err("cannot prepare a session: %s", strerror(-code));
		return 1;
	}
	return loop_run(r.loop);
}
