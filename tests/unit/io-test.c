/* tests/unit/io-test.c - loop, channels, pumps, sockets, blocking message exchange */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/util.h"
#include "io/channel.h"
#include "io/loop.h"
#include "io/pump.h"
#include "io/socket.h"

static struct loop *loop;

static int make_loop(void **state)
{
	loop = loop_new();
	return loop ? 0 : -1;
}

static int drop_loop(void **state)
{
	loop_free(loop);
	return 0;
}

/* Turns the loop until *flag, at most five seconds. */
static void run_until(const int *flag)
{
	uint64_t end = now_ms() + 5000;

	while (!*flag && now_ms() < end)
		assert_int_equal(loop_step(loop, 50), 0);
	assert_true(*flag);
}

static void settle(void)
{
	for (int i = 0; i < 5; i++)
		assert_int_equal(loop_step(loop, 0), 0);
}

static void pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* --- loop --- */

struct seen {
	int count, signo, status, fd;
	uint32_t events;
	struct watch *victim;
	pid_t pid;
};

static void on_event(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct seen *s = arg;
	uint64_t v;

	s->count++;
	s->fd = fd;
	s->events = events;
	if (s->victim)
		s->victim = watch_remove(s->victim);
	if (read(fd, &v, sizeof(v)) < 0)
		assert_int_equal(errno, EAGAIN);
}

static void watches_report(void **state)
{
	int fd = eventfd(1, EFD_NONBLOCK);
	struct seen s = { 0 };
	struct watch *w = loop_watch(loop, fd, EPOLLIN, on_event, &s);

	settle();
	assert_int_equal(s.count, 1);
	assert_int_equal(s.fd, fd);
	watch_set(w, 0);
	assert_int_equal(eventfd_write(fd, 1), 0);
	settle();
	assert_int_equal(s.count, 1);
	watch_set(w, EPOLLIN);
	settle();
	assert_int_equal(s.count, 2);
	watch_remove(w);
	assert_int_equal(eventfd_write(fd, 1), 0);
	settle();
	assert_int_equal(s.count, 2);
	assert_null(watch_remove(NULL));
	close(fd);
}

/* Two are ready in one round; each removes the other: only one may be called. */
static void removed_watches_stay_silent(void **state)
{
	int a = eventfd(1, EFD_NONBLOCK), b = eventfd(1, EFD_NONBLOCK);
	struct seen sa = { 0 }, sb = { 0 };
	struct watch *wa = loop_watch(loop, a, EPOLLIN, on_event, &sa);
	struct watch *wb = loop_watch(loop, b, EPOLLIN, on_event, &sb);

	sa.victim = wb;
	sb.victim = wa;
	settle();
	assert_int_equal(sa.count + sb.count, 1);
	watch_remove(sa.count ? wa : wb);
	close(a);
	close(b);
}

static void a_watch_may_remove_itself(void **state)
{
	int fd = eventfd(5, EFD_NONBLOCK | EFD_SEMAPHORE);
	struct seen s = { 0 };

	s.victim = loop_watch(loop, fd, EPOLLIN, on_event, &s);
	settle();
	assert_int_equal(s.count, 1);
	close(fd);
}

static void files_are_always_ready(void **state)
{
	auto_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct seen s = { 0 };
	struct watch *w = loop_watch(loop, fd, EPOLLIN, on_event, &s);

	assert_non_null(w);
	assert_int_equal(loop_step(loop, -1), 0);
	assert_int_equal(s.count, 1);
	watch_set(w, 0);
	assert_int_equal(loop_step(loop, 0), 0);
	assert_int_equal(s.count, 1);
	watch_set(w, EPOLLIN);
	assert_int_equal(loop_step(loop, -1), 0);
	assert_int_equal(s.count, 2);
	watch_remove(w);
}

static char order[8];

static void on_timer(struct timer *t, void *arg)
{
	strcat(order, arg);
	if (streq(order, "abc"))
		loop_stop(loop, 42);
}

static void timers_fire_in_order(void **state)
{
	char names[][2] = { "a", "b", "c", "d" };
	struct timer *a = loop_timer(loop, on_timer, names[0]);
	struct timer *b = loop_timer(loop, on_timer, names[1]);
	struct timer *c = loop_timer(loop, on_timer, names[2]);
	struct timer *d = loop_timer(loop, on_timer, names[3]);

	order[0] = '\0';
	timer_set(c, 30);
	timer_set(d, 5);
	timer_set(a, 40);
	timer_set(a, 1); /* re-armed, not doubled */
	timer_set(b, 10);
	timer_cancel(d);
	assert_true(timer_armed(a));
	assert_false(timer_armed(d));
	assert_int_equal(loop_run(loop), 42);
	assert_string_equal(order, "abc");
	assert_false(timer_armed(a));
	timer_free(a);
	timer_free(b);
	timer_free(c);
	timer_free(d);
}

static void a_step_waits_no_longer_than_told(void **state)
{
	uint64_t start = now_ms();

	assert_int_equal(loop_step(loop, 20), 0);
	assert_in_range(now_ms() - start, 19, 2000);
}

static void on_child(pid_t pid, int status, void *arg)
{
	struct seen *s = arg;

	s->pid = pid;
	s->status = status;
	s->count++;
}

static void children_are_reaped(void **state)
{
	struct seen s = { 0 };
	pid_t pid = fork();

	if (pid == 0)
		_exit(7);
	assert_non_null(loop_child(loop, pid, on_child, &s));
	run_until(&s.count);
	assert_int_equal(s.pid, pid);
	assert_int_equal(WEXITSTATUS(s.status), 7);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
}

static void on_signal(int signo, void *arg)
{
	struct seen *s = arg;

	s->signo = signo;
	s->count++;
}

static void signals_come_through_the_loop(void **state)
{
	struct seen s = { 0 };

	assert_int_equal(loop_signal(loop, SIGUSR1, on_signal, &s), 0);
	assert_int_equal(loop_signal(loop, SIGUSR2, on_signal, &s), 0);
	raise(SIGUSR2);
	run_until(&s.count);
	assert_int_equal(s.signo, SIGUSR2);
}

/* --- sockets --- */

static void unix_sockets_by_directory(void **state)
{
	char dir[] = "/tmp/io-test.XXXXXX", b[4];
	int d, l, c, a;
	uid_t uid;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	d = open(dir, O_PATH | O_CLOEXEC);
	assert_int_equal(unix_connect_at(d, "s"), -ENOENT);
	l = unix_listen_at(d, "s", 0600);
	assert_true(l >= 0);
	close(l);
	assert_int_equal(unix_connect_at(d, "s"), -ECONNREFUSED);
	l = unix_listen_at(d, "s", 0600); /* replaces the stale name */
	assert_true(l >= 0);
	c = unix_connect_at(d, "s");
	assert_true(c >= 0);
	a = accept(l, NULL, NULL);
	assert_int_equal(unix_peer(a, &uid, &pid), 0);
	assert_int_equal(uid, getuid());
	assert_int_equal(pid, getpid());
	assert_int_equal(fcntl(c, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write_all(c, "hey", 3), 0);
	assert_int_equal(read_all(a, b, 3), 0);
	close(a);
	close(c);
	close(l);
	close(d);
	remove_tree(AT_FDCWD, dir);
}

static void descriptors_travel(void **state)
{
	int sp[2], p[2], got[2] = { -1, -1 };
	unsigned n;
	char b[4];

	pair(sp);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(send_fds(sp[0], "ab", 2, (int[]) { p[0], p[1], p[0] }, 3, 0), 2);
	assert_int_equal(recv_fds(sp[1], b, 4, got, 2, &n, 0), 2); /* the third is closed */
	assert_int_equal(n, 2);
	assert_int_equal(fcntl(got[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write_all(got[1], "x", 1), 0);
	assert_int_equal(read_all(p[0], b, 1), 0);
	assert_int_equal(send_fds(sp[0], "x", 1, p, LIMIT_MESSAGE_FDS + 1, 0), -EINVAL);
	assert_int_equal(recv_fds(sp[1], b, 4, got, 2, &n, MSG_DONTWAIT), -EAGAIN);
	close(got[0]);
	close(got[1]);
	close(p[0]);
	close(p[1]);
	close(sp[0]);
	assert_int_equal(recv_fds(sp[1], b, 4, got, 2, &n, 0), 0);
	assert_int_equal(send_fds(sp[1], "x", 1, NULL, 0, 0), -EPIPE); /* and no SIGPIPE */
	close(sp[1]);
}

static void messages_block_until_a_deadline(void **state)
{
	struct message_buffer mb = { 0 };
	struct message_header h;
	const uint8_t *payload;
	struct msg_text text = { "hello" }, got;
	int sp[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	pair(sp);
	assert_int_equal(message_recv(sp[1], &mb, &h, &payload, now_ms() + 10), -ETIMEDOUT);
	assert_int_equal(message_send(sp[0], MSG_WARNING, 3, &text, &null, 1, now_ms() + 1000), 0);
	assert_int_equal(message_recv(sp[1], &mb, &h, &payload, now_ms() + 1000), 0);
	assert_int_equal(h.seq, 3);
	assert_int_equal(mb.n_fds, 1);
	assert_int_equal(message_decode(h.type, payload, h.length - MESSAGE_HEADER, &got), 0);
	assert_string_equal(got.text, "hello");
	assert_int_equal(write_all(sp[0], "\x14\0\0\0\x06\x01", 6), 0);
	close(sp[0]);
	assert_int_equal(message_recv(sp[1], &mb, &h, &payload, now_ms() + 1000), -EPIPE);
	close(sp[1]);
	pair(sp);
	close(sp[0]);
	assert_int_equal(message_recv(sp[1], &mb, &h, &payload, now_ms() + 1000), -ENODATA);
	close(sp[1]);
	close(null);
	message_buffer_done(&mb);
}

static void a_full_socket_times_out(void **state)
{
	char *big = calloc(1, 1 << 20);
	struct msg_text text = { big };
	int sp[2];

	memset(big, 'x', (1 << 20) - 1);
	pair(sp);
	assert_int_equal(message_send(sp[0], MSG_WARNING, 0, &text, NULL, 0, now_ms() + 20),
			 -ETIMEDOUT);
	close(sp[0]);
	close(sp[1]);
	free(big);
}

/* --- channels --- */

struct peer {
	struct channel *c;
	int messages, closed, reason, fd;
	uint16_t type;
	uint32_t seq;
	char text[64];
	bool free_on_message;
	size_t text_len;
};

static void on_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct peer *p = arg;

	p->messages++;
	p->type = m->header.type;
	p->seq = m->header.seq;
	if (m->n_fds)
		p->fd = take_fd(&m->fds[0]);
	if (m->header.type == MSG_WARNING) {
		const struct msg_text *t = m->msg;

		p->text_len = strlen(t->text);
		snprintf(p->text, sizeof(p->text), "%s", t->text);
	}
	if (p->free_on_message)
		p->c = channel_free(c);
}

static void on_close(struct channel *c, int reason, void *arg)
{
	struct peer *p = arg;

	p->closed++;
	p->reason = reason;
	p->c = channel_free(c);
}

static const struct channel_ops ops = { on_message, on_close };

static void peers(struct peer *a, struct peer *b)
{
	int sp[2];

	pair(sp);
	*a = (struct peer) { .fd = -1 };
	*b = (struct peer) { .fd = -1 };
	a->c = channel_new(loop, sp[0], &ops, a);
	b->c = channel_new(loop, sp[1], &ops, b);
	assert_true(a->c && b->c);
}

static void channels_carry_messages_and_descriptors(void **state)
{
	int fd = eventfd(7, EFD_CLOEXEC);
	struct msg_text m = { "hi" };
	struct peer a, b;
	uint64_t v;

	peers(&a, &b);
	assert_int_equal(channel_send_fds(a.c, MSG_WARNING, channel_next_seq(a.c), &m, &fd, 1), 0);
	assert_int_equal(channel_send(a.c, MSG_LIST, channel_next_seq(a.c), &m), 0);
	settle();
	assert_int_equal(b.messages, 2);
	assert_string_equal(b.text, "hi");
	assert_int_equal(b.type, MSG_LIST);
	assert_int_equal(b.seq, 2);
	assert_true(b.fd >= 0 && b.fd != fd);
	assert_int_equal(read_all(b.fd, &v, sizeof(v)), 0);
	assert_int_equal(v, 7);
	close(b.fd);
	close(fd);
	channel_free(a.c);
	settle();
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.reason, -ENODATA);
	assert_null(b.c);
}

/* More than a socket buffer: what does not fit is queued and arrives in order. */
static void long_messages_are_queued(void **state)
{
	char *big = malloc(3 << 20);
	struct msg_text m = { big }, last = { "last" };
	struct peer a, b;

	memset(big, 'y', 3 << 20);
	big[(3 << 20) - 1] = '\0';
	peers(&a, &b);
	for (int i = 0; i < 3; i++)
		assert_int_equal(channel_send(a.c, MSG_WARNING, 0, &m), 0);
	assert_int_equal(channel_send(a.c, MSG_WARNING, 0, &last), 0);
	for (int i = 0; i < 2000 && b.messages < 4; i++)
		assert_int_equal(loop_step(loop, 10), 0);
	assert_int_equal(b.messages, 4);
	assert_string_equal(b.text, "last");
	channel_free(a.c);
	channel_free(b.c);
	free(big);
}

static void the_queue_has_a_limit(void **state)
{
	char *big = malloc(4 << 20);
	struct msg_text m = { big };
	struct peer a, b;
	int r = 0, n = 0;

	memset(big, 'z', (4 << 20) - 100);
	big[(4 << 20) - 100] = '\0';
	peers(&a, &b);
	while (r == 0 && n++ < 10)
		r = channel_send(a.c, MSG_WARNING, 0, &m);
	assert_int_equal(r, -ENOBUFS);
	assert_true((size_t)n >= LIMIT_CHANNEL_QUEUE / (4 << 20));
	channel_free(a.c);
	channel_free(b.c);
	free(big);
}

static void unknown_types_are_refused_clearly(void **state)
{
	static const uint8_t unknown[] = { 12, 0, 0, 0, 0xff, 0x7f, 0, 0, 5, 0, 0, 0 };
	struct peer b = { .fd = -1 };
	struct message_buffer mb = { 0 };
	struct message_header h;
	struct msg_result m;
	const uint8_t *payload;
	int sp[2];

	pair(sp);
	b.c = channel_new(loop, sp[1], &ops, &b);
	assert_int_equal(write_all(sp[0], unknown, sizeof(unknown)), 0);
	settle();
	assert_int_equal(b.messages, 0);
	assert_int_equal(b.closed, 0);
	assert_int_equal(message_recv(sp[0], &mb, &h, &payload, now_ms() + 1000), 0);
	assert_int_equal(h.type, MSG_RESULT);
	assert_int_equal(h.seq, 5);
	assert_int_equal(message_decode(h.type, payload, h.length - MESSAGE_HEADER, &m), 0);
	assert_int_equal(m.error, ERR_WSL_E_PROTOCOL_MISMATCH);
	message_buffer_done(&mb);
	channel_free(b.c);
	close(sp[0]);
}

static int reason_for(const void *bytes, size_t len, bool end)
{
	struct peer b = { .fd = -1 };
	int sp[2];

	pair(sp);
	b.c = channel_new(loop, sp[1], &ops, &b);
	assert_int_equal(write_all(sp[0], bytes, len), 0);
	if (end)
		close(sp[0]);
	settle();
	assert_int_equal(b.closed, 1);
	if (!end)
		close(sp[0]);
	return b.reason;
}

static void broken_peers_are_dropped(void **state)
{
	static const uint8_t huge[] = { 1, 0, 0x40, 0, 1, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t no_fd[] = { 12, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0 };
	static const uint8_t bad_body[] = { 13, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0 };

	assert_int_equal(reason_for(huge, sizeof(huge), false), -EBADMSG);
	assert_int_equal(reason_for(no_fd, sizeof(no_fd), false), -EBADMSG);
	assert_int_equal(reason_for(bad_body, sizeof(bad_body), false), -EBADMSG);
	for (size_t n = 1; n < sizeof(bad_body); n++)
		assert_int_equal(reason_for(bad_body, n, true), -EPIPE);
	assert_int_equal(reason_for("", 0, true), -ENODATA);
}

static void a_channel_may_be_freed_in_its_callback(void **state)
{
	struct msg_text m = { "x" };
	struct peer a, b;

	peers(&a, &b);
	b.free_on_message = true;
	channel_send(a.c, MSG_WARNING, 0, &m);
	channel_send(a.c, MSG_WARNING, 0, &m);
	settle();
	assert_int_equal(b.messages, 1);
	assert_null(b.c);
	assert_int_equal(a.closed, 1);
}

/* As a guest's relay does: it says how the program ended and leaves, not reading what we send. */
static void last_words_are_heard_when_sending_fails(void **state)
{
	struct msg_text farewell = { "farewell" }, late = { "too late" };
	struct peer a, b;

	peers(&a, &b);
	assert_int_equal(channel_send(a.c, MSG_WARNING, 0, &farewell), 0);
	channel_free(a.c);
	assert_int_equal(channel_send(b.c, MSG_WARNING, 0, &late), -EPIPE);
	settle();
	assert_int_equal(b.messages, 1);
	assert_string_equal(b.text, "farewell");
	assert_int_equal(b.closed, 1);
}

static void flushing_outlives_the_owner(void **state)
{
	size_t len = 2 << 20;
	char *big = malloc(len);
	struct msg_text m = { big };
	struct peer a, b;

	memset(big, 'q', len);
	big[len - 1] = '\0';
	peers(&a, &b);
	assert_int_equal(channel_send(a.c, MSG_WARNING, 0, &m), 0);
	channel_free_after_flush(a.c);
	for (int i = 0; i < 1000 && !b.closed; i++)
		assert_int_equal(loop_step(loop, 10), 0);
	assert_int_equal(b.messages, 1);
	assert_int_equal(b.text_len, len - 1);
	assert_int_equal(b.reason, -ENODATA);
	assert_int_equal(a.closed, 0);
	free(big);
}

static void results_become_errors(void **state)
{
	struct msg_result m = { ENOENT, ERR_WSL_E_DISTRO_NOT_FOUND, "no such thing", "Service" };
	struct err err = ERR_INIT;

	assert_int_equal(message_result(&m, &err), -ENOENT);
	assert_string_equal(err.text, "no such thing");
	assert_string_equal(err.context, "Service");
	assert_string_equal(err_label(&err), "WSL_E_DISTRO_NOT_FOUND");
	m.error = 99999; /* a newer peer's */
	assert_int_equal(message_result(&m, &err), -ENOENT);
	assert_string_equal(err_label(&err), "ENOENT");
	m.errnum = 1u << 31;
	assert_int_equal(message_result(&m, &err), -EPROTO);
	m.errnum = 0;
	assert_int_equal(message_result(&m, &err), 0);
}

/* --- pumps --- */

struct pump_end {
	int ended, error;
};

static void on_pump_end(struct pump *p, int error, void *arg)
{
	struct pump_end *e = arg;

	e->ended++;
	e->error = error;
}

static void pumps_move_everything(void **state)
{
	size_t len = 1 << 20, sent = 0, got = 0;
	uint8_t *data = malloc(len), *back = malloc(len);
	int in[2], out[2];
	struct pump_end e = { 0 };
	struct pump *p;

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7 + (i >> 8));
	pair(in);
	pair(out);
	for (int i = 0; i < 2; i++) {
		fd_set_nonblock(in[i], 1);
		fd_set_nonblock(out[i], 1);
	}
	p = pump_new(loop, in[1], out[0], on_pump_end, &e);
	for (int i = 0; i < 10000 && !e.ended; i++) {
		ssize_t n = sent < len ? write(in[0], data + sent, len - sent) : 0;

		sent += n > 0 ? (size_t)n : 0;
		if (sent == len)
			shutdown(in[0], SHUT_WR);
		assert_int_equal(loop_step(loop, 0), 0);
		n = read(out[1], back + got, len - got);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(e.ended, 1);
	assert_int_equal(e.error, 0);
	while (got < len) {
		ssize_t n = read(out[1], back + got, len - got);

		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(data, back, len);
	assert_int_equal(pump_bytes(p), len);
	pump_free(p);
	for (int i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
	}
	free(data);
	free(back);
}

static void a_lost_sink_is_reported(void **state)
{
	int in[2], out[2];
	struct pump_end e = { 0 };
	struct pump *p;

	signal(SIGPIPE, SIG_IGN);
	pair(in);
	pair(out);
	fd_set_nonblock(in[1], 1);
	fd_set_nonblock(out[0], 1);
	close(out[1]);
	p = pump_new(loop, in[1], out[0], on_pump_end, &e);
	assert_int_equal(write_all(in[0], "x", 1), 0);
	run_until(&e.ended);
	assert_int_equal(e.error, -EPIPE);
	pump_free(p);
	close(in[0]);
	close(in[1]);
	close(out[0]);
}

/* A writer lives on, but what is there now is all that is wanted. */
static void finishing_takes_what_is_there(void **state)
{
	int in[2], out[2];
	struct pump_end e = { 0 };
	struct pump *p;
	char b[8] = "";

	assert_int_equal(pipe2(in, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_NONBLOCK | O_CLOEXEC), 0);
	p = pump_new(loop, in[0], out[1], on_pump_end, &e);
	assert_int_equal(write_all(in[1], "tail", 4), 0);
	pump_finish(p);
	assert_int_equal(e.ended, 1);
	assert_int_equal(e.error, 0);
	assert_int_equal(read(out[0], b, sizeof(b)), 4);
	assert_string_equal(b, "tail");
	pump_free(p);
	for (int i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
	}
}

/* A source that always has more must not keep a finishing pump busy for ever. */
static void finishing_ends_under_a_tireless_writer(void **state)
{
	int in = open("/dev/zero", O_RDONLY | O_CLOEXEC),
	    out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct pump_end e = { 0 };
	struct pump *p = pump_new(loop, in, out, on_pump_end, &e);

	pump_finish(p);
	assert_int_equal(e.ended, 1);
	assert_int_equal(e.error, 0);
	assert_in_range(pump_bytes(p), 1, 1 << 20);
	pump_free(p);
	close(in);
	close(out);
}

#define with_loop(f) cmocka_unit_test_setup_teardown(f, make_loop, drop_loop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_loop(watches_report),
		with_loop(removed_watches_stay_silent),
		with_loop(a_watch_may_remove_itself),
		with_loop(files_are_always_ready),
		with_loop(timers_fire_in_order),
		with_loop(a_step_waits_no_longer_than_told),
		with_loop(children_are_reaped),
		with_loop(signals_come_through_the_loop),
		cmocka_unit_test(unix_sockets_by_directory),
		cmocka_unit_test(descriptors_travel),
		cmocka_unit_test(messages_block_until_a_deadline),
		cmocka_unit_test(a_full_socket_times_out),
		with_loop(channels_carry_messages_and_descriptors),
		with_loop(long_messages_are_queued),
		with_loop(the_queue_has_a_limit),
		with_loop(unknown_types_are_refused_clearly),
		with_loop(broken_peers_are_dropped),
		with_loop(a_channel_may_be_freed_in_its_callback),
		with_loop(last_words_are_heard_when_sending_fails),
		with_loop(flushing_outlives_the_owner),
		with_loop(results_become_errors),
		with_loop(pumps_move_everything),
		with_loop(a_lost_sink_is_reported),
		with_loop(finishing_takes_what_is_there),
		with_loop(finishing_ends_under_a_tireless_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
