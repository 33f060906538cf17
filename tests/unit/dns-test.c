/* tests/unit/dns-test.c - what forwarders know of DNS messages, and one between clients and a resolver
 *
 * The resolver is the far end of a socket pair, the clients are numbers or socket pairs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/dns-forward.h"
#include "io/loop.h"
#include "io/socket.h"
#include "protocol/dns-message.h"

/* example.org A, EDNS with 1232 bytes */
static const uint8_t query[] = "\x12\x34\x01\0\0\x01\0\0\0\0\0\x01"
			       "\x07"
			       "example\x03"
			       "org\0\0\x01\0\x01"
			       "\0\0\x29\x04\xd0\0\0\0\0\0\0";
#define QUERY_BYTES    (sizeof(query) - 1)
#define QUESTION_BYTES (12u + 13 + 4)

static void tells_queries_from_replies(void **state)
{
	uint8_t m[DNS_HEADER_BYTES] = { 0 };

	assert_true(dns_is_query(query, QUERY_BYTES));
	assert_true(dns_is_query(m, sizeof(m)));
	assert_false(dns_is_query(m, sizeof(m) - 1));
	m[2] = 0x80;
	assert_false(dns_is_query(m, sizeof(m)));
}

static void replaces_ids(void **state)
{
	uint8_t m[QUERY_BYTES];

	memcpy(m, query, sizeof(m));
	assert_int_equal(dns_id(m), 0x1234);
	dns_set_id(m, 0xfedc);
	assert_int_equal(dns_id(m), 0xfedc);
	assert_memory_equal(m + 2, query + 2, sizeof(m) - 2);
}

static void finds_the_limit_of_the_client(void **state)
{
	uint8_t m[QUERY_BYTES];

	assert_int_equal(dns_udp_limit(query, QUERY_BYTES), 1232);
	memcpy(m, query, sizeof(m));
	m[11] = 0; /* no additional record */
	assert_int_equal(dns_udp_limit(m, sizeof(m)), DNS_UDP_MIN);
	memcpy(m, query, sizeof(m));
	m[QUESTION_BYTES + 3] = 0; /* 208 bytes: less than everybody takes */
	assert_int_equal(dns_udp_limit(m, sizeof(m)), DNS_UDP_MIN);
	m[QUESTION_BYTES + 3] = 0xff;
	assert_int_equal(dns_udp_limit(m, sizeof(m)), DNS_UDP_MAX);
}

static void every_truncation_is_survived(void **state)
{
	for (size_t len = DNS_HEADER_BYTES; len < QUERY_BYTES; len++) {
		uint8_t *exact = memcpy(malloc(len), query, len);
		size_t limit = dns_udp_limit(exact, len), cut;

		assert_in_range(limit, DNS_UDP_MIN, DNS_UDP_MAX);
		cut = dns_truncate(exact, len);
		assert_in_range(cut, DNS_HEADER_BYTES, len);
		free(exact);
	}
}

static void a_cut_reply_keeps_header_and_question(void **state)
{
	uint8_t m[QUERY_BYTES];

	memcpy(m, query, sizeof(m));
	assert_int_equal(dns_truncate(m, sizeof(m)), QUESTION_BYTES);
	assert_int_equal(m[2] & 2, 2);
	assert_memory_equal(m + 4, "\0\x01\0\0\0\0\0\0", 8);
	memcpy(m, query, sizeof(m));
	m[12] = 0x40; /* a label of a kind that does not exist: no question can be kept */
	assert_int_equal(dns_truncate(m, sizeof(m)), DNS_HEADER_BYTES);
	assert_int_equal(m[5], 0);
}

static void a_cut_reply_is_short_whatever_it_asks(void **state)
{
	uint8_t m[4096] = { [5] = 200 }; /* 200 questions, all of the root */

	assert_int_equal(dns_truncate(m, sizeof(m)), DNS_HEADER_BYTES);
	assert_int_equal(m[5], 0);
}

/* --- a forwarder --- */

static struct loop *loop;
static struct dns_forward *forward;
static int resolver = -1; /* the far end of the stream */
static unsigned opened;   /* how often */
static bool unreachable;

static struct { /* the last reply to a datagram client */
	unsigned n, client;
	size_t len;
	uint8_t m[DNS_UDP_MAX];
} got;

static int open_stream(void *arg)
{
	int pair[2];

	if (unreachable)
		return -1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	drop_fd(&resolver);
	resolver = pair[1];
	opened++;
	return pair[0];
}

static void reply(const void *client, const uint8_t *m, size_t len, void *arg)
{
	assert_in_range(len, DNS_HEADER_BYTES, DNS_UDP_MAX);
	memcpy(&got.client, client, sizeof(got.client));
	memcpy(got.m, m, len);
	got.len = len;
	got.n++;
}

static void turn(void)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_step(loop, 0), 0);
}

static int setup(void **state)
{
	static const struct dns_forward_ops ops = { open_stream, reply };

	loop = loop_new();
	opened = 0;
	unreachable = false;
	memset(&got, 0, sizeof(got));
	forward = dns_forward_new(loop, sizeof(unsigned), &ops, NULL);
	return forward ? 0 : -1;
}

static int teardown(void **state)
{
	forward = dns_forward_free(forward);
	loop = loop_free(loop);
	drop_fd(&resolver);
	return 0;
}

/* A query that arrives at the resolver: its length. */
static size_t resolver_reads(uint8_t *m, size_t size)
{
	uint8_t head[2];
	size_t len;

	if (recv(resolver, head, 2, MSG_DONTWAIT) != 2)
		return 0;
	len = (size_t)head[0] << 8 | head[1];
	assert_in_range(len, 1, size);
	assert_int_equal(recv(resolver, m, len, MSG_DONTWAIT), len);
	return len;
}

/* Grows the query to a reply of @len bytes. */
static void resolver_answers(const uint8_t *m, size_t len)
{
	static uint8_t out[2 + 65535];

	memset(out, 0, sizeof(out));
	out[0] = (uint8_t)(len >> 8);
	out[1] = (uint8_t)len;
	memcpy(out + 2, m, MIN(len, (size_t)QUERY_BYTES));
	out[4] |= 0x80;
	assert_int_equal(send(resolver, out, 2 + len, MSG_DONTWAIT), 2 + len);
	turn();
}

static void ask(unsigned client, const uint8_t *m, size_t len)
{
	dns_forward_query(forward, m, len, &client);
	turn();
}

static void replies_find_their_clients_in_any_order(void **state)
{
	uint8_t first[QUERY_BYTES], second[QUERY_BYTES];

	ask(1, query, QUERY_BYTES);
	ask(2, query, QUERY_BYTES); /* the same id */
	assert_int_equal(resolver_reads(first, sizeof(first)), QUERY_BYTES);
	assert_int_equal(resolver_reads(second, sizeof(second)), QUERY_BYTES);
	assert_int_not_equal(dns_id(first), dns_id(second));
	assert_memory_equal(first + 2, query + 2, QUERY_BYTES - 2);
	resolver_answers(second, 100);
	assert_int_equal(got.client, 2);
	assert_int_equal(got.len, 100);
	assert_int_equal(dns_id(got.m), 0x1234);
	resolver_answers(second, 100); /* once more: nobody waits for it */
	assert_int_equal(got.n, 1);
	resolver_answers(first, 100);
	assert_int_equal(got.client, 1);
	assert_int_equal(opened, 1);
}

static void what_is_no_query_is_dropped(void **state)
{
	uint8_t m[QUERY_BYTES];

	memcpy(m, query, sizeof(m));
	m[2] |= 0x80;
	ask(1, m, sizeof(m));
	ask(1, query, DNS_HEADER_BYTES - 1);
	assert_int_equal(opened, 0);
}

static void a_datagram_client_gets_what_it_takes(void **state)
{
	uint8_t m[QUERY_BYTES], plain[QUESTION_BYTES];

	ask(1, query, QUERY_BYTES);
	resolver_reads(m, sizeof(m));
	resolver_answers(m, 1232);
	assert_int_equal(got.len, 1232);
	ask(1, query, QUERY_BYTES);
	resolver_reads(m, sizeof(m));
	resolver_answers(m, 1233);
	assert_int_equal(got.len, QUESTION_BYTES);
	assert_int_equal(got.m[2] & 2, 2);
	memcpy(plain, query, sizeof(plain));
	plain[11] = 0;
	ask(1, plain, sizeof(plain));
	resolver_reads(m, sizeof(m));
	resolver_answers(m, 513);
	assert_int_equal(got.len, QUESTION_BYTES);
}

static void a_lost_stream_is_opened_anew(void **state)
{
	uint8_t m[QUERY_BYTES];

	ask(1, query, QUERY_BYTES);
	resolver_reads(m, sizeof(m));
	drop_fd(&resolver);
	turn();
	ask(2, query, QUERY_BYTES);
	assert_int_equal(opened, 2);
	resolver_answers(m, 100); /* of the lost one */
	assert_int_equal(got.n, 0);
	resolver_reads(m, sizeof(m));
	resolver_answers(m, 100);
	assert_int_equal(got.client, 2);
	drop_fd(&resolver);
	turn();
	unreachable = true;
	ask(3, query, QUERY_BYTES);
	unreachable = false;
	ask(4, query, QUERY_BYTES);
	resolver_reads(m, sizeof(m));
	resolver_answers(m, 100);
	assert_int_equal(got.client, 4);
}

static void queries_under_way_are_limited(void **state)
{
	uint8_t m[QUERY_BYTES];
	unsigned n = 0;

	for (unsigned i = 0; i < DNS_FORWARD_QUERIES + 10; i++) {
		ask(i, query, QUERY_BYTES);
		n += resolver_reads(m, sizeof(m)) > 0;
	}
	assert_int_equal(n, DNS_FORWARD_QUERIES);
	resolver_answers(m, 100); /* one slot is free again */
	assert_int_equal(got.client, DNS_FORWARD_QUERIES - 1);
	ask(5000, query, QUERY_BYTES);
	assert_int_equal(resolver_reads(m, sizeof(m)), QUERY_BYTES);
	resolver_answers(m, 100);
	assert_int_equal(got.client, 5000);
}

/* --- clients over TCP --- */

static int connect_client(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	dns_forward_serve(forward, pair[1]);
	return pair[0];
}

static void connections_get_whole_replies(void **state)
{
	static uint8_t in[70000];
	uint8_t framed[2 + QUERY_BYTES] = { 0, QUERY_BYTES }, m[QUERY_BYTES];
	int fd = connect_client();

	memcpy(framed + 2, query, QUERY_BYTES);
	for (size_t i = 0; i < sizeof(framed); i++) { /* byte by byte */
		assert_int_equal(send(fd, framed + i, 1, 0), 1);
		turn();
	}
	assert_int_equal(resolver_reads(m, sizeof(m)), QUERY_BYTES);
	resolver_answers(m, 60000);
	assert_int_equal(recv(fd, in, sizeof(in), 0), 60002);
	assert_int_equal(in[0] << 8 | in[1], 60000);
	assert_int_equal(dns_id(in + 2), 0x1234);
	assert_int_equal(got.n, 0);
	send(fd, framed, sizeof(framed), 0);
	turn();
	resolver_reads(m, sizeof(m));
	close(fd); /* before the reply comes */
	turn();
	resolver_answers(m, 100);
	assert_int_equal(got.n, 0);
}

static void connections_are_limited(void **state)
{
	int fds[DNS_FORWARD_CLIENTS + 1];
	char c;

	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = connect_client();
	assert_int_equal(recv(fds[0], &c, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(recv(fds[DNS_FORWARD_CLIENTS], &c, 1, 0), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	turn();
	fds[0] = connect_client();
	assert_int_equal(recv(fds[0], &c, 1, 0), -1);
	close(fds[0]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_queries_from_replies),
		cmocka_unit_test(replaces_ids),
		cmocka_unit_test(finds_the_limit_of_the_client),
		cmocka_unit_test(every_truncation_is_survived),
		cmocka_unit_test(a_cut_reply_keeps_header_and_question),
		cmocka_unit_test(a_cut_reply_is_short_whatever_it_asks),
		TEST(replies_find_their_clients_in_any_order),
		TEST(what_is_no_query_is_dropped),
		TEST(a_datagram_client_gets_what_it_takes),
		TEST(a_lost_stream_is_opened_anew),
		TEST(queries_under_way_are_limited),
		TEST(connections_get_whole_replies),
		TEST(connections_are_limited),
	};

	log_init("dns-test", STDERR_FILENO, LOG_ERR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
