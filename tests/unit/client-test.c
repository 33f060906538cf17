/* tests/unit/client-test.c - the client library against a scripted service
 *
 * The script is a list of steps that a thread plays on the other end of a socket pair.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/client.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "config/paths.h"
#include "io/socket.h"

enum step_kind { END, EXPECT, SEND, SEND_OTHER_SEQ, RAW, HANG };

struct step {
	enum step_kind kind;
	uint16_t type;
	const void *msg;
};

struct peer {
	int fd;
	const struct step *steps;
	pthread_t thread;
	bool bad;
	char seen[64]; /* what the expected message said */
	unsigned fds;
};

static void expect(struct peer *p, uint16_t type, uint32_t *ret_seq)
{
	struct message_buffer buf = { 0 };
	struct message_header h = { 0 };
	const uint8_t *payload;
	union message_any any;

	if (message_recv(p->fd, &buf, &h, &payload, now_ms() + 5000) < 0 || h.type != type ||
	    message_decode(type, payload, h.length - MESSAGE_HEADER, &any) < 0)
		p->bad = true;
	if (type == MSG_TERMINATE && !p->bad) {
		const struct msg_text *m = (const void *)&any;

		snprintf(p->seen, sizeof(p->seen), "%s", m->text);
	}
	p->fds += buf.n_fds;
	*ret_seq = h.seq;
	message_buffer_done(&buf);
}

static void *play(void *arg)
{
	struct peer *p = arg;
	uint32_t seq = 0;
	char byte;

	for (const struct step *s = p->steps; s->kind != END; s++) {
		switch (s->kind) {
		case EXPECT:
			expect(p, s->type, &seq);
			break;
		case SEND:
		case SEND_OTHER_SEQ:
			message_send(p->fd, s->type, s->kind == SEND ? seq : seq + 7, s->msg, NULL,
				     0, now_ms() + 5000);
			break;
		case RAW:
			if (send(p->fd, s->msg, s->type, MSG_NOSIGNAL) < 0)
				p->bad = true;
			break;
		case HANG: /* until the client goes away */
			while (recv(p->fd, &byte, 1, 0) > 0)
				;
			break;
		case END:
			break;
		}
	}
	close(p->fd);
	return NULL;
}

static char warnings[256];
static uint64_t progress_seen;

static void on_warning(const char *text, void *arg)
{
	snprintf(warnings + strlen(warnings), sizeof(warnings) - strlen(warnings), "[%s]", text);
}

static void on_progress(const struct msg_progress *p, void *arg)
{
	progress_seen = p->done;
}

static const struct msg_hello hello = { .version = PROTOCOL_VERSION,
					.role = ROLE_SERVICE,
					.release = "9" };
static const struct msg_none none;
static const struct msg_result success = { .text = "", .context = "" };

#define GREETING                                                                                   \
	{ EXPECT, MSG_HELLO, NULL },                                                               \
	{                                                                                          \
		SEND, MSG_HELLO, &hello                                                            \
	}

static struct peer peer;
static struct err err;

static int open_scripted(const struct step *steps, struct client **ret)
{
	struct client_config cfg = { .warning = on_warning,
				     .progress = on_progress,
				     .connect_ms = 300 };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	peer = (struct peer) { .fd = fds[1], .steps = steps };
	warnings[0] = '\0';
	progress_seen = 0;
	err = ERR_INIT;
	*ret = NULL;
	assert_int_equal(pthread_create(&peer.thread, NULL, play, &peer), 0);
	return client_open_fd(fds[0], &cfg, ret, &err);
}

static void close_scripted(struct client *c)
{
	client_free(c);
	pthread_join(peer.thread, NULL);
	assert_false(peer.bad);
}

static int call(struct client *c, uint16_t type, const void *msg, uint16_t reply, void *ret_reply)
{
	struct client_call call = {
		.type = type, .msg = msg, .reply = reply, .ret_reply = ret_reply, .silence_ms = 200
	};

	return client_call(c, &call, &err);
}

static void a_request_is_answered(void **state)
{
	static const struct step steps[] = {
		GREETING, { EXPECT, MSG_TERMINATE, NULL }, { SEND, MSG_RESULT, &success }, { END }
	};
	struct msg_text m = { "Debian" };
	struct client *c;

	assert_int_equal(open_scripted(steps, &c), 0);
	assert_string_equal(client_service_release(c), "9");
	assert_int_equal(call(c, MSG_TERMINATE, &m, 0, NULL), 0);
	close_scripted(c);
	assert_string_equal(peer.seen, "Debian");
}

static void a_launch_brings_warnings_and_its_reply(void **state)
{
	static const struct msg_text one = { "first" }, two = { "second" };
	static const struct msg_launched launched = {
		.relay_socket = "/r", .port = 5, .streams = 3, .timings = "a=1"
	};
	static const struct step steps[] = { GREETING,
					     { EXPECT, MSG_LAUNCH, NULL },
					     { SEND, MSG_WARNING, &one },
					     { SEND_OTHER_SEQ, MSG_WARNING, &two },
					     { SEND, MSG_LAUNCHED, &launched },
					     { END } };
	struct msg_launch m = { .distro = "d" };
	struct msg_launched got;
	struct client *c;

	assert_int_equal(open_scripted(steps, &c), 0);
	assert_int_equal(call(c, MSG_LAUNCH, &m, MSG_LAUNCHED, &got), 0);
	assert_string_equal(got.relay_socket, "/r");
	assert_int_equal(got.port, 5);
	assert_string_equal(got.timings, "a=1");
	assert_string_equal(warnings, "[first][second]");
	close_scripted(c);
}

static void collect(const void *msg, void *arg)
{
	const struct msg_distro *m = msg;

	strcat(arg, m->name);
}

static void items_come_before_the_result(void **state)
{
	static const struct msg_distro a = { .name = "a" }, b = { .name = "b" };
	static const struct step steps[] = { GREETING,
					     { EXPECT, MSG_LIST, NULL },
					     { SEND, MSG_DISTRO, &a },
					     { SEND, MSG_DISTRO, &b },
					     { SEND, MSG_RESULT, &success },
					     { END } };
	char names[8] = "";
	struct client_call list = { .type = MSG_LIST,
				    .msg = &none,
				    .item = MSG_DISTRO,
				    .on_item = collect,
				    .item_arg = names,
				    .silence_ms = 200 };
	struct client *c;

	assert_int_equal(open_scripted(steps, &c), 0);
	assert_int_equal(client_call(c, &list, &err), 0);
	assert_string_equal(names, "ab");
	close_scripted(c);
}

static void the_services_error_is_told_with_its_context(void **state)
{
	static const struct msg_result bad = { .errnum = ENOENT,
					       .error = ERR_WSL_E_DISTRO_NOT_FOUND,
					       .text = "There is none.",
					       .context = "CreateInstance" };
	static const struct step steps[] = {
		GREETING, { EXPECT, MSG_LAUNCH, NULL }, { SEND, MSG_RESULT, &bad }, { END }
	};
	struct msg_launch m = { .distro = "d" };
	struct msg_launched got;
	struct client *c;

	assert_int_equal(open_scripted(steps, &c), 0);
	assert_int_equal(call(c, MSG_LAUNCH, &m, MSG_LAUNCHED, &got), -ENOENT);
	assert_string_equal(err.text, "There is none.");
	assert_string_equal(err.context, "Service/CreateInstance");
	assert_string_equal(err_label(&err), "WSL_E_DISTRO_NOT_FOUND");
	close_scripted(c);
}

static void progress_keeps_a_long_call_alive(void **state)
{
	static const struct msg_progress p = { .done = 42, .total = 100, .phase = "x" };
	static const struct msg_imported done = { "n", "i" };
	static const struct step steps[] = { GREETING,
					     { EXPECT, MSG_IMPORT, NULL },
					     { SEND, MSG_PROGRESS, &p },
					     { SEND, MSG_IMPORTED, &done },
					     { END } };
	auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct msg_import m = { .name = "n" };
	struct msg_imported got;
	struct client_call import = { .type = MSG_IMPORT,
				      .msg = &m,
				      .fds = &fd,
				      .n_fds = 1,
				      .reply = MSG_IMPORTED,
				      .ret_reply = &got,
				      .silence_ms = 200 };
	struct client *c;

	assert_int_equal(open_scripted(steps, &c), 0);
	assert_int_equal(client_call(c, &import, &err), 0);
	assert_string_equal(got.id, "i");
	assert_int_equal(progress_seen, 42);
	close_scripted(c);
	assert_int_equal(peer.fds, 1);
}

static void another_version_is_told_apart(void **state)
{
	static const struct msg_hello newer = { .version = PROTOCOL_VERSION + 1, .release = "99" };
	static const struct msg_result refused = { .errnum = EPROTO,
						   .error = ERR_WSL_E_PROTOCOL_MISMATCH,
						   .text = "go away",
						   .context = "" };
	static const struct step says_so[] = { { EXPECT, MSG_HELLO, NULL },
					       { SEND, MSG_HELLO, &newer },
					       { END } };
	static const struct step refuses[] = { { EXPECT, MSG_HELLO, NULL },
					       { SEND, MSG_RESULT, &refused },
					       { END } };
	struct client *c;

	assert_int_equal(open_scripted(says_so, &c), -EPROTO);
	assert_string_equal(err_label(&err), "WSL_E_PROTOCOL_MISMATCH");
	assert_non_null(strstr(err.text, "wsl --shutdown"));
	assert_non_null(strstr(err.text, "99"));
	close_scripted(c);
	assert_int_equal(open_scripted(refuses, &c), -EPROTO);
	assert_non_null(strstr(err.text, "wsl --shutdown"));
	close_scripted(c);
}

static void a_service_that_hangs_does_not_hang_us(void **state)
{
	static const struct step deaf[] = { { HANG }, { END } };
	static const struct step mute[] = {
		GREETING, { EXPECT, MSG_STATUS, NULL }, { HANG }, { END }
	};
	struct client *c;
	struct msg_status got;
	uint64_t before = now_ms();

	assert_int_equal(open_scripted(deaf, &c), -ETIMEDOUT);
	assert_string_equal(err_label(&err), "ERROR_TIMEOUT");
	close_scripted(c);
	assert_int_equal(open_scripted(mute, &c), 0);
	assert_int_equal(call(c, MSG_STATUS, &none, MSG_STATUS_REPLY, &got), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "--force"));
	close_scripted(c);
	assert_true(now_ms() - before < 3000);
}

static void a_service_that_dies_is_reported(void **state)
{
	static const struct step early[] = { { END } };
	static const struct step greeted[] = { GREETING, { END } };
	static const struct step asked[] = { GREETING, { EXPECT, MSG_STATUS, NULL }, { END } };
	static const struct step half[] = {
		GREETING, { EXPECT, MSG_STATUS, NULL }, { RAW, 5, "\x20\0\0\0\2" }, { END }
	};
	static const struct step *const scripts[] = { greeted, asked, half };
	struct msg_status got;
	struct client *c;

	assert_true(open_scripted(early, &c) < 0);
	assert_string_equal(err_label(&err), "WSL_E_SERVICE_UNAVAILABLE");
	close_scripted(c);
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		assert_int_equal(open_scripted(scripts[i], &c), 0);
		assert_true(call(c, MSG_STATUS, &none, MSG_STATUS_REPLY, &got) < 0);
		assert_string_equal(err_label(&err), "WSL_E_SERVICE_UNAVAILABLE");
		close_scripted(c);
	}
}

static void garbage_is_refused(void **state)
{
	static const struct step not_hello[] = {
		{ EXPECT, MSG_HELLO, NULL }, { RAW, 16, "HTTP/1.1 400 Bad" }, { HANG }, { END }
	};
	static const struct step unknown[] = { GREETING,
					       { EXPECT, MSG_STATUS, NULL },
					       { RAW, 12, "\x0c\0\0\0\xff\x7f\0\0\1\0\0\0" },
					       { HANG },
					       { END } };
	static const struct step wrong_seq[] = { GREETING,
						 { EXPECT, MSG_STATUS, NULL },
						 { SEND_OTHER_SEQ, MSG_RESULT, &success },
						 { HANG },
						 { END } };
	static const struct step short_reply[] = { GREETING,
						   { EXPECT, MSG_STATUS, NULL },
						   { RAW, 13, "\x0d\0\0\0\3\1\0\0\1\0\0\0x" },
						   { HANG },
						   { END } };
	static const struct step no_reply[] = { GREETING,
						{ EXPECT, MSG_STATUS, NULL },
						{ SEND, MSG_RESULT, &success },
						{ HANG },
						{ END } };
	static const struct step *const scripts[] = { unknown, wrong_seq, short_reply, no_reply };
	struct msg_status got;
	struct client *c;

	assert_true(open_scripted(not_hello, &c) < 0);
	assert_string_equal(err_label(&err), "WSL_E_PROTOCOL_MISMATCH");
	close_scripted(c);
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		assert_int_equal(open_scripted(scripts[i], &c), 0);
		assert_true(call(c, MSG_STATUS, &none, MSG_STATUS_REPLY, &got) < 0);
		assert_string_equal(err_label(&err), "WSL_E_PROTOCOL_MISMATCH");
		close_scripted(c);
	}
}

static void a_reason_may_come_unasked(void **state)
{
	static const struct msg_text warning = { "w" };
	static const struct msg_result gone = {
		.errnum = EIO, .error = ERR_WSL_E_VM_CRASHED, .text = "boom", .context = "Service"
	};
	static const struct step steps[] = {
		GREETING, { SEND, MSG_WARNING, &warning }, { SEND, MSG_RESULT, &gone }, { END }
	};
	struct client *c;

	assert_int_equal(open_scripted(steps, &c), 0);
	assert_int_equal(client_receive(c, 500, &err), 0);
	assert_string_equal(warnings, "[w]");
	assert_int_equal(client_receive(c, 500, &err), 1);
	assert_string_equal(err.text, "boom");
	assert_true(client_receive(c, 500, &err) < 0);
	close_scripted(c);
}

/* --- starting the service: a shell script stands for wslservice --- */

static char dir[] = "/tmp/client-test-XXXXXX";

static void put_service(const char *script)
{
	auto_free char *path = str_printf("%s/wslservice", dir);

	assert_int_equal(write_file_at(AT_FDCWD, path, script, strlen(script), 0755), 0);
}

static int set_up_directory(void **state)
{
	assert_non_null(mkdtemp(dir));
	setenv("LXSS_LIBEXEC", dir, 1);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	setenv("XDG_STATE_HOME", dir, 1);
	return 0;
}

static int remove_directory(void **state)
{
	return remove_tree(AT_FDCWD, dir);
}

static int open_starting(struct client **ret)
{
	struct client_config cfg = { .start_service = true, .connect_ms = 3000 };
	int r;

	err = ERR_INIT;
	cfg.dirfd = path_open(PATH_RUNTIME, &err);
	assert_true(cfg.dirfd >= 0);
	r = client_open(&cfg, ret, &err);
	close(cfg.dirfd);
	return r;
}

static void a_service_that_cannot_start_says_why(void **state)
{
	struct client *c = NULL;

	assert_int_equal(open_starting(&c), -ENOENT);
	assert_string_equal(err_label(&err), "WSL_E_SERVICE_UNAVAILABLE");
	put_service("#!/bin/sh\necho 'the registry is broken' >&2\nexit 3\n");
	assert_true(open_starting(&c) < 0);
	assert_non_null(strstr(err.text, "exit code 3"));
	assert_non_null(strstr(err.text, "the registry is broken"));
	assert_non_null(strstr(err.text, "wslservice.log"));
	assert_null(c);
}

static void the_service_starts_detached(void **state)
{
	auto_free char *text = NULL, *out = str_printf("%s/out", dir);
	auto_free char *script = str_printf(
		"#!/bin/sh\n"
		"{ cut -d' ' -f6 /proc/$$/stat; echo $$; echo ready=$LXSS_READY_FD; pwd\n"
		"readlink /proc/$$/fd/0; ls /proc/$$/fd | grep -x 77; } >%s\n"
		"exit 4\n",
		out);
	struct client *c = NULL;
	int sid, pid;

	dup2(2, 77); /* inherited by whoever does not take care */
	put_service(script);
	assert_true(open_starting(&c) < 0);
	close(77);
	assert_non_null(strstr(err.text, "exit code 4"));
	assert_int_equal(read_file_at(AT_FDCWD, out, 4096, &text, NULL), 0);
	assert_int_equal(sscanf(text, "%d %d", &sid, &pid), 2);
	assert_int_equal(sid, pid); /* leads a session of its own */
	assert_non_null(strstr(text, "\nready=3\n/\n/dev/null\n"));
	assert_true(str_endswith(text, "/dev/null\n"));
}

static void a_service_that_met_another_is_started_again(void **state)
{
	auto_free char *count = str_printf("%s/count", dir), *text = NULL;
	auto_free char *script = str_printf("#!/bin/sh\necho x >>%s\n"
					    "[ $(wc -l <%s) -lt 3 ] || exit 4\n",
					    count, count);
	struct client *c = NULL;

	put_service(script); /* leaves orderly twice, then fails */
	assert_true(open_starting(&c) < 0);
	assert_int_equal(read_file_at(AT_FDCWD, count, 64, &text, NULL), 0);
	assert_string_equal(text, "x\nx\nx\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered),
		cmocka_unit_test(a_launch_brings_warnings_and_its_reply),
		cmocka_unit_test(items_come_before_the_result),
		cmocka_unit_test(the_services_error_is_told_with_its_context),
		cmocka_unit_test(progress_keeps_a_long_call_alive),
		cmocka_unit_test(another_version_is_told_apart),
		cmocka_unit_test(a_service_that_hangs_does_not_hang_us),
		cmocka_unit_test(a_service_that_dies_is_reported),
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(a_reason_may_come_unasked),
		cmocka_unit_test(a_service_that_cannot_start_says_why),
		cmocka_unit_test(the_service_starts_detached),
		cmocka_unit_test(a_service_that_met_another_is_started_again),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, set_up_directory, remove_directory);
}
