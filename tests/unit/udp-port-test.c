/* tests/unit/udp-port-test.c - a UDP socket each of whose peers has a stream: who gets which answer */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
#include "io/datagrams.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/udp-port.h"

#define MAX_FLOWS 256u

struct fixture {
	struct loop *loop;
	struct udp_port *port;
	struct sockaddr_in at;
	unsigned n, ends;
	bool refuse;
	struct datagrams *streams[MAX_FLOWS + 1];
};

/* What the stream's other end would be: an echo with the number of the peer before it */
static void echo(struct datagrams *d, const uint8_t *data, size_t len, void *arg)
{
	struct fixture *f = arg;
	uint8_t answer[64];

	assert_true(len < sizeof(answer));
	for (unsigned i = 0; i < f->n; i++)
		if (f->streams[i] == d)
			answer[0] = (uint8_t)i;
	memcpy(answer + 1, data, len);
	datagrams_send(d, answer, len + 1);
}

static void ended(struct datagrams *d, void *arg)
{
	struct fixture *f = arg;

	f->ends++;
	for (unsigned i = 0; i < f->n; i++)
		if (f->streams[i] == d)
			f->streams[i] = NULL;
	datagrams_free(d);
}

static const struct datagrams_ops ops = { echo, ended };

static void on_peer(void *arg, int stream)
{
	struct fixture *f = arg;

	assert_true(f->n < ARRAY_SIZE(f->streams));
	if (f->refuse)
		close(stream);
	else
		f->streams[f->n] = datagrams_new(f->loop, stream, 60000, &ops, f);
	f->n++;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct listener any = listener_any(4, IPPROTO_UDP, 0);
	socklen_t len = sizeof(f->at);
	int fd = listener_open(&any);

	if (!f || fd < 0 || getsockname(fd, (struct sockaddr *)&f->at, &len) < 0)
		return 1;
	f->loop = loop_new();
	f->port = udp_port_new(f->loop, fd, on_peer, f);
	*state = f;
	return !f->port;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	udp_port_free(f->port);
	for (unsigned i = 0; i < f->n; i++)
		datagrams_free(f->streams[i]);
	loop_free(f->loop);
	free(f);
	return 0;
}

static int peer(const struct fixture *f, const char *address)
{
	struct sockaddr_in sa = f->at;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &sa.sin_addr);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* The number before the echo; -1: there was no answer. A connected socket hears only whom it asked. */
static int ask(struct fixture *f, int fd, const char *text)
{
	uint64_t until = now_ms() + (f->refuse ? 100 : 5000);
	uint8_t answer[64];
	ssize_t n = -1;

	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
	while (n < 0 && now_ms() < until) {
		loop_step(f->loop, 20);
		n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	}
	if (n < 0)
		return -1;
	assert_int_equal(n, strlen(text) + 1);
	assert_memory_equal(answer + 1, text, strlen(text));
	return answer[0];
}

static void each_peer_has_its_stream(void **state)
{
	struct fixture *f = *state;
	int one = peer(f, "127.0.0.1"), two = peer(f, "127.0.0.1");

	assert_int_equal(ask(f, one, "one"), 0);
	assert_int_equal(ask(f, two, "two"), 1);
	assert_int_equal(ask(f, one, "one again"), 0);
	assert_int_equal(f->n, 2);
	close(one);
	close(two);
}

static void the_address_that_was_asked_answers(void **state)
{
	struct fixture *f = *state;
	int fd = peer(f, "127.0.0.2");

	assert_int_equal(ask(f, fd, "hello"), 0);
	close(fd);
}

static void a_refused_peer_may_come_again(void **state)
{
	struct fixture *f = *state;
	int fd = peer(f, "127.0.0.1");

	f->refuse = true;
	assert_int_equal(ask(f, fd, "hello"), -1);
	f->refuse = false;
	assert_int_equal(ask(f, fd, "hello"), 1);
	close(fd);
}

static void the_quietest_peer_makes_room(void **state)
{
	struct fixture *f = *state;
	int fds[MAX_FLOWS + 1];

	for (unsigned i = 0; i < MAX_FLOWS; i++) {
		fds[i] = peer(f, "127.0.0.1");
		assert_int_equal(ask(f, fds[i], "x"), i % 256);
	}
	assert_int_equal(ask(f, fds[0], "still here"), 0);
	fds[MAX_FLOWS] = peer(f, "127.0.0.1");
	assert_int_equal(ask(f, fds[MAX_FLOWS], "new"), MAX_FLOWS % 256);
	for (unsigned i = 0; i < 5; i++)
		loop_step(f->loop, 10);
	assert_int_equal(f->ends, 1);
	assert_non_null(f->streams[0]);
	assert_null(f->streams[1]);
	for (unsigned i = 0; i <= MAX_FLOWS; i++)
		close(fds[i]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_peer_has_its_stream),
		TEST(the_address_that_was_asked_answers),
		TEST(a_refused_peer_may_come_again),
		TEST(the_quietest_peer_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
