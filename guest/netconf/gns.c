/* guest/netconf/gns.c - applies NET_CONFIG messages to the network namespace of the VM
 *
 * A child of mini_init, forked before the service has made up its mind about the first
 * distribution: connection and configuration overlap with its start. It has a control channel of
 * its own (ROLE_GNS); when that is lost the VM powers off anyway, and it ends.
 */
#include "netconf/gns.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "boot/kmsg.h"
#include "boot/launch.h"
#include "boot/transport.h"
#include "common/err.h"
#include "common/log.h"
#include "common/util.h"
#include "io/channel.h"
#include "io/loop.h"
#include "netconf/dns.h"
#include "netconf/link.h"
#include "netconf/localhost.h"
#include "netconf/resolv.h"

#define CONNECT_TIMEOUT_MS 10000

struct gns {
	struct loop *loop;
	struct channel *service;
	struct dns *dns;
	bool localhost; /* its process was started */
};

static int start_names(struct gns *g, const struct msg_net_config *m, struct err *err)
{
	int r;

	if (m->dns_address[0] && !g->dns) {
		g->dns = dns_new(g->loop, m->dns_address);
		if (!g->dns)
			return err_errno(err, "cannot serve names at %s", m->dns_address);
	}
	r = resolv_write(&m->nameservers, &m->search);
	return r < 0 ? err_code(err, r, "cannot write the VM's resolv.conf") : 0;
}

static void start_localhost(struct gns *g, const struct msg_net_config *m)
{
	pid_t pid = fork();

	if (pid < 0) {
		log_warn("ports are not forwarded to the host: %s", strerror(errno));
		return;
	}
	if (pid == 0) {
		close_others(-1, -1);
		log_init("localhost", LOG_FD, LOG_INFO, true);
		localhost_main(m);
	}
	g->localhost = true;
}

static void net_config(struct gns *g, uint32_t seq, const struct msg_net_config *m)
{
	struct err err = ERR_INIT;
	int r = link_apply(m, &err);

	if (r == 0)
		r = start_names(g, m, &err);
	if (r < 0)
		log_warn("%s", err.text);
	if (m->localhost_forwarding && !g->localhost)
		start_localhost(g, m);
	channel_result(g->service, seq, r < 0 ? &err : NULL);
}

static void on_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct gns *g = arg;
	struct err err = ERR_INIT;

	switch (m->header.type) {
	case MSG_HELLO:
	case MSG_RESULT:
		return;
	case MSG_NET_CONFIG:
		net_config(g, m->header.seq, m->msg);
		return;
	}
	err_id(&err, ERR_WSL_E_PROTOCOL_MISMATCH, "%s is not for gns",
	       message_name(m->header.type));
	channel_result(c, m->header.seq, &err);
}

static void on_close(struct channel *c, int reason, void *arg)
{
	struct gns *g = arg;

	(void)c, (void)reason;
	loop_stop(g->loop, 0);
}

static const struct channel_ops service_ops = { on_message, on_close };

static void say_hello(struct gns *g)
{
	struct msg_hello hello = {
		.version = PROTOCOL_VERSION,
		.role = ROLE_GNS,
		.uptime_us = uptime_us(),
		.release = LXSS_VERSION,
	};

	channel_send(g->service, MSG_HELLO, 0, &hello);
}

static void set_sysctls(void)
{
	static const struct {
		const char *path, *value;
	} sysctls[] = {
		/* every user may ping */
		{ "/proc/sys/net/ipv4/ping_group_range", "0 2147483647" },
		/* thousands of clients of a forwarded port come at the same moment */
		{ "/proc/sys/net/core/somaxconn", "16384" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sysctls); i++) {
		int r = write_existing(sysctls[i].path, sysctls[i].value);

		if (r < 0)
			log_warn("cannot set %s: %s", sysctls[i].path, strerror(-r));
	}
}

/* What was mini_init's is let go: descriptors, masks, its name. */
static void become_gns(void)
{
	sigset_t none;

	close_others(-1, -1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	prctl(PR_SET_NAME, "gns");
	if (strlen(program_invocation_name) >= strlen("gns")) /* the kernel's argument area */
		strcpy(program_invocation_name, "gns");
	log_init("gns", LOG_FD, LOG_INFO, true);
}

static int gns_main(void)
{
	struct gns g = { 0 };
	int fd = host_connect_start(), r;

	set_sysctls();
	if (fd >= 0)
		fd = host_connect_finish(fd, now_ms() + CONNECT_TIMEOUT_MS);
	g.loop = loop_new();
	if (fd >= 0 && g.loop)
		g.service = channel_new(g.loop, fd, &service_ops, &g);
	if (!g.service) {
		log_err("cannot reach the service: %s", strerror(fd < 0 ? -fd : ENOMEM));
		return 1;
	}
	say_hello(&g);
	r = loop_run(g.loop);
	channel_free(g.service);
	loop_free(g.loop);
	return r < 0;
}

pid_t gns_start(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid > 0)
		return pid;
	become_gns();
	_exit(gns_main());
}
