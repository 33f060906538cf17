/* host/cli/session.c - the client's end of a session
 *
 * THEORY OF OPERATION
 *   Up to five streams lead through the relay to the program: control, one for each of stdin,
 * stdout and stderr that is no terminal, and one for the guest's terminal that stands for all that
 * are. A pump per direction moves bytes. The control stream brings the exit status; the guest ends
 * the output streams before, so what is still on its way then is only waited for while it moves.
 * ENDS
 *   stdin ends         the stream is half-closed: the program reads its end of file
 *   our stdout breaks  the stream is closed: the program's next write gets SIGPIPE. Unless its
 * reader only went away, that is a failure, also when the program had already ended well program
 * stops reading   our stdin is replaced by /dev/null: the writer gets SIGPIPE control lost the
 * machine is gone; the service may know why SIGNALS In raw mode keys travel as bytes and the
 * guest's terminal makes signals of them. Signals sent to this process are forwarded; it ends when
 * the program does. Three that ask for an end within IMPATIENCE_MS, without one, end this process
 * alone. SIGHUP leaves soon in any case: whoever sent it is gone. SIGTSTP stops both sides, SIGCONT
 * continues both. Signals that were ignored when we were started (nohup) stay ignored.
 */
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "client/client.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "io/channel.h"
#include "io/loop.h"
#include "io/pump.h"
#include "io/socket.h"

#define CONNECT_MS    30000u
#define LAST_WORDS_MS 5000u
#define REASON_MS     2000u
#define HANGUP_MS     2000u
#define BACKGROUND_MS 250u
#define IMPATIENCE_MS 3000u
#define IMPATIENCE    3u

/* One direction: @from and @to are ours to close. */
struct flow {
	struct session *s;
	struct pump *pump;
	int from, to;
	int stream;    /* index */
	int user_fd;   /* 0, 1 or 2 */
	uint64_t seen; /* bytes at the last look */
};

struct session {
	const struct session_config *cfg;
	struct loop *loop;
	struct channel *control;
	struct watch *service;
	struct timer *last_words, *hangup, *background;
	int fds[SESSION_STREAM_COUNT];
	struct flow in, out[3];
	unsigned n_out;
	int tty; /* of which size and mode are ours to handle; -1 */
	bool have_status, lost;
	uint32_t status;
	int output_error; /* bytes for the user were lost to this; 0: none were */
	unsigned asked;
	uint64_t asked_ms;
	struct err reason; /* what the service said on its own account */
};

uint32_t session_tty_flags(void)
{
	return (isatty(0) ? SESSION_TTY_STDIN : 0) | (isatty(1) ? SESSION_TTY_STDOUT : 0) |
	       (isatty(2) ? SESSION_TTY_STDERR : 0);
}

int session_exit_code(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return 128 + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

/* --- opening the streams --- */

static int relay_connect_all(struct session *s, struct err *err)
{
	const char *path = s->cfg->launched->relay_socket, *slash = strrchr(path, '/');
	auto_free char *dir = slash ? str_dup(path) : NULL;
	auto_close int dirfd = -1;

	if (!slash)
		return err_set(err, -EPROTO, "'%s' is no path of a relay", path);
	dir[slash - path] = '\0';
	dirfd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_errno(err, "cannot open '%s'", dir);
	for (unsigned i = 0; i < SESSION_STREAM_COUNT; i++) {
		if (!(s->cfg->launched->streams & 1u << i))
			continue;
		s->fds[i] = unix_connect_at(dirfd, slash + 1);
		if (s->fds[i] < 0)
			return err_code(err, s->fds[i], "cannot connect to the relay '%s'", path);
	}
	return 0;
}

static int exchange(struct session *s, int step, uint64_t deadline_ms)
{
	struct relay_connect hello = { RELAY_CONNECT_MAGIC, s->cfg->launched->port };
	int r = 0;

	for (unsigned i = 0; i < SESSION_STREAM_COUNT && r == 0; i++) {
		uint8_t number = (uint8_t)i;
		uint32_t answer;

		if (s->fds[i] < 0)
			continue;
		if (step == 0)
			r = write_all(s->fds[i], &hello, sizeof(hello));
		else if (step == 2)
			r = write_all(s->fds[i], &number, 1);
		else if ((r = fd_wait(s->fds[i], POLLIN, deadline_ms)) == 0 &&
			 (r = read_all(s->fds[i], &answer, sizeof(answer))) == 0 && answer)
			r = answer < 4096 ? -(int)answer : -EPROTO;
	}
	return r;
}

/* All connections first, then all answers: one round trip for the lot. */
static int open_streams(struct session *s, struct err *err)
{
	uint64_t deadline_ms = now_ms() + (s->cfg->connect_ms ? s->cfg->connect_ms : CONNECT_MS);
	int r = relay_connect_all(s, err);

	if (r < 0)
		return r;
	for (int step = 0; step < 3 && r == 0; step++)
		r = exchange(s, step, deadline_ms);
	for (unsigned i = 0; i < SESSION_STREAM_COUNT && r == 0; i++)
		if (s->fds[i] >= 0)
			r = fd_set_nonblock(s->fds[i], 1);
	return r < 0 ? err_code(err, r, "cannot reach the program in the virtual machine") : 0;
}

/* --- the user's descriptors --- */

/* A description of our own, so that O_NONBLOCK is not the shell's problem; what cannot be opened
 * again (a socket, a terminal of another user) is duplicated and read or written only when ready.
 */
static int own_user_fd(int fd, int access)
{
	struct stat st;
	char path[32];
	int own = -1;

	if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || isatty(fd))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	}
	return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void replace_by_null(int fd)
{
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0)
		dup2(null, fd);
}

static bool stream_open(const struct session *s, int stream)
{
	return s->fds[stream] >= 0;
}

/* --- ends --- */

static void maybe_done(struct session *s)
{
	if (!s->have_status)
		return;
	for (unsigned i = 0; i < s->n_out; i++)
		if (s->out[i].pump)
			return;
	loop_stop(s->loop, 0);
}

static void flow_close(struct flow *f)
{
	f->pump = pump_free(f->pump);
	drop_fd(&f->from);
	drop_fd(&f->to);
}

static void input_ended(struct pump *p, int error, void *arg)
{
	struct flow *f = arg;

	flow_close(f);
	if (stream_open(f->s, f->stream))
		shutdown(f->s->fds[f->stream], SHUT_WR);
	if (error == -EPIPE || error == -ECONNRESET)
		replace_by_null(f->user_fd);
}

static void output_ended(struct pump *p, int error, void *arg)
{
	struct flow *f = arg;

	flow_close(f);
	if (error < 0 && error != -EPIPE && error != -ECONNRESET)
		f->s->output_error = error;
	if (error < 0 && stream_open(f->s, f->stream)) {
		/* shutdown, not only close: the input flow may hold a duplicate */
		shutdown(f->s->fds[f->stream], SHUT_RDWR);
		drop_fd(&f->s->fds[f->stream]);
	}
	if (f->user_fd == 1)
		replace_by_null(1); /* a reader of our pipe sees its end now, not when we leave */
	maybe_done(f->s);
}

static int flow_start(struct session *s, struct flow *f, int stream, int user_fd, bool input)
{
	int own, sock;

	*f = (struct flow) { .s = s, .stream = stream, .user_fd = user_fd, .from = -1, .to = -1 };
	own = own_user_fd(user_fd, input ? O_RDONLY : O_WRONLY);
	sock = fcntl(s->fds[stream], F_DUPFD_CLOEXEC, 3);
	f->from = input ? own : sock;
	f->to = input ? sock : own;
	if (own < 0 || sock < 0)
		return -errno;
	f->pump = pump_new(s->loop, f->from, f->to, input ? input_ended : output_ended, f);
	return f->pump ? 0 : -ENOMEM;
}

static int add_output(struct session *s, int stream, int user_fd)
{
	if (!stream_open(s, stream))
		return 0;
	return flow_start(s, &s->out[s->n_out++], stream, user_fd, false);
}

/* Input from a terminal waits until we are in its foreground. Shells tell nobody when they bring a
 * running job there, so that is looked for now and then. */
static int start_input(struct session *s)
{
	int stream = s->cfg->flags & SESSION_TTY_STDIN ? SESSION_STREAM_PTY : SESSION_STREAM_STDIN;

	if (s->in.pump || s->in.s || !stream_open(s, stream))
		return 0;
	if (stream == SESSION_STREAM_PTY) {
		if (!terminal_foreground(0)) {
			timer_set(s->background, BACKGROUND_MS);
			return 0;
		}
		terminal_raw(0, s->cfg->flags & SESSION_TTY_STDOUT);
	}
	return flow_start(s, &s->in, stream, 0, true);
}

static void maybe_foreground(struct timer *t, void *arg)
{
	start_input(arg);
}

static int start_flows(struct session *s)
{
	uint32_t tty = s->cfg->flags;
	int r = 0;

	if (tty) {
		s->tty = tty & SESSION_TTY_STDOUT ? 1 : tty & SESSION_TTY_STDERR ? 2 : 0;
		r = add_output(s, SESSION_STREAM_PTY, s->tty);
	}
	if (r == 0 && !(tty & SESSION_TTY_STDOUT))
		r = add_output(s, SESSION_STREAM_STDOUT, 1);
	if (r == 0 && !(tty & SESSION_TTY_STDERR))
		r = add_output(s, SESSION_STREAM_STDERR, 2);
	return r == 0 ? start_input(s) : r;
}

/* --- control --- */

static bool moved(struct session *s)
{
	bool any = false;

	for (unsigned i = 0; i < s->n_out; i++) {
		struct flow *f = &s->out[i];

		if (!f->pump)
			continue;
		any |= pump_bytes(f->pump) != f->seen || pump_holds(f->pump);
		f->seen = pump_bytes(f->pump);
	}
	return any;
}

/* The program has ended: its streams may take as long as their readers do, but not stand still. */
static void last_words_over(struct timer *t, void *arg)
{
	struct session *s = arg;

	if (moved(s))
		timer_set(t, s->cfg->last_words_ms ? s->cfg->last_words_ms : LAST_WORDS_MS);
	else
		loop_stop(s->loop, 0);
}

static void control_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct session *s = arg;

	if (m->header.type != MSG_EXIT_STATUS || s->have_status)
		return;
	s->status = ((const struct msg_exit_status *)m->msg)->status;
	s->have_status = true;
	moved(s);
	timer_set(s->last_words, s->cfg->last_words_ms ? s->cfg->last_words_ms : LAST_WORDS_MS);
	maybe_done(s);
}

static void control_closed(struct channel *c, int reason, void *arg)
{
	struct session *s = arg;

	s->control = channel_free(s->control);
	if (s->have_status)
		return;
	s->lost = true;
	loop_stop(s->loop, 0);
}

static void send_size(struct session *s)
{
	struct msg_window_size m;

	if (s->tty >= 0 && s->control && terminal_size(s->tty, &m.rows, &m.cols))
		channel_send(s->control, MSG_WINDOW_SIZE, 0, &m);
}

static void send_signal(struct session *s, int signo)
{
	struct msg_number m = { .number = (uint64_t)signo };

	if (s->control && !s->have_status)
		channel_send(s->control, MSG_SIGNAL, 0, &m);
}

/* --- signals --- */

/* Ends this process alone. The closed control stream hangs the session up. */
static void leave(struct session *s, int signo)
{
	if (!s->have_status)
		s->status = (uint32_t)signo;
	s->have_status = true;
	loop_stop(s->loop, 0);
}

static void hangup_over(struct timer *t, void *arg)
{
	leave(arg, SIGHUP);
}

static void on_end_signal(int signo, void *arg)
{
	struct session *s = arg;

	send_signal(s, signo);
	if (signo == SIGHUP && !timer_armed(s->hangup))
		timer_set(s->hangup, HANGUP_MS);
	if (now_ms() - s->asked_ms > IMPATIENCE_MS) {
		s->asked_ms = now_ms();
		s->asked = 0;
	}
	if (++s->asked >= IMPATIENCE)
		leave(s, signo);
}

static void on_signal(int signo, void *arg)
{
	send_signal(arg, signo);
}

static void on_winch(int signo, void *arg)
{
	send_size(arg);
}

static void on_stop(int signo, void *arg)
{
	struct session *s = arg;

	send_signal(s, SIGTSTP);
	terminal_restore();
	raise(SIGSTOP);
}

static void on_continue(int signo, void *arg)
{
	struct session *s = arg;

	if (s->in.pump && s->in.stream == SESSION_STREAM_PTY && terminal_foreground(0))
		terminal_raw(0, s->cfg->flags & SESSION_TTY_STDOUT);
	send_signal(s, SIGCONT);
	send_size(s);
	start_input(s);
}

static int watch_signals(struct session *s)
{
	static const struct {
		int signo;
		signal_fn fn;
	} rows[] = {
		{ SIGINT, on_end_signal },  { SIGTERM, on_end_signal }, { SIGHUP, on_end_signal },
		{ SIGQUIT, on_end_signal }, { SIGUSR1, on_signal },     { SIGUSR2, on_signal },
		{ SIGALRM, on_signal },     { SIGWINCH, on_winch },     { SIGTSTP, on_stop },
		{ SIGCONT, on_continue },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows) && r == 0; i++) {
		struct sigaction was;

		if (sigaction(rows[i].signo, NULL, &was) == 0 && was.sa_handler == SIG_IGN)
			continue;
		r = loop_signal(s->loop, rows[i].signo, rows[i].fn, s);
	}
	return r;
}

/* --- the service's connection meanwhile --- */

static void service_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct session *s = arg;
	int r = client_receive(s->cfg->client, 1000, &s->reason);

	if (r == 0)
		return;
	/* A RESULT says why the session is about to end; a lost service does not end it. */
	s->service = watch_remove(s->service);
	if (r < 0)
		s->reason.errnum = 0;
}

static int lost_reason(struct session *s, struct err *err)
{
	uint64_t deadline_ms = now_ms() + REASON_MS;
	int r = s->service ? 0 : s->reason.errnum ? 1 : -ENODATA;

	if (s->reason.errnum == 0)
		while (r == 0 && now_ms() < deadline_ms)
			r = client_receive(s->cfg->client, deadline_ms - now_ms(), &s->reason);
	if (s->reason.errnum && r >= 0) {
		*err = s->reason;
		return -err->errnum;
	}
	err_id(err, ERR_WSL_E_VM_CRASHED,
	       "The WSL2 Virtual Machine crashed.\nThe program it ran is gone; the next command "
	       "starts a new "
	       "one.");
	return err_context(err, "Service");
}

/* --- all of it --- */

static int set_up(struct session *s, struct err *err)
{
	static const struct channel_ops ops = { control_message, control_closed };
	int r;

	s->loop = loop_new();
	if (!s->loop)
		return err_errno(err, "cannot watch the session");
	s->last_words = loop_timer(s->loop, last_words_over, s);
	s->hangup = loop_timer(s->loop, hangup_over, s);
	s->background = loop_timer(s->loop, maybe_foreground, s);
	s->control = channel_new(s->loop, take_fd(&s->fds[SESSION_STREAM_CONTROL]), &ops, s);
	s->service = loop_watch(s->loop, client_fd(s->cfg->client), EPOLLIN, service_ready, s);
	if (!s->control || !s->last_words || !s->hangup || !s->background || !s->service)
		return err_set(err, -ENOMEM, "out of memory");
	r = watch_signals(s);
	if (r == 0)
		r = start_flows(s);
	if (r < 0)
		return err_code(err, r, "cannot watch the session");
	send_size(s);
	return 0;
}

static void tear_down(struct session *s)
{
	terminal_restore();
	flow_close(&s->in);
	for (unsigned i = 0; i < s->n_out; i++)
		flow_close(&s->out[i]);
	watch_remove(s->service);
	channel_free(s->control);
	timer_free(s->last_words);
	timer_free(s->hangup);
	timer_free(s->background);
	loop_free(s->loop);
	for (unsigned i = 0; i < SESSION_STREAM_COUNT; i++)
		drop_fd(&s->fds[i]);
}

int session_run(const struct session_config *cfg, int *ret_wait_status, struct err *err)
{
	struct session s = { .cfg = cfg, .tty = -1, .in = { .from = -1, .to = -1 } };
	int r;

	for (unsigned i = 0; i < SESSION_STREAM_COUNT; i++)
		s.fds[i] = -1;
	if (!(cfg->launched->streams & 1u << SESSION_STREAM_CONTROL))
		return err_set(err, -EPROTO,
			       "the service opened a session without a control stream");
	signal(SIGPIPE, SIG_IGN);
	r = open_streams(&s, err);
	if (r == 0 && cfg->ret_streams_us)
		*cfg->ret_streams_us = now_us();
	if (r == 0)
		r = set_up(&s, err);
	if (r == 0) {
		r = loop_run(s.loop);
		if (r < 0)
			err_code(err, r, "cannot watch the session");
	}
	terminal_restore();
	*cfg->ret_lost = r == 0 && s.lost;
	if (r == 0 && s.lost)
		r = lost_reason(&s, err);
	else if (r == 0 && s.output_error && s.status == 0)
		r = err_code(err, s.output_error, "cannot write the program's output");
	tear_down(&s);
	if (r == 0)
		*ret_wait_status = (int)s.status;
	return r;
}
