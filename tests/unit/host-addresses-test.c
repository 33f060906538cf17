/* tests/unit/host-addresses-test.c - the host's addresses, in a network namespace of the test's own
 *
 * Skipped where no namespace can be made, or ip(8) cannot change it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "io/loop.h"
#include "service/host-addresses.h"

static bool ready;

static void ip(const char *words)
{
	char command[256];

	snprintf(command, sizeof(command), "ip %s", words);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static int setup(void **state)
{
	ready = (unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) &&
		system("ip link add card type veth peer name cable 2>/dev/null") == 0;
	return 0;
}

/* "192.0.2.2 2001:db8::2 (2001:db8::3) ", those in brackets for answering only */
static const char *text(const struct host_addresses *a)
{
	static char out[4096];
	char one[INET6_ADDRSTRLEN];
	size_t n = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < a->n4; i++)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s ",
				      inet_ntop(AF_INET, &a->four[i], one, sizeof(one)));
	for (unsigned i = 0; i < a->n6; i++)
		n += (size_t)snprintf(out + n, sizeof(out) - n,
				      i + a->deprecated6 < a->n6 ? "%s " : "(%s) ",
				      inet_ntop(AF_INET6, &a->six[i], one, sizeof(one)));
	return out;
}

static const char *now(struct host_addresses *a)
{
	if (!ready)
		skip();
	host_addresses_read(a);
	return text(a);
}

static void a_host_without_network_has_nothing(void **state)
{
	struct host_addresses a;

	assert_string_equal(now(&a), "");
	assert_false(a.route4 || a.route6 || a.ipv6);
	ip("link set lo up");
	assert_string_equal(now(&a), "");
	assert_false(a.route4 || a.route6);
	assert_true(a.ipv6);
}

static void addresses_of_cards_count(void **state)
{
	struct host_addresses a;

	now(&a);
	ip("link set cable up");
	ip("link set card up");
	ip("addr add 192.0.2.2/24 dev card");
	ip("addr add 192.0.2.3/24 dev card");
	ip("addr add 169.254.1.1/16 scope link dev card");
	ip("addr add 2001:db8::2/64 nodad dev card");
	ip("addr add 2001:db8::3/64 nodad dev card");
	ip("addr add 2001:db8::4/64 nodad preferred_lft 0 dev card");
	ip("addr add 10.255.255.254/32 dev lo");
	ip("link add unused type veth peer name nowhere");
	ip("addr add 203.0.113.1/24 dev unused");
	ip("link add docker0 type bridge");
	ip("link set docker0 up");
	ip("addr add 172.17.0.1/16 dev docker0");
	assert_string_equal(now(&a), "192.0.2.2 192.0.2.3 2001:db8::3 2001:db8::2 (2001:db8::4) ");
	assert_false(a.route4 || a.route6);
}

static void the_one_that_packets_leave_from_is_first(void **state)
{
	struct host_addresses a, b;

	now(&a);
	ip("route add default via 192.0.2.1 src 192.0.2.3");
	ip("-6 route add default via 2001:db8::1 src 2001:db8::2");
	assert_string_equal(now(&b), "192.0.2.3 192.0.2.2 2001:db8::2 2001:db8::3 (2001:db8::4) ");
	assert_true(b.route4 && b.route6);
	assert_false(host_addresses_same(&a, &b));
	/* a card that is part of a bridge has its address there */
	ip("route replace default via 172.17.0.9");
	assert_string_equal(
		now(&a), "172.17.0.1 192.0.2.2 192.0.2.3 2001:db8::2 2001:db8::3 (2001:db8::4) ");
	/* and halves of everything are as good as a default route */
	ip("route replace default via 192.0.2.1 src 192.0.2.3");
	ip("-6 route del default");
	ip("-6 route add ::/1 dev card src 2001:db8::2");
	assert_true(host_addresses_same(&b, (now(&a), &a)));
}

static void their_number_is_bounded(void **state)
{
	struct host_addresses a;

	now(&a);
	for (unsigned i = 0; i < LIMIT_HOST_ADDRESSES; i++) {
		char words[64];

		snprintf(words, sizeof(words), "addr add 198.51.100.%u/32 dev card", i);
		ip(words);
		snprintf(words, sizeof(words), "addr add 2001:db8:1::%u/128 nodad dev card", i);
		ip(words);
	}
	now(&a);
	assert_int_equal(a.n4, LIMIT_HOST_ADDRESSES);
	assert_int_equal(a.n6, LIMIT_HOST_ADDRESSES);
}

static void note_change(void *arg)
{
	++*(unsigned *)arg;
}

static void changes_are_told_once(void **state)
{
	static const char *const changes[] = {
		"addr del 192.0.2.2/24 dev card",
		"link set card down",
		"link set card up",
		"-6 route add 2001:db8:9::/64 dev card",
	};
	struct loop *loop;
	struct host_watch *w;
	unsigned n = 0;

	if (!ready)
		skip();
	loop = loop_new();
	w = host_watch_new(loop, note_change, &n);
	assert_non_null(w);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		uint64_t until = now_ms() + 5000;

		for (n = 0, ip(changes[i]); !n && now_ms() < until;)
			loop_step(loop, 100);
		assert_true(n > 0);
	}
	for (unsigned i = 0; i < 20; i++) { /* until nothing of it is left */
		n = 0;
		for (uint64_t until = now_ms() + 300; now_ms() < until;)
			loop_step(loop, 50);
		if (!n)
			break;
	}
	assert_int_equal(n, 0);
	ip("addr flush dev card");
	for (uint64_t until = now_ms() + 5000; !n && now_ms() < until;)
		loop_step(loop, 100);
	assert_int_equal(n, 1);
	host_watch_free(w);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_without_network_has_nothing),
		cmocka_unit_test(addresses_of_cards_count),
		cmocka_unit_test(the_one_that_packets_leave_from_is_first),
		cmocka_unit_test(their_number_is_bounded),
		cmocka_unit_test(changes_are_told_once),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
