/* guest/netconf/dns.c - the name server of the VM: a tunnel to the host's resolver
 *
 * The sockets programs ask at, and the vsock stream; io/dns-forward.c is what lies between.
 */
#include "netconf/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "io/dns-forward.h"
#include "io/loop.h"
#include "protocol/dns-message.h"
#include "protocol/message.h"

#define BURST 64u

struct dns {
	struct dns_forward *forward;
	int udp, tcp;
	struct watch *udp_watch, *tcp_watch;
};

/* --- the stream to the host --- */

static int stream_open(void *arg)
{
	struct sockaddr_vm sa = {
		.svm_family = AF_VSOCK,
		.svm_cid = VSOCK_CID_HOST,
		.svm_port = VSOCK_PORT_DNS,
	};
	auto_close int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)arg;
	if (fd < 0 || (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EINPROGRESS))
		return -1;
	return take_fd(&fd);
}

/* --- programs --- */

static void reply(const void *client, const uint8_t *m, size_t len, void *arg)
{
	struct dns *d = arg;

	sendto(d->udp, m, len, MSG_DONTWAIT | MSG_NOSIGNAL, client, sizeof(struct sockaddr_in));
}

static void udp_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct dns *d = arg;
	uint8_t m[DNS_UDP_MAX];

	(void)w, (void)events;
	for (unsigned i = 0; i < BURST; i++) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		ssize_t n =
			recvfrom(fd, m, sizeof(m), MSG_DONTWAIT, (struct sockaddr *)&from, &size);

		if (n < 0)
			return;
		dns_forward_query(d->forward, m, (size_t)n, &from);
	}
}

static void tcp_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct dns *d = arg;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)w, (void)events;
	if (client >= 0)
		dns_forward_serve(d->forward, client);
}

static const struct dns_forward_ops forward_ops = { stream_open, reply };

/* --- set-up --- */

static int listen_on(const char *address, int type)
{
	auto_close int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(53) };
	int one = 1;

	if (fd < 0 || inet_pton(AF_INET, address, &sa.sin_addr) != 1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 64) < 0))
		return -1;
	return take_fd(&fd);
}

struct dns *dns_new(struct loop *loop, const char *address)
{
	struct dns *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->udp = listen_on(address, SOCK_DGRAM);
	d->tcp = listen_on(address, SOCK_STREAM);
	if (d->udp >= 0 && d->tcp >= 0)
		d->forward = dns_forward_new(loop, sizeof(struct sockaddr_in), &forward_ops, d);
	if (d->forward) {
		d->udp_watch = loop_watch(loop, d->udp, EPOLLIN, udp_ready, d);
		d->tcp_watch = loop_watch(loop, d->tcp, EPOLLIN, tcp_ready, d);
	}
	return d->udp_watch && d->tcp_watch ? d : dns_free(d);
}

struct dns *dns_free(struct dns *d)
{
	if (!d)
		return NULL;
	dns_forward_free(d->forward);
	watch_remove(d->udp_watch);
	watch_remove(d->tcp_watch);
	drop_fd(&d->udp);
	drop_fd(&d->tcp);
	free(d);
	return NULL;
}
