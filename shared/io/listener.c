/* shared/io/listener.c - a socket that waits for others: where it is bound, in messages, as a socket */
#include "io/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "protocol/message.h"

static size_t address_bytes(unsigned family)
{
	return family == 6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
}

static int domain(unsigned family)
{
	return family == 6 ? AF_INET6 : AF_INET;
}

struct listener listener_any(unsigned family, unsigned protocol, unsigned port)
{
	return (struct listener) { .family = family, .protocol = protocol, .port = port };
}

struct listener listener_loopback(unsigned family, unsigned protocol, unsigned port)
{
	struct listener at = listener_any(family, protocol, port);
	struct in_addr four = { htonl(INADDR_LOOPBACK) };

	memcpy(at.address, family == 6 ? (const void *)&in6addr_loopback : &four,
	       address_bytes(family));
	return at;
}

bool listener_same(const struct listener *a, const struct listener *b)
{
	return a->family == b->family && a->protocol == b->protocol && a->port == b->port &&
	       memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

bool listener_is_any(const struct listener *at)
{
	struct listener any = listener_any(at->family, at->protocol, at->port);

	return listener_same(at, &any);
}

bool listener_is_loopback(const struct listener *at)
{
	struct listener loopback = listener_loopback(at->family, at->protocol, at->port);

	return listener_same(at, &loopback);
}

/* --- text --- */

const char *listener_name(const struct listener *at, char name[LISTENER_NAME])
{
	char address[INET6_ADDRSTRLEN];

	inet_ntop(domain(at->family), at->address, address, sizeof(address));
	str_format(name, LISTENER_NAME, at->family == 6 ? "[%s]:%u%s" : "%s:%u%s", address,
		   at->port, at->protocol == IPPROTO_UDP ? "/udp" : "");
	return name;
}

bool listener_parse(const struct msg_port *m, struct listener *ret)
{
	*ret = listener_any(strchr(m->address, ':') ? 6 : 4, m->protocol, m->port);
	return inet_pton(domain(ret->family), m->address, ret->address) == 1 && m->port >= 1 &&
	       m->port <= 65535 && (m->protocol == IPPROTO_TCP || m->protocol == IPPROTO_UDP);
}

struct msg_port listener_message(const struct listener *at, uint32_t stream,
				 char text[INET6_ADDRSTRLEN])
{
	return (struct msg_port) {
		.address = inet_ntop(domain(at->family), at->address, text, INET6_ADDRSTRLEN),
		.protocol = at->protocol,
		.port = at->port,
		.stream = stream,
	};
}

/* --- sockets --- */

static socklen_t socket_address(const struct listener *at, struct sockaddr_storage *ret)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = (sa_family_t)domain(at->family);
	four->sin_port = htons((uint16_t)at->port); /* at the same place in both */
	memcpy(at->family == 6 ? (void *)&six->sin6_addr : (void *)&four->sin_addr, at->address,
	       address_bytes(at->family));
	return at->family == 6 ? sizeof(*six) : sizeof(*four);
}

static int new_socket(const struct listener *at)
{
	int type = at->protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;

	return socket(domain(at->family), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int listener_open(const struct listener *at)
{
	struct sockaddr_storage sa;
	socklen_t len = socket_address(at, &sa);
	bool tcp = at->protocol == IPPROTO_TCP;
	auto_close int fd = new_socket(at);
	int one = 1;

	if (fd < 0)
		return -errno;
	if (tcp) { /* with UDP, SO_REUSEADDR would share a port with whoever has it */
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
			   sizeof(one)); /* inherited on accept */
	} else                           /* which address was asked is the one that answers */
		setsockopt(fd, at->family == 6 ? IPPROTO_IPV6 : IPPROTO_IP,
			   at->family == 6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &one, sizeof(one));
	if (at->family == 6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, len) < 0 || (tcp && listen(fd, SOMAXCONN) < 0))
		return -errno;
	return take_fd(&fd);
}

int listener_connect(const struct listener *at)
{
	struct sockaddr_storage sa;
	socklen_t len = socket_address(at, &sa);
	auto_close int fd = new_socket(at);

	if (fd < 0 || (connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS))
		return -errno;
	return take_fd(&fd);
}
