/* tests/unit/net-link-test.c - NET_CONFIG on a real kernel, in a network namespace of the test's own
 *
 * The interface is one end of a veth pair. Skipped where no namespace or no pair can be made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "io/netlink.h"
#include "netconf/link.h"
#include "protocol/message.h"

static bool ready;

static int make_pair(void)
{
	struct nl nl;
	struct {
		struct rtattr a;
		char kind[8];
	} info = { { RTA_LENGTH(5), IFLA_INFO_KIND }, "veth" };
	int r = nl_open(&nl, NETLINK_ROUTE);

	if (r < 0)
		return r;
	nl_begin(&nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	nl_put(&nl, IFLA_IFNAME, "eth0", 5);
	nl_put(&nl, IFLA_LINKINFO, &info, sizeof(info));
	r = nl_ask(&nl);
	nl_close(&nl);
	return r;
}

static int setup(void **state)
{
	ready = (unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) &&
		make_pair() == 0;
	return 0;
}

/* A decoded vector; the last of several strings has its NUL from the literal. */
static struct strv strv_of(const char *packed, size_t bytes)
{
	struct strv v = { .bytes = (uint32_t)bytes, .packed = packed };

	for (size_t i = 0; i < bytes; i++)
		v.n += packed[i] == '\0';
	return v;
}
#define STRV(packed) strv_of(packed, sizeof(packed))

static struct msg_net_config config(void)
{
	return (struct msg_net_config) {
		.mode = "nat",
		.interface = "eth0",
		.addresses4 = STRV("10.213.77.15/24"),
		.gateway4 = "10.213.77.1",
		.addresses6 = STRV("fd6c:7873:73d5:1::f/64"),
		.gateway6 = "fd6c:7873:73d5:1::1",
		.mtu = 9000,
		.dns_address = "10.255.255.254",
	};
}

static const char host4[] = "192.0.2.2/32\0"
			    "198.51.100.7/32\0"
			    "203.0.113.9/32";
static const char host6[] = "2001:db8::2/128\0"
			    "2001:db8::3/128\0"
			    "fd6c:7873:73d5:1::f/64";

static struct msg_net_config mirrored(void)
{
	struct msg_net_config m = config();

	m.mode = "mirrored";
	m.addresses4 = STRV(host4);
	m.addresses6 = STRV(host6);
	m.deprecated6 = 1;
	return m;
}

static void apply(const struct msg_net_config *m)
{
	struct err err = ERR_INIT;

	if (!ready)
		skip();
	if (link_apply(m, &err) < 0)
		fail_msg("%s", err.text);
}

/* --- what the kernel says --- */

/* "10.0.0.1 fd00::1 " of an interface, without link-local ones, in the kernel's order */
static void addresses(const char *interface, char *out, size_t size)
{
	struct ifaddrs *all;
	size_t n = 0;

	out[0] = '\0';
	assert_int_equal(getifaddrs(&all), 0);
	for (struct ifaddrs *a = all; a; a = a->ifa_next) {
		char text[INET6_ADDRSTRLEN];
		int family = a->ifa_addr ? a->ifa_addr->sa_family : 0;
		const void *bytes =
			family == AF_INET
				? (void *)&((struct sockaddr_in *)a->ifa_addr)->sin_addr
				: (void *)&((struct sockaddr_in6 *)a->ifa_addr)->sin6_addr;

		if (!streq(a->ifa_name, interface) || (family != AF_INET && family != AF_INET6) ||
		    !inet_ntop(family, bytes, text, sizeof(text)) || str_after(text, "fe80"))
			continue;
		n += (size_t)snprintf(out + n, size - n, "%s ", text);
	}
	freeifaddrs(all);
}

static unsigned lines_with(const char *path, const char *start, const char *word)
{
	auto_free char *text = NULL;
	char *save = NULL;
	unsigned n = 0;

	assert_int_equal(read_file_at(AT_FDCWD, path, 1 << 20, &text, NULL), 0);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		n += str_after(l, start) && strstr(l, word);
	return n;
}

static unsigned default_routes4(const char *gateway_hex)
{
	return lines_with("/proc/net/route", "eth0\t00000000\t", gateway_hex);
}

static unsigned default_routes6(const char *gateway)
{
	return lines_with("/proc/net/ipv6_route", "00000000000000000000000000000000 00 ", gateway);
}

/* --- tests --- */

static void everything_is_there_at_once(void **state)
{
	struct msg_net_config m = config();
	struct ifreq ifr = { .ifr_name = "eth0" };
	auto_close int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char text[256];

	apply(&m);
	addresses("eth0", text, sizeof(text));
	assert_string_equal(text, "10.213.77.15 fd6c:7873:73d5:1::f ");
	addresses("lo", text, sizeof(text));
	assert_non_null(strstr(text, "10.255.255.254 "));
	assert_non_null(strstr(text, "127.0.0.1 "));
	assert_int_equal(default_routes4("014DD50A"), 1);
	assert_int_equal(default_routes6("fd6c787373d500010000000000000001"), 1);
	assert_int_equal(ioctl(fd, SIOCGIFMTU, &ifr), 0);
	assert_int_equal(ifr.ifr_mtu, 9000);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	assert_true(ifr.ifr_flags & IFF_UP);
}

static void the_same_again_changes_nothing(void **state)
{
	struct sockaddr_nl sa = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			     RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct msg_net_config m[] = { config(), mirrored() };
	char bytes[8192];

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
		apply(&m[i]);
		m[i].dns_address = ""; /* an address without a network is set again */
		/* of what is new the kernel also tells a little later */
		while (poll(&(struct pollfd) { fd, POLLIN, 0 }, 1, 200) > 0)
			recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		apply(&m[i]);
		assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
	}
}

static void another_one_replaces_it(void **state)
{
	struct msg_net_config m = config();
	char text[256];

	apply(&m);
	m.addresses4 = STRV("10.61.201.15/24");
	m.gateway4 = "10.61.201.1";
	m.addresses6 = STRV("fd9a::f/64");
	m.gateway6 = "fd9a::1";
	apply(&m);
	addresses("eth0", text, sizeof(text));
	assert_string_equal(text, "10.61.201.15 fd9a::f ");
	assert_int_equal(default_routes4(""), 1);
	assert_int_equal(default_routes4("01C93D0A"), 1);
	assert_int_equal(default_routes6("fd9a0000000000000000000000000001"), 1);
	assert_int_equal(default_routes6("fd6c787373d500010000000000000001"), 0);
}

static void a_family_can_go(void **state)
{
	struct msg_net_config m = config();
	char text[256];

	apply(&m);
	m.addresses6 = (struct strv) { 0 };
	m.gateway6 = "";
	apply(&m);
	addresses("eth0", text, sizeof(text));
	assert_string_equal(text, "10.213.77.15 ");
	assert_int_equal(default_routes6("fd6c787373d500010000000000000001"), 0);
	m.gateway4 = ""; /* on-link only */
	apply(&m);
	assert_int_equal(default_routes4(""), 0);
}

static void a_gateway_outside_the_prefix_works(void **state)
{
	struct msg_net_config m = config();

	m.addresses4 = STRV("10.9.9.9/32");
	apply(&m);
	assert_int_equal(default_routes4("014DD50A"), 1);
}

/* --- several addresses --- */

/* Where packets to an address out there leave from */
static void source(const char *to, char text[INET6_ADDRSTRLEN])
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	struct sockaddr_in *four = (struct sockaddr_in *)&sa;
	socklen_t len = sizeof(sa);
	int fd;

	if (inet_pton(AF_INET6, to, &sa.sin6_addr) != 1) {
		sa.sin6_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, to, &four->sin_addr), 1);
	}
	fd = socket(sa.sin6_family, SOCK_DGRAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	close(fd);
	inet_ntop(sa.sin6_family,
		  sa.sin6_family == AF_INET ? (void *)&four->sin_addr : (void *)&sa.sin6_addr, text,
		  INET6_ADDRSTRLEN);
}

static void several_addresses_are_there_in_their_order(void **state)
{
	struct msg_net_config m = mirrored();
	char text[256];

	apply(&m);
	addresses("eth0", text, sizeof(text));
	assert_string_equal(text, "192.0.2.2 198.51.100.7 203.0.113.9 "
				  "2001:db8::2 2001:db8::3 fd6c:7873:73d5:1::f ");
	source("8.8.8.8", text);
	assert_string_equal(text, "192.0.2.2");
	source("2600::1", text);
	assert_string_equal(text, "2001:db8::2");
	source("fd6c:7873:73d5:1::1", text); /* not the deprecated one */
	assert_string_equal(text, "2001:db8::2");
	assert_int_equal(default_routes4("014DD50A"), 1);
	assert_int_equal(default_routes6("fd6c787373d500010000000000000001"), 1);
}

static void another_order_makes_another_first_one(void **state)
{
	static const char other4[] = "203.0.113.9/32\0"
				     "192.0.2.2/32\0"
				     "10.9.9.9/32";
	static const char other6[] = "2001:db8::3/128\0"
				     "2001:db8::2/128";
	struct msg_net_config m = mirrored();
	char text[256];

	apply(&m);
	m.addresses4 = STRV(other4);
	m.addresses6 = STRV(other6);
	m.deprecated6 = 0;
	apply(&m);
	addresses("eth0", text, sizeof(text));
	assert_string_equal(text, "203.0.113.9 192.0.2.2 10.9.9.9 2001:db8::3 2001:db8::2 ");
	source("8.8.8.8", text);
	assert_string_equal(text, "203.0.113.9");
	source("2600::1", text);
	assert_string_equal(text, "2001:db8::3");
	assert_int_equal(default_routes4(""), 1);
	assert_int_equal(default_routes6("fd6c787373d500010000000000000001"), 1);
}

static void a_deprecated_address_can_become_the_one(void **state)
{
	struct msg_net_config m = mirrored();
	char text[256];

	apply(&m);
	m.addresses6 = STRV("fd6c:7873:73d5:1::f/64");
	m.deprecated6 = 0;
	apply(&m);
	source("2600::1", text);
	assert_string_equal(text, "fd6c:7873:73d5:1::f");
	assert_int_equal(lines_with("/proc/net/if_inet6", "fd6c", " a0 "), 0);
	assert_int_equal(lines_with("/proc/net/if_inet6", "fd6c", " 82 "), 1);
	apply(&(struct msg_net_config) { .interface = "eth0",
					 .addresses6 = m.addresses6,
					 .deprecated6 = 1,
					 .gateway4 = "",
					 .gateway6 = "",
					 .dns_address = "" });
	assert_int_equal(lines_with("/proc/net/if_inet6", "fd6c", " a2 "), 1);
}

static void too_many_are_refused(void **state)
{
	char packed[(LIMIT_GUEST_ADDRESSES + 1) * sizeof("10.0.0.100/32")], *at = packed;
	struct msg_net_config m = config();
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < LIMIT_GUEST_ADDRESSES; i++)
		at += sprintf(at, "10.0.0.%u/32", 100 + i) + 1;
	m.addresses4 = strv_of(packed, (size_t)(at - packed));
	apply(&m);
	at += sprintf(at, "10.0.0.99/32") + 1;
	m.addresses4 = strv_of(packed, (size_t)(at - packed));
	assert_int_equal(link_apply(&m, &err), -E2BIG);
	m = config();
	apply(&m);
}

static void errors_name_their_cause(void **state)
{
	static const char *const bad6[] = { "fd00::1/129", "fd00::1", "fd00::1/", "/64",
					    "10.0.0.1/8" };
	struct msg_net_config m = config();
	struct err err = ERR_INIT;

	if (!ready)
		skip();
	m.interface = "eth7";
	assert_int_equal(link_apply(&m, &err), -ENODEV);
	assert_non_null(strstr(err.text, "eth7"));
	m = config();
	m.addresses4 = STRV("10.0.0/24");
	err = ERR_INIT;
	assert_int_equal(link_apply(&m, &err), -EINVAL);
	assert_non_null(strstr(err.text, "10.0.0"));
	m = config();
	for (size_t i = 0; i < ARRAY_SIZE(bad6); i++) {
		m.addresses6 = strv_of(bad6[i], strlen(bad6[i]) + 1);
		err = ERR_INIT;
		assert_int_equal(link_apply(&m, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad6[i]));
	}
	m.interface = ""; /* networkingMode=none */
	m.dns_address = "";
	assert_int_equal(link_apply(&m, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_there_at_once),
		cmocka_unit_test(the_same_again_changes_nothing),
		cmocka_unit_test(another_one_replaces_it),
		cmocka_unit_test(a_family_can_go),
		cmocka_unit_test(a_gateway_outside_the_prefix_works),
		cmocka_unit_test(several_addresses_are_there_in_their_order),
		cmocka_unit_test(another_order_makes_another_first_one),
		cmocka_unit_test(a_deprecated_address_can_become_the_one),
		cmocka_unit_test(too_many_are_refused),
		cmocka_unit_test(errors_name_their_cause),
	};

	log_init("net-link-test", STDERR_FILENO, LOG_ERR, false);
	return cmocka_run_group_tests(tests, setup, NULL);
}
