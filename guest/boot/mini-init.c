/* guest/boot/mini-init.c - PID 1 of the VM: launches, watches and stops distributions
 *
 * THEORY OF OPERATION
 *   One loop serves the control channel to the service, a short-lived report socket per launch, and
 *   SIGCHLD. Every distribution is a direct child: its death is the death of its PID namespace, and
 *   the kernel unmounts its disk with its last process. Only then, when nothing has the device open
 *   any more, does the service hear of it (DISTRO_EXITED, or the RESULT of a launch that failed).
 * STATES OF A DISTRIBUTION
 *   starting (launch_seq set) -> running -> dying (pid 0: waiting for its disk) -> forgotten
 * INVARIANTS
 *   PID 1 never ends: a lost control channel powers the VM off in an orderly way, a bad message
 *   only costs the channel. Nothing here blocks: what may take time (mounting, swap) runs in
 *   children.
 */
#include "boot/mini-init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#include "boot/disk.h"
#include "boot/hostname.h"
#include "boot/kmsg.h"
#include "boot/transport.h"
#include "boot/vm-setup.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "io/channel.h"
#include "io/loop.h"

#define CONNECT_TIMEOUT_MS   30000
#define RELEASE_STEP_MS      2
#define RELEASE_DETACH_STEPS 10   /* then mounts left below the shared directory are detached */
#define RELEASE_MAX_STEPS    2500 /* then the disk is given up as busy */
#define STOP_GRACE_MS        1000
#define POWER_OFF_LIMIT_MS   4000
#define FREEZE_LIMIT_MS      600000
#define MAX_GNS_STARTS       5
#define NS                   1000000000u

struct vm;

struct distro {
	struct distro *next;
	struct vm *vm;
	uint64_t instance;
	char *device;
	pid_t pid; /* 0: dead, waiting for its disk */
	int status;
	struct channel *report;
	bool starting;
	uint32_t launch_seq, stop_seq;
	struct err *failure; /* of the launch */
	int frozen;          /* descriptor of its root while it is frozen, or -1 */
	struct timer *thaw, *release;
	unsigned release_steps;
};

struct vm {
	struct loop *loop;
	struct channel *service;
	struct distro *distros;
	distro_main_fn distro_main;
	gns_start_fn gns_start;
	uint64_t started_us;
	struct timer *power_timer;
	uint32_t power_seq;
	pid_t gns;
	unsigned gns_starts;
	bool powering_off, kill_sent, greeted;
};

static void power_off_if_idle(struct vm *vm);

static struct distro *distro_find(struct vm *vm, uint64_t instance)
{
	struct distro *d = vm->distros;

	while (d && d->instance != instance)
		d = d->next;
	return d;
}

static void reply(struct vm *vm, uint32_t seq, const struct err *err)
{
	if (vm->service && seq)
		channel_result(vm->service, seq, err);
}

/* --- freezing --- */

static void distro_thaw(struct distro *d)
{
	if (d->frozen < 0)
		return;
	if (ioctl(d->frozen, FITHAW, 0) < 0 && errno != EINVAL)
		log_warn("instance %llu: cannot thaw: %s", (unsigned long long)d->instance,
			 strerror(errno));
	drop_fd(&d->frozen);
	timer_cancel(d->thaw);
}

static void thaw_due(struct timer *t, void *arg)
{
	struct distro *d = arg;

	(void)t;
	log_warn("instance %llu stayed frozen for too long: thawing",
		 (unsigned long long)d->instance);
	distro_thaw(d);
}

static int distro_freeze(struct distro *d, struct err *err)
{
	char path[64];
	auto_close int fd = -1;

	if (d->frozen >= 0)
		return 0;
	str_format(path, sizeof(path), "/proc/%d/root", (int)d->pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "cannot open the root of instance %llu",
				 (unsigned long long)d->instance);
	if (ioctl(fd, FIFREEZE, 0) < 0)
		return err_errno(err, "cannot freeze the disk of instance %llu",
				 (unsigned long long)d->instance);
	d->frozen = take_fd(&fd);
	timer_set(d->thaw, FREEZE_LIMIT_MS);
	return 0;
}

/* --- death --- */

static void distro_forget(struct distro *d)
{
	struct distro **p = &d->vm->distros;

	while (*p != d)
		p = &(*p)->next;
	*p = d->next;
	channel_free(d->report);
	timer_free(d->thaw);
	timer_free(d->release);
	free(d->failure);
	free(d->device);
	free(d);
}

static void distro_gone(struct distro *d)
{
	struct msg_distro_exited exited = { d->instance, (uint32_t)d->status };
	struct vm *vm = d->vm;

	launch_clean(d->instance);
	log_info("instance %llu is gone, status 0x%x", (unsigned long long)d->instance, d->status);
	if (d->starting) {
		struct err err = ERR_INIT;

		err_set(&err, -EIO,
			"The distribution failed to start. Error code: %d, failure step: Init",
			d->status);
		reply(vm, d->launch_seq, d->failure ? d->failure : &err);
	} else if (vm->service) {
		channel_send(vm->service, MSG_DISTRO_EXITED, 0, &exited);
	}
	reply(vm, d->stop_seq, NULL);
	distro_forget(d);
	power_off_if_idle(vm);
}

static void release_step(struct timer *t, void *arg)
{
	struct distro *d = arg;

	if (device_released(d->device)) {
		distro_gone(d);
		return;
	}
	if (++d->release_steps == RELEASE_DETACH_STEPS)
		device_detach(d->device);
	if (d->release_steps < RELEASE_MAX_STEPS) {
		timer_set(t, RELEASE_STEP_MS);
		return;
	}
	log_err("%s stays busy after its distribution ended", d->device);
	distro_gone(d);
}

static void distro_died(struct distro *d, int status)
{
	d->pid = 0;
	d->status = status;
	distro_thaw(d);
	release_step(d->release, d);
}

/* The network daemon; without it the VM runs on as its network is. */
static void start_gns(struct vm *vm)
{
	vm->gns = vm->gns_starts++ < MAX_GNS_STARTS ? vm->gns_start() : -EAGAIN;
	if (vm->gns < 0)
		log_warn("the network daemon is not started: %s", strerror((int)-vm->gns));
}

static void gns_died(struct vm *vm, int status)
{
	vm->gns = 0;
	if (status == 0 || vm->powering_off)
		return;
	log_warn("the network daemon ended, status 0x%x", (unsigned)status);
	start_gns(vm);
}

static void reap(int signo, void *arg)
{
	struct vm *vm = arg;
	int status;
	pid_t pid;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct distro *d = vm->distros;

		while (d && d->pid != pid)
			d = d->next;
		if (d)
			distro_died(d, status);
		else if (pid == vm->gns)
			gns_died(vm, status);
	}
}

/* --- launching --- */

static void report_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct distro *d = arg;
	const struct msg_result *result = m->msg;
	struct err err = ERR_INIT;

	(void)c;
	if (m->header.type != MSG_RESULT || !d->starting)
		return;
	if (message_result(result, &err) < 0) { /* told when its disk is free again */
		d->failure = malloc(sizeof(err));
		if (d->failure)
			*d->failure = err;
		return;
	}
	d->starting = false;
	reply(d->vm, d->launch_seq, NULL);
	d->launch_seq = 0;
	d->report = channel_free(d->report);
}

static void report_close(struct channel *c, int reason, void *arg)
{
	struct distro *d = arg;

	(void)c, (void)reason;
	d->report = channel_free(d->report);
}

static const struct channel_ops report_ops = { report_message, report_close };

static struct distro *distro_new(struct vm *vm, const struct msg_launch_distro *m)
{
	struct distro *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	*d = (struct distro) { .vm = vm, .instance = m->instance, .starting = true, .frozen = -1 };
	d->device = str_dup(m->device);
	d->thaw = loop_timer(vm->loop, thaw_due, d);
	d->release = loop_timer(vm->loop, release_step, d);
	d->next = vm->distros;
	vm->distros = d;
	return d;
}

static int launch(struct vm *vm, uint32_t seq, const struct msg_launch_distro *m, struct err *err)
{
	struct distro_boot boot = {
		.instance = m->instance,
		.device_timeout_ms = m->device_timeout_ms,
		.device = m->device,
		.hostname = m->hostname,
	};
	struct distro *d;
	int report = -1;
	pid_t pid;

	if (vm->powering_off)
		return err_set(err, -ESHUTDOWN, "the VM is powering off");
	if (distro_find(vm, m->instance))
		return err_set(err, -EEXIST, "instance %llu exists",
			       (unsigned long long)m->instance);
	d = distro_new(vm, m);
	if (!d || !d->thaw || !d->release)
		return err_set(err, -ENOMEM, "the VM has no memory for another distribution");
	pid = launch_distro(&boot, vm->distro_main, &report, err);
	if (pid < 0) {
		distro_forget(d);
		return pid;
	}
	d->pid = pid;
	d->launch_seq = seq;
	d->report = channel_new(vm->loop, report, &report_ops, d);
	return 0;
}

/* --- power --- */

static _Noreturn void power_off(struct vm *vm)
{
	sync();
	reply(vm, vm->power_seq, NULL);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void power_off_if_idle(struct vm *vm)
{
	if (vm->powering_off && !vm->distros)
		power_off(vm);
}

static void power_timer_due(struct timer *t, void *arg)
{
	struct vm *vm = arg;

	if (vm->kill_sent)
		power_off(vm); /* something hangs: what can be written was */
	vm->kill_sent = true;
	for (struct distro *d = vm->distros; d; d = d->next)
		if (d->pid)
			kill(d->pid, SIGKILL);
	timer_set(t, POWER_OFF_LIMIT_MS);
}

static void begin_power_off(struct vm *vm, uint32_t seq)
{
	if (seq)
		vm->power_seq = seq;
	if (vm->powering_off)
		return;
	vm->powering_off = true;
	for (struct distro *d = vm->distros; d; d = d->next) {
		distro_thaw(d);
		if (d->pid)
			kill(d->pid, SIGTERM);
	}
	timer_set(vm->power_timer, STOP_GRACE_MS);
	power_off_if_idle(vm);
}

/* --- messages of the service --- */

static void apply_config(struct vm *vm, const struct msg_vm_config *m)
{
	char name[HOSTNAME_BYTES];

	(void)vm;
	hostname_clean(m->hostname, name);
	if (sethostname(name, strlen(name)) < 0)
		log_warn("cannot set the host name: %s", strerror(errno));
	if (m->swap_device[0])
		vm_setup_swap(m->swap_device);
}

/* The kernel's CLOCK_REALTIME starts as the host's and knows nothing of later jumps. */
static int step_clock(struct vm *vm, uint32_t seq, uint64_t step_ns, struct err *err)
{
	struct timespec t;
	uint64_t ns;

	clock_gettime(CLOCK_REALTIME, &t);
	ns = (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec + step_ns;
	t = (struct timespec) { .tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS) };
	if (step_ns && clock_settime(CLOCK_REALTIME, &t) < 0)
		return err_errno(err, "cannot set the clock");
	channel_send(vm->service, MSG_CLOCK, seq, &(struct msg_number) { ns });
	return 1;
}

/* Requests about one instance; 1: the reply comes later. */
static int distro_request(struct vm *vm, uint16_t type, uint64_t instance, uint32_t seq,
			  struct err *err)
{
	struct distro *d = distro_find(vm, instance);

	if (type == MSG_STOP_DISTRO) {
		if (!d) /* it ended by itself meanwhile */
			return 0;
		distro_thaw(d);
		d->stop_seq = seq;
		if (d->pid)
			kill(d->pid, SIGKILL);
		return 1;
	}
	if (!d || !d->pid || d->starting)
		return err_set(err, -ENOENT, "instance %llu is not running",
			       (unsigned long long)instance);
	if (type == MSG_FREEZE_DISTRO)
		return distro_freeze(d, err);
	distro_thaw(d);
	return 0;
}

static int serve(struct vm *vm, struct channel_message *m, struct err *err)
{
	const struct msg_number *number = m->msg;

	switch (m->header.type) {
	case MSG_HELLO:
		if (((const struct msg_hello *)m->msg)->version != PROTOCOL_VERSION)
			return err_id(err, ERR_WSL_E_PROTOCOL_MISMATCH,
				      "The service and the guest are of different versions.");
		vm->greeted = true;
		return 1;
	case MSG_VM_CONFIG:
		apply_config(vm, m->msg);
		return 1;
	case MSG_LAUNCH_DISTRO: {
		int r = launch(vm, m->header.seq, m->msg, err);

		return r < 0 ? r : 1;
	}
	case MSG_STOP_DISTRO:
	case MSG_FREEZE_DISTRO:
	case MSG_THAW_DISTRO:
		return distro_request(vm, m->header.type, number->number, m->header.seq, err);
	case MSG_STEP_CLOCK:
		return step_clock(vm, m->header.seq, number->number, err);
	case MSG_POWER_OFF:
		begin_power_off(vm, m->header.seq);
		return 1;
	case MSG_RESULT:
		return 1;
	}
	return err_id(err, ERR_WSL_E_PROTOCOL_MISMATCH, "%s is not for mini_init",
		      message_name(m->header.type));
}

static void service_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct err err = ERR_INIT;
	int r = serve(arg, m, &err);

	if (r <= 0)
		channel_result(c, m->header.seq, r < 0 ? &err : NULL);
}

static void service_close(struct channel *c, int reason, void *arg)
{
	struct vm *vm = arg;

	log_warn("the service is gone (%s): powering off", strerror(-reason));
	channel_free(c);
	vm->service = NULL;
	begin_power_off(vm, 0);
}

static const struct channel_ops service_ops = { service_message, service_close };

/* --- start --- */

static void say_hello(struct vm *vm)
{
	struct msg_hello hello = {
		.version = PROTOCOL_VERSION,
		.role = ROLE_MINI_INIT,
		.uptime_us = vm->started_us,
	};
	struct utsname uts;
	char release[160];

	uname(&uts);
	str_format(release, sizeof(release), "%s %s", LXSS_VERSION, uts.release);
	hello.release = release;
	channel_send(vm->service, MSG_HELLO, 0, &hello);
}

/* The first attempt is under way since before the mounts; the service may still be busy. */
static int connect_service(int fd)
{
	uint64_t deadline = now_ms() + CONNECT_TIMEOUT_MS;
	int r = fd;

	for (;;) {
		if (r >= 0)
			r = host_connect_finish(r, deadline);
		if (r >= 0 || now_ms() >= deadline)
			return r;
		usleep(20000);
		r = host_connect_start();
	}
}

/* The standard descriptors and the log's are not set up yet, and will be overwritten. */
static int connect_early(void)
{
	auto_close int fd = host_connect_start();
	int moved;

	if (fd < 0)
		return take_fd(&fd);
	moved = fcntl(fd, F_DUPFD_CLOEXEC, LOG_FD + 1);
	return moved < 0 ? -errno : moved;
}

static void set_up(struct vm *vm)
{
	struct err err = ERR_INIT;
	int connecting = connect_early();
	int fd;

	if (vm_setup_root(&err) < 0)
		log_err("%s", err.text);
	vm->loop = loop_new();
	vm->power_timer = vm->loop ? loop_timer(vm->loop, power_timer_due, vm) : NULL;
	if (!vm->power_timer || loop_signal(vm->loop, SIGCHLD, reap, vm) < 0) {
		log_err("no memory for the main loop");
		power_off(vm);
	}
	fd = connect_service(connecting);
	if (fd >= 0)
		vm->service = channel_new(vm->loop, fd, &service_ops, vm);
	if (!vm->service) {
		log_err("cannot reach the service: %s", strerror(-fd));
		power_off(vm);
	}
	say_hello(vm);
	vm_setup_tunables(); /* while the service makes up its mind */
	vm_setup_cgroups();
	start_gns(vm); /* last: grace periods are short only while the other processors idle */
}

_Noreturn void mini_init_main(uint64_t started_us, distro_main_fn distro_main,
			      gns_start_fn gns_start)
{
	struct vm vm = {
		.started_us = started_us,
		.distro_main = distro_main,
		.gns_start = gns_start,
	};

	set_up(&vm);
	for (;;) {
		int r = loop_run(vm.loop);

		log_err("the main loop ended: %s", strerror(-r));
		begin_power_off(&vm, 0);
	}
}
