/* guest/netconf/datagram.c - the guest's end of forwarded connections, and UDP peers of the host
 *
 * LIMITS  MAX_PEERS at a time; streams beyond them are refused. A peer without traffic is gone after
 *         IDLE_MS, a little later than on the host.
 */
#include "netconf/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "io/datagrams.h"
#include "io/listeners.h"
#include "io/loop.h"

#define MAX_PEERS 1024u
#define IDLE_MS   65000u
#define BURST     32u

struct peer {
	struct datagrams *host;
	struct watch *watch;
	int fd;
};

static unsigned n_peers;

int local_connect(const struct listener *at)
{
	struct sockaddr_in four = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)at->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr_in6 six = {
		.sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)at->port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	const struct sockaddr *sa = at->family == 6 ? (void *)&six : (void *)&four;
	int type = at->protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
	auto_close int fd = socket(at->family == 6 ? AF_INET6 : AF_INET,
				   type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, sa, at->family == 6 ? sizeof(six) : sizeof(four)) < 0 &&
	    errno != EINPROGRESS)
		return -1;
	return take_fd(&fd);
}

static void peer_free(struct peer *p)
{
	n_peers--;
	datagrams_free(p->host);
	watch_remove(p->watch);
	drop_fd(&p->fd);
	free(p);
}

static void from_host(struct datagrams *d, const uint8_t *data, size_t len, void *arg)
{
	struct peer *p = arg;

	(void)d;
	send(p->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void host_ended(struct datagrams *d, void *arg)
{
	(void)d;
	peer_free(arg);
}

static const struct datagrams_ops host_ops = { from_host, host_ended };

static void from_program(struct watch *w, int fd, uint32_t events, void *arg)
{
	static uint8_t buf[DATAGRAM_MAX_BYTES];
	struct peer *p = arg;

	(void)w, (void)events;
	for (unsigned i = 0; i < BURST; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0) /* nothing more, or nobody at the port: the next datagram asks again */
			return;
		datagrams_send(p->host, buf, (size_t)n);
	}
}

void datagram_serve(struct loop *loop, const struct listener *at, int stream)
{
	struct peer *p = n_peers < MAX_PEERS ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		close(stream);
		return;
	}
	n_peers++;
	p->host = datagrams_new(loop, stream, IDLE_MS, &host_ops, p);
	p->fd = local_connect(at);
	p->watch = p->fd >= 0 ? loop_watch(loop, p->fd, EPOLLIN, from_program, p) : NULL;
	if (!p->host || !p->watch)
		peer_free(p);
}
