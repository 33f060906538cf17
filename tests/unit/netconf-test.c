/* tests/unit/netconf-test.c - the guest's DNS messages, sets of listeners, words of the kernel */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "applets/applets.h"
#include "common/util.h"
#include "io/listeners.h"
#include "netconf/dns-message.h"

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

struct seen {
	unsigned n;
	struct listener at[8];
};

static void see(const struct listener *l, void *arg)
{
	struct seen *s = arg;

	assert_true(s->n < ARRAY_SIZE(s->at));
	s->at[s->n++] = *l;
}

static void set(struct listeners *l, unsigned family, unsigned port)
{
	l->bits[0][family == 6][port / 64] |= 1ull << (port % 64);
}

static void differences_are_exact(void **state)
{
	struct listeners *before = calloc(1, sizeof(*before)), *now = calloc(1, sizeof(*now));
	struct seen came = { 0 }, went = { 0 };

	set(before, 4, 22);
	set(before, 4, 80);
	set(before, 6, 65535);
	set(now, 4, 80);
	set(now, 4, 81);
	set(now, 4, 65535);
	set(now, 6, 1);
	now->bits[1][0][0] |= 1u << 7; /* UDP */
	listeners_difference(now, before, see, &came);
	listeners_difference(before, now, see, &went);
	assert_int_equal(came.n, 4);
	assert_int_equal(came.at[0].port, 81);
	assert_int_equal(came.at[1].port, 65535);
	assert_int_equal(came.at[1].family, 4);
	assert_int_equal(came.at[2].family, 6);
	assert_int_equal(came.at[2].port, 1);
	assert_int_equal(came.at[3].protocol, 17);
	assert_int_equal(came.at[3].port, 7);
	assert_int_equal(went.n, 2);
	assert_int_equal(went.at[0].port, 22);
	assert_int_equal(went.at[1].port, 65535);
	assert_int_equal(went.at[1].family, 6);
	assert_true(listeners_has(now, &(struct listener) { 4, 6, 81 }));
	assert_false(listeners_has(now, &(struct listener) { 6, 6, 81 }));
	assert_false(listeners_has(now, &(struct listener) { 4, 17, 81 }));
	free(before);
	free(now);
}

static void reads_what_listens_here(void **state)
{
	struct listeners *l = calloc(1, sizeof(*l));
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);
	int diag = listeners_open(), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct listener at = { 4, IPPROTO_TCP, 0 };

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	at.port = ntohs(sa.sin_port);
	if (diag < 0 || listeners_read(diag, l) < 0)
		skip();
	assert_true(listeners_has(l, &at));
	close(fd);
	assert_int_equal(listeners_read(diag, l), 0);
	assert_false(listeners_has(l, &at));
	close(diag);
	free(l);
}

static void reads_words_of_the_command_line(void **state)
{
	static const char line[] = "mem=1G lxss.network=nat lxss.vm=\tlxss.network=spoofed\n";
	char *mode = cmdline_value(line, "lxss.network"), *vm = cmdline_value(line, "lxss.vm");

	assert_string_equal(mode, "nat");
	assert_string_equal(vm, "");
	assert_null(cmdline_value(line, "network"));
	assert_null(cmdline_value(line, "lxss"));
	assert_null(cmdline_value("", "lxss"));
	free(mode);
	free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_queries_from_replies),
		cmocka_unit_test(replaces_ids),
		cmocka_unit_test(finds_the_limit_of_the_client),
		cmocka_unit_test(every_truncation_is_survived),
		cmocka_unit_test(a_cut_reply_keeps_header_and_question),
		cmocka_unit_test(differences_are_exact),
		cmocka_unit_test(reads_what_listens_here),
		cmocka_unit_test(reads_words_of_the_command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
