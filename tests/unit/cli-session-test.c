/* tests/unit/cli-session-test.c - the client's end of a session against a scripted relay and guest
 *
 * The test plays service, relay and guest; a child process is the client, with pipes or a
 * pseudo-terminal as its standard descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/session.h"
#include "client/client.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "io/socket.h"

#define PORT     4711u
#define BIT(s)   (1u << SESSION_STREAM_##s)
#define PIPES    (BIT(CONTROL) | BIT(STDIN) | BIT(STDOUT) | BIT(STDERR))
#define TERMINAL (BIT(CONTROL) | BIT(PTY))

static struct {
	char dir[64];
	int dirfd, listener, service, master;
	int in, out, errors; /* the test's ends of the client's pipes */
	int streams[SESSION_STREAM_COUNT];
	pid_t client;
	bool keep_stdout; /* the client's stdout is ours */
} t;

static int set_up(void **state)
{
	strcpy(t.dir, "/tmp/session-test-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	t.dirfd = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t.listener = unix_listen_at(t.dirfd, "vsock.sock", 0600);
	assert_true(t.listener >= 0);
	t.service = t.master = t.in = t.out = t.errors = -1;
	for (size_t i = 0; i < SESSION_STREAM_COUNT; i++)
		t.streams[i] = -1;
	t.client = -1;
	t.keep_stdout = false;
	return 0;
}

static int tear_down(void **state)
{
	int *const fds[] = {
		&t.dirfd, &t.listener, &t.service, &t.master, &t.in, &t.out, &t.errors
	};

	if (t.client > 0) {
		kill(t.client, SIGKILL);
		waitpid(t.client, NULL, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		drop_fd(fds[i]);
	for (size_t i = 0; i < SESSION_STREAM_COUNT; i++)
		drop_fd(&t.streams[i]);
	return remove_tree(AT_FDCWD, t.dir);
}

/* --- the client --- */

static void be_client(int service, uint32_t streams)
{
	auto_free char *relay = str_printf("%s/vsock.sock", t.dir);
	struct msg_launched launched = { .relay_socket = relay, .port = PORT, .streams = streams };
	struct client_config client_cfg = { 0 };
	bool lost = false;
	struct session_config cfg = { .launched = &launched,
				      .flags = session_tty_flags(),
				      .connect_ms = 2000,
				      .last_words_ms = 300,
				      .ret_lost = &lost };
	struct err err = ERR_INIT;
	int status, r = client_open_fd(service, &client_cfg, &cfg.client, &err);

	if (r == 0)
		r = session_run(&cfg, &status, &err);
	client_free(cfg.client);
	if (r < 0)
		fprintf(stderr, "%s\n", err.text);
	fflush(stderr);
	_exit(r == 0 ? session_exit_code(status) : lost ? 1 : 255);
}

static void greet(void)
{
	struct msg_hello hello = { .version = PROTOCOL_VERSION, .release = "t" };
	struct message_buffer buf = { 0 };
	struct message_header h;
	const uint8_t *payload;

	assert_int_equal(message_recv(t.service, &buf, &h, &payload, now_ms() + 2000), 0);
	assert_int_equal(message_send(t.service, MSG_HELLO, 0, &hello, NULL, 0, now_ms() + 2000),
			 0);
	message_buffer_done(&buf);
}

static void forked(int service_ends[2], uint32_t streams)
{
	if (t.client == 0) {
		close(service_ends[0]);
		be_client(service_ends[1], streams);
	}
	close(service_ends[1]);
	t.service = service_ends[0];
	greet();
}

static void start_with_pipes(uint32_t streams)
{
	int service[2], in[2], out[2], errors[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, service), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(errors, O_CLOEXEC),
			 0);
	t.client = fork();
	if (t.client == 0) {
		dup2(in[0], 0);
		if (!t.keep_stdout)
			dup2(out[1], 1);
		dup2(errors[1], 2);
		close(in[0]), close(in[1]), close(out[0]), close(out[1]), close(errors[0]),
			close(errors[1]);
	} else {
		close(in[0]), close(out[1]), close(errors[1]);
		t.in = in[1], t.out = out[0], t.errors = errors[0];
	}
	forked(service, streams);
}

static void start_with_terminal(uint32_t streams)
{
	struct winsize ws = { .ws_row = 33, .ws_col = 101 };
	int service[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, service), 0);
	t.client = forkpty(&t.master, NULL, NULL, &ws);
	if (t.client == 0)
		close(service[0]);
	forked(service, streams);
}

static int client_status(void)
{
	int status = -1;
	uint64_t deadline = now_ms() + 5000;
	pid_t r;

	while ((r = waitpid(t.client, &status, WNOHANG)) == 0 && now_ms() < deadline)
		poll(NULL, 0, 5);
	assert_int_equal(r, t.client);
	t.client = -1;
	return status;
}

static int client_exit(void)
{
	int status = client_status();

	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* --- relay and guest --- */

static void accept_streams(uint32_t streams)
{
	int fds[SESSION_STREAM_COUNT];
	unsigned n = (unsigned)__builtin_popcount(streams);

	for (unsigned i = 0; i < n; i++) {
		struct relay_connect hello;
		uint32_t zero = 0;

		assert_int_equal(fd_wait(t.listener, POLLIN, now_ms() + 2000), 0);
		fds[i] = accept4(t.listener, NULL, NULL, SOCK_CLOEXEC);
		assert_int_equal(read_all(fds[i], &hello, sizeof(hello)), 0);
		assert_int_equal(hello.magic, RELAY_CONNECT_MAGIC);
		assert_int_equal(hello.port, PORT);
		assert_int_equal(write_all(fds[i], &zero, sizeof(zero)), 0);
	}
	for (unsigned i = 0; i < n; i++) {
		uint8_t number;

		assert_int_equal(read_all(fds[i], &number, 1), 0);
		assert_true(streams & 1u << number);
		t.streams[number] = fds[i];
	}
}

static void send_exit(int wait_status)
{
	struct msg_exit_status m = { .status = (uint32_t)wait_status };

	assert_int_equal(
		message_send(t.streams[0], MSG_EXIT_STATUS, 0, &m, NULL, 0, now_ms() + 2000), 0);
}

static void end_outputs(void)
{
	drop_fd(&t.streams[SESSION_STREAM_STDOUT]);
	drop_fd(&t.streams[SESSION_STREAM_STDERR]);
	if (t.streams[SESSION_STREAM_PTY] >= 0)
		shutdown(t.streams[SESSION_STREAM_PTY], SHUT_WR);
}

static union message_any control;

static uint16_t next_control(void)
{
	static struct message_buffer buf;
	struct message_header h;
	const uint8_t *payload;

	assert_int_equal(message_recv(t.streams[0], &buf, &h, &payload, now_ms() + 2000), 0);
	assert_int_equal(message_decode(h.type, payload, h.length - MESSAGE_HEADER, &control), 0);
	return h.type;
}

static void expect_signal(int signo)
{
	const struct msg_number *m = (const void *)&control;
	uint16_t type;

	while ((type = next_control()) == MSG_WINDOW_SIZE)
		;
	assert_int_equal(type, MSG_SIGNAL);
	assert_int_equal(m->number, signo);
}

static void expect_text(int fd, const char *text)
{
	char buf[256] = "";
	size_t n = strlen(text);

	assert_int_equal(fd_wait(fd, POLLIN, now_ms() + 2000), 0);
	assert_int_equal(read_all(fd, buf, n), 0);
	assert_string_equal(buf, text);
}

static void expect_end(int fd)
{
	char byte;

	assert_int_equal(fd_wait(fd, POLLIN, now_ms() + 2000), 0);
	assert_true(read(fd, &byte, 1) <= 0);
}

/* A byte that passed shows that the client has its loop and its signals. */
static void running_with_pipes(void)
{
	start_with_pipes(PIPES);
	accept_streams(PIPES);
	assert_int_equal(write_all(t.in, "s", 1), 0);
	expect_text(t.streams[SESSION_STREAM_STDIN], "s");
}

/* --- tests --- */

static void bytes_and_the_exit_code_pass(void **state)
{
	start_with_pipes(PIPES);
	accept_streams(PIPES);
	assert_int_equal(write_all(t.in, "question", 8), 0);
	expect_text(t.streams[SESSION_STREAM_STDIN], "question");
	drop_fd(&t.in);
	expect_end(t.streams[SESSION_STREAM_STDIN]);
	assert_int_equal(write_all(t.streams[SESSION_STREAM_STDOUT], "answer", 6), 0);
	assert_int_equal(write_all(t.streams[SESSION_STREAM_STDERR], "oops", 4), 0);
	expect_text(t.out, "answer");
	expect_text(t.errors, "oops");
	end_outputs();
	expect_end(t.out); /* before the program's end */
	send_exit(67 << 8);
	assert_int_equal(client_exit(), 67);
}

static void a_signal_death_is_128_and_more(void **state)
{
	start_with_pipes(PIPES);
	accept_streams(PIPES);
	end_outputs();
	send_exit(SIGSEGV | 0x80);
	assert_int_equal(client_exit(), 139);
}

static void output_after_the_end_is_not_cut(void **state)
{
	size_t size = 3 * MIB, got = 0;
	uint8_t *block = calloc(1, size);
	ssize_t n;

	start_with_pipes(PIPES);
	accept_streams(PIPES);
	send_exit(0); /* it overtakes what is still on its way */
	if (fork() == 0) {
		write_all(t.streams[SESSION_STREAM_STDOUT], block, size);
		_exit(0);
	}
	end_outputs();
	poll(NULL, 0, 700); /* longer than the silence that a dead stream is allowed */
	while ((n = read(t.out, block, size)) > 0)
		got += (size_t)n;
	assert_int_equal(got, size);
	assert_int_equal(client_exit(), 0);
	wait(NULL);
	free(block);
}

static void a_stream_that_never_ends_is_left(void **state)
{
	start_with_pipes(PIPES);
	accept_streams(PIPES);
	send_exit(5 << 8); /* and the outputs stay open */
	assert_int_equal(client_exit(), 5);
}

static void a_closed_stdout_closes_the_stream(void **state)
{
	uint8_t block[4096] = { 0 };
	int r = 0;

	start_with_pipes(PIPES);
	accept_streams(PIPES);
	drop_fd(&t.out);
	for (int i = 0; i < 1000 && r == 0; i++) {
		ssize_t n =
			send(t.streams[SESSION_STREAM_STDOUT], block, sizeof(block), MSG_NOSIGNAL);

		r = n < 0 ? -errno : 0;
		if (i > 1)
			poll(NULL, 0, 1);
	}
	assert_true(r == -EPIPE || r == -ECONNRESET);
	end_outputs();
	send_exit(SIGPIPE);
	assert_int_equal(client_exit(), 141);
}

static void output_that_cannot_be_written_is_a_failure(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), out = dup(1);

	dup2(full, 1);
	t.keep_stdout = true;
	start_with_pipes(PIPES);
	dup2(out, 1);
	close(out);
	close(full);
	accept_streams(PIPES);
	assert_int_equal(write_all(t.streams[SESSION_STREAM_STDOUT], "x", 1), 0);
	expect_end(t.streams[SESSION_STREAM_STDOUT]);
	end_outputs();
	send_exit(0);
	expect_text(t.errors, "cannot write the program's output: No space left on device\n");
	assert_int_equal(client_exit(), 255);
}

static void a_program_that_stops_reading_stops_the_writer(void **state)
{
	uint8_t block[4096] = { 0 };
	int r = 0;

	signal(SIGPIPE, SIG_IGN);
	start_with_pipes(PIPES);
	accept_streams(PIPES);
	drop_fd(&t.streams[SESSION_STREAM_STDIN]);
	for (int i = 0; i < 1000 && r == 0; i++) {
		r = write_all(t.in, block, sizeof(block));
		poll(NULL, 0, 1);
	}
	assert_int_equal(r, -EPIPE);
	end_outputs();
	send_exit(0);
	assert_int_equal(client_exit(), 0);
}

static void signals_are_forwarded(void **state)
{
	static const int signals[] = { SIGUSR1, SIGUSR2, SIGTERM };

	running_with_pipes();
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		kill(t.client, signals[i]);
		expect_signal(signals[i]);
	}
	kill(t.client, SIGINT);
	expect_signal(SIGINT);
	end_outputs();
	send_exit(SIGINT);
	assert_int_equal(client_exit(), 130);
}

static void impatience_ends_the_client_alone(void **state)
{
	running_with_pipes();
	for (int i = 0; i < 3; i++) {
		kill(t.client, SIGINT);
		expect_signal(SIGINT);
	}
	assert_int_equal(client_exit(), 130);
	expect_end(t.streams[0]); /* the guest hangs the session up */
}

static void stop_and_continue_both_sides(void **state)
{
	int status;

	running_with_pipes();
	kill(t.client, SIGTSTP);
	expect_signal(SIGTSTP);
	assert_int_equal(waitpid(t.client, &status, WUNTRACED), t.client);
	assert_true(WIFSTOPPED(status));
	kill(t.client, SIGCONT);
	expect_signal(SIGCONT);
	end_outputs();
	send_exit(0);
	assert_int_equal(client_exit(), 0);
}

static void a_lost_machine_is_told(void **state)
{
	struct msg_result reason = { .errnum = EIO,
				     .error = ERR_WSL_E_VM_CRASHED,
				     .text = "It fell over.",
				     .context = "Service" };

	start_with_pipes(PIPES);
	accept_streams(PIPES);
	drop_fd(&t.streams[0]);
	message_send(t.service, MSG_RESULT, 1, &reason, NULL, 0, now_ms() + 1000);
	expect_text(t.errors, "It fell over.\n");
	assert_int_equal(client_exit(), 1);
	tear_down(NULL);
	set_up(NULL);
	start_with_pipes(PIPES);
	accept_streams(PIPES);
	drop_fd(&t.service); /* all gone at once */
	drop_fd(&t.streams[0]);
	expect_text(t.errors, "The WSL2 Virtual Machine crashed.\n");
	assert_int_equal(client_exit(), 1);
}

static void a_relay_that_refuses_is_an_error(void **state)
{
	uint32_t answer = ECONNREFUSED;
	int fd;

	start_with_pipes(PIPES);
	assert_int_equal(fd_wait(t.listener, POLLIN, now_ms() + 2000), 0);
	fd = accept4(t.listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(write_all(fd, &answer, sizeof(answer)), 0);
	expect_text(t.errors,
		    "cannot reach the program in the virtual machine: Connection refused\n");
	assert_int_equal(client_exit(), 255);
	close(fd);
}

static bool is_raw(int master)
{
	struct termios tio;

	tcgetattr(master, &tio);
	return !(tio.c_lflag & (ICANON | ECHO | ISIG)) && !(tio.c_oflag & OPOST);
}

static void a_terminal_is_raw_while_it_lasts(void **state)
{
	struct winsize ws = { .ws_row = 50, .ws_col = 132 };
	const struct msg_window_size *size = (const void *)&control;

	start_with_terminal(TERMINAL);
	accept_streams(TERMINAL);
	assert_int_equal(next_control(), MSG_WINDOW_SIZE);
	assert_int_equal(size->rows, 33);
	assert_int_equal(size->cols, 101);
	assert_true(is_raw(t.master));
	assert_int_equal(write_all(t.master, "\3\32\34\4x", 5),
			 0); /* Ctrl-C, Z, \, D are bytes now */
	expect_text(t.streams[SESSION_STREAM_PTY], "\3\32\34\4x");
	assert_int_equal(write_all(t.streams[SESSION_STREAM_PTY], "a\r\nb", 4), 0);
	expect_text(t.master, "a\r\nb");
	assert_int_equal(ioctl(t.master, TIOCSWINSZ, &ws), 0);
	assert_int_equal(next_control(), MSG_WINDOW_SIZE);
	assert_int_equal(size->cols, 132);
	end_outputs();
	send_exit(3 << 8);
	assert_int_equal(client_exit(), 3);
	assert_false(is_raw(t.master));
}

static void a_terminal_is_restored_by_signals(void **state)
{
	start_with_terminal(TERMINAL);
	accept_streams(TERMINAL);
	assert_int_equal(next_control(), MSG_WINDOW_SIZE);
	assert_true(is_raw(t.master));
	kill(t.client, SIGTERM); /* the guest decides */
	expect_signal(SIGTERM);
	assert_true(is_raw(t.master));
	kill(t.client, SIGABRT);
	assert_int_equal(WTERMSIG(client_status()), SIGABRT);
	assert_false(is_raw(t.master));
}

static void a_lost_terminal_ends_the_client(void **state)
{
	start_with_terminal(TERMINAL);
	accept_streams(TERMINAL);
	assert_int_equal(next_control(), MSG_WINDOW_SIZE);
	drop_fd(&t.master);
	expect_signal(SIGHUP);
	assert_int_equal(client_exit(), 129);
}

int main(void)
{
#define SESSION_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SESSION_TEST(bytes_and_the_exit_code_pass),
		SESSION_TEST(a_signal_death_is_128_and_more),
		SESSION_TEST(output_after_the_end_is_not_cut),
		SESSION_TEST(a_stream_that_never_ends_is_left),
		SESSION_TEST(a_closed_stdout_closes_the_stream),
		SESSION_TEST(output_that_cannot_be_written_is_a_failure),
		SESSION_TEST(a_program_that_stops_reading_stops_the_writer),
		SESSION_TEST(signals_are_forwarded),
		SESSION_TEST(impatience_ends_the_client_alone),
		SESSION_TEST(stop_and_continue_both_sides),
		SESSION_TEST(a_lost_machine_is_told),
		SESSION_TEST(a_relay_that_refuses_is_an_error),
		SESSION_TEST(a_terminal_is_raw_while_it_lasts),
		SESSION_TEST(a_terminal_is_restored_by_signals),
		SESSION_TEST(a_lost_terminal_ends_the_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
