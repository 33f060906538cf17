/* host/service/machine.c - life of the one utility VM
 *
 * THEORY OF OPERATION
 *   off -> starting: settings are read, both processes start, the boot deadline runs.
 *   starting -> running: mini_init has said hello and has its configuration; waiters are woken.
 *   running -> stopping: by request or by idleness; mini_init is told to power off, a deadline runs.
 *   any -> off: both processes are gone. Everything that lived in the VM is told why.
 *   Who wants the VM while it stops waits for the next start, which follows at once.
 * INVARIANTS
 *   vm is set exactly in the three states that are not off. Disks are attached only while running.
 */
#include "service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "config/paths.h"
#include "io/loop.h"
#include "service/guest-clock.h"
#include "service/machine-config.h"
#include "service/machine-net.h"
#include "service/network.h"
#include "vm/vm.h"

#define POWER_OFF_TIMEOUT_MS 6000
#define NAMES_MS	     1000 /* how often the host's resolv.conf is looked at */

struct machine {
	struct service *service;
	enum machine_state state;
	struct vm *vm;
	struct channel *control, *gns;
	struct machine_net net;
	struct calls calls;
	struct settings settings;
	bool have_settings, forced;
	struct waiter *waiters, *stop_waiters;
	struct timer *boot, *idle, *stop, *names;
	struct host_watch *host_watch;
	struct guest_clock *clock;
	char *swap_path, *console_log;
	char id[40]; /* of the VM, new with every start */
	int lock_fd;
	uint64_t start_us, engine_us, running_us, kernel_us;
};

/* A stream the guest opened, until its first message says whose it is. */
struct link {
	struct machine *machine;
	struct channel *channel;
};

static void machine_start(struct machine *m);

const struct machine_net *machine_network(const struct machine *m)
{
	return &m->net;
}

enum machine_state machine_state(const struct machine *m)
{
	return m->state;
}

const struct settings *machine_settings(const struct machine *m)
{
	return &m->settings;
}

struct vm *machine_vm(struct machine *m)
{
	return m->vm;
}

uint64_t machine_uptime_ms(const struct machine *m)
{
	return m->state == MACHINE_OFF ? 0 : (now_us() - m->start_us) / 1000;
}

void machine_timings(const struct machine *m, char *buf, size_t size)
{
	str_format(buf, size, "engine=%llu kernel=%llu mini_init=%llu",
		   (unsigned long long)(m->engine_us - m->start_us), (unsigned long long)m->kernel_us,
		   (unsigned long long)(m->running_us - m->engine_us - m->kernel_us));
}

void machine_call(struct machine *m, uint16_t type, const void *msg, call_fn fn, void *arg)
{
	calls_send(&m->calls, m->control, type, msg, fn, arg);
}

void machine_cancel(struct machine *m, const void *arg)
{
	calls_cancel(&m->calls, arg);
}

/* The swap file is the VM's alone; one that the user chose stays. */
static void unlink_swap(struct machine *m)
{
	if (m->swap_path && !m->settings.swap_file)
		unlink(m->swap_path);
}

static void drop_swap(struct machine *m)
{
	unlink_swap(m);
	free(take_ptr(m->swap_path));
}

/* --- off --- */

static void machine_off(struct machine *m, const char *why)
{
	enum machine_state was = m->state;
	struct err err = ERR_INIT;

	if (was == MACHINE_STOPPING)
		err_id(&err, ERR_E_ABORT, "The WSL2 virtual machine was shut down.");
	else
		err_id(&err, ERR_WSL_E_VM_CRASHED,
		       "The WSL2 virtual machine crashed: %s. The kernel's last words are in '%s'.", why,
		       m->console_log);
	if (was != MACHINE_STOPPING)
		log_warn("VM ended unexpectedly: %s", why);
	else
		log_info("VM is off");
	timer_cancel(m->boot);
	timer_cancel(m->stop);
	timer_cancel(m->idle);
	guest_clock_stop(m->clock);
	m->state = MACHINE_OFF;
	m->control = channel_free(m->control);
	m->gns = channel_free(m->gns);
	m->vm = vm_free(m->vm);
	if (m->service->network)
		network_reset(m->service->network);
	drop_swap(m);
	calls_fail(&m->calls, &err);
	instances_machine_gone(m->service, &err);
	waiters_wake(&m->stop_waiters, NULL);
	if (was != MACHINE_STOPPING)
		waiters_wake(&m->waiters, &err);
	else if (m->waiters)
		machine_start(m);
	service_check_idle(m->service);
}

static void on_vm_exit(struct vm *vm, const char *why, void *arg)
{
	struct machine *m = arg;
	auto_free char *copy = str_dup(why);

	(void)vm;
	machine_off(m, copy);
}

static void boot_timed_out(struct timer *t, void *arg)
{
	struct machine *m = arg;
	struct err err = ERR_INIT;

	(void)t;
	err_id(&err, ERR_ERROR_TIMEOUT,
	       "The WSL2 virtual machine did not start within %lld ms (wsl2.kernelBootTimeout). The "
	       "kernel's console is in '%s'.",
	       (long long)m->settings.kernel_boot_timeout_ms, m->console_log);
	err_context(&err, "CreateVm");
	m->state = MACHINE_STOPPING;
	waiters_wake(&m->waiters, &err);
	vm_kill(m->vm);
}

/* --- running --- */

static void on_control_message(struct machine *m, struct channel_message *cm)
{
	const struct msg_distro_exited *exited = cm->msg;
	const struct msg_text *text = cm->msg;

	if (cm->header.seq && calls_answer(&m->calls, cm))
		return;
	if (cm->header.type == MSG_DISTRO_EXITED)
		instance_exited(m->service, exited->instance, exited->status);
	else if (cm->header.type == MSG_WARNING)
		log_warn("guest: %s", text->text);
}

static void control_hello(struct machine *m, struct link *link, const struct msg_hello *hello)
{
	auto_free char *hostname = host_name();
	auto_free char *timezone = host_timezone();
	struct msg_vm_config config = {
		.hostname = hostname,
		.timezone = timezone,
		.swap_device = vm_swap_device(m->vm),
		.release = LXSS_VERSION,
	};
	const char *release = strchr(hello->release, ' ');

	m->control = link->channel;
	m->kernel_us = hello->uptime_us;
	m->running_us = now_us();
	m->state = MACHINE_RUNNING;
	timer_cancel(m->boot);
	vm_booted(m->vm);
	unlink_swap(m); /* the kernel has it open; nobody else shall */
	free(m->service->kernel_release);
	m->service->kernel_release = str_dup(release ? release + 1 : hello->release);
	channel_send(m->control, MSG_VM_CONFIG, 0, &config);
	guest_clock_start(m->clock);
	log_info("VM runs: %s, %llu ms after its start", hello->release,
		 (unsigned long long)((m->running_us - m->start_us) / 1000));
	waiters_wake(&m->waiters, NULL);
	machine_check_idle(m);
}

static void send_hello(struct channel *c)
{
	struct msg_hello hello = {
		.version = PROTOCOL_VERSION,
		.role = ROLE_SERVICE,
		.release = LXSS_VERSION,
	};

	channel_send(c, MSG_HELLO, 0, &hello);
}

/* The guest's network daemon: the outcome of NET_CONFIG. */
static void on_gns_message(struct channel *c, struct channel_message *cm, void *arg)
{
	struct err err = ERR_INIT;

	(void)c, (void)arg;
	if (cm->header.type == MSG_RESULT && message_result(cm->msg, &err) < 0)
		log_warn("the guest's network is not configured: %s", err.text);
	else if (cm->header.type == MSG_WARNING)
		log_warn("guest: %s", ((const struct msg_text *)cm->msg)->text);
}

static void on_gns_close(struct channel *c, int reason, void *arg)
{
	struct machine *m = arg;

	(void)reason;
	m->gns = channel_free(c);
}

static const struct channel_ops gns_ops = { on_gns_message, on_gns_close };

static void host_changed(void *arg)
{
	struct machine *m = arg;

	if (m->gns && machine_net_moved(&m->net))
		machine_net_send(&m->net, m->gns);
}

/* Polled: resolv.conf is a link into other directories on some hosts, a mount on others, replaced or
 * rewritten by many programs, and inotify would have to know them all. */
static void look_at_names(struct timer *t, void *arg)
{
	struct machine *m = arg;

	if (!m->gns)
		return;
	if (machine_net_stale(&m->net))
		machine_net_send(&m->net, m->gns);
	timer_set(t, NAMES_MS);
}

static void gns_hello(struct machine *m, struct channel *c)
{
	channel_free(m->gns);
	m->gns = c;
	channel_set_owner(c, &gns_ops, m);
	if (!m->host_watch)
		m->host_watch = host_watch_new(m->service->loop, host_changed, m);
	if (!m->host_watch)
		log_warn("the kernel does not tell of changes of this host's network: the guest's does "
			 "not follow it");
	machine_net_send(&m->net, c);
	timer_set(m->names, NAMES_MS);
}

static void on_link_message(struct channel *c, struct channel_message *cm, void *arg)
{
	struct link *link = arg;
	struct machine *m = link->machine;
	const struct msg_hello *hello = cm->msg;

	if (c == m->control) {
		on_control_message(m, cm);
		return;
	}
	if (cm->header.type != MSG_HELLO || hello->version != PROTOCOL_VERSION) {
		log_warn("guest: first message %s is not a HELLO of version %u",
			 message_name(cm->header.type), PROTOCOL_VERSION);
		channel_free(c);
		free(link);
		return;
	}
	send_hello(c);
	if (hello->role == ROLE_MINI_INIT && m->state == MACHINE_STARTING) {
		control_hello(m, link, hello);
		return;
	}
	if (hello->role == ROLE_LOCALHOST) {
		network_localhost(m->service->network, c);
		free(link);
		return;
	}
	if (hello->role == ROLE_GNS) {
		gns_hello(m, c);
		free(link);
		return;
	}
	/* A distribution's init: the instance gets a channel of its own on the same socket. */
	instance_hello(m->service, c, hello);
	free(link);
}

static void on_link_close(struct channel *c, int reason, void *arg)
{
	struct link *link = arg;
	struct machine *m = link->machine;

	(void)reason;
	free(link);
	channel_free(c);
	if (c != m->control)
		return;
	m->control = NULL;
	if (m->state == MACHINE_RUNNING) {
		log_warn("the guest's mini_init closed its control channel: ending the VM");
		timer_set(m->stop, 1000);
	}
}

static const struct channel_ops link_ops = { on_link_message, on_link_close };

static void on_stream(struct vm *vm, uint32_t port, int fd, void *arg)
{
	struct machine *m = arg;
	struct link *link;

	(void)vm;
	if (port == VSOCK_PORT_DNS) {
		network_dns_stream(m->service->network, fd);
		return;
	}
	link = calloc(1, sizeof(*link));
	if (!link || port != VSOCK_PORT_INIT) {
		close(fd);
		free(link);
		return;
	}
	link->machine = m;
	link->channel = channel_new(m->service->loop, fd, &link_ops, link);
	if (!link->channel)
		free(link);
}

static const struct vm_ops vm_ops = { on_stream, on_vm_exit };

/* --- starting --- */

static void warn_waiters(const char *text, void *arg)
{
	struct machine *m = arg;

	log_warn("%s", text);
	waiters_warn(m->waiters, text);
}

static int prepare_swap(struct machine *m)
{
	auto_close int fd = -1;
	auto_free char *text = NULL;
	char *path;

	if (m->settings.swap_bytes == 0)
		return 0;
	path = m->settings.swap_file ? str_dup(m->settings.swap_file) :
				       str_printf("%s/swap.img", m->service->cache);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && ftruncate(fd, (off_t)m->settings.swap_bytes) == 0) {
		m->swap_path = path;
		return 0;
	}
	text = str_printf("Failed to create the swap disk in '%s': %s", path, strerror(errno));
	warn_waiters(text, m);
	free(path);
	return 0;
}

static int check_file(const char *path, const char *what, struct err *err)
{
	if (access(path, R_OK) == 0)
		return 0;
	err_errno(err, "the %s '%s' cannot be used", what, path);
	err->id = ERR_WSL_E_KERNEL_NOT_FOUND;
	strncat(err->text,
		". Run 'make install' in the source tree, or name a kernel in ~/.wslconfig ([wsl2] "
		"kernel=PATH)",
		sizeof(err->text) - strlen(err->text) - 1);
	return -err->errnum;
}

/* What wslinfo tells in the guest, before the user's own words: the first one counts. */
static char *guest_words(const struct machine *m)
{
	return str_printf("lxss.network=%s lxss.vm=%s %s", machine_net_mode(&m->net), m->id,
			  m->settings.kernel_command_line);
}

static int start_vm(struct machine *m, struct err *err)
{
	const struct settings *st = &m->settings;
	auto_free char *kernel = st->kernel ? str_dup(st->kernel) : path_helper("linux");
	auto_free char *initramfs = path_helper("initramfs.cpio");
	auto_free char *relay = path_helper("wslrelay");
	auto_free char *append = guest_words(m);
	struct vm_config cfg = {
		.kernel = kernel,
		.initramfs = initramfs,
		.relay = relay,
		.append = append,
		.swap = m->swap_path,
		.console_log = m->console_log,
		.cache_dir = m->service->cache,
		.net = m->net.mode == NETWORKING_NONE ? NULL : m->net.text,
		.memory_bytes = st->memory_bytes,
		.processors = st->processors,
		.verbose_console = st->debug_console,
		.dirfd = m->service->vm_fd,
		.lock_fd = m->lock_fd,
	};
	int r = settings_check_vm(st, err);

	if (r == 0)
		r = check_file(kernel, "kernel", err);
	if (r == 0)
		r = check_file(initramfs, "initial file system", err);
	if (r == 0)
		r = vm_start(m->service->loop, &cfg, &vm_ops, m, &m->vm, err);
	return r;
}

static void choose_console_log(struct machine *m)
{
	free(m->console_log);
	m->console_log = m->settings.debug_console && m->settings.debug_console_log_file ?
				 str_dup(m->settings.debug_console_log_file) :
				 str_printf("%s/console.log", m->service->state);
}

static void choose_id(struct machine *m)
{
	auto_free char *text = NULL;

	m->id[0] = '\0';
	if (read_file_at(AT_FDCWD, "/proc/sys/kernel/random/uuid", 64, &text, NULL) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	str_format(m->id, sizeof(m->id), "%s", text);
}

static void machine_start(struct machine *m)
{
	struct err err = ERR_INIT;

	m->start_us = now_us();
	if (m->have_settings)
		settings_done(&m->settings);
	settings_load(&m->settings, warn_waiters, m);
	m->have_settings = true;
	m->forced = false;
	choose_console_log(m);
	prepare_swap(m);
	machine_net_choose(&m->net, &m->settings, warn_waiters, m);
	choose_id(m);
	m->state = MACHINE_STARTING;
	if (start_vm(m, &err) < 0) {
		err_context(&err, "CreateVm");
		log_err("cannot start the VM: %s", err.text);
		m->state = MACHINE_OFF;
		drop_swap(m);
		waiters_wake(&m->waiters, &err);
		service_check_idle(m->service);
		return;
	}
	m->engine_us = now_us();
	if (m->settings.kernel_boot_timeout_ms >= 0)
		timer_set(m->boot, (uint64_t)m->settings.kernel_boot_timeout_ms);
}

void machine_want(struct machine *m, struct waiter *w)
{
	timer_cancel(m->idle);
	if (m->state == MACHINE_RUNNING) {
		w->done(w, NULL);
		return;
	}
	waiter_add(&m->waiters, w);
	if (m->state == MACHINE_OFF)
		machine_start(m);
}

/* --- stopping --- */

static void stop_timed_out(struct timer *t, void *arg)
{
	struct machine *m = arg;

	(void)t;
	log_warn("the VM does not power off: killing it");
	if (m->vm)
		vm_kill(m->vm);
}

static void power_off_answered(const struct channel_message *cm, const struct err *err, void *arg)
{
	(void)cm, (void)arg;
	if (err)
		log_debug("power off: %s", err->text);
}

void machine_stop(struct machine *m, bool force, struct waiter *w)
{
	if (m->state == MACHINE_OFF) {
		if (w)
			w->done(w, NULL);
		return;
	}
	if (w)
		waiter_add(&m->stop_waiters, w);
	timer_cancel(m->idle);
	timer_cancel(m->boot);
	if (m->state == MACHINE_RUNNING && !force) {
		m->state = MACHINE_STOPPING;
		timer_set(m->stop, POWER_OFF_TIMEOUT_MS);
		machine_call(m, MSG_POWER_OFF, &(struct msg_none) { 0 }, power_off_answered, m);
	} else if (m->state != MACHINE_STOPPING || force) {
		m->state = MACHINE_STOPPING;
		vm_kill(m->vm);
	}
}

static void idle_expired(struct timer *t, void *arg)
{
	struct machine *m = arg;

	(void)t;
	if (m->state != MACHINE_RUNNING || m->service->instances || m->waiters)
		return;
	log_info("VM was idle for %lld ms: stopping it", (long long)m->settings.vm_idle_timeout_ms);
	machine_stop(m, false, NULL);
}

void machine_check_idle(struct machine *m)
{
	int64_t timeout = m->settings.vm_idle_timeout_ms;

	if (m->state != MACHINE_RUNNING)
		return;
	if (m->service->instances || timeout < 0)
		timer_cancel(m->idle);
	else if (!timer_armed(m->idle))
		timer_set(m->idle, (uint64_t)timeout);
}

struct machine *machine_new(struct service *s, int lock_fd)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	*m = (struct machine) { .service = s, .lock_fd = lock_fd };
	m->boot = loop_timer(s->loop, boot_timed_out, m);
	m->idle = loop_timer(s->loop, idle_expired, m);
	m->stop = loop_timer(s->loop, stop_timed_out, m);
	m->names = loop_timer(s->loop, look_at_names, m);
	m->clock = guest_clock_new(s->loop, m);
	return m->boot && m->idle && m->stop && m->names && m->clock ? m : machine_free(m);
}

struct machine *machine_free(struct machine *m)
{
	if (!m)
		return NULL;
	guest_clock_free(m->clock);
	channel_free(m->control);
	channel_free(m->gns);
	vm_free(m->vm);
	drop_swap(m);
	if (m->have_settings)
		settings_done(&m->settings);
	timer_free(m->boot);
	timer_free(m->idle);
	timer_free(m->stop);
	timer_free(m->names);
	host_watch_free(m->host_watch);
	free(m->console_log);
	free(m);
	return NULL;
}
