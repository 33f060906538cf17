/* tests/unit/datagrams-test.c - datagrams over a stream: framing, loss, ends */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
#include "io/datagrams.h"
#include "io/loop.h"

struct fixture {
	struct loop *loop;
	struct datagrams *d;
	int peer;
	unsigned n, ends;
	size_t last;
	uint8_t first_byte;
	bool free_at_once;
};

static void took(struct datagrams *d, const uint8_t *data, size_t len, void *arg)
{
	struct fixture *f = arg;

	f->n++;
	f->last = len;
	f->first_byte = len ? data[0] : 0;
	if (f->free_at_once)
		f->d = datagrams_free(d);
}

static void ended(struct datagrams *d, void *arg)
{
	struct fixture *f = arg;

	f->ends++;
	f->d = datagrams_free(d);
}

static const struct datagrams_ops ops = { took, ended };

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	if (!f || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		return 1;
	f->loop = loop_new();
	f->peer = pair[1];
	f->d = datagrams_new(f->loop, pair[0], 1000, &ops, f);
	*state = f;
	return !f->d;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	datagrams_free(f->d);
	loop_free(f->loop);
	close(f->peer);
	free(f);
	return 0;
}

static void run(struct fixture *f)
{
	for (unsigned i = 0; i < 20; i++)
		loop_step(f->loop, 1);
}

static void frames_come_apart_and_together(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write_all(f->peer, "\0", 1), 0);
	run(f);
	assert_int_equal(f->n, 0);
	assert_int_equal(write_all(f->peer, "\3ab", 3), 0);
	run(f);
	assert_int_equal(f->n, 0);
	assert_int_equal(write_all(f->peer, "c\0\0\0\1z", 6), 0);
	run(f);
	assert_int_equal(f->n, 3); /* the second one is empty */
	assert_int_equal(f->last, 1);
	assert_int_equal(f->first_byte, 'z');
}

static void sends_what_it_is_given(void **state)
{
	struct fixture *f = *state;
	char buf[8];

	datagrams_send(f->d, (const uint8_t *)"hey", 3);
	assert_int_equal(recv(f->peer, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "\0\3hey", 5);
}

static void the_largest_passes_and_what_has_no_room_is_lost_whole(void **state)
{
	struct fixture *f = *state;
	uint8_t *big = calloc(1, DATAGRAM_MAX_BYTES), *got = malloc(1 << 20);
	size_t n = 0, frames = 0;
	ssize_t r;

	for (unsigned i = 0; i < 100; i++)
		datagrams_send(f->d, big, DATAGRAM_MAX_BYTES);
	while ((r = recv(f->peer, got, 1 << 20, MSG_DONTWAIT)) > 0 || loop_step(f->loop, 0) < 0)
		n += (size_t)r;
	run(f);
	while ((r = recv(f->peer, got, 1 << 20, MSG_DONTWAIT)) > 0) {
		n += (size_t)r;
		run(f);
	}
	frames = n / (2 + DATAGRAM_MAX_BYTES);
	assert_int_equal(n % (2 + DATAGRAM_MAX_BYTES), 0);
	assert_in_range(frames, 1, 99);
	free(big);
	free(got);
}

static void the_end_of_the_stream_is_told_once(void **state)
{
	struct fixture *f = *state;

	shutdown(f->peer, SHUT_RDWR);
	run(f);
	assert_int_equal(f->ends, 1);
}

static void idleness_is_an_end(void **state)
{
	struct fixture *f = *state;
	uint64_t until = now_ms() + 3000;

	while (!f->ends && now_ms() < until)
		loop_step(f->loop, 100);
	assert_int_equal(f->ends, 1);
}

static void may_be_freed_by_what_it_calls(void **state)
{
	struct fixture *f = *state;

	f->free_at_once = true;
	assert_int_equal(write_all(f->peer, "\0\1a\0\1b", 6), 0);
	run(f);
	assert_int_equal(f->n, 1);
	assert_int_equal(f->ends, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_come_apart_and_together),
		TEST(sends_what_it_is_given),
		TEST(the_largest_passes_and_what_has_no_room_is_lost_whole),
		TEST(the_end_of_the_stream_is_told_once),
		TEST(idleness_is_an_end),
		TEST(may_be_freed_by_what_it_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
