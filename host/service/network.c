/* host/service/network.c - the host's side of names and forwarded ports */
#include "service/network.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "config/paths.h"
#include "io/listeners.h"
#include "io/loop.h"
#include "service/machine-net.h"
#include "service/port-owner.h"
#include "service/service.h"
#include "vm/spawn.h"
#include "vm/vm.h"

#define MAX_PORTS    4096u
#define RETRY_MS     2000u
#define HOST_SCAN_MS 250u

struct port {
	struct port *next;
	struct listener at;
	uint32_t stream; /* the guest's vsock port for it */
	char *problem;   /* NULL: forwarded */
};

struct host_ports {
	struct listeners told, seen, now, twice;
};

struct network {
	struct service *service;
	struct channel *localhost, *resolver;
	struct child *resolver_child;
	pid_t resolver_pid; /* of the child that serves now */
	struct port *ports;
	unsigned n_ports;
	struct timer *retry; /* of ports that were taken */
	struct timer *scan;  /* mirrored: of the host's ports, told to the guest */
	struct host_ports *host;
	int diag;
};

/* --- names --- */

static void resolver_message(struct channel *c, struct channel_message *m, void *arg)
{
	(void)c, (void)m, (void)arg; /* it says nothing */
}

static void resolver_closed(struct channel *c, int reason, void *arg)
{
	struct network *n = arg;

	(void)reason;
	channel_free(c);
	n->resolver = NULL;
}

static const struct channel_ops resolver_ops = { resolver_message, resolver_closed };

static void resolver_exited(pid_t pid, int status, void *arg)
{
	struct network *n = arg;

	if (pid == n->resolver_pid) { /* an earlier one may still be on its way out */
		n->resolver_child = NULL;
		n->resolver = channel_free(n->resolver);
	}
	if (status)
		log_warn("wslresolver ended with wait status 0x%x; the next query starts it anew",
			 status);
}

static int start_resolver(struct network *n, struct err *err)
{
	auto_free char *program = path_helper("wslresolver");
	auto_close int ours = -1, theirs = -1;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "cannot make a channel to the resolver");
	ours = pair[0];
	theirs = pair[1];
	pid = spawn_program(
		&(struct spawn) {
			.argv = (char *[]) { program, NULL },
			.cwd_fd = -1,
			.stdio = { -1, -1, STDERR_FILENO },
			.fd3 = theirs,
			.new_session = true,
			.die_with_parent = true,
		},
		err);
	if (pid < 0)
		return pid;
	n->resolver_pid = pid;
	n->resolver_child = loop_child(n->service->loop, pid, resolver_exited, n);
	n->resolver = channel_new(n->service->loop, take_fd(&ours), &resolver_ops, n);
	return n->resolver ? 0 : err_set(err, -ENOMEM, "out of memory");
}

void network_dns_stream(struct network *n, int stream)
{
	auto_close int fd = stream;
	struct err err = ERR_INIT;
	int r = 0;

	if (!n->resolver)
		r = start_resolver(n, &err);
	if (r == 0)
		r = channel_send_fds(n->resolver, MSG_RELAY_ACCEPT, 0,
				     &(struct msg_number) { VSOCK_PORT_DNS }, &fd, 1);
	if (r < 0)
		log_err("no names for the guest: %s", err.text[0] ? err.text : strerror(-r));
}

/* --- ports --- */

static char *describe_problem(const struct listener *at, int error)
{
	auto_free char *owner = NULL;

	if (error != EADDRINUSE)
		return error == EACCES ? str_dup("ports below 1024 need root")
				       : str_dup(strerror(error));
	owner = port_owner(at->family, at->protocol, at->port);
	return str_printf("in use on the host by %s", owner);
}

static int try_port(struct vm *vm, const struct port *p)
{
	char address[INET6_ADDRSTRLEN];
	struct msg_port m = listener_message(&p->at, p->stream, address);
	auto_close int fd = listener_open(&p->at);

	return fd < 0 ? fd : vm_forward(vm, &m, fd);
}

static void stop_port(struct vm *vm, const struct port *p)
{
	char address[INET6_ADDRSTRLEN];
	struct msg_port m = listener_message(&p->at, p->stream, address);

	if (vm && !p->problem)
		vm_forward_stop(vm, &m);
}

/* A port that was taken may be free by now. */
static void retry_ports(struct timer *t, void *arg)
{
	struct network *n = arg;
	struct vm *vm = machine_vm(n->service->machine);
	bool more = false;

	for (struct port *p = vm ? n->ports : NULL; p; p = p->next) {
		if (p->problem && try_port(vm, p) == 0)
			free(take_ptr(p->problem));
		more |= p->problem != NULL;
	}
	if (more)
		timer_set(t, RETRY_MS);
}

/* Whatever the guest says: loopback, and more only if the user has opened the firewall. */
static bool admit(const struct network *n, const struct listener *at)
{
	const struct machine_net *net = machine_network(n->service->machine);

	if (port_set_has(&net->ignored, at->port))
		return false;
	return listener_is_loopback(at) ||
	       (net->inbound &&
		(listener_is_any(at) || host_addresses_have(&net->host, at->family, at->address)));
}

static struct port **find_port(struct network *n, const struct listener *at)
{
	struct port **p = &n->ports;

	while (*p && !listener_same(&(*p)->at, at))
		p = &(*p)->next;
	return p;
}

static void port_refused(struct network *n, struct port *p, int error)
{
	char name[LISTENER_NAME];

	p->problem = describe_problem(&p->at, error);
	log_warn("port %u of the guest is not forwarded from %s: %s", p->at.port,
		 listener_name(&p->at, name), p->problem);
	if (!n->retry)
		n->retry = loop_timer(n->service->loop, retry_ports, n);
	if (n->retry)
		timer_set(n->retry, RETRY_MS);
}

static void port_opened(struct network *n, const struct msg_port *m)
{
	struct vm *vm = machine_vm(n->service->machine);
	struct listener at;
	struct port *p;
	int r;

	if (!vm || !listener_parse(m, &at) || !admit(n, &at) || *find_port(n, &at))
		return;
	p = n->n_ports < MAX_PORTS ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return;
	*p = (struct port) { .next = n->ports, .at = at, .stream = m->stream };
	n->ports = p;
	n->n_ports++;
	r = try_port(vm, p);
	if (r < 0)
		port_refused(n, p, -r);
}

static void port_free(struct network *n, struct port **at)
{
	struct port *p = *at;

	stop_port(machine_vm(n->service->machine), p);
	*at = p->next;
	n->n_ports--;
	free(p->problem);
	free(p);
}

static void port_closed(struct network *n, const struct msg_port *m)
{
	struct listener at;
	struct port **p = listener_parse(m, &at) ? find_port(n, &at) : NULL;

	if (p && *p)
		port_free(n, p);
}

static void localhost_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct network *n = arg;

	(void)c;
	if (m->header.type == MSG_PORT_OPENED)
		port_opened(n, m->msg);
	else if (m->header.type == MSG_PORT_CLOSED)
		port_closed(n, m->msg);
}

static void drop_ports(struct network *n)
{
	while (n->ports)
		port_free(n, &n->ports);
}

/* --- ports of the host, in mirrored mode --- */

static void tell(struct network *n, uint16_t type, const struct listener *at)
{
	char address[INET6_ADDRSTRLEN];
	struct msg_port m = listener_message(at, 0, address);

	if (at->family == 4 && n->localhost)
		channel_send(n->localhost, type, 0, &m);
}

static void host_opened(const struct listener *at, void *arg)
{
	tell(arg, MSG_PORT_OPENED, at);
}

static void host_closed(const struct listener *at, void *arg)
{
	tell(arg, MSG_PORT_CLOSED, at);
}

/* Our own listeners are the guest's ports; name servers serve the machine they run on. */
static void leave_out(struct network *n, struct listeners *l)
{
	const struct port_set *ignored = &machine_network(n->service->machine)->ignored;
	struct listener names = listener_loopback(4, IPPROTO_TCP, 53);

	listeners_clear(l, &names);
	for (const struct port *p = n->ports; p; p = p->next)
		if (!p->problem)
			listeners_clear(l, &p->at);
	for (size_t i = 0; i < ARRAY_SIZE(ignored->bits); i++) {
		l->bits[0][0][i] &= ~ignored->bits[i];
		l->bits[1][0][i] &= ~ignored->bits[i];
	}
}

/* A port is told when two scans in a row have found it: one that the relay is about to close for
 * the guest would otherwise come back to it as the host's. */
static void scan_host(struct timer *t, void *arg)
{
	struct network *n = arg;
	struct host_ports *h = n->host;

	if (!n->localhost)
		return;
	timer_set(t, HOST_SCAN_MS);
	if (listeners_read(n->diag, &h->now) < 0)
		return;
	listeners_fold(&h->now);
	leave_out(n, &h->now);
	h->twice = h->now;
	listeners_keep(&h->twice, &h->seen);
	listeners_difference(&h->told, &h->twice, host_closed, n);
	listeners_difference(&h->twice, &h->told, host_opened, n);
	h->told = h->twice;
	h->seen = h->now;
}

static void mirror_host(struct network *n)
{
	if (!n->host)
		n->host = malloc(sizeof(*n->host));
	if (!n->scan)
		n->scan = loop_timer(n->service->loop, scan_host, n);
	if (n->diag < 0)
		n->diag = listeners_open();
	if (!n->host || !n->scan || n->diag < 0) {
		log_warn("the host's ports are not shared with the guest");
		return;
	}
	memset(n->host, 0, sizeof(*n->host));
	scan_host(n->scan, n);
}

static void localhost_closed(struct channel *c, int reason, void *arg)
{
	struct network *n = arg;

	(void)reason;
	channel_free(c);
	n->localhost = NULL;
	drop_ports(n);
}

static const struct channel_ops localhost_ops = { localhost_message, localhost_closed };

void network_localhost(struct network *n, struct channel *c)
{
	channel_free(n->localhost);
	drop_ports(n);
	n->localhost = c;
	channel_set_owner(c, &localhost_ops, n);
	if (machine_network(n->service->machine)->mode == NETWORKING_MIRRORED)
		mirror_host(n);
}

static char *describe(const struct port *p)
{
	char name[LISTENER_NAME];

	listener_name(&p->at, name);
	return p->problem ? str_printf("Port %s is not forwarded: %s", name, p->problem)
			  : str_dup(name);
}

void network_ports(const struct network *n, struct network_ports *ret)
{
	unsigned forwarded = 0, conflicts = 0;

	*ret = (struct network_ports) {
		.forwarded = calloc(n->n_ports + 1, sizeof(char *)),
		.conflicts = calloc(n->n_ports + 1, sizeof(char *)),
	};
	if (!ret->forwarded || !ret->conflicts)
		return;
	for (const struct port *p = n->ports; p; p = p->next) {
		if (p->problem)
			ret->conflicts[conflicts++] = describe(p);
		else
			ret->forwarded[forwarded++] = describe(p);
	}
}

static void free_all(char **list)
{
	for (char **at = list; at && *at; at++)
		free(*at);
	free(list);
}

void network_ports_done(struct network_ports *p)
{
	free_all(p->forwarded);
	free_all(p->conflicts);
}

/* --- life --- */

void network_reset(struct network *n)
{
	n->localhost = channel_free(n->localhost);
	n->resolver = channel_free(n->resolver); /* it leaves when its channel closes */
	drop_ports(n);
}

struct network *network_new(struct service *s)
{
	struct network *n = calloc(1, sizeof(*n));

	if (n) {
		n->service = s;
		n->diag = -1;
	}
	return n;
}

struct network *network_free(struct network *n)
{
	if (!n)
		return NULL;
	network_reset(n);
	child_forget(n->resolver_child);
	timer_free(n->scan);
	timer_free(n->retry);
	drop_fd(&n->diag);
	free(n->host);
	free(n);
	return NULL;
}
