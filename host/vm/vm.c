/* host/vm/vm.c - starts, watches and ends the engine and the relay of one VM
 *
 * THEORY OF OPERATION
 *   The VM's directory holds the vhost-user socket (relay listens, engine connects), the relay's
 *   client socket, the engine's management socket, one link per attached disk (the engine's disk
 *   syntax gives ',' and ':' a meaning, so it never sees a user's path), and "pids" for a successor.
 * INVARIANTS
 *   Either process's end ends the other; on_exit is reported when both are gone.
 *   A unit is busy from the attach request until the detach is answered.
 */
#include "vm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "config/paths.h"
#include "io/channel.h"
#include "io/loop.h"
#include "io/socket.h"
#include "vm/console.h"
#include "vm/engine.h"
#include "vm/mconsole.h"
#include "vm/spawn.h"

#define PIDS_FILE "pids"
#define SWAP_UNIT 0
#define RELAY_GRACE_MS 2000
#define DETACH_RETRY_MS 20
#define DETACH_TRIES 150

struct process {
	const char *what;
	pid_t pid; /* 0: not running */
	struct child *child;
};

struct disk_request {
	struct disk_request *next;
	struct vm *vm;
	unsigned unit;
	char path[256];
	vm_disk_fn fn;
	void *arg;
	struct timer *retry; /* of a detach */
	unsigned tries;
};

struct vm {
	struct loop *loop;
	const struct vm_ops *ops;
	void *arg;
	int dirfd;
	struct process engine, relay;
	struct channel *control;
	struct mconsole *mconsole;
	struct console *console;
	bool units[LIMIT_DISKS + 1];
	char *paths[LIMIT_DISKS + 1]; /* images of busy units */
	bool swap, measuring;
	struct timer *straggler;
	struct disk_request *requests; /* not yet answered */
	char *why, *lpj_path;
};

/* --- a predecessor's processes --- */

static uint64_t process_start_time(pid_t pid)
{
	char path[64];
	auto_free char *text = NULL;
	unsigned long long start = 0;
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (read_file_at(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return 0;
	p = strrchr(text, ')'); /* field 2 may hold anything */
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p)
		sscanf(p, " %llu", &start);
	return start;
}

static void record_pids(struct vm *vm)
{
	auto_free char *text = str_printf(
		"%d %llu\n%d %llu\n", (int)vm->engine.pid,
		(unsigned long long)process_start_time(vm->engine.pid), (int)vm->relay.pid,
		(unsigned long long)process_start_time(vm->relay.pid));

	if (write_file_at(vm->dirfd, PIDS_FILE, text, strlen(text), 0600) < 0)
		log_warn("cannot record the VM's processes: a successor could not end them");
}

static void kill_recorded(int dirfd)
{
	auto_free char *text = NULL;
	char *save = NULL;

	if (read_file_at(dirfd, PIDS_FILE, 4096, &text, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long start;
		int pid;

		if (sscanf(line, "%d %llu", &pid, &start) == 2 && pid > 1 && start &&
		    process_start_time(pid) == start)
			kill(pid, SIGKILL);
	}
}

/* Names in the VM's directory that mean something only while it runs. */
static void clear_directory(int dirfd)
{
	static const char *const names[] = { PIDS_FILE, VHOST_SOCKET, NET_SOCKET, RELAY_SOCKET, "swap" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlinkat(dirfd, names[i], 0);
	for (unsigned i = 0; i <= LIMIT_DISKS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "disk%u", i);
		unlinkat(dirfd, name, 0);
	}
	remove_tree(dirfd, "uml");
}

int vm_await_predecessor(int dirfd, int lock_fd, uint64_t grace_ms, struct err *err)
{
	uint64_t start = now_ms();
	bool killed = false;

	while (flock(lock_fd, LOCK_EX | LOCK_NB) < 0) {
		uint64_t waited = now_ms() - start;

		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(err, "cannot lock the VM's directory");
		if (waited >= grace_ms && !killed) {
			log_warn("the VM of an earlier service does not end: killing it");
			kill_recorded(dirfd);
			killed = true;
		}
		if (waited >= grace_ms + 5000)
			return err_set(err, -EBUSY,
				       "processes of an earlier VM still run and cannot be ended: look "
				       "for 'linux' and 'wslrelay' processes of yours and kill them");
		usleep(10000);
	}
	clear_directory(dirfd); /* it may have been killed */
	return 0;
}

/* --- delay-loop calibration --- */

static char *lpj_file(const struct vm_config *cfg)
{
	struct stat st = { 0 };

	stat(cfg->kernel, &st);
	return str_printf("%s/lpj-%llx-%llx", cfg->cache_dir, (unsigned long long)st.st_ino,
			  (unsigned long long)(st.st_mtim.tv_sec ^ st.st_size));
}

static uint64_t lpj_load(const char *path)
{
	auto_free char *text = NULL;
	uint64_t lpj = 0;

	if (read_file_at(AT_FDCWD, path, 64, &text, NULL) < 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, &lpj) == 0 && lpj >= 10000 && lpj <= 1000000000 ? lpj : 0;
}

void vm_booted(struct vm *vm)
{
	auto_free char *text = NULL;
	const char *p;
	uint64_t lpj;

	if (!vm->measuring)
		return;
	vm->measuring = false;
	console_catch_up(vm->console);
	p = strstr(console_tail(vm->console), "(lpj=");
	if (!p)
		return;
	text = str_printf("%.*s", (int)strspn(p + 5, "0123456789"), p + 5);
	if (parse_u64(text, &lpj) == 0 && lpj)
		write_file_at(AT_FDCWD, vm->lpj_path, text, strlen(text), 0600);
}

/* --- processes --- */

static void kill_process(struct process *p)
{
	if (p->pid)
		kill(-p->pid, SIGKILL); /* its session: engine threads and helpers alike */
}

void vm_kill(struct vm *vm)
{
	kill_process(&vm->engine);
	kill_process(&vm->relay);
}

static void relay_stays(struct timer *t, void *arg)
{
	struct vm *vm = arg;

	(void)t;
	kill_process(&vm->relay);
}

static void describe_exit(struct vm *vm, const char *what, int status)
{
	if (vm->why)
		return;
	if (WIFSIGNALED(status))
		vm->why = str_printf("%s was ended by signal %d (%s)", what, WTERMSIG(status),
				     strsignal(WTERMSIG(status)));
	else
		vm->why = str_printf("%s ended with status %d", what, WEXITSTATUS(status));
}

static void process_ended(struct vm *vm, struct process *p, int status)
{
	p->pid = 0;
	p->child = NULL;
	describe_exit(vm, p->what, status);
	/* The relay leaves by itself when the engine is gone, after it has delivered what it holds. */
	if (p == &vm->relay)
		kill_process(&vm->engine);
	else if (vm->relay.pid)
		timer_set(vm->straggler, RELAY_GRACE_MS);
	if (!vm->engine.pid && !vm->relay.pid) {
		console_catch_up(vm->console);
		vm->ops->on_exit(vm, vm->why, vm->arg);
	}
}

static void on_engine_exit(pid_t pid, int status, void *arg)
{
	struct vm *vm = arg;

	(void)pid;
	process_ended(vm, &vm->engine, status);
}

static void on_relay_exit(pid_t pid, int status, void *arg)
{
	struct vm *vm = arg;

	(void)pid;
	process_ended(vm, &vm->relay, status);
}

static void on_control_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct vm *vm = arg;
	const struct msg_number *accept = m->msg;

	(void)c;
	if (m->header.type != MSG_RELAY_ACCEPT || m->n_fds != 1)
		return;
	vm->ops->on_stream(vm, (uint32_t)accept->number, take_fd(&m->fds[0]), vm->arg);
}

static void on_control_close(struct channel *c, int reason, void *arg)
{
	struct vm *vm = arg;

	(void)reason;
	channel_free(c);
	vm->control = NULL;
}

static const struct channel_ops control_ops = { on_control_message, on_control_close };

static int start_relay(struct vm *vm, const struct vm_config *cfg, struct err *err)
{
	auto_close int vhost = unix_listen_at(vm->dirfd, VHOST_SOCKET, 0600);
	auto_close int client = unix_listen_at(vm->dirfd, RELAY_SOCKET, 0600);
	auto_close int net = cfg->net ? unix_listen_at(vm->dirfd, NET_SOCKET, 0600) : -1;
	auto_close int ours = -1, theirs = -1;
	int pair[2], log;
	char fds[4][16], init_port[16], dns_port[16];
	pid_t pid;

	if (vhost < 0 || client < 0 || (cfg->net && net < 0))
		return err_code(err, vhost < 0 ? vhost : client < 0 ? client : net,
				"cannot create the sockets of the VM in its runtime directory");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "cannot create the relay's control socket");
	ours = pair[0];
	theirs = pair[1];
	log = STDERR_FILENO;
	snprintf(init_port, sizeof(init_port), "%u", VSOCK_PORT_INIT);
	snprintf(dns_port, sizeof(dns_port), "%u", VSOCK_PORT_DNS);
	snprintf(fds[0], sizeof(fds[0]), "%d", vhost);
	snprintf(fds[1], sizeof(fds[1]), "%d", client);
	snprintf(fds[2], sizeof(fds[2]), "%d", theirs);
	snprintf(fds[3], sizeof(fds[3]), "%d", net);
	pid = spawn_program(
		&(struct spawn) {
			.argv = (char *[]) { (char *)(uintptr_t)cfg->relay, (char[]) { "--vhost-fd" },
					     fds[0], (char[]) { "--connect-fd" }, fds[1],
					     (char[]) { "--accept-port" }, init_port,
					     (char[]) { "--accept-port" }, dns_port,
					     (char[]) { "--control-fd" }, fds[2],
					     cfg->net ? (char[]) { "--net-fd" } : NULL, fds[3],
					     (char[]) { "--net" },
					     (char *)(uintptr_t)cfg->net, NULL },
			.cwd_fd = -1,
			.stdio = { -1, -1, log },
			.keep = (int[]) { vhost, client, theirs, cfg->lock_fd, net },
			.n_keep = net < 0 ? 4 : 5,
			.new_session = true,
		},
		err);
	if (pid < 0)
		return pid;
	vm->relay = (struct process) { "the relay process (wslrelay)", pid,
				       loop_child(vm->loop, pid, on_relay_exit, vm) };
	vm->control = channel_new(vm->loop, take_fd(&ours), &control_ops, vm);
	return vm->relay.child && vm->control ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int start_engine(struct vm *vm, const struct vm_config *cfg, struct err *err)
{
	struct engine_command cmd;
	auto_close int get = -1, put = -1;
	uint64_t lpj = lpj_load(vm->lpj_path);
	int out[2];
	pid_t pid;

	/* A socket, not a pipe: the kernel's console driver wants to read and to write it. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out) < 0)
		return err_errno(err, "cannot create the console's socket");
	get = out[0];
	put = out[1];
	vm->measuring = lpj == 0;
	uml_command(cfg, lpj, &cmd);
	pid = spawn_program(
		&(struct spawn) {
			.argv = cmd.argv,
			.cwd_fd = vm->dirfd,
			.stdio = { -1, put, put },
			.keep = &cfg->lock_fd,
			.n_keep = 1,
			.new_session = true,
			.fixed_addresses = true, /* it would start itself a second time to get them */
		},
		err);
	engine_command_done(&cmd);
	if (pid < 0)
		return pid;
	vm->engine = (struct process) { "the kernel process (linux)", pid,
					loop_child(vm->loop, pid, on_engine_exit, vm) };
	vm->console = console_new(vm->loop, take_fd(&get), cfg->console_log);
	vm->mconsole = mconsole_new(vm->loop, vm->dirfd, CONSOLE_SOCKET);
	return vm->engine.child && vm->console && vm->mconsole ? 0 :
								 err_set(err, -ENOMEM, "out of memory");
}

static int link_disk(struct vm *vm, const char *name, const char *path)
{
	unlinkat(vm->dirfd, name, 0);
	return symlinkat(path, vm->dirfd, name) < 0 ? -errno : 0;
}

int vm_start(struct loop *loop, const struct vm_config *cfg, const struct vm_ops *ops, void *arg,
	     struct vm **ret_vm, struct err *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return err_set(err, -ENOMEM, "out of memory");
	*vm = (struct vm) { .loop = loop, .ops = ops, .arg = arg, .dirfd = cfg->dirfd };
	vm->swap = cfg->swap != NULL;
	vm->units[SWAP_UNIT] = true;
	vm->lpj_path = lpj_file(cfg);
	vm->straggler = loop_timer(loop, relay_stays, vm);
	remove_tree(vm->dirfd, "uml");
	r = !vm->straggler ? -ENOMEM : vm->swap ? link_disk(vm, "swap", cfg->swap) : 0;
	if (r < 0)
		err_code(err, r, "cannot prepare the VM's directory for the swap disk '%s'", cfg->swap);
	if (r == 0)
		r = start_relay(vm, cfg, err);
	if (r == 0)
		r = start_engine(vm, cfg, err);
	if (r < 0) {
		vm_free(vm);
		return r;
	}
	record_pids(vm);
	*ret_vm = vm;
	return 0;
}

static void reap_now(struct process *p)
{
	if (!p->pid)
		return;
	child_forget(p->child);
	kill_process(p);
	waitpid(p->pid, NULL, 0);
	p->pid = 0;
}

struct vm *vm_free(struct vm *vm)
{
	if (!vm)
		return NULL;
	reap_now(&vm->engine);
	reap_now(&vm->relay);
	channel_free(vm->control);
	mconsole_free(vm->mconsole);
	console_free(vm->console);
	clear_directory(vm->dirfd);
	for (unsigned i = 0; i < ARRAY_SIZE(vm->paths); i++)
		free(vm->paths[i]);
	while (vm->requests) {
		struct disk_request *q = vm->requests;

		vm->requests = q->next;
		timer_free(q->retry);
		free(q);
	}
	timer_free(vm->straggler);
	free(vm->why);
	free(vm->lpj_path);
	free(vm);
	return NULL;
}

pid_t vm_engine_pid(const struct vm *vm)
{
	return vm->engine.pid;
}

pid_t vm_relay_pid(const struct vm *vm)
{
	return vm->relay.pid;
}

const char *vm_swap_device(const struct vm *vm)
{
	return vm->swap ? "/dev/ubda" : "";
}

int vm_forward(struct vm *vm, const struct msg_port *port, int listen_fd)
{
	if (!vm->control)
		return -EPIPE;
	return channel_send_fds(vm->control, MSG_RELAY_FORWARD, 0, port, &listen_fd, 1);
}

void vm_forward_stop(struct vm *vm, const struct msg_port *port)
{
	if (vm->control)
		channel_send(vm->control, MSG_RELAY_FORWARD_STOP, 0, port);
}

/* --- disks --- */

static void device_name(unsigned unit, char device[16])
{
	snprintf(device, 16, "/dev/ubd%c", (char)('a' + unit));
}

static void disk_request_unlink(struct disk_request *q)
{
	struct disk_request **p = &q->vm->requests;

	while (*p != q)
		p = &(*p)->next;
	*p = q->next;
}

static void disk_answer(struct disk_request *q, const struct err *err)
{
	char device[16];

	disk_request_unlink(q);
	device_name(q->unit, device);
	q->fn(q->vm, err, device, q->arg);
	timer_free(q->retry);
	free(q);
}

static struct disk_request *disk_request(struct vm *vm, unsigned unit, const char *path, vm_disk_fn fn,
					 void *arg)
{
	struct disk_request *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	*q = (struct disk_request) { vm->requests, vm, unit, "", fn, arg, NULL, 0 };
	vm->requests = q;
	snprintf(q->path, sizeof(q->path), "%s", path);
	return q;
}

static void release_unit(struct vm *vm, unsigned unit)
{
	vm->units[unit] = false;
	free(take_ptr(vm->paths[unit]));
}

static void attached(const struct err *error, const char *reply, void *arg)
{
	struct disk_request *q = arg;
	struct err err = ERR_INIT;

	(void)reply;
	if (!error) {
		disk_answer(q, NULL);
		return;
	}
	release_unit(q->vm, q->unit);
	err = *error;
	if (strstr(err.text, "lock"))
		err.id = ERR_ERROR_SHARING_VIOLATION;
	err_prefix(&err, "Failed to attach disk '%s' to WSL2", q->path);
	disk_answer(q, &err);
}

/* The kernel would not notice that one image is two of its disks. */
static bool is_attached(const struct vm *vm, const char *path)
{
	for (unsigned i = 1; i < ARRAY_SIZE(vm->units); i++)
		if (vm->paths[i] && streq(vm->paths[i], path))
			return true;
	return false;
}

static int free_unit(struct vm *vm)
{
	for (unsigned i = 1; i < ARRAY_SIZE(vm->units); i++)
		if (!vm->units[i])
			return (int)i;
	return -ENOSPC;
}

void vm_attach_disk(struct vm *vm, const char *path, vm_disk_fn fn, void *arg)
{
	int unit = free_unit(vm), r;
	struct err err = ERR_INIT;
	struct disk_request *q;
	char name[16], text[64];

	if (unit < 0) {
		err_id(&err, ERR_WSL_E_TOO_MANY_DISKS_ATTACHED,
		       "%u disks are attached to the VM already: terminate a distribution first",
		       LIMIT_DISKS);
		fn(vm, &err, "", arg);
		return;
	}
	if (is_attached(vm, path)) {
		err_id(&err, ERR_ERROR_SHARING_VIOLATION,
		       "Failed to attach disk '%s' to WSL2: it is still attached. Run wsl --shutdown and "
		       "try again.",
		       path);
		fn(vm, &err, "", arg);
		return;
	}
	snprintf(name, sizeof(name), "disk%d", unit);
	r = access(path, R_OK | W_OK) < 0 ? -errno : link_disk(vm, name, path);
	q = disk_request(vm, (unsigned)unit, path, fn, arg);
	if (r < 0 || !q) {
		err_code(&err, r < 0 ? r : -ENOMEM, "Failed to attach disk '%s' to WSL2", path);
		if (r == -ENOENT)
			err.id = ERR_ERROR_FILE_NOT_FOUND;
		if (q)
			disk_request_unlink(q);
		free(q);
		fn(vm, &err, "", arg);
		return;
	}
	vm->units[unit] = true;
	vm->paths[unit] = str_dup(path);
	snprintf(text, sizeof(text), "config ubd%d=%s", unit, name);
	mconsole_request(vm->mconsole, text, attached, q);
}

static void ask_detach(struct disk_request *q);

static void detach_again(struct timer *t, void *arg)
{
	(void)t;
	ask_detach(arg);
}

/* The guest lets go of an unmounted disk a moment after it has said so. */
static bool retry_detach(struct disk_request *q, const struct err *error)
{
	if (!strstr(error->text, "currently open") || ++q->tries > DETACH_TRIES)
		return false;
	if (!q->retry)
		q->retry = loop_timer(q->vm->loop, detach_again, q);
	if (q->retry)
		timer_set(q->retry, DETACH_RETRY_MS);
	return q->retry != NULL;
}

static void detached(const struct err *error, const char *reply, void *arg)
{
	struct disk_request *q = arg;

	(void)reply;
	if (error && retry_detach(q, error))
		return;
	if (!error)
		release_unit(q->vm, q->unit);
	disk_answer(q, error);
}

static void ask_detach(struct disk_request *q)
{
	char text[32];

	snprintf(text, sizeof(text), "remove ubd%u", q->unit);
	mconsole_request(q->vm->mconsole, text, detached, q);
}

void vm_detach_disk(struct vm *vm, const char *device, vm_disk_fn fn, void *arg)
{
	unsigned unit = (unsigned char)device[strlen(device) - 1] - (unsigned)'a';
	struct disk_request *q = disk_request(vm, unit, device, fn, arg);
	struct err err = ERR_INIT;

	if (!q || unit >= ARRAY_SIZE(vm->units)) {
		err_set(&err, -EINVAL, "'%s' is not a disk of the VM", device);
		if (q)
			disk_request_unlink(q);
		free(q);
		fn(vm, &err, device, arg);
		return;
	}
	ask_detach(q);
}
