/* host/devices/main.c - wslrelay: one process per VM, the only one that touches guest memory
 *
 * Started by wslservice with inherited descriptors; not for people to run. It is not bound to the
 * life of its parent: a VM whose service died still gets to power off in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "common/err.h"
#include "common/log.h"
#include "common/util.h"
#include "protocol/message.h"
#include "relay.h"
#include "sandbox.h"
#include "vsock/device.h"

struct options {
	struct relay_config relay;
	uint32_t ports[VSOCK_MAX_ACCEPT_PORTS];
	uint32_t log_level;
	bool sandbox;
};

enum {
	OPT_VHOST = 256, OPT_CONNECT, OPT_CONTROL, OPT_PORT, OPT_NET_FD, OPT_NET,
	OPT_LEVEL, OPT_NO_SANDBOX, OPT_HELP
};

static const struct option long_options[] = {
	{ "vhost-fd", required_argument, NULL, OPT_VHOST },
	{ "connect-fd", required_argument, NULL, OPT_CONNECT },
	{ "control-fd", required_argument, NULL, OPT_CONTROL },
	{ "accept-port", required_argument, NULL, OPT_PORT },
	{ "net-fd", required_argument, NULL, OPT_NET_FD },
	{ "net", required_argument, NULL, OPT_NET },
	{ "log-level", required_argument, NULL, OPT_LEVEL },
	{ "no-sandbox", no_argument, NULL, OPT_NO_SANDBOX },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char usage[] =
	"usage: wslrelay --vhost-fd N --connect-fd N --control-fd N [options]\n"
	"  --vhost-fd N     listening socket for the VM's vhost-user front end\n"
	"  --connect-fd N   listening socket for streams to the guest\n"
	"  --control-fd N   connection to wslservice\n"
	"  --accept-port P  guest programs may connect to this host port (default 50000)\n"
	"  --net-fd N       listening socket for the front end of the network device\n"
	"  --net PLAN       its addresses: NETWORK4,NETWORK6|-,MTU,MAC\n"
	"  --log-level L    syslog(3) level, 3 errors to 7 debugging (default 4)\n"
	"  --no-sandbox     keep all system calls, for debugging\n";

static int parse_fd(const char *text, int *ret, struct err *err)
{
	uint32_t fd;

	if (parse_u32(text, &fd) < 0 || fd > INT32_MAX || fcntl((int)fd, F_GETFD) < 0)
		return err_set(err, -EBADF, "'%s' is not an open descriptor", text);
	*ret = (int)fd;
	return 0;
}

static int parse_port(struct options *o, struct err *err)
{
	if (o->relay.n_accept_ports == VSOCK_MAX_ACCEPT_PORTS)
		return err_set(err, -ENOSPC, "at most %u ports can be accepted",
			       VSOCK_MAX_ACCEPT_PORTS);
	if (parse_u32(optarg, &o->ports[o->relay.n_accept_ports]) < 0)
		return err_set(err, -EINVAL, "'%s' is not a port", optarg);
	o->relay.n_accept_ports++;
	return 0;
}

/* 1: help was printed */
static int parse_option(int opt, struct options *o, struct err *err)
{
	switch (opt) {
	case OPT_VHOST:
		return parse_fd(optarg, &o->relay.vhost_fd, err);
	case OPT_CONNECT:
		return parse_fd(optarg, &o->relay.connect_fd, err);
	case OPT_CONTROL:
		return parse_fd(optarg, &o->relay.control_fd, err);
	case OPT_PORT:
		return parse_port(o, err);
	case OPT_NET_FD:
		return parse_fd(optarg, &o->relay.net_fd, err);
	case OPT_NET:
		if (net_plan_parse(optarg, &o->relay.net) < 0)
			return err_set(err, -EINVAL, "'%s' is not a network plan", optarg);
		return 0;
	case OPT_LEVEL:
		if (parse_u32(optarg, &o->log_level) < 0 || o->log_level > LOG_DEBUG)
			return err_set(err, -EINVAL, "'%s' is not a log level", optarg);
		return 0;
	case OPT_NO_SANDBOX:
		o->sandbox = false;
		return 0;
	case OPT_HELP:
		fputs(usage, stdout);
		return 1;
	default:
		return err_set(err, -EINVAL, "try wslrelay --help");
	}
}

static int parse_options(int argc, char **argv, struct options *o, struct err *err)
{
	int opt, r;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		r = parse_option(opt, o, err);
		if (r)
			return r;
	}
	if (optind < argc || o->relay.vhost_fd < 0 || o->relay.connect_fd < 0 ||
	    o->relay.control_fd < 0)
		return err_set(err, -EINVAL, "three descriptors are needed; try wslrelay --help");
	if ((o->relay.net_fd >= 0) != (o->relay.net.mtu != 0))
		return err_set(err, -EINVAL, "--net-fd and --net go together");
	if (!o->relay.n_accept_ports)
		o->ports[o->relay.n_accept_ports++] = VSOCK_PORT_INIT;
	o->relay.accept_ports = o->ports;
	return 0;
}

/* Every stream is a descriptor; take as many as the user may have. */
static void raise_descriptor_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static int start(const struct options *o, struct relay **ret, struct err *err)
{
	bool net = o->relay.net_fd >= 0;
	int keep[] = { o->relay.vhost_fd, o->relay.connect_fd, o->relay.control_fd,
		       o->relay.net_fd };
	int r = sandbox_files(keep, net ? 4 : 3, err);

	if (r < 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	*ret = relay_new(&o->relay, err);
	if (!*ret)
		return -err->errnum;
	r = sandbox_enter((o->sandbox ? SANDBOX_FILTER : 0) | (net ? SANDBOX_NET : 0), err);
	if (r < 0)
		*ret = relay_free(*ret);
	return r;
}

int main(int argc, char **argv)
{
	struct options o = {
		.relay = { .vhost_fd = -1, .connect_fd = -1, .control_fd = -1, .net_fd = -1 },
		.log_level = LOG_WARNING,
		.sandbox = true,
	};
	struct err err = ERR_INIT;
	struct relay *relay = NULL;
	int r;

	log_init("wslrelay", STDERR_FILENO, LOG_WARNING, false);
	r = parse_options(argc, argv, &o, &err);
	if (r > 0)
		return 0;
	log_set_level((enum log_level)o.log_level);
	if (r == 0)
		r = start(&o, &relay, &err);
	if (r < 0) {
		log_err("%s", err.text);
		return 1;
	}
	r = relay_run(relay);
	relay_free(relay);
	return r;
}
