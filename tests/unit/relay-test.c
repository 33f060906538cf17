/* tests/unit/relay-test.c - wslrelay's host side: programs, wslservice, the end
 *
 * The relay runs in a child process, in its sandbox (not under a sanitizer, whose runtime needs more);
 * the test plays wslservice, host programs and a VMM that only comes and goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/util.h"
#include "devices/relay.h"
#include "devices/sandbox.h"
#include "io/socket.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct {
	pid_t pid;
	int control;
	struct sockaddr_un vhost, connect;
	socklen_t vhost_len, connect_len;
} relay;

static int listener(struct sockaddr_un *sa, socklen_t *len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*sa = (struct sockaddr_un) { .sun_family = AF_UNIX };
	*len = sizeof(*sa);
	assert_int_equal(bind(fd, (struct sockaddr *)sa, sizeof(sa->sun_family)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)sa, len), 0);
	return fd;
}

static void serve(const struct relay_config *cfg)
{
	int keep[] = { cfg->vhost_fd, cfg->connect_fd, cfg->control_fd };
	struct err err = ERR_INIT;
	struct relay *r;
	int status;

	log_set_level(LOG_ERR);
	signal(SIGPIPE, SIG_IGN);
	if (sandbox_files(keep, ARRAY_SIZE(keep), &err) < 0)
		_exit(90);
	r = relay_new(cfg, &err);
	if (!r || sandbox_enter(SANITIZED ? 0 : SANDBOX_FILTER, &err) < 0)
		_exit(91);
	status = relay_run(r);
	relay_free(r);
	_exit(status);
}

static int set_up(void **state)
{
	static const uint32_t port = VSOCK_PORT_INIT;
	int sp[2];
	struct relay_config cfg = { .accept_ports = &port, .n_accept_ports = 1, .net_fd = -1 };

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp), 0);
	cfg.vhost_fd = listener(&relay.vhost, &relay.vhost_len);
	cfg.connect_fd = listener(&relay.connect, &relay.connect_len);
	cfg.control_fd = sp[1];
	relay.control = sp[0];
	relay.pid = fork();
	if (relay.pid == 0)
		serve(&cfg);
	close(cfg.vhost_fd);
	close(cfg.connect_fd);
	close(sp[1]);
	return 0;
}

static int tear_down(void **state)
{
	drop_fd(&relay.control);
	if (relay.pid) {
		kill(relay.pid, SIGKILL);
		waitpid(relay.pid, NULL, 0);
	}
	return 0;
}

static int exit_status(void)
{
	uint64_t end = now_ms() + 5000;
	int status;

	while (waitpid(relay.pid, &status, WNOHANG) == 0) {
		assert_true(now_ms() < end);
		usleep(1000);
	}
	relay.pid = 0;
	return status;
}

static int connect_to(const struct sockaddr_un *sa, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval tv = { 5, 0 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)sa, len), 0);
	return fd;
}

static uint16_t receive(struct message_buffer *mb, union message_any *msg, uint32_t *seq)
{
	struct message_header h;
	const uint8_t *payload;

	assert_int_equal(message_recv(relay.control, mb, &h, &payload, now_ms() + 5000), 0);
	assert_int_equal(message_decode(h.type, payload, h.length - MESSAGE_HEADER, msg), 0);
	*seq = h.seq;
	return h.type;
}

static void it_says_hello_and_answers(void **state)
{
	struct message_buffer mb = { 0 };
	union message_any any = { 0 };
	const void *msg = &any;
	const struct msg_relay_stats *stats = msg;
	const struct msg_result *result = msg;
	const struct msg_hello *theirs = msg;
	struct msg_hello hello = { .version = PROTOCOL_VERSION, .role = ROLE_SERVICE };
	uint32_t seq;

	assert_int_equal(receive(&mb, &any, &seq), MSG_HELLO);
	assert_int_equal(theirs->role, ROLE_RELAY);
	assert_int_equal(theirs->version, PROTOCOL_VERSION);
	assert_int_equal(
		message_send(relay.control, MSG_HELLO, 1, &hello, NULL, 0, now_ms() + 5000), 0);
	assert_int_equal(
		message_send(relay.control, MSG_RELAY_STATS, 2, &any, NULL, 0, now_ms() + 5000), 0);
	assert_int_equal(receive(&mb, &any, &seq), MSG_RELAY_STATS_REPLY);
	assert_int_equal(seq, 2);
	assert_int_equal(stats->connections, 0);
	assert_int_equal(message_send(relay.control, MSG_LIST, 3, &any, NULL, 0, now_ms() + 5000),
			 0);
	assert_int_equal(receive(&mb, &any, &seq), MSG_RESULT);
	assert_int_equal(seq, 3);
	assert_int_equal(result->errnum, EOPNOTSUPP);
	message_buffer_done(&mb);
}

static void another_protocol_ends_it(void **state)
{
	struct msg_hello hello = { .version = PROTOCOL_VERSION + 1, .role = ROLE_SERVICE };

	assert_int_equal(
		message_send(relay.control, MSG_HELLO, 1, &hello, NULL, 0, now_ms() + 5000), 0);
	assert_int_equal(WEXITSTATUS(exit_status()), 1);
}

static void strangers_are_not_answered(void **state)
{
	struct relay_connect rc = { RELAY_CONNECT_MAGIC ^ 1, 1000 };
	auto_close int bad = connect_to(&relay.connect, relay.connect_len);
	auto_close int cut = connect_to(&relay.connect, relay.connect_len);
	uint32_t answer;

	assert_int_equal(write_all(bad, &rc, sizeof(rc)), 0);
	assert_int_equal(read_all(bad, &answer, sizeof(answer)), -ENODATA);
	assert_int_equal(write_all(cut, &rc, 7), 0);
	shutdown(cut, SHUT_WR);
	assert_true(read_all(cut, &answer, sizeof(answer)) < 0);
}

/* A request may come in pieces; without a guest it waits, and the VM's end answers it. */
static void requests_wait_for_the_vm(void **state)
{
	struct relay_connect rc = { RELAY_CONNECT_MAGIC, 1000 };
	auto_close int fd = connect_to(&relay.connect, relay.connect_len);
	auto_close int vm = -1;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint32_t answer = 0;

	assert_int_equal(write_all(fd, &rc, 3), 0);
	usleep(20000);
	assert_int_equal(write_all(fd, (char *)&rc + 3, sizeof(rc) - 3), 0);
	assert_int_equal(poll(&p, 1, 50), 0);
	vm = connect_to(&relay.vhost, relay.vhost_len);
	drop_fd(&vm);
	assert_int_equal(read_all(fd, &answer, sizeof(answer)), 0);
	assert_int_equal(answer, ECONNRESET);
	assert_int_equal(read(fd, &answer, 1), 0);
	assert_int_equal(exit_status(), 0);
}

static void a_vm_that_is_gone_ends_it(void **state)
{
	int vm = connect_to(&relay.vhost, relay.vhost_len);
	uint64_t start = now_ms();

	close(vm);
	assert_int_equal(exit_status(), 0);
	assert_in_range(now_ms() - start, 0, 900);
}

static void it_outlives_the_service(void **state)
{
	int vm = connect_to(&relay.vhost, relay.vhost_len), status;

	drop_fd(&relay.control);
	usleep(100000);
	assert_int_equal(waitpid(relay.pid, &status, WNOHANG), 0);
	close(vm);
	assert_int_equal(exit_status(), 0);
}

#define with_relay(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_relay(it_says_hello_and_answers),  with_relay(another_protocol_ends_it),
		with_relay(strangers_are_not_answered), with_relay(requests_wait_for_the_vm),
		with_relay(a_vm_that_is_gone_ends_it),  with_relay(it_outlives_the_service),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
