/* bench/net-load.c - both ends of a network measurement, static, for guests and namespaces
 *
 *   net-load serve PORT			on 127.0.0.1 and ::1, TCP and UDP, until killed
 *   net-load up|down HOST PORT SECONDS STREAMS	TCP, prints Mbit/s that arrived
 *   net-load udp HOST PORT SECONDS BYTES	prints Mbit/s that arrived and the share that was lost
 *   net-load rr HOST PORT COUNT		1-byte round trips, prints the median in us
 *   net-load connect HOST PORT COUNT		connect and close, prints the median in us and the rate
 *   net-load hold HOST PORT COUNT		opens so many at once, a byte through each, prints ms
 *   net-load dns HOST NAME COUNT		asks for its address over UDP, prints the median in us
 *
 * The first byte on a TCP connection says what the server does: s sinks, g generates, e echoes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (256u << 10)

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "net-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static socklen_t address(const char *host, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	uint16_t p = htons((uint16_t)atoi(port));

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = p;
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
		die(host);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = p;
	return sizeof(*in6);
}

static int dial(const char *host, const char *port, int type, char command)
{
	struct sockaddr_storage sa;
	socklen_t len = address(host, port, &sa);
	int fd = socket(sa.ss_family, type | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, len) < 0)
		die("connect");
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (command && write(fd, &command, 1) != 1)
		die("write");
	return fd;
}

/* --- server --- */

static void *serve_stream(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char *buf = calloc(1, CHUNK), command = 0;
	uint64_t total = 0;
	ssize_t n = buf ? read(fd, &command, 1) : 0;

	while (n > 0) {
		if (command == 'g') {
			n = send(fd, buf, CHUNK, MSG_NOSIGNAL);
			continue;
		}
		n = read(fd, buf, CHUNK);
		total += n > 0 ? (uint64_t)n : 0;
		if (n > 0 && command == 'e')
			n = send(fd, buf, (size_t)n, MSG_NOSIGNAL);
	}
	if (command == 's' && send(fd, &total, sizeof(total), MSG_NOSIGNAL) < 0)
		perror("net-load: send");
	free(buf);
	close(fd);
	return NULL;
}

static void *serve_tcp(void *arg)
{
	int listener = (int)(intptr_t)arg;
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), one = 1;

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (pthread_create(&t, &attr, serve_stream, (void *)(intptr_t)fd) != 0)
			close(fd);
	}
	return NULL;
}

/* Counts; a datagram of one byte asks for the count and starts over. */
static void *serve_udp(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint64_t total = 0;
	static char buf[65536];

	for (;;) {
		struct sockaddr_storage sa;
		socklen_t len = sizeof(sa);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&sa, &len);

		if (n > 1)
			total += (uint64_t)n;
		if (n == 1 && sendto(fd, &total, sizeof(total), 0, (struct sockaddr *)&sa, len) > 0 &&
		    buf[0] == 'z')
			total = 0;
	}
	return NULL;
}

static void serve(const char *port)
{
	static const char *const hosts[] = { "127.0.0.1", "::1" };
	int one = 1, bytes = 4 << 20;
	pthread_t t;

	for (unsigned i = 0; i < 2; i++) {
		struct sockaddr_storage sa;
		socklen_t len = address(hosts[i], port, &sa);
		int tcp = socket(sa.ss_family, SOCK_STREAM, 0);
		int udp = socket(sa.ss_family, SOCK_DGRAM, 0);

		setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
		if (bind(tcp, (struct sockaddr *)&sa, len) < 0 || listen(tcp, 4096) < 0 ||
		    bind(udp, (struct sockaddr *)&sa, len) < 0) {
			if (i == 1) /* no IPv6 */
				break;
			die("bind");
		}
		pthread_create(&t, NULL, serve_tcp, (void *)(intptr_t)tcp);
		pthread_create(&t, NULL, serve_udp, (void *)(intptr_t)udp);
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

/* --- clients --- */

static uint64_t send_for(int fd, uint64_t until)
{
	static char buf[CHUNK];
	uint64_t total = 0;

	while (now_us() < until)
		if (write(fd, buf, sizeof(buf)) < 0)
			die("write");
	shutdown(fd, SHUT_WR);
	if (read(fd, &total, sizeof(total)) != sizeof(total))
		die("the server's count");
	return total;
}

static uint64_t receive_for(int fd, uint64_t until)
{
	static char buf[CHUNK];
	uint64_t total = 0;

	while (now_us() < until) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n <= 0)
			die("read");
		total += (uint64_t)n;
	}
	return total;
}

static void bulk(int up, char **a)
{
	unsigned streams = (unsigned)atoi(a[3]);
	uint64_t *totals = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t start = now_us(), sum = 0, until = start + (uint64_t)(atof(a[2]) * 1e6);

	for (unsigned i = 0; i < streams; i++) {
		if (fork() != 0)
			continue;
		totals[i] = up ? send_for(dial(a[0], a[1], SOCK_STREAM, 's'), until) :
				 receive_for(dial(a[0], a[1], SOCK_STREAM, 'g'), until);
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	for (unsigned i = 0; i < streams; i++)
		sum += totals[i];
	printf("%.0f\n", (double)sum * 8.0 / (double)(now_us() - start));
}

static uint64_t udp_count(int fd, char command)
{
	struct timeval wait = { .tv_usec = 200000 };
	uint64_t count = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	for (unsigned i = 0; i < 20; i++)
		if (send(fd, &command, 1, 0) == 1 && recv(fd, &count, sizeof(count), 0) == sizeof(count))
			return count;
	die("the server's count");
}

static void udp(char **a)
{
	static char buf[65536];
	size_t bytes = (size_t)atoi(a[3]);
	int fd = dial(a[0], a[1], SOCK_DGRAM, 0);
	uint64_t start, until, sent = 0, got, end;

	udp_count(fd, 'z');
	udp_count(fd, 'z');
	start = now_us();
	until = start + (uint64_t)(atof(a[2]) * 1e6);
	while (now_us() < until)
		if (send(fd, buf, bytes, 0) > 0)
			sent += bytes;
	end = now_us();
	usleep(200000);
	got = udp_count(fd, 'q');
	printf("%.0f %.3f\n", (double)got * 8.0 / (double)(end - start),
	       sent ? 1.0 - (double)got / (double)sent : 0.0);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void round_trips(char **a)
{
	unsigned n = (unsigned)atoi(a[2]);
	uint64_t *us = calloc(n, sizeof(*us));
	int fd = dial(a[0], a[1], SOCK_STREAM, 'e');

	for (unsigned i = 0; i < n; i++) {
		char c = 'x';

		us[i] = now_us();
		if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
			die("round trip");
		us[i] = now_us() - us[i];
	}
	qsort(us, n, sizeof(*us), compare);
	printf("%llu\n", (unsigned long long)us[n / 2]);
}

static void connects(char **a)
{
	unsigned n = (unsigned)atoi(a[2]);
	uint64_t *us = calloc(n, sizeof(*us)), start = now_us();

	for (unsigned i = 0; i < n; i++) {
		us[i] = now_us();
		close(dial(a[0], a[1], SOCK_STREAM, 0));
		us[i] = now_us() - us[i];
	}
	start = now_us() - start;
	qsort(us, n, sizeof(*us), compare);
	printf("%llu %.0f\n", (unsigned long long)us[n / 2], n * 1e6 / (double)start);
}

static void hold(char **a)
{
	unsigned n = (unsigned)atoi(a[2]);
	struct rlimit lim = { n + 64u, n + 64u };
	int *fds = calloc(n, sizeof(*fds));
	uint64_t start = now_us();

	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	for (unsigned i = 0; i < n; i++)
		fds[i] = dial(a[0], a[1], SOCK_STREAM, 'e');
	for (unsigned i = 0; i < n; i++) {
		char c = 'x';

		if (write(fds[i], &c, 1) != 1 || read(fds[i], &c, 1) != 1)
			die("round trip");
	}
	printf("%llu\n", (unsigned long long)(now_us() - start) / 1000);
}

static size_t make_query(uint8_t q[512], const char *name)
{
	static const uint8_t head[12] = { [2] = 1, [5] = 1 }, tail[5] = { [2] = 1, [4] = 1 };
	size_t at = sizeof(head);

	memcpy(q, head, sizeof(head));
	while (*name && at < 400) {
		size_t n = strcspn(name, ".");

		n = n < 63 ? n : 63;
		q[at++] = (uint8_t)n;
		memcpy(q + at, name, n);
		at += n;
		name += n + (name[n] == '.');
	}
	memcpy(q + at, tail, sizeof(tail));
	return at + sizeof(tail);
}

static void dns(char **a)
{
	unsigned n = (unsigned)atoi(a[2]);
	uint64_t *us = calloc(n, sizeof(*us));
	struct timeval patience = { .tv_sec = 5 };
	int fd = dial(a[0], "53", SOCK_DGRAM, 0);
	uint8_t q[512], reply[4096];
	size_t len = make_query(q, a[1]);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (unsigned i = 0; i < n; i++) {
		ssize_t got;

		q[0] = (uint8_t)(i >> 8);
		q[1] = (uint8_t)i;
		us[i] = now_us();
		if (send(fd, q, len, 0) < 0)
			die("send");
		do
			got = recv(fd, reply, sizeof(reply), 0);
		while (got >= 2 && memcmp(reply, q, 2) != 0);
		us[i] = now_us() - us[i];
		if (got < 12)
			die("no reply");
		if ((reply[3] & 15) || !reply[7]) {
			fprintf(stderr, "net-load: no address for %s\n", a[1]);
			exit(1);
		}
	}
	qsort(us, n, sizeof(*us), compare);
	printf("%llu\n", (unsigned long long)us[n / 2]);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(argv[2]);
	else if (argc == 6 && strcmp(argv[1], "udp") == 0)
		udp(argv + 2);
	else if (argc == 6)
		bulk(strcmp(argv[1], "up") == 0, argv + 2);
	else if (argc == 5 && strcmp(argv[1], "rr") == 0)
		round_trips(argv + 2);
	else if (argc == 5 && strcmp(argv[1], "connect") == 0)
		connects(argv + 2);
	else if (argc == 5 && strcmp(argv[1], "hold") == 0)
		hold(argv + 2);
	else if (argc == 5 && strcmp(argv[1], "dns") == 0)
		dns(argv + 2);
	else
		return fputs("usage: see the head of bench/net-load.c\n", stderr), 2;
	return 0;
}
