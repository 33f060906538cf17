/* guest/distro/init.c - PID 1 of a distribution
 *
 * THEORY OF OPERATION
 *   The process is a clone of mini_init, not an exec: it connects to the service, mounts while the
 *   connection is made, reports to mini_init, and becomes a loop. DISTRO_CONFIG triggers the rest
 *   of the set-up, which ends with DISTRO_READY. From then on sessions come and go (sessions.c).
 * STOPPING
 *   STOP, SIGTERM (mini_init) and a lost channel mean the same: SIGTERM to all, SIGKILL to what is
 *   left after a grace period, at once when nothing is left, then the end; the kernel unmounts.
 */
#include "distro/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot/hostname.h"
#include "boot/kmsg.h"
#include "boot/transport.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/osrelease.h"
#include "common/util.h"
#include "distro/environment.h"
#include "distro/files.h"
#include "distro/root.h"
#include "distro/sessions.h"
#include "distro/users.h"
#include "io/channel.h"
#include "io/loop.h"
#include "io/socket.h"

#define CONNECT_TIMEOUT_MS 30000
#define FSTAB_TIMEOUT_MS   30000
#define STOP_GRACE_MS      2000
#define FSTAB_BYTES        (1 * MIB)
#define OS_RELEASE_BYTES   (1 * MIB)

struct init {
	const struct distro_boot *boot;
	struct loop *loop;
	struct channel *service;
	const struct distro_settings *settings;
	const struct warnings *warnings;
	struct sessions sessions;
	struct timer *stop_timer;
	char *name;
	char hostname[HOSTNAME_BYTES];
	bool configured, stopping;
};

/* --- set-up --- */

static void warn(struct init *init, const char *text)
{
	struct msg_text m = { text };

	log_warn("%s", text);
	channel_send(init->service, MSG_WARNING, 0, &m);
}

/* Children of init proper start with clean signal state and without our descriptors. */
static _Noreturn void exec_helper(const char *file, char *const argv[], struct environment *env)
{
	sigset_t none;

	close_others(-1, -1);
	setsid(); /* no controlling terminal, none to be had: a helper that asks gets an error */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(file, argv, env->vars);
	_exit(127);
}

static pid_t start_helper(struct init *init, const char *file, char *const argv[])
{
	struct user_choice choice = { .name = "root", .default_name = "" };
	struct environment env = { 0 };
	struct user root;
	pid_t pid;

	if (user_choose(&choice, &root, NULL) < 0)
		return -ENOENT;
	environment_build(&env, &root, init->hostname, init->name, NULL);
	pid = fork();
	if (pid == 0) {
		umask((mode_t)(init->settings->umask & 0777));
		exec_helper(file, argv, &env);
	}
	environment_done(&env);
	user_done(&root);
	return pid < 0 ? -errno : pid;
}

/* Waits for one child without reaping others; -ETIMEDOUT leaves it running. */
static int wait_helper(pid_t pid, int timeout_ms)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int status = 0, r;

	if (pidfd < 0)
		return -errno;
	r = fd_wait(pidfd, POLLIN, now_ms() + (uint64_t)timeout_ms);
	if (r < 0)
		return r;
	return waitpid(pid, &status, WNOHANG) == pid && status == 0 ? 0 : -EIO;
}

static bool has_entries(const char *fstab)
{
	for (const char *line = fstab; *line; line += *line == '\n') {
		line += strspn(line, " \t\r");
		if (*line != '#' && *line != '\n' && *line != '\0')
			return true;
		line = strchrnul(line, '\n');
	}
	return false;
}

static void mount_fstab(struct init *init)
{
	static char mount[] = "/bin/mount", all[] = "-a";
	auto_free char *fstab = NULL;
	pid_t pid;

	if (!init->settings->mount_fstab ||
	    read_file_at(AT_FDCWD, "/etc/fstab", FSTAB_BYTES, &fstab, NULL) < 0 ||
	    !has_entries(fstab))
		return;
	pid = start_helper(init, mount, (char *[]) { mount, all, NULL });
	if (pid < 0 || wait_helper(pid, FSTAB_TIMEOUT_MS) < 0)
		warn(init, "Processing /etc/fstab with mount -a failed.");
}

static void set_hostname(struct init *init, const struct msg_distro_config *m)
{
	auto_free char *line = NULL, *hosts = NULL;
	const char *wanted = init->settings->hostname[0] ? init->settings->hostname : m->hostname;
	int r;

	hostname_clean(wanted, init->hostname);
	if (sethostname(init->hostname, strlen(init->hostname)) < 0)
		log_warn("cannot set the host name: %s", strerror(errno));
	line = str_printf("%s\n", init->hostname);
	hosts = hosts_text(init->hostname, m->domain, m->hosts);
	mkdir("/etc", 0755);
	r = file_update("/etc/hostname", line);
	if (r < 0)
		log_warn("cannot write /etc/hostname: %s", strerror(-r));
	r = init->settings->generate_hosts ? file_update("/etc/hosts", hosts) : 0;
	if (r < 0)
		log_warn("cannot write /etc/hosts: %s", strerror(-r));
}

/* Programs that are this one under another name. What a distribution has of its own stays. */
static void applet_links(void)
{
	struct stat st;

	if (lstat("/bin/wslinfo", &st) < 0 && errno == ENOENT && symlink("/init", "/bin/wslinfo") < 0)
		log_debug("cannot make /bin/wslinfo: %s", strerror(errno));
}

static void run_boot_command(struct init *init)
{
	static char sh[] = "/bin/sh", dash_c[] = "-c";
	pid_t pid;

	if (!init->settings->boot_command[0])
		return;
	pid = start_helper(init, sh, (char *[]) { sh, dash_c, init->settings->boot_command, NULL });
	if (pid < 0)
		log_warn("cannot run boot.command: %s", strerror(-pid));
}

static void send_ready(struct init *init)
{
	auto_free char *text = NULL, *flavor = NULL, *version = NULL;

	if (read_file_at(AT_FDCWD, "/etc/os-release", OS_RELEASE_BYTES, &text, NULL) == 0) {
		flavor = osrelease_value(text, "ID");
		version = osrelease_value(text, "VERSION_ID");
	}
	channel_send(init->service, MSG_DISTRO_READY, 0,
		     &(struct msg_distro_ready) {
			     .flavor = flavor ? flavor : "",
			     .os_version = version ? version : "",
			     .systemd = init->settings->systemd,
		     });
}

static void configure(struct init *init, const struct msg_distro_config *m)
{
	if (init->configured)
		return;
	init->configured = true;
	init->name = str_dup(m->name);
	for (size_t i = 0; i < init->warnings->n; i++)
		warn(init, init->warnings->text[i]);
	mount_fstab(init);
	set_hostname(init, m);
	applet_links();
	if (init->settings->use_timezone)
		timezone_apply(m->timezone);
	resolv_conf_apply(init->settings->automount_root, init->settings->generate_resolv_conf);
	init->sessions.service = init->service;
	init->sessions.context = (struct relay_context) {
		.settings = init->settings,
		.hostname = init->hostname,
		.distro = init->name,
	};
	send_ready(init);
	run_boot_command(init);
	if (sessions_init(&init->sessions) < 0)
		log_err("no memory for sessions");
}

/* --- stopping --- */

static void finish(struct init *init)
{
	auto_close int root = -1;

	kill(-1, SIGKILL);
	root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0)
		syncfs(root);
	loop_stop(init->loop, 0);
}

static void stop_due(struct timer *t, void *arg)
{
	(void)t;
	finish(arg);
}

static void reap(int signo, void *arg)
{
	struct init *init = arg;
	int status;
	pid_t pid;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		sessions_reaped(&init->sessions, pid, status);
	if (pid < 0 && init->stopping)
		finish(init);
}

static void begin_stop(struct init *init)
{
	if (init->stopping)
		return;
	init->stopping = true;
	init->sessions.service = NULL; /* no new ones, no reports */
	kill(-1, SIGTERM);
	kill(-1, SIGCONT); /* what is stopped cannot end itself */
	timer_set(init->stop_timer, STOP_GRACE_MS);
	reap(0, init);
}

static void terminated(int signo, void *arg)
{
	(void)signo;
	begin_stop(arg);
}

/* --- messages --- */

static int serve(struct init *init, struct channel_message *m, struct err *err)
{
	switch (m->header.type) {
	case MSG_HELLO:
		if (((const struct msg_hello *)m->msg)->version != PROTOCOL_VERSION)
			return err_id(err, ERR_WSL_E_PROTOCOL_MISMATCH,
				      "The service and the guest are of different versions.");
		return 0;
	case MSG_DISTRO_CONFIG:
		configure(init, m->msg);
		return 0;
	case MSG_CREATE_SESSION:
		if (!init->configured || init->stopping)
			return err_set(err, -ESHUTDOWN, "The distribution is %s.",
				       init->stopping ? "stopping" : "not ready");
		resolv_conf_apply(init->settings->automount_root, init->settings->generate_resolv_conf);
		sessions_create(&init->sessions, m->header.seq, m->msg);
		return 0;
	case MSG_TIMEZONE:
		if (init->settings->use_timezone)
			timezone_apply(((const struct msg_text *)m->msg)->text);
		return 0;
	case MSG_STOP:
		begin_stop(init);
		return 0;
	case MSG_RESULT:
		return 0;
	}
	return err_id(err, ERR_WSL_E_PROTOCOL_MISMATCH, "%s is not for a distribution's init",
		      message_name(m->header.type));
}

static void service_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct err err = ERR_INIT;

	if (serve(arg, m, &err) < 0)
		channel_result(c, m->header.seq, &err);
}

static void service_close(struct channel *c, int reason, void *arg)
{
	struct init *init = arg;

	(void)c, (void)reason;
	init->service = channel_free(init->service);
	begin_stop(init);
}

static const struct channel_ops service_ops = { service_message, service_close };

static void say_hello(struct init *init)
{
	struct msg_hello hello = {
		.version = PROTOCOL_VERSION,
		.role = ROLE_DISTRO_INIT,
		.id = init->boot->instance,
		.uptime_us = init->boot->started_us,
		.release = LXSS_VERSION,
	};

	channel_send(init->service, MSG_HELLO, 0, &hello);
}

int distro_serve(const struct distro_boot *boot, int service,
		 const struct distro_settings *settings, const struct warnings *warnings)
{
	struct init init = { .boot = boot, .settings = settings, .warnings = warnings };

	init.loop = loop_new();
	init.stop_timer = init.loop ? loop_timer(init.loop, stop_due, &init) : NULL;
	if (!init.stop_timer || loop_signal(init.loop, SIGCHLD, reap, &init) < 0 ||
	    loop_signal(init.loop, SIGTERM, terminated, &init) < 0) {
		close(service);
		return 1;
	}
	init.sessions.loop = init.loop;
	init.service = channel_new(init.loop, service, &service_ops, &init);
	if (!init.service)
		return 1;
	say_hello(&init);
	return loop_run(init.loop);
}

/* --- birth --- */

static void report(const struct distro_boot *boot, int code, const char *step, struct err *err)
{
	struct msg_result m = { 0 };

	if (code < 0 && err->id != ERR_WSL_E_DISK_CORRUPTED) {
		struct err cause = *err;

		err_set(err, code,
			"The distribution failed to start. Error code: %d, failure step: %s. "
			"(%.1024s)",
			-code, step, cause.text);
	}
	if (code < 0) {
		m.errnum = (uint32_t)err->errnum;
		m.error = err->id;
		m.text = err->text;
	}
	message_send(boot->report, MSG_RESULT, 0, &m, NULL, 0, DEADLINE_NONE);
	close(boot->report);
}

int distro_main(const struct distro_boot *boot)
{
	static struct distro_settings settings;
	static struct warnings warnings;
	struct err err = ERR_INIT;
	const char *step = "";
	int service, r;

	close_others(boot->report, -1);
	log_init("init", LOG_FD, LOG_INFO, true);
	service = host_connect_start();
	r = root_enter(boot, &settings, &warnings, &step, &err);
	report(boot, r, step, &err);
	if (r < 0)
		return 1;
	if (service >= 0)
		service = host_connect_finish(service, now_ms() + CONNECT_TIMEOUT_MS);
	if (service < 0) {
		log_err("cannot reach the service: %s", strerror(-service));
		return 1;
	}
	return distro_serve(boot, service, &settings, &warnings);
}
