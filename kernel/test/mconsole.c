/* kernel/test/mconsole.c - one command to the management console of a user-mode kernel
 *
 * usage: mconsole SOCKET COMMAND...     e.g. mconsole ~/.uml/demo/mconsole config ubdb=/tmp/disk.img
 *
 * The protocol is a datagram each way: a header and up to 511 bytes of text. The kernel answers to the address
 * of the sender, so we bind one; an abstract one leaves no file behind.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define MAGIC	0xcafebabe
#define VERSION	2

struct request {
	uint32_t magic, version, len;
	char data[512];
};

struct reply {
	uint32_t err, more, len;
	char data[512];
};

static int fail(const char *what)
{
	fprintf(stderr, "mconsole: %s: %s\n", what, strerror(errno));
	return 2;
}

int main(int argc, char **argv)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX }, from = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 10 };
	struct request req = { .magic = MAGIC, .version = VERSION };
	struct reply rep;
	ssize_t n;
	int fd;

	if (argc < 3 || strlen(argv[1]) >= sizeof(to.sun_path)) {
		fprintf(stderr, "usage: mconsole SOCKET COMMAND...\n");
		return 2;
	}
	strcpy(to.sun_path, argv[1]);
	for (int i = 2; i < argc; i++) {
		if (strlen(req.data) + strlen(argv[i]) + 2 > sizeof(req.data)) {
			errno = E2BIG;
			return fail("command");
		}
		strcat(req.data, argv[i]);
		if (i < argc - 1)
			strcat(req.data, " ");
	}
	req.len = strlen(req.data);

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail("socket");
	n = snprintf(from.sun_path + 1, sizeof(from.sun_path) - 1, "lxss-mconsole-%d", getpid());
	if (bind(fd, (struct sockaddr *)&from, offsetof(struct sockaddr_un, sun_path) + 1 + n) < 0)
		return fail("bind");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (sendto(fd, &req, sizeof(req), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return fail(argv[1]);
	do {
		n = recv(fd, &rep, sizeof(rep), 0);
		if (n < (ssize_t)offsetof(struct reply, data))
			return fail("no answer");
		fwrite(rep.data, 1, strnlen(rep.data, n - offsetof(struct reply, data)), stdout);
	} while (rep.more);
	putchar('\n');
	return rep.err ? 1 : 0;
}
