/* host/service/main.c - wslservice: one per user, started on demand by wsl or by systemd
 *
 * Start: the runtime directory is ours alone; service.lock makes the service unique; the socket
 * listens before anything slow happens, so that clients wait in its backlog; then a predecessor's VM
 * is awaited and the registry is repaired.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "config/paths.h"
#include "io/loop.h"
#include "io/socket.h"
#include "service/network.h"
#include "service/service.h"
#include "vm/vm.h"

#define PREDECESSOR_GRACE_MS 3000
#define REFUSE_MS	     2000

struct options {
	bool foreground, verbose;
};

static void usage(FILE *to)
{
	fputs("usage: wslservice [--foreground] [--verbose]\n"
	      "\n"
	      "The service behind wsl: one per user, started by any wsl command.\n"
	      "\n"
	      "  --foreground   log to stderr and never leave for idleness (systemd units)\n"
	      "  --verbose      log more\n"
	      "  --help         this text\n"
	      "  --version      the version\n",
	      to);
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "foreground", no_argument, NULL, 'f' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		switch (c) {
		case 'f':
			o->foreground = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("lxss " LXSS_VERSION);
			exit(0);
		default:
			return -EINVAL;
		}
	}
	return optind == argc ? 0 : -EINVAL;
}

static void open_log(const struct service *s, const struct options *o)
{
	auto_free char *path = str_printf("%s/wslservice.log", s->state);
	struct stat st;
	int fd, flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;

	log_init("wslservice", STDERR_FILENO, o->verbose ? LOG_DEBUG : LOG_INFO, false);
	log_set_timestamps(true);
	if (o->foreground)
		return;
	if (stat(path, &st) == 0 && st.st_size > 4 << 20)
		flags |= O_TRUNC;
	fd = open(path, flags, 0600);
	if (fd < 0)
		return;
	dup2(fd, STDERR_FILENO);
	dup2(fd, STDOUT_FILENO);
	close(fd);
}

/* Returns a locked descriptor, or -errno (-EWOULDBLOCK: another service runs). */
static int take_lock(int dirfd, const char *name, int how)
{
	auto_close int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || (how && flock(fd, how) < 0))
		return -errno;
	return take_fd(&fd);
}

static int open_directories(struct service *s, struct err *err)
{
	s->runtime = path_dir(PATH_RUNTIME, err);
	s->cache = s->runtime ? path_dir(PATH_CACHE, err) : NULL;
	s->state = s->cache ? path_dir(PATH_STATE, err) : NULL;
	if (!s->state)
		return -ENOENT;
	s->runtime_fd = path_open(PATH_RUNTIME, err);
	if (s->runtime_fd < 0)
		return s->runtime_fd;
	if (mkdirat(s->runtime_fd, VM_DIR, 0700) < 0 && errno != EEXIST)
		return err_errno(err, "cannot create '%s/" VM_DIR "'", s->runtime);
	s->vm_fd = openat(s->runtime_fd, VM_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return s->vm_fd < 0 ? err_errno(err, "cannot open '%s/" VM_DIR "'", s->runtime) : 0;
}

static void on_connection(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct service *s = arg;
	int client;

	(void)w, (void)events;
	while ((client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		client_new(s, client);
}

static void on_terminate(int signo, void *arg)
{
	struct service *s = arg;

	log_info("signal %d: shutting down", signo);
	service_quit(s);
}

static void on_idle(struct timer *t, void *arg)
{
	struct service *s = arg;

	(void)t;
	log_info("idle: leaving; the next wsl command starts a service anew");
	loop_stop(s->loop, 0);
}

static void report(const char *text, void *arg)
{
	(void)arg;
	log_warn("%s", text);
}

static void raise_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	signal(SIGPIPE, SIG_IGN);
	umask(077);
}

/* Whoever started us may have left a pipe to hear that clients can connect. */
static void tell_ready(void)
{
	const char *number = getenv("LXSS_READY_FD");
	uint32_t fd;

	if (!number || parse_u32(number, &fd) < 0 || fd < 3 || fd > 1024)
		return;
	unsetenv("LXSS_READY_FD");
	if (write((int)fd, "1", 1) == 1)
		close((int)fd);
}

/* Everything after the lock. */
static int set_up(struct service *s, const struct options *o, struct err *err)
{
	int lock, r;

	s->loop = loop_new();
	if (!s->loop)
		return err_set(err, -ENOMEM, "out of memory");
	s->listen_fd = unix_listen_at(s->runtime_fd, SERVICE_SOCKET, 0600);
	if (s->listen_fd < 0)
		return err_code(err, s->listen_fd, "cannot listen on '%s/" SERVICE_SOCKET "'", s->runtime);
	tell_ready();
	lock = take_lock(s->vm_fd, "lock", 0);
	if (lock < 0)
		return err_code(err, lock, "cannot open '%s/" VM_DIR "/lock'", s->runtime);
	r = vm_await_predecessor(s->vm_fd, lock, PREDECESSOR_GRACE_MS, err);
	if (r == 0)
		r = registry_open(NULL, &s->registry, err);
	if (r == 0)
		r = registry_recover(s->registry, report, NULL, err);
	if (r < 0)
		return r;
	s->machine = machine_new(s, lock);
	s->network = network_new(s);
	if (!s->machine || !s->network || !loop_watch(s->loop, s->listen_fd, EPOLLIN, on_connection, s) ||
	    loop_signal(s->loop, SIGTERM, on_terminate, s) < 0 ||
	    loop_signal(s->loop, SIGINT, on_terminate, s) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (!o->foreground)
		s->idle = loop_timer(s->loop, on_idle, s);
	service_check_idle(s);
	return 0;
}

static void tear_down(struct service *s)
{
	if (s->listen_fd >= 0)
		unlinkat(s->runtime_fd, SERVICE_SOCKET, 0);
	if (s->machine)
		clients_free(s);
	s->network = network_free(s->network);
	s->machine = machine_free(s->machine);
	s->registry = registry_close(s->registry);
	timer_free(s->idle);
	loop_free(s->loop);
	drop_fd(&s->listen_fd);
	drop_fd(&s->vm_fd);
	drop_fd(&s->runtime_fd);
	free(s->runtime);
	free(s->cache);
	free(s->state);
	free(s->kernel_release);
	free(s->proxy_warning);
}

/* Answers one request with the error; --shutdown gets what it wants: there is nothing to shut down. */
static bool refuse(int fd, const struct err *err, uint64_t until)
{
	struct msg_hello hello = {
		.version = PROTOCOL_VERSION,
		.role = ROLE_SERVICE,
		.release = LXSS_VERSION,
	};
	struct msg_result result = {
		.errnum = (uint32_t)err->errnum,
		.error = err->id,
		.text = err->text,
		.context = "Service",
	};
	struct message_buffer buf = { 0 };
	struct message_header header;
	const uint8_t *payload;
	bool shutdown = false;

	if (message_recv(fd, &buf, &header, &payload, until) == 0 &&
	    message_send(fd, MSG_HELLO, header.seq, &hello, NULL, 0, until) == 0 &&
	    message_recv(fd, &buf, &header, &payload, until) == 0) {
		shutdown = header.type == MSG_SHUTDOWN || header.type == MSG_STOP_SERVICE;
		if (shutdown)
			result = (struct msg_result) { 0 };
		message_send(fd, MSG_RESULT, header.seq, &result, NULL, 0, until);
	}
	message_buffer_done(&buf);
	return shutdown;
}

/* Clients that wait in the backlog are told why there is no service for them. */
static void refuse_clients(struct service *s, const struct err *err)
{
	uint64_t until = now_ms() + REFUSE_MS;
	bool done = s->listen_fd < 0;

	while (!done && fd_wait(s->listen_fd, POLLIN, until) == 0) {
		auto_close int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		done = fd >= 0 && refuse(fd, err, until);
	}
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct service s = { .runtime_fd = -1, .vm_fd = -1, .listen_fd = -1 };
	struct err err = ERR_INIT;
	int lock, r;

	if (parse(argc, argv, &o) < 0) {
		usage(stderr);
		return 255;
	}
	raise_limits();
	r = open_directories(&s, &err);
	if (r < 0) {
		fprintf(stderr, "wslservice: %s\n", err.text);
		return 1;
	}
	open_log(&s, &o);
	lock = take_lock(s.runtime_fd, SERVICE_LOCK, LOCK_EX | LOCK_NB);
	if (lock < 0) {
		log_info("another service runs for this user");
		return lock == -EWOULDBLOCK ? 0 : 1;
	}
	r = set_up(&s, &o, &err);
	if (r < 0) {
		log_err("%s", err.text);
		refuse_clients(&s, &err);
	} else {
		log_info("lxss " LXSS_VERSION " serves uid %u", (unsigned)getuid());
		r = loop_run(s.loop);
	}
	tear_down(&s);
	close(lock);
	return r < 0 ? 1 : 0;
}
