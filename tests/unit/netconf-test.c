/* tests/unit/netconf-test.c - sets of listeners, words of the kernel */
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
#include "protocol/message.h"

static void listeners_of_a_peer_are_checked(void **state)
{
	static const struct {
		struct msg_port m;
		const char *name; /* NULL: refused */
	} cases[] = {
		{ { "127.0.0.1", IPPROTO_TCP, 80, 0 }, "127.0.0.1:80" },
		{ { "0.0.0.0", IPPROTO_UDP, 65535, 0 }, "0.0.0.0:65535/udp" },
		{ { "::", IPPROTO_TCP, 1, 0 }, "[::]:1" },
		{ { "2001:db8::1", IPPROTO_UDP, 53, 0 }, "[2001:db8::1]:53/udp" },
		{ { "", IPPROTO_TCP, 80, 0 }, NULL },
		{ { "localhost", IPPROTO_TCP, 80, 0 }, NULL },
		{ { "127.0.0.1 ", IPPROTO_TCP, 80, 0 }, NULL },
		{ { "::1%lo", IPPROTO_TCP, 80, 0 }, NULL },
		{ { "127.0.0.1", IPPROTO_TCP, 0, 0 }, NULL },
		{ { "127.0.0.1", IPPROTO_TCP, 65536, 0 }, NULL },
		{ { "127.0.0.1", IPPROTO_ICMP, 80, 0 }, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char name[LISTENER_NAME], text[INET6_ADDRSTRLEN];
		struct listener at;
		struct msg_port back;

		assert_int_equal(listener_parse(&cases[i].m, &at), cases[i].name != NULL);
		if (!cases[i].name)
			continue;
		assert_string_equal(listener_name(&at, name), cases[i].name);
		back = listener_message(&at, 7, text);
		assert_string_equal(back.address, cases[i].m.address);
		assert_int_equal(back.stream, 7);
		assert_int_equal(listener_is_loopback(&at), i == 0);
		assert_int_equal(listener_is_any(&at), i == 1 || i == 2);
	}
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
	assert_true(listeners_has(now, &(struct listener) { 4, IPPROTO_TCP, 81, { 0 } }));
	assert_false(listeners_has(now, &(struct listener) { 6, IPPROTO_TCP, 81, { 0 } }));
	assert_false(listeners_has(now, &(struct listener) { 4, IPPROTO_UDP, 81, { 0 } }));
	free(before);
	free(now);
}

static void another_address_is_a_difference(void **state)
{
	struct listeners *before = calloc(1, sizeof(*before)), *now = calloc(1, sizeof(*now));
	struct listener other = { 4, IPPROTO_UDP, 90, { 192, 0, 2, 1 } };
	struct seen came = { 0 }, went = { 0 };

	set(before, 4, 80);
	set(now, 4, 80);
	now->any[0][0][80 / 64] |= 1ull << (80 % 64);
	now->others[now->n_others++] = other;
	listeners_difference(now, before, see, &came);
	listeners_difference(before, now, see, &went);
	assert_int_equal(came.n, 2);
	assert_true(listener_is_any(&came.at[0]));
	assert_true(listener_same(&came.at[1], &other));
	assert_int_equal(went.n, 1);
	assert_true(listener_is_loopback(&went.at[0]));
	listeners_clear(before, &other); /* is not there */
	assert_true(listeners_has(now, &other));
	listeners_clear(now, &other);
	assert_false(listeners_has(now, &other));
	now->others[now->n_others++] = other;
	listeners_fold(now);
	came.n = 0;
	listeners_difference(now, before, see, &came);
	assert_int_equal(came.n, 0);
	free(before);
	free(now);
}

static bool is_told(const struct listeners *l, const struct listener *at)
{
	struct listeners *none = calloc(1, sizeof(*none)), *one = calloc(1, sizeof(*one));
	struct seen seen = { 0 };

	*one = *l; /* the port alone */
	for (unsigned i = 0; i < 4 * 1024; i++) {
		uint64_t bit = i % 1024 == at->port / 64 ? 1ull << (at->port % 64) : 0;

		one->bits[i / 2048][i / 1024 % 2][i % 1024] &= bit;
	}
	one->n_others = 0;
	listeners_difference(one, none, see, &seen);
	free(none);
	free(one);
	for (unsigned i = 0; i < seen.n; i++)
		if (listener_same(&seen.at[i], at))
			return true;
	return false;
}

/* A server on any port of the address; @dual: of both families */
static int serve(struct listener *at, bool dual)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(sa);
	int fd = dual ? socket(AF_INET6, SOCK_STREAM, 0) : listener_open(at);

	if (dual && (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 1) < 0))
		return -1;
	if (fd >= 0)
		getsockname(fd, (struct sockaddr *)&sa, &len);
	at->port = ntohs(sa.sin6_port); /* at the same place in both */
	return fd;
}

static void reads_what_listens_here(void **state)
{
	struct listeners *l = calloc(1, sizeof(*l));
	struct listener at[] = {
		listener_any(4, IPPROTO_TCP, 0),         listener_loopback(4, IPPROTO_TCP, 0),
		listener_any(6, IPPROTO_TCP, 0),         listener_loopback(6, IPPROTO_TCP, 0),
		{ 4, IPPROTO_TCP, 0, { 127, 0, 0, 2 } }, /* nobody's */
		listener_any(6, IPPROTO_TCP, 0),         /* the dual one */
	};
	int diag = listeners_open(), fds[ARRAY_SIZE(at)];

	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		fds[i] = serve(&at[i], i == 5);
	if (diag < 0 || listeners_read(diag, l) < 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		if (fds[i] >= 0)
			assert_int_equal(is_told(l, &at[i]), i != 4);
	if (fds[5] >= 0) {
		at[5].family = 4;
		assert_true(is_told(l, &at[5]));
		at[2].family = 4;
		assert_false(is_told(l, &at[2]));
	}
	assert_int_equal(is_told(l, &at[0]), true);
	listeners_fold(l);
	assert_false(is_told(l, &at[0]));
	assert_true(listeners_has(l, &at[0]));
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	assert_int_equal(listeners_read(diag, l), 0);
	assert_false(listeners_has(l, &at[0]));
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
		cmocka_unit_test(listeners_of_a_peer_are_checked),
		cmocka_unit_test(differences_are_exact),
		cmocka_unit_test(another_address_is_a_difference),
		cmocka_unit_test(reads_what_listens_here),
		cmocka_unit_test(reads_words_of_the_command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
