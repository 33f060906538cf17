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
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/util.h"
#include "netconf/link.h"
#include "io/netlink.h"
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

static struct msg_net_config config(void)
{
	return (struct msg_net_config) {
		.mode = "nat",
		.interface = "eth0",
		.address4 = "10.213.77.15",
		.gateway4 = "10.213.77.1",
		.prefix4 = 24,
		.address6 = "fd6c:7873:73d5:1::f",
		.gateway6 = "fd6c:7873:73d5:1::1",
		.prefix6 = 64,
		.mtu = 9000,
		.dns_address = "10.255.255.254",
	};
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
	struct msg_net_config m = config();
	char bytes[8192];

	apply(&m);
	m.dns_address = ""; /* an address without a network is set again */
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	apply(&m);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
}

static void another_one_replaces_it(void **state)
{
	struct msg_net_config m = config();
	char text[256];

	apply(&m);
	m.address4 = "10.61.201.15";
	m.gateway4 = "10.61.201.1";
	m.address6 = "fd9a::f";
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
	m.address6 = m.gateway6 = "";
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

	m.address4 = "10.9.9.9";
	m.prefix4 = 32;
	apply(&m);
	assert_int_equal(default_routes4("014DD50A"), 1);
}

static void errors_name_their_cause(void **state)
{
	struct msg_net_config m = config();
	struct err err = ERR_INIT;

	if (!ready)
		skip();
	m.interface = "eth7";
	assert_int_equal(link_apply(&m, &err), -ENODEV);
	assert_non_null(strstr(err.text, "eth7"));
	m = config();
	m.address4 = "10.0.0";
	err = ERR_INIT;
	assert_int_equal(link_apply(&m, &err), -EINVAL);
	assert_non_null(strstr(err.text, "10.0.0"));
	m = config();
	m.prefix6 = 129;
	err = ERR_INIT;
	assert_int_equal(link_apply(&m, &err), -EINVAL);
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
		cmocka_unit_test(errors_name_their_cause),
	};

	log_init("net-link-test", STDERR_FILENO, LOG_ERR, false);
	return cmocka_run_group_tests(tests, setup, NULL);
}
