/* tests/unit/network-ports-test.c - network.c between a scripted guest and a VM that takes notes */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/socket.h"
#include "service/machine-net.h"
#include "service/network.h"
#include "service/service.h"
#include "vm/spawn.h"
#include "vm/vm.h"

/* --- what network.c asks of others --- */

static struct machine_net net;
static unsigned n_forwarded, n_stopped;
static struct listener last;
static int refuse;

struct vm *machine_vm(struct machine *m)
{
	return (struct vm *)&net; /* only handed on */
}

const struct machine_net *machine_network(const struct machine *m)
{
	return &net;
}

static void note(const struct msg_port *port)
{
	assert_true(listener_parse(port, &last));
}

int vm_forward(struct vm *vm, const struct msg_port *port, int fd)
{
	int listening = 0;
	socklen_t len = sizeof(listening);

	if (refuse)
		return refuse;
	note(port);
	assert_int_equal(port->stream, 77);
	getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
	assert_int_equal(listening, port->protocol == IPPROTO_TCP);
	n_forwarded++;
	return 0;
}

void vm_forward_stop(struct vm *vm, const struct msg_port *port)
{
	note(port);
	n_stopped++;
}

pid_t spawn_program(const struct spawn *s, struct err *err)
{
	return err_set(err, -ENOENT, "no program in this test");
}

/* --- the guest --- */

struct fixture {
	struct service service;
	struct network *network;
	int guest;
};

static const struct channel_ops no_ops;

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	if (!f || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 1;
	memset(&net, 0, sizeof(net));
	net.mode = NETWORKING_NAT;
	n_forwarded = n_stopped = 0;
	refuse = 0;
	f->service.loop = loop_new();
	f->network = network_new(&f->service);
	f->guest = pair[1];
	network_localhost(f->network, channel_new(f->service.loop, pair[0], &no_ops, NULL));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	network_free(f->network);
	if (f->guest >= 0)
		close(f->guest);
	loop_free(f->service.loop);
	free(f);
	return 0;
}

static void run(struct fixture *f)
{
	for (unsigned i = 0; i < 10; i++)
		loop_step(f->service.loop, 5);
}

static void say(struct fixture *f, uint16_t type, const char *address, unsigned protocol,
		unsigned port)
{
	struct msg_port m = {
		.address = address, .protocol = protocol, .port = port, .stream = 77
	};

	assert_int_equal(message_send(f->guest, type, 0, &m, NULL, 0, DEADLINE_NONE), 0);
	run(f);
}

static void count(struct fixture *f, unsigned *ret_forwarded, unsigned *ret_conflicts,
		  char first[128])
{
	struct network_ports p;

	network_ports(f->network, &p);
	*ret_forwarded = *ret_conflicts = 0;
	first[0] = '\0';
	while (p.forwarded[*ret_forwarded])
		strncpy(first, p.forwarded[(*ret_forwarded)++], 127);
	while (p.conflicts[*ret_conflicts])
		strncpy(first, p.conflicts[(*ret_conflicts)++], 127);
	network_ports_done(&p);
}

/* A port that is free now. */
static unsigned free_port(int *ret_fd)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	if (ret_fd)
		*ret_fd = fd;
	else
		close(fd);
	return ntohs(sa.sin_port);
}

static void ports_come_and_go(void **state)
{
	struct fixture *f = *state;
	unsigned port = free_port(NULL), n, c;
	char first[128], expected[64];

	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_TCP, port);
	assert_int_equal(n_forwarded, 1);
	count(f, &n, &c, first);
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", port);
	assert_string_equal(first, expected);
	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_TCP, port); /* told twice */
	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_UDP, port);
	count(f, &n, &c, first);
	assert_int_equal(n, 2);
	assert_int_equal(n_forwarded, 2);
	say(f, MSG_PORT_CLOSED, "127.0.0.1", IPPROTO_TCP, port);
	assert_int_equal(n_stopped, 1);
	assert_int_equal(last.protocol, IPPROTO_TCP);
	say(f, MSG_PORT_CLOSED, "127.0.0.1", IPPROTO_TCP, port); /* is not there any more */
	assert_int_equal(n_stopped, 1);
}

static void a_taken_port_is_a_conflict_with_its_owner(void **state)
{
	struct fixture *f = *state;
	char first[128], me[32];
	unsigned n, c, port;
	int fd;

	port = free_port(&fd);
	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_TCP, port);
	count(f, &n, &c, first);
	assert_int_equal(n, 0);
	assert_int_equal(c, 1);
	snprintf(me, sizeof(me), "(process %d)", getpid());
	assert_non_null(strstr(first, me));
	assert_int_equal(n_forwarded, 0);
	say(f, MSG_PORT_CLOSED, "127.0.0.1", IPPROTO_TCP, port);
	assert_int_equal(n_stopped, 0);
	count(f, &n, &c, first);
	assert_int_equal(c, 0);
	close(fd);
}

static void a_port_that_becomes_free_is_forwarded(void **state)
{
	struct fixture *f = *state;
	uint64_t until = now_ms() + 5000;
	char first[128];
	unsigned n, c;
	int fd;

	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_TCP, free_port(&fd));
	assert_int_equal(n_forwarded, 0);
	close(fd);
	while (!n_forwarded && now_ms() < until)
		loop_step(f->service.loop, 100);
	count(f, &n, &c, first);
	assert_int_equal(n, 1);
	assert_int_equal(c, 0);
}

static void nonsense_of_the_guest_opens_nothing(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {
		"", "localhost", "127.0.0.1:80", "0.0.0.0", "::", "192.0.2.1", "127.0.0.2", "::2",
	};
	unsigned n, c;
	char first[128];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		say(f, MSG_PORT_OPENED, bad[i], IPPROTO_TCP, 8080);
	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_TCP, 0);
	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_TCP, 65536);
	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_ICMP, 8080);
	count(f, &n, &c, first);
	assert_int_equal(n + c + n_forwarded, 0);
}

static void an_open_firewall_opens_what_the_guest_has(void **state)
{
	static const char *const addresses[] = { "0.0.0.0", "127.0.0.5", "127.0.0.6", "192.0.2.1" };
	struct fixture *f = *state;
	char first[128], expected[64];
	unsigned n, c;

	net.inbound = true;
	inet_pton(AF_INET, "127.0.0.5", &net.host.four[net.host.n4++]);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		unsigned port = free_port(NULL);

		n_forwarded = n_stopped = 0;
		say(f, MSG_PORT_OPENED, addresses[i], IPPROTO_TCP, port);
		count(f, &n, &c, first);
		assert_int_equal(n_forwarded, i < 2); /* the others are not the host's */
		assert_int_equal(n, i < 2);
		assert_int_equal(c, 0);
		snprintf(expected, sizeof(expected), "%s:%u", addresses[i], port);
		if (i < 2)
			assert_string_equal(first, expected);
		net.host.n4 = 0; /* it may go meanwhile */
		say(f, MSG_PORT_CLOSED, addresses[i], IPPROTO_TCP, port);
		assert_int_equal(n_stopped, i < 2);
		net.host.n4 = 1;
	}
}

static void ignored_ports_are_left_alone(void **state)
{
	struct fixture *f = *state;
	unsigned port = free_port(NULL);

	net.ignored.bits[port / 64] |= 1ull << (port % 64);
	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_TCP, port);
	assert_int_equal(n_forwarded, 0);
}

static void a_relay_that_refuses_is_shown(void **state)
{
	struct fixture *f = *state;
	unsigned n, c;
	char first[128];

	refuse = -EPIPE;
	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_TCP, free_port(NULL));
	count(f, &n, &c, first);
	assert_int_equal(c, 1);
	assert_non_null(strstr(first, strerror(EPIPE)));
}

static void everything_ends_with_the_guests_process(void **state)
{
	struct fixture *f = *state;
	unsigned n, c;
	char first[128];

	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_TCP, free_port(NULL));
	say(f, MSG_PORT_OPENED, "127.0.0.1", IPPROTO_TCP, free_port(NULL));
	close(f->guest);
	f->guest = -1;
	run(f);
	assert_int_equal(n_stopped, 2);
	count(f, &n, &c, first);
	assert_int_equal(n + c, 0);
}

/* A UDP port that is not one of clients. */
static struct listener udp_server(int *ret_fd)
{
	struct listener at = listener_loopback(4, IPPROTO_UDP, 20000);

	while ((*ret_fd = listener_open(&at)) < 0)
		assert_true(++at.port < 21000);
	return at;
}

static void mirrored_tells_the_hosts_ports(void **state)
{
	struct fixture *f = *state;
	struct message_buffer buf = { 0 };
	struct message_header header;
	const uint8_t *payload;
	bool seen[2] = { false };
	int fds[2], pair[2];
	struct listener at, wanted[] = {
		listener_loopback(4, IPPROTO_TCP, free_port(&fds[0])),
		udp_server(&fds[1]),
	};

	net.mode = NETWORKING_MIRRORED;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	network_localhost(f->network, channel_new(f->service.loop, pair[0], &no_ops, NULL));
	for (unsigned i = 0; i < 200 && !(seen[0] && seen[1]); i++) {
		loop_step(f->service.loop, 10);
		while (message_recv(pair[1], &buf, &header, &payload, now_ms()) == 0) {
			struct msg_port m;

			assert_int_equal(header.type, MSG_PORT_OPENED);
			assert_int_equal(message_decode(header.type, payload,
							header.length - MESSAGE_HEADER, &m),
					 0);
			assert_true(listener_parse(&m, &at));
			for (unsigned k = 0; k < 2; k++)
				seen[k] |= listener_same(&at, &wanted[k]);
		}
	}
	assert_true(seen[0] && seen[1]);
	message_buffer_done(&buf);
	close(pair[1]);
	close(fds[0]);
	close(fds[1]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ports_come_and_go),
		TEST(a_taken_port_is_a_conflict_with_its_owner),
		TEST(a_port_that_becomes_free_is_forwarded),
		TEST(nonsense_of_the_guest_opens_nothing),
		TEST(an_open_firewall_opens_what_the_guest_has),
		TEST(ignored_ports_are_left_alone),
		TEST(a_relay_that_refuses_is_shown),
		TEST(everything_ends_with_the_guests_process),
		TEST(mirrored_tells_the_hosts_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
