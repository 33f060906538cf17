/* tests/lib/netprobe.c - both ends of the network tests: static, runs on the host and in the guest
 *
 *   serve ADDR PORT [v6only]     answers connections: first line E echo, S verify until the end and
 *                                tell the number, G N send N bytes, B N both at once
 *   echo ADDR PORT TEXT          sends TEXT, ends its side, prints what comes back
 *   send|get|both ADDR PORT N    N bytes of a pattern that both ends check
 *   many ADDR PORT N             N connections open at the same time, each echoes a word of its own
 *   wait ADDR PORT open|closed MS   until connecting works, or is refused; prints the milliseconds
 *   cycle ADDR PORT N            listens and closes N times
 *   udp-serve ADDR PORT          sends every datagram back
 *   udp ADDR PORT TEXT           sends one and prints the answer
 *   garbage IFACE ADDR4 ADDR6 N   N frames, near to what is right and far from it (root)
 *   clock                        CLOCK_REALTIME and CLOCK_MONOTONIC in milliseconds
 *   dns SERVER NAME TYPE [udp|tcp [SIZE]]   asks; SIZE: with EDNS. Prints rcode, flags and answers
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (256u * 1024)

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "netprobe: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static socklen_t address(const char *text, const char *port, struct sockaddr_storage *sa)
{
	struct sockaddr_in *four = (void *)sa;
	struct sockaddr_in6 *six = (void *)sa;

	memset(sa, 0, sizeof(*sa));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)atoi(port));
		return sizeof(*four);
	}
	if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1)
		die(text);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)atoi(port));
	return sizeof(*six);
}

static int dial(const char *text, const char *port, int type)
{
	struct sockaddr_storage sa;
	socklen_t len = address(text, port, &sa);
	int fd = socket(sa.ss_family, type, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int must_dial(char **argv, int type)
{
	int fd = dial(argv[0], argv[1], type);

	if (fd < 0)
		die("connect");
	return fd;
}

static int open_server(char **argv, int type, int v6only)
{
	struct sockaddr_storage sa;
	socklen_t len = address(argv[0], argv[1], &sa);
	int fd = socket(sa.ss_family, type, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (sa.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
	if (bind(fd, (struct sockaddr *)&sa, len) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 1024) < 0))
		die("bind");
	return fd;
}

/* --- the pattern: 8-byte words, each a mix of its index --- */

static uint64_t word(uint64_t i)
{
	i = (i + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
	return i ^ i >> 29;
}

static int send_pattern(int fd, uint64_t bytes)
{
	uint64_t *buf = malloc(CHUNK), done = 0;

	while (done < bytes) {
		uint64_t n = bytes - done < CHUNK ? bytes - done : CHUNK;
		char *at = (char *)buf;

		for (uint64_t i = 0; i < CHUNK / 8; i++)
			buf[i] = word(done / 8 + i);
		for (uint64_t left = n; left;) {
			ssize_t r = send(fd, at, left, MSG_NOSIGNAL);

			if (r <= 0)
				return -1;
			at += r;
			left -= (uint64_t)r;
		}
		done += n;
	}
	free(buf);
	return 0;
}

/* The number of bytes until the end, or -1 when they are not the pattern. */
static int64_t check_pattern(int fd)
{
	uint8_t *buf = malloc(CHUNK);
	uint64_t done = 0;
	ssize_t r;

	while ((r = recv(fd, buf, CHUNK, 0)) > 0) {
		for (ssize_t i = 0; i < r;) {
			uint64_t at = done + (uint64_t)i, w = word(at / 8), got;

			if (at % 8 == 0 && r - i >= 8) {
				memcpy(&got, buf + i, 8);
				if (got != w)
					return -1;
				i += 8;
				continue;
			}
			if (buf[i] != (uint8_t)(w >> 8 * (at % 8)))
				return -1;
			i++;
		}
		done += (uint64_t)r;
	}
	free(buf);
	return r < 0 ? -1 : (int64_t)done;
}

struct sender {
	int fd;
	uint64_t bytes;
};

static void *sending(void *arg)
{
	struct sender *s = arg;

	if (send_pattern(s->fd, s->bytes) < 0)
		die("send");
	shutdown(s->fd, SHUT_WR);
	return NULL;
}

static int64_t both_ways(int fd, uint64_t bytes)
{
	struct sender s = { fd, bytes };
	pthread_t t;
	int64_t got;

	pthread_create(&t, NULL, sending, &s);
	got = check_pattern(fd);
	pthread_join(t, NULL);
	return got;
}

/* --- TCP --- */

static void *serving(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char line[64], text[64];
	size_t n = 0;

	while (n < sizeof(line) - 1 && recv(fd, line + n, 1, 0) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	if (line[0] == 'S') {
		snprintf(text, sizeof(text), "%lld\n", (long long)check_pattern(fd));
		send(fd, text, strlen(text), MSG_NOSIGNAL);
	} else if (line[0] == 'G') {
		send_pattern(fd, strtoull(line + 1, NULL, 10));
	} else if (line[0] == 'B') {
		uint64_t bytes = strtoull(line + 1, NULL, 10);

		if (both_ways(fd, bytes) != (int64_t)bytes)
			fprintf(stderr, "netprobe: the bytes are not those that were sent\n");
	}
	close(fd);
	return NULL;
}

/* Echoes are served by one thread, as they are many; the others get one each. False: it is over, or
 * another's. */
static bool serve_some(int epoll, int fd, bool *known)
{
	static char buf[65536];
	ssize_t n = recv(fd, buf, *known ? sizeof(buf) : 2, *known ? 0 : MSG_PEEK);
	pthread_t t;

	if (n > 0 && !*known && buf[0] == 'E') {
		*known = true;
		return recv(fd, buf, 2, 0) == 2;
	}
	if (n > 0 && *known)
		return send(fd, buf, (size_t)n, MSG_NOSIGNAL) == n;
	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
	if (n <= 0 || pthread_create(&t, NULL, serving, (void *)(intptr_t)fd) != 0)
		close(fd);
	else
		pthread_detach(t);
	*known = false;
	return true;
}

static void watch(int epoll, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
}

static _Noreturn int cmd_serve(int argc, char **argv)
{
	int listener = open_server(argv, SOCK_STREAM, argc > 2), epoll = epoll_create1(0);
	static bool known[65536];

	printf("ready\n");
	fflush(stdout);
	watch(epoll, listener);
	for (;;) {
		struct epoll_event ev;
		int fd;

		if (epoll_wait(epoll, &ev, 1, -1) < 1)
			continue;
		fd = ev.data.fd;
		if (fd == listener) {
			fd = accept(listener, NULL, NULL);
			if (fd >= 65536)
				close(fd);
			else if (fd >= 0)
				watch(epoll, fd);
		} else if (!serve_some(epoll, fd, &known[fd])) {
			known[fd] = false;
			close(fd);
		}
	}
}

static int say(char **argv, const char *line)
{
	int fd = must_dial(argv, SOCK_STREAM);

	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		die("send");
	return fd;
}

static int cmd_echo(int argc, char **argv)
{
	int fd = say(argv, "E\n");
	char buf[65536];
	ssize_t n;

	send(fd, argv[2], strlen(argv[2]), MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	putchar('\n');
	return n < 0;
}

static int told(double started, uint64_t bytes, bool good)
{
	double seconds = (now_ms() - started) / 1000;

	printf("%s %llu bytes, %.0f MB/s\n", good ? "ok" : "BAD", (unsigned long long)bytes,
	       (double)bytes / 1e6 / seconds);
	return !good;
}

static int cmd_send(int argc, char **argv)
{
	uint64_t bytes = strtoull(argv[2], NULL, 10);
	double started = now_ms();
	int fd = say(argv, "S\n");
	char text[64] = "";

	if (send_pattern(fd, bytes) < 0)
		die("send");
	shutdown(fd, SHUT_WR);
	if (recv(fd, text, sizeof(text) - 1, MSG_WAITALL) < 0)
		die("recv");
	return told(started, bytes, strtoull(text, NULL, 10) == bytes);
}

static int cmd_get(int argc, char **argv)
{
	uint64_t bytes = strtoull(argv[2], NULL, 10);
	double started = now_ms();
	char line[64];

	snprintf(line, sizeof(line), "G%s\n", argv[2]);
	return told(started, bytes, check_pattern(say(argv, line)) == (int64_t)bytes);
}

static int cmd_both(int argc, char **argv)
{
	uint64_t bytes = strtoull(argv[2], NULL, 10);
	double started = now_ms();
	char line[64];

	snprintf(line, sizeof(line), "B%s\n", argv[2]);
	return told(started, 2 * bytes, both_ways(say(argv, line), bytes) == (int64_t)bytes);
}

static int cmd_many(int argc, char **argv)
{
	unsigned n = (unsigned)atoi(argv[2]), good = 0;
	int *fds = calloc(n, sizeof(*fds));
	char text[32], back[32];

	for (unsigned i = 0; i < n; i++)
		fds[i] = say(argv, "E\n");
	for (unsigned i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "word-%08u\n", i);
		send(fds[i], text, strlen(text), MSG_NOSIGNAL);
	}
	for (unsigned i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "word-%08u\n", i);
		memset(back, 0, sizeof(back));
		good += recv(fds[i], back, strlen(text), MSG_WAITALL) > 0 && !strcmp(text, back);
	}
	printf("%u of %u\n", good, n);
	return good != n;
}

/* A port whose program is gone may still accept while its closing is under way: what counts as
 * open is a byte that comes back. */
static bool answers(char **argv)
{
	struct timeval patience = { .tv_sec = 1 };
	int fd = dial(argv[0], argv[1], SOCK_STREAM);
	char c = 0;

	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, "E\nx", 3, MSG_NOSIGNAL) == 3)
		recv(fd, &c, 1, 0);
	close(fd);
	return c == 'x';
}

static int cmd_wait(int argc, char **argv)
{
	double started = now_ms(), limit = atof(argv[3]);
	bool open = !strcmp(argv[2], "open");

	while (now_ms() - started < limit) {
		int fd = open ? -1 : dial(argv[0], argv[1], SOCK_STREAM);

		if (open ? answers(argv) : fd < 0 && errno == ECONNREFUSED) {
			printf("%.0f\n", now_ms() - started);
			return 0;
		}
		if (fd >= 0)
			close(fd);
		usleep(3000);
	}
	printf("not %s within %s ms\n", argv[2], argv[3]);
	return 1;
}

static int cmd_cycle(int argc, char **argv)
{
	for (int i = atoi(argv[2]); i; i--) {
		int fd = open_server(argv, SOCK_STREAM, 0);

		usleep(1000u * (unsigned)(i % 7));
		close(fd);
	}
	return 0;
}

/* --- UDP --- */

static _Noreturn int cmd_udp_serve(int argc, char **argv)
{
	int fd = open_server(argv, SOCK_DGRAM, 0);
	char buf[65536];

	printf("ready\n");
	fflush(stdout);
	for (;;) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

		if (n >= 0)
			sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

static int cmd_udp(int argc, char **argv)
{
	struct timeval patience = { .tv_sec = 3 };
	int fd = must_dial(argv, SOCK_DGRAM);
	char buf[65536];
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	send(fd, argv[2], strlen(argv[2]), 0);
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0)
		die("recv");
	fwrite(buf, 1, (size_t)n, stdout);
	putchar('\n');
	return 0;
}

/* --- frames that a network should not see --- */

#define PICK(...) ((const uint8_t[]) { __VA_ARGS__ })[any(sizeof((uint8_t[]) { __VA_ARGS__ }))]

static uint32_t any(uint32_t below)
{
	static uint64_t state = 0x9e3779b97f4a7c15u; /* the same frames each time */

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t sum(uint32_t from, const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		from += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	return from;
}

static uint32_t fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return ~total & 0xffff;
}

/* What follows the IP header; addresses are summed already. */
static void make_payload(uint8_t *p, size_t len, uint8_t protocol, uint32_t addresses)
{
	static const uint8_t sum_at[] = {
		[IPPROTO_ICMP] = 2, [IPPROTO_TCP] = 16, [IPPROTO_UDP] = 6, [IPPROTO_ICMPV6] = 2
	};
	size_t at = protocol < sizeof(sum_at) ? sum_at[protocol] : 0;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)any(256);
	if (len < 20)
		return;
	if (protocol == IPPROTO_TCP) {
		put16(p, 40000 + any(4));
		put16(p + 2, 7000 + any(4));
		p[12] = PICK(0x50, 0x50, 0x60, 0xf0, 0x40);
		p[13] = PICK(2, 2, 0x10, 0x18, 0x11, 4, 0xff, 0, 0x12);
	} else if (protocol == IPPROTO_UDP) {
		put16(p + 2, PICK(0, 53, 67, 69, 123));
		put16(p + 4, any(4) ? (uint32_t)len : any(65536));
	} else {
		p[0] = PICK(0, 3, 8, 11, 128, 129, 133, 134, 135, 136);
		p[1] = 0;
	}
	if (at) {
		put16(p + at, 0);
		put16(p + at,
		      fold(sum(protocol == IPPROTO_ICMP ? 0 : addresses + protocol + (uint32_t)len,
			       p, len)));
	}
}

static size_t make_ip4(uint8_t *p, size_t len, const uint8_t *from, const uint8_t *to)
{
	uint8_t protocol = PICK(1, 2, 6, 6, 6, 17, 17, 47, 255);

	memset(p, 0, 20);
	p[0] = 0x45;
	put16(p + 2, 20 + (uint32_t)len);
	p[5] = (uint8_t)any(4);
	if (!any(4))
		put16(p + 6, any(2) << 13 | any(200));
	p[8] = 64;
	p[9] = protocol;
	memcpy(p + 12, from, 4);
	memcpy(p + 16, to, 4);
	put16(p + 10, fold(sum(0, p, 20)));
	make_payload(p + 20, len, protocol, sum(0, p + 12, 8));
	return 20 + len;
}

static size_t make_ip6(uint8_t *p, size_t len, const uint8_t *from, const uint8_t *to)
{
	uint8_t protocol = PICK(0, 6, 6, 17, 43, 44, 58, 58, 59, 60);

	memset(p, 0, 8);
	p[0] = 0x60;
	put16(p + 4, (uint32_t)len);
	p[6] = protocol;
	p[7] = 255;
	memcpy(p + 8, from, 16);
	memcpy(p + 24, to, 16);
	make_payload(p + 40, len, protocol, sum(0, p + 8, 32));
	return 40 + len;
}

static size_t make_frame(uint8_t *f, const uint8_t *four, const uint8_t *six)
{
	uint8_t kind = PICK(0, 0, 0, 0, 6, 6, 1, 2);
	uint8_t me[16];
	size_t len = any(8) ? any(200) : any(1400);

	memset(f, 0xff, 12);
	if (any(8))
		f[6] = 0x02;
	if (kind == 6) {
		memcpy(me, six, 16);
		me[15] = 15;
		put16(f + 12, ETH_P_IPV6);
		return 14 + make_ip6(f + 14, len, me, six);
	}
	memcpy(me, four, 4);
	me[3] = 15;
	put16(f + 12, ETH_P_IP);
	if (kind == 0)
		return 14 + make_ip4(f + 14, len, me, four);
	put16(f + 12, kind == 1 ? ETH_P_ARP : any(65536));
	for (size_t i = 0; i < len; i++)
		f[14 + i] = (uint8_t)any(i < 8 ? 9 : 256);
	memcpy(f + 14, "\0\1\10\0\6\4\0", 7);
	return 14 + len;
}

static size_t spoil(uint8_t *f, size_t len)
{
	for (uint32_t n = any(2) ? 0 : 1 + any(4); n; n--)
		f[12 + any(any(2) ? 48 : (uint32_t)len)] ^= (uint8_t)(1u << any(8));
	return any(8) ? len : 14 + any((uint32_t)len);
}

static int cmd_garbage(int argc, char **argv)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int)if_nametoindex(argv[0]),
				  .sll_halen = 6 };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	uint8_t four[4], six[16], frame[2048];
	unsigned sent = 0;

	if (fd < 0 || inet_pton(AF_INET, argv[1], four) != 1 ||
	    inet_pton(AF_INET6, argv[2], six) != 1)
		die("garbage");
	for (unsigned n = (unsigned)atoi(argv[3]); n; n--) {
		size_t len = spoil(frame, make_frame(frame, four, six));

		sent += sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) > 0;
	}
	printf("%u\n", sent);
	return 0;
}

static int cmd_clock(int argc, char **argv)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	printf("%lld %.0f\n", (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000, now_ms());
	return 0;
}

/* --- DNS --- */

static size_t make_query(uint8_t *q, const char *name, unsigned type, unsigned edns)
{
	size_t at = 12;

	memcpy(q, "\x12\x34\x01\0\0\1\0\0\0\0\0\0", 12);
	while (*name) {
		size_t n = strcspn(name, ".");

		q[at++] = (uint8_t)n;
		memcpy(q + at, name, n);
		at += n;
		name += n + (name[n] == '.');
	}
	memcpy(q + at, (uint8_t[]) { 0, (uint8_t)(type >> 8), (uint8_t)type, 0, 1 }, 5);
	at += 5;
	if (edns) {
		q[11] = 1;
		memcpy(q + at,
		       (uint8_t[]) { 0, 0, 41, (uint8_t)(edns >> 8), (uint8_t)edns, 0, 0, 0, 0, 0,
				     0 },
		       11);
		at += 11;
	}
	return at;
}

static size_t skip_name(const uint8_t *m, size_t at)
{
	while (m[at] && m[at] < 0xc0)
		at += 1u + m[at];
	return at + (m[at] ? 2 : 1);
}

static void show_answer(unsigned type, const uint8_t *data, size_t len)
{
	char text[64];

	printf("%u ", type);
	if ((type == 1 && len == 4) || (type == 28 && len == 16)) {
		printf("%s\n", inet_ntop(type == 1 ? AF_INET : AF_INET6, data, text, sizeof(text)));
		return;
	}
	for (size_t i = 0; i < len && i < 120; i++)
		putchar(data[i] > 32 && data[i] < 127 ? data[i] : '.');
	printf(" (%zu)\n", len);
}

static int show_reply(const uint8_t *m, size_t len)
{
	size_t at = 12;

	if (len < 12 || memcmp(m, "\x12\x34", 2) != 0)
		return printf("no reply\n"), 1;
	printf("rcode=%u tc=%u answers=%u bytes=%zu\n", m[3] & 15u, m[2] >> 1 & 1u,
	       (unsigned)m[6] << 8 | m[7], len);
	for (unsigned n = (unsigned)m[4] << 8 | m[5]; n && at < len; n--)
		at = skip_name(m, at) + 4;
	for (unsigned n = (unsigned)m[6] << 8 | m[7]; n && at + 11 < len; n--) {
		size_t size;

		at = skip_name(m, at);
		size = (size_t)m[at + 8] << 8 | m[at + 9];
		if (at + 10 + size > len)
			return printf("cut\n"), 1;
		show_answer((unsigned)m[at] << 8 | m[at + 1], m + at + 10, size);
		at += 10 + size;
	}
	return 0;
}

static unsigned type_number(const char *name)
{
	static const struct {
		const char *name;
		unsigned number;
	} types[] = { { "A", 1 },   { "NS", 2 },   { "CNAME", 5 }, { "SOA", 6 },  { "PTR", 12 },
		      { "MX", 15 }, { "TXT", 16 }, { "AAAA", 28 }, { "SRV", 33 }, { "ANY", 255 } };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(types[i].name, name))
			return types[i].number;
	return (unsigned)atoi(name);
}

static int cmd_dns(int argc, char **argv)
{
	bool tcp = argc > 3 && !strcmp(argv[3], "tcp");
	struct timeval patience = { .tv_sec = 6 };
	uint8_t q[512], head[2], *m = malloc(65536);
	size_t len = make_query(q, argv[1], type_number(argv[2]),
				argc > 4 ? (unsigned)atoi(argv[4]) : 0);
	int fd = dial(argv[0], "53", tcp ? SOCK_STREAM : SOCK_DGRAM);
	ssize_t n;

	if (fd < 0)
		die("connect");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	head[0] = (uint8_t)(len >> 8);
	head[1] = (uint8_t)len;
	if (tcp)
		send(fd, head, 2, MSG_NOSIGNAL | MSG_MORE);
	send(fd, q, len, MSG_NOSIGNAL);
	if (tcp && recv(fd, head, 2, MSG_WAITALL) != 2)
		die("recv");
	n = tcp ? recv(fd, m, (size_t)head[0] << 8 | head[1], MSG_WAITALL) : recv(fd, m, 65536, 0);
	if (n < 0)
		die("recv");
	return show_reply(m, (size_t)n);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		int (*run)(int, char **);
	} commands[] = {
		{ "serve", 2, cmd_serve },
		{ "echo", 3, cmd_echo },
		{ "send", 3, cmd_send },
		{ "get", 3, cmd_get },
		{ "both", 3, cmd_both },
		{ "many", 3, cmd_many },
		{ "wait", 4, cmd_wait },
		{ "cycle", 3, cmd_cycle },
		{ "udp-serve", 2, cmd_udp_serve },
		{ "udp", 3, cmd_udp },
		{ "dns", 3, cmd_dns },
		{ "clock", 0, cmd_clock },
		{ "garbage", 4, cmd_garbage },
	};
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name) && argc - 2 >= commands[i].args)
			return commands[i].run(argc - 2, argv + 2);
	fprintf(stderr, "netprobe: see the head of netprobe.c\n");
	return 2;
}
