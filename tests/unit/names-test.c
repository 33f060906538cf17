/* tests/unit/names-test.c - questions, replies and answers from a hosts file */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/util.h"
#include "names/hosts.h"
#include "names/question.h"

static char path[] = "/tmp/lxss-names-test.XXXXXX";

static int make_file(void **state)
{
	static const char text[] = "# comment\n"
				   "127.0.0.1\tlocalhost\n"
				   "192.0.2.7 printer.example Printer # the one upstairs\n"
				   "  192.0.2.8 printer.example\n"
				   "2001:db8::5 six.example\n"
				   "fe80::1%eth0 scoped.example\n"
				   "not-an-address name.example\n"
				   "192.0.2.9"; /* no name, no newline */
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 || write_all(fd, text, sizeof(text) - 1) < 0 || close(fd) < 0;
}

static int drop_file(void **state)
{
	(void)state;
	return unlink(path);
}

static size_t make_query(uint8_t *q, const char *name, uint16_t type)
{
	ssize_t n;

	memset(q, 0, DNS_HEADER_BYTES);
	q[0] = 0x12;
	q[1] = 0x34;
	q[2] = 1; /* RD */
	q[5] = 1;
	n = name_encode(name, q + DNS_HEADER_BYTES, 256);
	assert_true(n > 0);
	q[DNS_HEADER_BYTES + n] = (uint8_t)(type >> 8);
	q[DNS_HEADER_BYTES + n + 1] = (uint8_t)type;
	q[DNS_HEADER_BYTES + n + 2] = 0;
	q[DNS_HEADER_BYTES + n + 3] = 1;
	return DNS_HEADER_BYTES + (size_t)n + 4;
}

static ssize_t ask(const char *name, uint16_t type, uint8_t *reply)
{
	struct hosts *h = hosts_new(path);
	uint8_t q[512];
	size_t len = make_query(q, name, type);
	ssize_t n = hosts_answer(h, q, len, reply, 512);

	hosts_free(h);
	return n;
}

static void every_line_with_the_name_answers(void **state)
{
	uint8_t r[512];
	ssize_t n = ask("PRINTER.example", DNS_TYPE_A, r);

	(void)state;
	assert_int_equal(r[0] << 8 | r[1], 0x1234);
	assert_int_equal(r[2] & 0x80, 0x80);
	assert_int_equal(r[3] & 0xf, 0);
	assert_int_equal(r[7], 2);
	assert_memory_equal(r + n - 4, "\xc0\x00\x02\x08", 4);
	assert_memory_equal(r + n - 4 - 16, "\xc0\x00\x02\x07", 4);
}

static void an_alias_answers_too(void **state)
{
	uint8_t r[512];

	(void)state;
	assert_true(ask("printer", DNS_TYPE_A, r) > 0);
	assert_int_equal(r[7], 1);
}

static void the_other_family_is_an_empty_answer(void **state)
{
	uint8_t r[512];

	(void)state;
	assert_true(ask("six.example", DNS_TYPE_A, r) > 0);
	assert_int_equal(r[7], 0);
	assert_true(ask("six.example", DNS_TYPE_AAAA, r) > 0);
	assert_int_equal(r[7], 1);
}

static void unknown_names_and_types_are_asked_elsewhere(void **state)
{
	uint8_t r[512];

	(void)state;
	assert_int_equal(ask("other.example", DNS_TYPE_A, r), 0);
	assert_int_equal(ask("name.example", DNS_TYPE_A, r), 0);
	assert_int_equal(ask("printer.example", 15, r), 0);
	assert_int_equal(ask("9.2.0.192.in-addr.arpa", DNS_TYPE_PTR, r), 0);
}

static void addresses_have_names(void **state)
{
	uint8_t r[512];
	ssize_t n = ask("7.2.0.192.in-addr.arpa", DNS_TYPE_PTR, r);

	(void)state;
	assert_true(n > 0);
	assert_memory_equal(r + n - 17, "\x07printer\x07" "example", 17);
	n = ask("5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", DNS_TYPE_PTR,
		r);
	assert_true(n > 0);
	assert_memory_equal(r + n - 13, "\x03six\x07" "example", 13);
}

static void malformed_queries_are_refused(void **state)
{
	struct question parsed;
	uint8_t q[512], small[20];
	size_t len = make_query(q, "printer.example", DNS_TYPE_A);

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *exact = memcpy(test_malloc(cut + 1), q, cut);

		assert_int_equal(question_parse(exact, cut, &parsed), -EBADMSG);
		test_free(exact);
	}
	assert_int_equal(question_parse(q, len, &parsed), 0);
	assert_string_equal(parsed.name, "printer.example");
	assert_int_equal(reply_begin(q, &parsed, 0, small, sizeof(small)), -EMSGSIZE);
	q[DNS_HEADER_BYTES] = 0xc0; /* a compressed question */
	assert_int_equal(question_parse(q, len, &parsed), -EBADMSG);
	q[DNS_HEADER_BYTES] = 7;
	q[2] |= 0x80; /* a reply */
	assert_int_equal(question_parse(q, len, &parsed), -EBADMSG);
}

static void a_changed_file_counts_at_once(void **state)
{
	struct hosts *h = hosts_new(path);
	uint8_t q[512], r[512];
	size_t len = make_query(q, "new.example", DNS_TYPE_A);
	int fd;

	(void)state;
	assert_int_equal(hosts_answer(h, q, len, r, sizeof(r)), 0);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write_all(fd, "\n192.0.2.99 new.example\n", 24), 0);
	close(fd);
	assert_true(hosts_answer(h, q, len, r, sizeof(r)) > 0);
	hosts_free(h);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_with_the_name_answers),
		cmocka_unit_test(an_alias_answers_too),
		cmocka_unit_test(the_other_family_is_an_empty_answer),
		cmocka_unit_test(unknown_names_and_types_are_asked_elsewhere),
		cmocka_unit_test(addresses_have_names),
		cmocka_unit_test(malformed_queries_are_refused),
		cmocka_unit_test(a_changed_file_counts_at_once),
	};

	return cmocka_run_group_tests(tests, make_file, drop_file);
}
