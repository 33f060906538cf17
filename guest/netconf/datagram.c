/* guest/netconf/datagram.c - datagrams between a stream and a UDP socket
 *
 * LIMITS  MAX_PEERS at a time; streams beyond them are refused. A peer without traffic is gone after
 *         IDLE_MS, a little later than at the stream's other end.
 */
#include "netconf/datagram.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "io/datagrams.h"
#include "io/listener.h"
#include "io/loop.h"

#define MAX_PEERS 1024u
#define IDLE_MS   65000u
#define BURST     32u

struct peer {
	struct datagrams *stream;
	struct watch *watch;
	int fd;
};

static unsigned n_peers;

static void peer_free(struct peer *p)
{
	n_peers--;
	datagrams_free(p->stream);
	watch_remove(p->watch);
	drop_fd(&p->fd);
	free(p);
}

static void from_stream(struct datagrams *d, const uint8_t *data, size_t len, void *arg)
{
	struct peer *p = arg;

	(void)d;
	send(p->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void stream_ended(struct datagrams *d, void *arg)
{
	(void)d;
	peer_free(arg);
}

static const struct datagrams_ops stream_ops = { from_stream, stream_ended };

static void from_program(struct watch *w, int fd, uint32_t events, void *arg)
{
	static uint8_t buf[DATAGRAM_MAX_BYTES];
	struct peer *p = arg;

	(void)w, (void)events;
	for (unsigned i = 0; i < BURST; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0) /* nothing more, or nobody at the port: the next datagram asks again */
			return;
		datagrams_send(p->stream, buf, (size_t)n);
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
	p->stream = datagrams_new(loop, stream, IDLE_MS, &stream_ops, p);
	p->fd = listener_connect(at);
	p->watch = p->fd >= 0 ? loop_watch(loop, p->fd, EPOLLIN, from_program, p) : NULL;
	if (!p->stream || !p->watch)
		peer_free(p);
}
