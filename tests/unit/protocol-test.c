/* tests/unit/protocol-test.c - the control protocol's bytes, and what a decoder refuses */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/limits.h"
#include "common/util.h"
#include "protocol/message.h"

/* The example of docs/protocol.md: TERMINATE, sequence 7, name "box". */
static const uint8_t terminate_wire[] = {
	0x14, 0, 0, 0, 0x06, 0x01, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 'b', 'o', 'x', 0,
};

/* Decodes from an exact heap copy, so that a sanitizer sees any over-read. Strings would point into
 * it: they are gone afterwards. */
static int decode(uint16_t type, const uint8_t *payload, size_t len, void *msg)
{
	uint8_t *exact = malloc(len ? len : 1);
	int r;

	memcpy(exact, payload, len);
	r = message_decode(type, len ? exact : exact + 1, len, msg);
	free(exact);
	return r;
}

static void encodes_the_documented_bytes(void **state)
{
	struct msg_text m = { "box" };
	uint8_t b[64];

	assert_int_equal(message_encode(MSG_TERMINATE, 7, 0, &m, b, sizeof(b)),
			 sizeof(terminate_wire));
	assert_memory_equal(b, terminate_wire, sizeof(terminate_wire));
	assert_int_equal(message_size(MSG_TERMINATE, &m), sizeof(terminate_wire));
}

static void decodes_the_documented_bytes(void **state)
{
	struct message_header h;
	struct msg_text m;

	assert_int_equal(message_header_decode(terminate_wire, &h), 0);
	assert_int_equal(h.length, sizeof(terminate_wire));
	assert_int_equal(h.type, MSG_TERMINATE);
	assert_int_equal(h.fds, 0);
	assert_int_equal(h.seq, 7);
	assert_int_equal(message_decode(h.type, terminate_wire + MESSAGE_HEADER,
					sizeof(terminate_wire) - MESSAGE_HEADER, &m),
			 0);
	assert_string_equal(m.text, "box");
}

static void refuses_impossible_headers(void **state)
{
	struct message_header h;
	uint8_t b[MESSAGE_HEADER];
	static const uint32_t bad[] = { 0, 11, LIMIT_MESSAGE_BYTES + 1, UINT32_MAX };

	memcpy(b, terminate_wire, sizeof(b));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(b, &bad[i], 4);
		assert_int_equal(message_header_decode(b, &h), -EBADMSG);
	}
	memcpy(b, &(uint32_t) { LIMIT_MESSAGE_BYTES }, 4);
	assert_int_equal(message_header_decode(b, &h), 0);
	b[6] = LIMIT_MESSAGE_FDS;
	assert_int_equal(message_header_decode(b, &h), 0);
	b[6] = LIMIT_MESSAGE_FDS + 1;
	assert_int_equal(message_header_decode(b, &h), -EBADMSG);
	b[6] = 0;
	b[5] = 0x7f;
	assert_int_equal(message_header_decode(b, &h), -EOPNOTSUPP);
	assert_int_equal(h.length, LIMIT_MESSAGE_BYTES);
}

static const char *const words[] = { "sh", "", "-c", "true", NULL };

/* One of each kind of field, twice over where it matters. */
static size_t sample(uint8_t *b, size_t size)
{
	const struct msg_launch m = {
		.distro = "Debian",
		.distro_id = "{id}",
		.user = "",
		.cwd = "/tmp",
		.argv = { .list = words },
		.env = { .list = (const char *const[]) { NULL } },
		.shell = SHELL_LOGIN,
		.flags = SESSION_TTY_STDIN,
		.rows = 25,
		.cols = 80,
	};
	ssize_t n = message_encode(MSG_LAUNCH, 1, 3, &m, b, size);

	assert_true(n > 0);
	return (size_t)n;
}

static void round_trip(void **state)
{
	uint8_t b[256];
	size_t n = sample(b, sizeof(b)), i = 0;
	struct message_header h;
	struct msg_launch m;

	assert_int_equal(message_header_decode(b, &h), 0);
	assert_int_equal(h.fds, 3);
	assert_int_equal(h.length, n);
	assert_int_equal(message_decode(MSG_LAUNCH, b + MESSAGE_HEADER, n - MESSAGE_HEADER, &m), 0);
	assert_string_equal(m.distro, "Debian");
	assert_string_equal(m.user, "");
	assert_int_equal(m.argv.n, 4);
	strv_foreach (s, &m.argv)
		assert_string_equal(s, words[i++]);
	assert_int_equal(i, 4);
	assert_int_equal(m.env.n, 0);
	assert_null(strv_first(&m.env));
	assert_int_equal(m.cols, 80);
}

static void refuses_every_truncation(void **state)
{
	uint8_t b[256];
	size_t n = sample(b, sizeof(b)) - MESSAGE_HEADER;
	struct msg_launch m;

	for (size_t len = 0; len < n; len++)
		assert_int_equal(decode(MSG_LAUNCH, b + MESSAGE_HEADER, len, &m), -EBADMSG);
	assert_int_equal(decode(MSG_LAUNCH, b + MESSAGE_HEADER, n, &m), 0);
}

static void refuses_trailing_bytes(void **state)
{
	uint8_t b[256] = { 0 };
	size_t n = sample(b, sizeof(b)) - MESSAGE_HEADER;
	struct msg_launch m;

	assert_int_equal(decode(MSG_LAUNCH, b + MESSAGE_HEADER, n + 1, &m), -EBADMSG);
	assert_int_equal(decode(MSG_LIST, b, 0, &m), 0);
	assert_int_equal(decode(MSG_LIST, b, 1, &m), -EBADMSG);
}

static void refuses_bad_strings(void **state)
{
	static const uint8_t inner_nul[] = { 3, 0, 0, 0, 'b', 0, 'x', 0 };
	static const uint8_t no_nul[] = { 3, 0, 0, 0, 'b', 'o', 'x', 'y' };
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 'b', 0 };
	struct msg_text m;

	assert_int_equal(decode(MSG_TERMINATE, inner_nul, sizeof(inner_nul), &m), -EBADMSG);
	assert_int_equal(decode(MSG_TERMINATE, no_nul, sizeof(no_nul), &m), -EBADMSG);
	assert_int_equal(decode(MSG_TERMINATE, huge, sizeof(huge), &m), -EBADMSG);
}

static void refuses_bad_vectors(void **state)
{
	static const uint8_t good[] = { 2, 0, 0, 0, 3, 0, 0, 0, 'a', 0, 0 };
	static const uint8_t count[] = { 3, 0, 0, 0, 3, 0, 0, 0, 'a', 0, 0 };
	static const uint8_t open_end[] = { 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 'a' };
	static const uint8_t long_bytes[] = { 2, 0, 0, 0, 4, 0, 0, 0, 'a', 0, 0 };
	struct rd rd = rd_init(good, sizeof(good));
	struct strv v = rd_strv(&rd);

	assert_int_equal(rd_done(&rd), 0);
	assert_string_equal(strv_first(&v), "a");
	assert_string_equal(strv_next(&v, strv_first(&v)), "");
	rd = rd_init(count, sizeof(count));
	rd_strv(&rd);
	assert_int_equal(rd_done(&rd), -EBADMSG);
	rd = rd_init(open_end, sizeof(open_end));
	rd_strv(&rd);
	assert_int_equal(rd_done(&rd), -EBADMSG);
	rd = rd_init(long_bytes, sizeof(long_bytes));
	rd_strv(&rd);
	assert_int_equal(rd_done(&rd), -EBADMSG);
}

static int vector_of(uint32_t n)
{
	uint8_t *b = calloc(1, 8 + (size_t)n);
	struct rd rd = rd_init(b, 8 + (size_t)n);
	int r;

	memcpy(b, &n, 4);
	memcpy(b + 4, &n, 4);
	rd_strv(&rd);
	r = rd_done(&rd);
	free(b);
	return r;
}

static void vectors_have_a_limit(void **state)
{
	assert_int_equal(vector_of(LIMIT_ARGV_WORDS), 0);
	assert_int_equal(vector_of(LIMIT_ARGV_WORDS + 1), -EBADMSG);
}

static void messages_have_a_limit(void **state)
{
	size_t n = LIMIT_MESSAGE_BYTES - MESSAGE_HEADER - 5;
	char *text = malloc(n + 2);
	uint8_t *b = malloc(LIMIT_MESSAGE_BYTES + 16);
	struct msg_text m = { text };

	memset(text, 'x', n + 1);
	text[n] = '\0';
	assert_int_equal(message_encode(MSG_WARNING, 0, 0, &m, b, LIMIT_MESSAGE_BYTES + 16),
			 LIMIT_MESSAGE_BYTES);
	text[n] = 'x';
	text[n + 1] = '\0';
	assert_int_equal(message_encode(MSG_WARNING, 0, 0, &m, b, LIMIT_MESSAGE_BYTES + 16),
			 -EMSGSIZE);
	free(text);
	free(b);
}

static void small_buffers_are_refused(void **state)
{
	struct msg_text m = { "box" };
	uint8_t b[sizeof(terminate_wire)];

	for (size_t size = 0; size < sizeof(b); size++)
		assert_int_equal(message_encode(MSG_TERMINATE, 7, 0, &m, b, size), -EMSGSIZE);
	assert_true(message_encode(MSG_TERMINATE, 7, 0, &m, b, sizeof(b)) > 0);
	assert_int_equal(message_encode(MSG_TERMINATE, 7, LIMIT_MESSAGE_FDS + 1, &m, b, sizeof(b)),
			 -EMSGSIZE);
	assert_int_equal(message_encode(0x7fff, 7, 0, &m, b, sizeof(b)), -EOPNOTSUPP);
}

static void null_strings_are_empty(void **state)
{
	struct msg_text m = { NULL }, got;
	uint8_t b[32];
	ssize_t n = message_encode(MSG_WARNING, 0, 0, &m, b, sizeof(b));

	assert_int_equal(n, MESSAGE_HEADER + 5);
	assert_int_equal(message_decode(MSG_WARNING, b + MESSAGE_HEADER, 5, &got), 0);
	assert_string_equal(got.text, "");
}

/* Every row of the table: zeros decode, encode to themselves, and print. */
static void every_message_works(void **state)
{
	static const uint16_t types[] = {
#define X(name, number, tag) number,
		MESSAGE_TYPES(X)
#undef X
	};
	uint8_t b[512];
	char line[64];

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		union message_any any = { 0 }, back;
		ssize_t n = message_encode(types[i], 9, 0, &any, b, sizeof(b));

		assert_true(n >= (ssize_t)MESSAGE_HEADER);
		assert_int_equal(
			decode(types[i], b + MESSAGE_HEADER, (size_t)n - MESSAGE_HEADER, &back), 0);
		assert_string_not_equal(message_name(types[i]), "?");
		for (size_t size = 1; size <= sizeof(line); size++) {
			assert_int_equal(message_decode(types[i], b + MESSAGE_HEADER,
							(size_t)n - MESSAGE_HEADER, &back),
					 0);
			assert_true(strlen(message_trace(types[i], &back, line, size)) < size);
		}
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(types[i], types[j]);
	}
	assert_string_equal(message_name(0), "?");
}

static void traces_are_readable(void **state)
{
	struct msg_text m = { "box" };
	char line[64];

	assert_string_equal(message_trace(MSG_TERMINATE, &m, line, sizeof(line)),
			    "TERMINATE text='box'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_the_documented_bytes),
		cmocka_unit_test(decodes_the_documented_bytes),
		cmocka_unit_test(refuses_impossible_headers),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(refuses_every_truncation),
		cmocka_unit_test(refuses_trailing_bytes),
		cmocka_unit_test(refuses_bad_strings),
		cmocka_unit_test(refuses_bad_vectors),
		cmocka_unit_test(vectors_have_a_limit),
		cmocka_unit_test(messages_have_a_limit),
		cmocka_unit_test(small_buffers_are_refused),
		cmocka_unit_test(null_strings_are_empty),
		cmocka_unit_test(every_message_works),
		cmocka_unit_test(traces_are_readable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
