/* tests/unit/net-age-test.c - what the network stack does minutes and hours after its start
 *
 * A child process in the relay's sandbox lives through a day in a second: CLOCK_MONOTONIC is the
 * test's, here and in the libraries. A system call that only old age brings ends the child by SIGSYS.
 * Built without sanitizers, whose runtime the sandbox does not admit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "common/util.h"
#include "devices/sandbox.h"
#include "io/loop.h"
#include "net/plan.h"
#include "net/stack.h"

#define STEP_S     10
#define DAY_S      86400
#define PORTS      20u
#define ETH_IPV4   0x0800u
#define ETH_ARP    0x0806u
#define ETH_IPV6   0x86ddu
#define ADVERTISED 134u
#define ANSWERED   0u
#define EXPIRE_S   600 /* nothing of a silent peer is left */

/* --- time --- */

static int64_t ahead_s;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ret);

	if (r == 0 && clock == CLOCK_MONOTONIC)
		ret->tv_sec += ahead_s;
	return r;
}

/* --- the child --- */

static struct {
	struct loop *loop;
	struct stack *stack;
	struct net_plan plan;
	in_port_t host_port; /* a socket that answers nothing */
	unsigned advertisements, pongs;
} age;

/* Exit codes of the child, beside its death */
enum { GOOD, NO_SANDBOX, NO_ADVERTISEMENTS, NO_PONGS, NO_SOCKETS, SOCKETS_LEFT };

static const uint8_t guest_mac[6] = { 2, 0, 0, 0, 0, 1 };

static void output(void *arg, const uint8_t *f, size_t len)
{
	unsigned type = len > 14 ? (unsigned)f[12] << 8 | f[13] : 0;

	if (type == ETH_IPV6 && len > 54 && f[20] == IPPROTO_ICMPV6 && f[54] == ADVERTISED)
		age.advertisements++;
	if (type == ETH_IPV4 && len > 34 && f[23] == IPPROTO_ICMP && f[34] == ANSWERED)
		age.pongs++;
}

static size_t ethernet(uint8_t *f, unsigned type)
{
	memset(f, 0xff, 6);
	memcpy(f + 6, guest_mac, 6);
	f[12] = (uint8_t)(type >> 8);
	f[13] = (uint8_t)type;
	return 14;
}

static uint16_t inverse_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static uint8_t *ipv4(uint8_t *f, uint8_t protocol, uint16_t bytes)
{
	uint8_t *ip = f + ethernet(f, ETH_IPV4);
	uint16_t total = htons((uint16_t)(20 + bytes)), sum;

	memset(ip, 0, 20u + bytes);
	ip[0] = 0x45;
	memcpy(ip + 2, &total, 2);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, &age.plan.guest, 4);
	memcpy(ip + 16, &age.plan.gateway, 4);
	sum = inverse_sum(ip, 20);
	memcpy(ip + 10, &sum, 2);
	return ip + 20;
}

static void say_arp(void)
{
	uint8_t f[64] = { 0 }, *arp = f + ethernet(f, ETH_ARP);

	memcpy(arp, "\0\1\10\0\6\4\0\1", 8);
	memcpy(arp + 8, guest_mac, 6);
	memcpy(arp + 14, &age.plan.guest, 4);
	memcpy(arp + 24, &age.plan.gateway, 4);
	stack_input(age.stack, f, 42);
}

static void say_ping(void)
{
	uint8_t f[64], *icmp = ipv4(f, IPPROTO_ICMP, 8);
	uint16_t sum;

	icmp[0] = 8;
	sum = inverse_sum(icmp, 8);
	memcpy(icmp + 2, &sum, 2);
	stack_input(age.stack, f, 42);
}

static void say_udp(unsigned from)
{
	uint8_t f[64], *udp = ipv4(f, IPPROTO_UDP, 12);
	uint16_t port = htons((uint16_t)(20000 + from)), bytes = htons(12);

	memcpy(udp, &port, 2);
	memcpy(udp + 2, &age.host_port, 2);
	memcpy(udp + 4, &bytes, 2); /* checksum 0: none */
	stack_input(age.stack, f, 46);
}

static void turn(void)
{
	for (int i = 0; i < 3; i++) {
		stack_settle(age.stack);
		loop_step(age.loop, 0);
		stack_serve(age.stack);
	}
}

static void pass(int64_t seconds)
{
	for (int64_t end = ahead_s + seconds; ahead_s < end; ahead_s += STEP_S)
		turn();
}

static in_port_t silent_port(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&sa, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return 0;
	return sa.sin_port;
}

static int live_a_day(void)
{
	unsigned most = 0;

	for (int64_t hour = 0; hour < DAY_S; hour += 3600) {
		unsigned pongs = age.pongs;

		say_arp();
		say_ping();
		for (unsigned i = 0; i < PORTS; i++)
			say_udp(i);
		turn();
		most = MAX(most, stack_sockets(age.stack));
		if (age.pongs == pongs)
			return NO_PONGS;
		pass(EXPIRE_S);
		if (stack_sockets(age.stack))
			return SOCKETS_LEFT;
		pass(3600 - EXPIRE_S);
	}
	return most < PORTS                        ? NO_SOCKETS
	       : age.advertisements < DAY_S / 1200 ? NO_ADVERTISEMENTS
						   : GOOD;
}

static int child(void)
{
	struct err err = ERR_INIT;

	log_init("net-age-test", STDERR_FILENO, LOG_ERR, false);
	signal(SIGPIPE, SIG_IGN);
	if (net_plan_parse("10.213.77.0,fd6c:7873:73d5:1::,65520,02:6c:78:73:73:01", &age.plan) < 0)
		return NO_SANDBOX;
	age.host_port = silent_port();
	age.loop = loop_new();
	age.stack = stack_new(age.loop, &age.plan, output, NULL);
	if (!age.stack || sandbox_enter(SANDBOX_FILTER | SANDBOX_NET, &err) < 0) {
		log_err("%s", err.text);
		return NO_SANDBOX;
	}
	return live_a_day();
}

static void a_day_in_the_sandbox(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		fail_msg("the child was ended by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	assert_int_equal(WEXITSTATUS(status), GOOD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_in_the_sandbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
