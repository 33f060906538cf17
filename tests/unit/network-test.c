/* tests/unit/network-test.c - the service's side of the network: resolv.conf, hosts, ports, proxies */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/util.h"
#include "service/host-resolver.h"
#include "service/machine-config.h"
#include "service/machine-net.h"
#include "service/port-owner.h"
#include "service/port-set.h"
#include "service/proxy.h"

static char *file_with(const char *text)
{
	char path[] = "/tmp/lxss-network-test.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0 && write_all(fd, text, strlen(text)) == 0);
	close(fd);
	return str_dup(path);
}

static void drop(char *path)
{
	unlink(path);
	free(path);
}

static void note(const char *text, void *arg)
{
	snprintf(arg, 256, "%s", text);
}

/* --- resolv.conf --- */

static void reads_servers_and_search_list(void **state)
{
	char *path = file_with("# comment\n; another\n"
			       "nameserver 192.0.2.1 # first\n"
			       "\tnameserver\t2001:db8::1\r\n"
			       "nameserver not.an.address\n"
			       "nameserver 192.0.2.1\n"
			       "nameserver 192.0.2.2\nnameserver 192.0.2.3\n"
			       "domain old.test\n"
			       "search a.test B.test a.TEST bad/name .\n"
			       "options rotate");
	struct host_resolver r;

	host_resolver_read(&r, path);
	assert_string_equal(r.nameservers[0], "192.0.2.1");
	assert_string_equal(r.nameservers[1], "2001:db8::1");
	assert_string_equal(r.nameservers[2], "192.0.2.2");
	assert_null(r.nameservers[3]);
	assert_string_equal(r.search[0], "a.test");
	assert_string_equal(r.search[1], "B.test");
	assert_null(r.search[2]);
	host_resolver_done(&r);
	drop(path);
}

static void a_missing_file_gives_empty_lists(void **state)
{
	struct host_resolver r;

	host_resolver_read(&r, "/no/such/file");
	assert_null(r.nameservers[0]);
	assert_null(r.search[0]);
	host_resolver_done(&r);
}

static void servers_on_loopback_become_the_gateway(void **state)
{
	char *path = file_with("nameserver 127.0.0.1\nnameserver ::1\nnameserver 2001:db8::1\n");
	struct host_resolver r;

	host_resolver_read(&r, path);
	host_resolver_for_guest(&r, "/no/such/file", "10.0.0.1", false);
	assert_string_equal(r.nameservers[0], "10.0.0.1");
	assert_null(r.nameservers[1]);
	host_resolver_done(&r);
	host_resolver_read(&r, path);
	host_resolver_for_guest(&r, "/no/such/file", "10.0.0.1", true);
	assert_string_equal(r.nameservers[1], "2001:db8::1");
	host_resolver_done(&r);
	drop(path);
}

static void a_stub_is_replaced_by_the_servers_behind_it(void **state)
{
	char *path = file_with("nameserver 127.0.0.53\nsearch a.test\n");
	char *upstream = file_with("nameserver 192.0.2.9\nsearch b.test\n");
	struct host_resolver r;

	host_resolver_read(&r, path);
	host_resolver_for_guest(&r, upstream, "10.0.0.1", false);
	assert_string_equal(r.nameservers[0], "192.0.2.9");
	assert_string_equal(r.search[0], "a.test");
	assert_null(r.search[1]);
	host_resolver_done(&r);
	host_resolver_read(&r, path);
	host_resolver_for_guest(&r, "/no/such/file", "10.0.0.1", false);
	assert_null(r.nameservers[0]);
	host_resolver_done(&r);
	drop(path);
	drop(upstream);
}

/* --- hosts --- */

static void copies_hosts_of_use(void **state)
{
	char *path = file_with("127.0.0.1 localhost\n127.0.1.1 me\n::1 localhost ip6-localhost\n"
			       "fe00::0 ip6-localnet\nff02::1 ip6-allnodes\n224.0.0.1 many\n"
			       " 192.0.2.5\tprinter.lan   printer # upstairs\n"
			       "192.0.2.6\nnonsense name\n2001:db8::5 six\r\n");
	bool large = true;
	char *text = host_hosts(path, &large);

	assert_string_equal(text, "192.0.2.5\tprinter.lan printer\n2001:db8::5\tsix\n");
	assert_false(large);
	free(text);
	drop(path);
}

static void a_large_hosts_file_is_left_out(void **state)
{
	char *content = calloc(1, LIMIT_HOSTS_BYTES + 2), *path, *text;
	bool large;

	memset(content, '#', LIMIT_HOSTS_BYTES + 1);
	path = file_with(content);
	text = host_hosts(path, &large);
	assert_string_equal(text, "");
	assert_true(large);
	free(text);
	free(content);
	drop(path);
}

/* --- ports --- */

static void parses_lists_of_ports(void **state)
{
	char warning[256] = "";
	struct port_set s;

	port_set_parse(&s, "1, 80 ,\t65535,0", note, warning);
	assert_string_equal(warning, "");
	assert_true(port_set_has(&s, 1) && port_set_has(&s, 80) && port_set_has(&s, 65535) &&
		    port_set_has(&s, 0));
	assert_false(port_set_has(&s, 2) || port_set_has(&s, 65536));
	port_set_parse(&s, " ", note, warning);
	assert_string_equal(warning, "");
}

static void a_bad_port_ends_the_list(void **state)
{
	static const char *const bad[] = { "7,65536,9", "7,NotANumber,9", "7,,9", "7,-1,9",
					   "7, 8 8,9" };
	struct port_set s;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char warning[256] = "";

		port_set_parse(&s, bad[i], note, warning);
		assert_non_null(strstr(warning, "ignoredPorts"));
		assert_true(port_set_has(&s, 7));
		assert_false(port_set_has(&s, 9));
	}
}

static void names_the_owner_of_a_port(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	char me[32];

	snprintf(me, sizeof(me), "(process %d)", getpid());
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct sockaddr_in sa = { .sin_family = AF_INET };
		socklen_t len = sizeof(sa);
		int fd = socket(AF_INET, types[i], 0);
		char *owner;

		sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
		if (types[i] == SOCK_STREAM)
			assert_int_equal(listen(fd, 1), 0);
		getsockname(fd, (struct sockaddr *)&sa, &len);
		owner = port_owner(4, types[i] == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP,
				   ntohs(sa.sin_port));
		assert_non_null(strstr(owner, me));
		free(owner);
		close(fd);
	}
}

static void a_dual_stack_socket_owns_the_ipv4_port(void **state)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	char *owner;

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 1) < 0)
		skip();
	getsockname(fd, (struct sockaddr *)&sa, &len);
	owner = port_owner(4, IPPROTO_TCP, ntohs(sa.sin6_port));
	assert_non_null(strstr(owner, "(process "));
	free(owner);
	close(fd);
	owner = port_owner(4, IPPROTO_TCP, ntohs(sa.sin6_port));
	assert_string_equal(owner, "another program");
	free(owner);
}

/* --- proxies --- */

static const char packed_none[] = "";

static const struct proxy_place nat = { "desk", "10.0.0.1", "", false };
static const struct proxy_place nat6 = { "desk", "10.0.0.1", "fd00::1", false };
static const struct proxy_place mirrored = { "desk", "10.0.0.1", "", true };
static const struct proxy_place nowhere = { "desk", "", "", false };

static struct proxy_vars choose(const char *offered, uint32_t n, uint32_t bytes, const char *own,
				const struct proxy_place *place)
{
	struct strv o = { .n = n, .bytes = bytes, .packed = offered };
	struct strv e = { .n = own ? 1 : 0,
			  .bytes = own ? (uint32_t)strlen(own) + 1 : 0,
			  .packed = own ? own : packed_none };
	struct proxy_vars v;

	proxy_choose(&v, &o, &e, place);
	return v;
}

/* With one proxy and a list of exceptions. */
static struct proxy_vars choose_one(const char *proxy, const struct proxy_place *place)
{
	char offered[128];
	int n = snprintf(offered, sizeof(offered), "http_proxy=%s%cno_proxy=a", proxy, '\0');

	return choose(offered, 2, (uint32_t)n + 1, NULL, place);
}

static void proxies_come_in_both_cases(void **state)
{
	static const char offered[] =
		"http_proxy=http://proxy.test:3128\0HTTPS_PROXY=proxy.test\0no_proxy=a,b";
	struct proxy_vars v = choose(offered, 3, sizeof(offered), NULL, &nat);

	assert_int_equal(v.n, 6);
	assert_string_equal(v.vars[0], "http_proxy=http://proxy.test:3128");
	assert_string_equal(v.vars[1], "HTTP_PROXY=http://proxy.test:3128");
	assert_string_equal(v.vars[2], "https_proxy=proxy.test");
	assert_string_equal(v.vars[3], "HTTPS_PROXY=proxy.test");
	assert_string_equal(v.vars[5], "NO_PROXY=a,b");
	assert_null(v.warning);
	proxy_vars_done(&v);
}

static void what_the_session_has_wins(void **state)
{
	static const char offered[] = "http_proxy=http://proxy.test:3128";
	struct proxy_vars v = choose(offered, 1, sizeof(offered), "http_proxy=mine", &nat);

	assert_int_equal(v.n, 1);
	assert_string_equal(v.vars[0], "HTTP_PROXY=http://proxy.test:3128");
	proxy_vars_done(&v);
}

static void proxies_on_loopback_are_named_as_the_guest_reaches_them(void **state)
{
	static const struct {
		const struct proxy_place *place;
		const char *given, *expected;
	} cases[] = {
		{ &nat, "localhost:8080", "10.0.0.1:8080" },
		{ &nat, "http://127.0.0.1:3128/", "http://10.0.0.1:3128/" },
		{ &nat, "http://user:p@ss@127.0.0.1", "http://user:p@ss@10.0.0.1" },
		{ &nat, "https://LOOPBACK:1", "https://10.0.0.1:1" },
		{ &nat, "desk", "10.0.0.1" },
		{ &nat, "http://desk.test:1/127.0.0.1", "http://desk.test:1/127.0.0.1" },
		{ &nat6, "http://[::1]:80/x", "http://[fd00::1]:80/x" },
		{ &nat6, "::1", "[fd00::1]" },
		{ &nat6, "http://[2001:db8::1]:80", "http://[2001:db8::1]:80" },
		{ &mirrored, "http://127.0.0.1:3128", "http://127.0.0.1:3128" },
		{ &mirrored, "http://127.1.2.3:3128", "http://127.1.2.3:3128" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proxy_vars v = choose_one(cases[i].given, cases[i].place);

		assert_int_equal(v.n, 4);
		assert_string_equal(v.vars[0] + strlen("http_proxy="), cases[i].expected);
		assert_string_equal(v.vars[2], "no_proxy=a");
		assert_null(v.warning);
		proxy_vars_done(&v);
	}
}

static void unreachable_proxies_are_left_out_with_the_exceptions(void **state)
{
	static const struct {
		const struct proxy_place *place;
		const char *given;
	} cases[] = {
		{ &nat, "http://user:pw@127.1.2.3" },
		{ &nat, "http://[2001:db8::1]:80" },
		{ &nat, "socks5://[::1]:1080" },
		{ &mirrored, "[::1" },
		{ &nowhere, "http://proxy.test:3128" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proxy_vars v = choose_one(cases[i].given, cases[i].place);

		assert_int_equal(v.n, 0);
		assert_non_null(strstr(v.warning, cases[i].given));
		proxy_vars_done(&v);
	}
}

/* --- modes --- */

static void a_loopback_tunnel_address_turns_the_tunnel_off(void **state)
{
	char warning[256] = "";
	struct machine_net net;
	struct settings st;

	settings_parse(&st, &(struct settings_host) { .memory_bytes = 4 * GIB, .processors = 2 },
		       "/home/x", "/home/x/.wslconfig", "", 0, note, warning);
	st.dns_tunneling_address = htonl(0x7f000009);
	machine_net_choose(&net, &st, note, warning);
	assert_false(net.dns_tunneling);
	assert_non_null(strstr(warning, "dnsTunnelingIpAddress"));
	assert_string_equal(machine_net_mode(&net), "nat");
	st.networking_mode = NETWORKING_NONE;
	machine_net_choose(&net, &st, note, warning);
	assert_string_equal(machine_net_mode(&net), "none");
	settings_done(&st);
}

static void the_name_server_follows_from_the_keys(void **state)
{
	static const struct {
		bool tunneling, proxy;
		enum networking_mode mode;
		const char *end; /* of the name server's address; "": the host's servers */
	} cases[] = {
		{ true, true, NETWORKING_NAT, ".254" },
		{ true, false, NETWORKING_NAT, ".254" },
		{ false, true, NETWORKING_NAT, ".2" },
		{ false, false, NETWORKING_NAT, "" },
		{ true, true, NETWORKING_MIRRORED, ".254" },
		{ false, true, NETWORKING_MIRRORED, "" },
		{ false, true, NETWORKING_NONE, "" },
	};
	char warning[256];
	struct settings st;

	settings_parse(&st, &(struct settings_host) { .memory_bytes = 4 * GIB, .processors = 2 },
		       "/home/x", "/home/x/.wslconfig", "", 0, note, warning);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine_net net;
		struct machine_net_texts t;

		st.dns_tunneling = cases[i].tunneling;
		st.dns_proxy = cases[i].proxy;
		st.networking_mode = cases[i].mode;
		machine_net_choose(&net, &st, note, warning);
		machine_net_describe(&net, &t);
		if (cases[i].end[0])
			assert_true(str_endswith(t.nameserver, cases[i].end));
		else
			assert_string_equal(t.nameserver, "");
		assert_int_equal(t.tunnel[0] != 0,
				 cases[i].tunneling && cases[i].mode != NETWORKING_NONE);
	}
	settings_done(&st);
}

static void only_mirrored_without_firewall_lets_others_in(void **state)
{
	static const enum networking_mode modes[] = { NETWORKING_NAT, NETWORKING_MIRRORED,
						      NETWORKING_CONSOMME };
	char warning[256] = "";
	struct settings st;

	settings_parse(&st, &(struct settings_host) { .memory_bytes = 4 * GIB, .processors = 2 },
		       "/home/x", "/home/x/.wslconfig", "", 0, note, warning);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		for (unsigned firewall = 0; firewall < 2; firewall++) {
			struct machine_net net;

			st.networking_mode = modes[i];
			st.firewall = firewall;
			machine_net_choose(&net, &st, note, warning);
			assert_int_equal(net.inbound, modes[i] == NETWORKING_MIRRORED && !firewall);
		}
	}
	settings_done(&st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_servers_and_search_list),
		cmocka_unit_test(a_missing_file_gives_empty_lists),
		cmocka_unit_test(servers_on_loopback_become_the_gateway),
		cmocka_unit_test(a_stub_is_replaced_by_the_servers_behind_it),
		cmocka_unit_test(copies_hosts_of_use),
		cmocka_unit_test(a_large_hosts_file_is_left_out),
		cmocka_unit_test(parses_lists_of_ports),
		cmocka_unit_test(a_bad_port_ends_the_list),
		cmocka_unit_test(names_the_owner_of_a_port),
		cmocka_unit_test(a_dual_stack_socket_owns_the_ipv4_port),
		cmocka_unit_test(proxies_come_in_both_cases),
		cmocka_unit_test(what_the_session_has_wins),
		cmocka_unit_test(unreachable_proxies_are_left_out_with_the_exceptions),
		cmocka_unit_test(proxies_on_loopback_are_named_as_the_guest_reaches_them),
		cmocka_unit_test(a_loopback_tunnel_address_turns_the_tunnel_off),
		cmocka_unit_test(the_name_server_follows_from_the_keys),
		cmocka_unit_test(only_mirrored_without_firewall_lets_others_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
