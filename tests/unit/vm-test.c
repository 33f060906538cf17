/* tests/unit/vm-test.c - helper processes, the management console's protocol, the console log */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "vm/console.h"
#include "vm/mconsole.h"
#include "vm/spawn.h"
#include "vm/vm.h"

static char dir[] = "/tmp/lxss-vm-test.XXXXXX";
static int dirfd = -1;

static int make_dir(void **state)
{
	(void)state;
	log_set_level(LOG_ERR);
	if (!mkdtemp(dir))
		return -1;
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dirfd < 0 ? -1 : 0;
}

static int drop_dir(void **state)
{
	(void)state;
	close(dirfd);
	return remove_tree(AT_FDCWD, dir);
}

/* --- spawn --- */

static int run_sh(const char *script, int out, int fd3)
{
	struct err err = ERR_INIT;
	int status;
	pid_t pid = spawn_program(
		&(struct spawn) {
			.argv = (char *[]) { (char[]) { "/bin/sh" }, (char[]) { "-c" },
					     (char *)(uintptr_t)script, NULL },
			.cwd_fd = dirfd,
			.stdio = { -1, out, -1 },
			.fd3 = fd3,
		},
		&err);

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void a_program_gets_exactly_its_descriptors(void **state)
{
	int secret = open("/dev/null", O_RDWR), pair[2];
	char text[256] = "";

	(void)state;
	assert_true(secret >= 0);
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(run_sh("for f in /proc/self/fd/*; do echo ${f##*/}; done", pair[1], 0), 0);
	close(pair[1]);
	assert_true(read(pair[0], text, sizeof(text) - 1) > 0);
	assert_null(strstr(text, "\n4\n")); /* 0 1 2, and 3: the listing's own */
	close(pair[0]);
	close(secret);
}

static void descriptor_three_is_placed(void **state)
{
	int pair[2];
	char c;

	(void)state;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(run_sh("echo x >&3", -1, pair[1]), 0);
	assert_int_equal(read(pair[0], &c, 1), 1);
	assert_int_equal(c, 'x');
	close(pair[0]);
	close(pair[1]);
}

static void a_missing_program_is_named(void **state)
{
	struct err err = ERR_INIT;
	pid_t pid = spawn_program(
		&(struct spawn) {
			.argv = (char *[]) { (char[]) { "/nonexistent/program" }, NULL },
			.cwd_fd = -1,
			.stdio = { -1, -1, -1 },
		},
		&err);

	(void)state;
	assert_int_equal(pid, -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/program"));
}

/* --- mconsole --- */

struct peer { /* answers one request as the kernel does */
	int fd;
	uint32_t error;
	const char *text;
	char asked[600];
};

struct answer {
	int calls, errnum;
	char text[ERR_TEXT_BYTES];
};

static void peer_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct peer *p = arg;
	struct {
		uint32_t a, b, len;
		char text[512];
	} m = { 0 };
	struct sockaddr_un from;
	socklen_t len = sizeof(from);

	(void)w, (void)events;
	assert_true(recvfrom(fd, &m, sizeof(m), 0, (struct sockaddr *)&from, &len) > 12);
	assert_int_equal(m.a, 0xcafebabe);
	assert_int_equal(m.b, 2);
	assert_int_equal(m.len, strlen(m.text));
	snprintf(p->asked, sizeof(p->asked), "%s", m.text);
	m.a = p->error;
	m.b = 0;
	m.len = (uint32_t)strlen(p->text);
	snprintf(m.text, sizeof(m.text), "%s", p->text);
	sendto(fd, &m, sizeof(m), 0, (struct sockaddr *)&from, len);
}

static void answered(const struct err *err, const char *reply, void *arg)
{
	struct answer *a = arg;

	a->calls++;
	a->errnum = err ? err->errnum : 0;
	snprintf(a->text, sizeof(a->text), "%s", err ? err->text : reply);
}

static int bind_console(const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void console_requests_are_answered_in_order(void **state)
{
	struct loop *loop = loop_new();
	struct peer peer = { .fd = bind_console("ok"), .text = "fine" };
	struct answer first = { 0 }, second = { 0 };
	struct mconsole *m = mconsole_new(loop, dirfd, "ok");

	(void)state;
	assert_non_null(loop_watch(loop, peer.fd, EPOLLIN, peer_ready, &peer));
	mconsole_request(m, "config ubd1=disk1", answered, &first);
	mconsole_request(m, "remove ubd1", answered, &second);
	while (!second.calls)
		assert_int_equal(loop_step(loop, 1000), 0);
	assert_int_equal(first.calls, 1);
	assert_string_equal(first.text, "fine");
	assert_string_equal(peer.asked, "remove ubd1");
	mconsole_free(m);
	loop_free(loop);
	close(peer.fd);
}

static void a_refusal_carries_the_kernels_words(void **state)
{
	struct loop *loop = loop_new();
	struct peer peer = { .fd = bind_console("bad"), .error = 1, .text = "device busy" };
	struct answer a = { 0 };
	struct mconsole *m = mconsole_new(loop, dirfd, "bad");

	(void)state;
	assert_non_null(loop_watch(loop, peer.fd, EPOLLIN, peer_ready, &peer));
	mconsole_request(m, "remove ubd1", answered, &a);
	while (!a.calls)
		assert_int_equal(loop_step(loop, 1000), 0);
	assert_int_equal(a.errnum, EIO);
	assert_non_null(strstr(a.text, "device busy"));
	mconsole_free(m);
	loop_free(loop);
	close(peer.fd);
}

static void no_kernel_is_told_at_once(void **state)
{
	struct loop *loop = loop_new();
	struct answer a = { 0 };
	struct mconsole *m = mconsole_new(loop, dirfd, "nobody");

	(void)state;
	mconsole_request(m, "version", answered, &a);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.errnum, ENOENT);
	mconsole_free(m);
	loop_free(loop);
}

/* --- console --- */

static void the_log_is_bounded_and_the_tail_is_the_end(void **state)
{
	auto_free char *path = str_printf("%s/console.log", dir);
	struct loop *loop = loop_new();
	struct console *c;
	struct stat st;
	int pair[2];
	char block[4096];

	(void)state;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	c = console_new(loop, pair[0], path);
	assert_non_null(c);
	memset(block, 'a', sizeof(block));
	for (size_t n = 0; n < LIMIT_CONSOLE_LOG_BYTES + 100 * sizeof(block); n += sizeof(block)) {
		assert_int_equal(write(pair[1], block, sizeof(block)), sizeof(block));
		console_catch_up(c);
	}
	assert_int_equal(write(pair[1], "the end", 7), 7);
	console_catch_up(c);
	assert_true(str_endswith(console_tail(c), "athe end"));
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, LIMIT_CONSOLE_LOG_BYTES, LIMIT_CONSOLE_LOG_BYTES + 8192 + 100);
	console_free(c);
	loop_free(loop);
	close(pair[1]);
}

/* --- a predecessor --- */

static void a_predecessor_that_stays_is_killed(void **state)
{
	int lock = openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600), mine, pair[2], status;
	auto_free char *stat_text = NULL;
	auto_free char *pids = NULL;
	char path[64], c;
	struct err err = ERR_INIT;
	const char *p;
	pid_t pid;

	(void)state;
	assert_int_equal(flock(lock, LOCK_EX), 0);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (write(pair[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	close(lock); /* the child holds the lock now */
	assert_int_equal(read(pair[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	assert_int_equal(read_file_at(AT_FDCWD, path, 4096, &stat_text, NULL), 0);
	p = strrchr(stat_text, ')');
	for (int field = 2; field < 22; field++)
		p = strchr(p + 1, ' ');
	pids = str_printf("%d %lld\n", (int)pid, atoll(p));
	assert_int_equal(write_file_at(dirfd, "pids", pids, strlen(pids), 0600), 0);
	mine = openat(dirfd, "lock", O_RDWR | O_CLOEXEC);
	assert_int_equal(vm_await_predecessor(dirfd, mine, 50, &err), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	close(mine);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_gets_exactly_its_descriptors),
		cmocka_unit_test(descriptor_three_is_placed),
		cmocka_unit_test(a_missing_program_is_named),
		cmocka_unit_test(console_requests_are_answered_in_order),
		cmocka_unit_test(a_refusal_carries_the_kernels_words),
		cmocka_unit_test(no_kernel_is_told_at_once),
		cmocka_unit_test(the_log_is_bounded_and_the_tail_is_the_end),
		cmocka_unit_test(a_predecessor_that_stays_is_killed),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
