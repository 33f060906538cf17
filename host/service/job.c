/* host/service/job.c - import, import in place and export by a wslimage worker
 *
 * THEORY OF OPERATION
 *   A worker process does all parsing; it reports on its channel and says RESULT last. The job is
 *   over when the worker has been reaped: success needs both its RESULT and exit status 0.
 *   import: record Installing -> worker writes ext4.img.partial -> name from the archive if none was
 *   given -> record Installed and image renamed. Any failure, or the client's end: abort_install.
 *   export: a running distribution's file system is frozen, the image read on the host, and thawed.
 * INVARIANTS
 *   A job has a client until job_cancel() or client_job_done().
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/ini.h"
#include "common/log.h"
#include "config/paths.h"
#include "io/loop.h"
#include "service/distro-info.h"
#include "service/service.h"
#include "vm/spawn.h"

enum job_kind { JOB_IMPORT, JOB_IMPORT_IN_PLACE, JOB_EXPORT };

struct job {
	struct service *service;
	struct client *client; /* NULL: cancelled */
	enum job_kind kind;
	struct registry_record record; /* own copy */
	bool have_record, installing;
	pid_t pid;
	struct child *child;
	struct channel *channel;
	bool answered, frozen, freezing;
	struct err err; /* of the worker, or ours */
	struct distro_info info;
	char *format;
	int target;
	struct waiter wait;
};

static const char *phase_of(const struct job *j)
{
	return j->kind == JOB_EXPORT ? "ExportDistro" : "RegisterDistro";
}

static void job_free(struct job *j)
{
	struct instance *i = j->have_record ? instance_find(j->service, j->record.id) : NULL;

	if (j->frozen && i)
		instance_release(i);
	waiter_remove(&j->wait);
	machine_cancel(j->service->machine, j);
	channel_free(j->channel);
	distro_info_done(&j->info);
	if (j->have_record)
		registry_record_done(&j->record);
	drop_fd(&j->target);
	free(j->format);
	free(j);
}

static void job_over(struct job *j, const struct err *err, uint16_t type, const void *reply)
{
	struct client *c = j->client;
	struct err own = err ? *err : ERR_INIT;

	if (j->kind == JOB_EXPORT && !c) /* the client left: its lock went with it */
		log_info("%s: export cancelled", j->record.name);
	if (c) {
		client_job_done(c);
		if (err) {
			err_context(&own, phase_of(j));
			client_result(c, &own);
		} else {
			client_reply(c, type, reply);
		}
	}
	job_free(j);
}

static void abort_install(struct job *j)
{
	struct err err = ERR_INIT;

	if (j->installing && registry_abort_install(j->service->registry, j->record.id, &err) < 0)
		log_err("cannot undo an import: %s", err.text);
	if (j->installing)
		service_unlock(j->service, j->record.id);
	j->installing = false;
}

/* --- the worker --- */

static void on_worker_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct job *j = arg;
	const struct msg_text *text = m->msg;

	(void)c;
	switch (m->header.type) {
	case MSG_PROGRESS:
		if (j->client)
			client_progress(j->client, m->msg);
		break;
	case MSG_WARNING:
		if (j->client)
			client_warn(j->client, text->text);
		break;
	case MSG_IMAGE_INFO:
		distro_info_read(&j->info, m->msg);
		break;
	case MSG_RESULT:
		j->answered = true;
		message_result(m->msg, &j->err);
		break;
	default:
		break;
	}
}

static void finish(struct job *j);

static void maybe_finish(struct job *j)
{
	if (!j->channel && !j->child)
		finish(j);
}

static void on_worker_close(struct channel *c, int reason, void *arg)
{
	struct job *j = arg;

	(void)reason;
	channel_free(c);
	j->channel = NULL;
	maybe_finish(j);
}

static const struct channel_ops worker_ops = { on_worker_message, on_worker_close };

static void on_worker_exit(pid_t pid, int status, void *arg)
{
	struct job *j = arg;

	(void)pid;
	j->child = NULL;
	j->pid = 0;
	if (!j->err.errnum && (!j->answered || status != 0)) {
		if (WIFSIGNALED(status))
			err_id(&j->err, j->kind == JOB_EXPORT ? ERR_WSL_E_EXPORT_FAILED : ERR_WSL_E_IMPORT_FAILED,
			       "The worker process (wslimage) was ended by signal %d (%s).", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
		else
			err_id(&j->err, j->kind == JOB_EXPORT ? ERR_WSL_E_EXPORT_FAILED : ERR_WSL_E_IMPORT_FAILED,
			       "The worker process (wslimage) ended with status %d and no message.",
			       WEXITSTATUS(status));
	}
	maybe_finish(j);
}

static int start_worker(struct job *j, char *const *args, int in, int out)
{
	auto_free char *program = path_helper("wslimage");
	auto_close int ours = -1, theirs = -1;
	char *argv[16] = { program };
	int pair[2];

	for (unsigned i = 0; args[i] && i + 2 < ARRAY_SIZE(argv); i++)
		argv[i + 1] = args[i];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(&j->err, "cannot create a worker's channel");
	ours = pair[0];
	theirs = pair[1];
	j->pid = spawn_program(
		&(struct spawn) {
			.argv = argv,
			.cwd_fd = -1,
			.stdio = { in, out, STDERR_FILENO },
			.fd3 = theirs,
			.new_session = true,
			.die_with_parent = true,
		},
		&j->err);
	if (j->pid < 0)
		return j->pid;
	j->child = loop_child(j->service->loop, j->pid, on_worker_exit, j);
	j->channel = channel_new(j->service->loop, take_fd(&ours), &worker_ops, j);
	if (j->child && j->channel)
		return 0;
	kill(j->pid, SIGKILL);
	child_forget(j->child);
	waitpid(j->pid, NULL, 0);
	return err_set(&j->err, -ENOMEM, "out of memory");
}

/* --- import --- */

static int name_and_commit(struct job *j, char **ret_name)
{
	struct registry *reg = j->service->registry;
	struct registry_record rec = { 0 };
	int r = 0;

	if (!j->record.name[0]) {
		if (!j->info.default_name)
			return err_id(&j->err, ERR_WSL_E_DISTRIBUTION_NAME_NEEDED,
				      "This distribution doesn't contain a default name. Use --name to "
				      "choose the distribution name.");
		r = registry_name_install(reg, j->record.id, j->info.default_name, &j->err);
	}
	if (r == 0)
		r = registry_commit_install(reg, j->record.id, j->info.flavor, j->info.os_version, &j->err);
	if (r < 0)
		return r;
	service_unlock(j->service, j->record.id);
	j->installing = false;
	r = registry_find_id(reg, j->record.id, REGISTRY_INSTALLED, &rec, &j->err);
	if (r < 0)
		return r;
	*ret_name = str_dup(rec.name);
	registry_record_done(&rec);
	return 0;
}

static void finish_import(struct job *j)
{
	auto_free char *name = NULL;
	struct msg_imported reply = { .id = j->record.id };

	if (!j->client && !j->err.errnum)
		err_id(&j->err, ERR_E_ABORT, "The import was cancelled.");
	if (!j->err.errnum)
		name_and_commit(j, &name);
	if (j->err.errnum) {
		err_name(&j->err, ERR_WSL_E_IMPORT_FAILED);
		abort_install(j);
		job_over(j, &j->err, 0, NULL);
		return;
	}
	reply.name = name;
	log_info("%s: registered as %s", name, j->record.id);
	job_over(j, NULL, MSG_IMPORTED, &reply);
}

static struct job *job_new(struct client *c, enum job_kind kind)
{
	struct job *j = calloc(1, sizeof(*j));
	struct err err = ERR_INIT;

	if (!j) {
		err_set(&err, -ENOMEM, "out of memory");
		client_result(c, &err);
		return NULL;
	}
	*j = (struct job) { .service = client_service(c), .client = c, .kind = kind, .target = -1 };
	client_job_begun(c, j);
	return j;
}

static void fail_now(struct job *j)
{
	abort_install(j);
	job_over(j, &j->err, 0, NULL);
}

static int begin_install(struct job *j, const struct registry_plan *plan)
{
	int r = registry_begin_install(j->service->registry, plan, &j->record, &j->err);

	if (r < 0)
		return r;
	j->have_record = j->installing = true;
	return service_lock(j->service, j->record.id, DISTRO_INSTALLING, &j->err);
}

void job_import(struct client *c, const struct msg_import *msg, int archive_fd)
{
	struct job *j = job_new(c, JOB_IMPORT);
	auto_close int archive = archive_fd;
	auto_free char *partial = NULL, *size = NULL;
	struct settings st;
	int r;

	if (!j)
		return;
	settings_load(&st, NULL, NULL);
	r = begin_install(j, &(struct registry_plan) {
				     .name = msg->name,
				     .location = msg->location[0] ? msg->location : NULL,
				     .install_path = st.distribution_install_path,
				     .version = 2,
				     .run_oobe = (msg->flags & IMPORT_RUN_OOBE) != 0,
			     });
	size = str_printf("%llu", (unsigned long long)(msg->size_bytes ? msg->size_bytes :
									st.default_vhd_bytes));
	settings_done(&st);
	if (r == 0) {
		partial = registry_partial_path(&j->record);
		r = start_worker(j,
				 (char *[]) { (char[]) { "import" }, (char[]) { "--channel" },
					      (char[]) { "--image" }, partial, (char[]) { "--size" },
					      size, (char[]) { "--name-for-errors" },
					      (char *)(uintptr_t)msg->source,
					      (msg->flags & IMPORT_FIXED) ? (char[]) { "--fixed" } : NULL,
					      NULL },
				 archive, -1);
	}
	if (r < 0)
		fail_now(j);
}

void job_import_in_place(struct client *c, const struct msg_import *msg)
{
	struct job *j = job_new(c, JOB_IMPORT_IN_PLACE);
	struct registry_plan plan = {
		.name = msg->name,
		.in_place = msg->source,
		.version = 2,
		.run_oobe = (msg->flags & IMPORT_RUN_OOBE) != 0,
	};
	int r;

	if (!j)
		return;
	r = begin_install(j, &plan);
	if (r == 0)
		r = start_worker(j,
				 (char *[]) { (char[]) { "inspect" }, (char[]) { "--channel" },
					      (char[]) { "--image" }, (char *)(uintptr_t)msg->source, NULL },
				 -1, -1);
	if (r < 0)
		fail_now(j);
}

/* --- export --- */

static void start_export(struct job *j)
{
	auto_free char *image = registry_image_path(&j->record);
	int r = start_worker(j,
			     (char *[]) { (char[]) { "export" }, (char[]) { "--channel" },
					  (char[]) { "--image" }, image, (char[]) { "--format" },
					  j->format, j->frozen ? (char[]) { "--frozen" } : NULL, NULL },
			     -1, j->target);

	drop_fd(&j->target);
	if (r < 0)
		finish(j);
}

static void thawed(const struct channel_message *m, const struct err *err, void *arg)
{
	(void)m, (void)arg;
	if (err)
		log_warn("cannot thaw an exported distribution: %s", err->text);
}

static void thaw(struct job *j)
{
	struct instance *i = instance_find(j->service, j->record.id);

	if (!j->frozen)
		return;
	j->frozen = false;
	if (!i)
		return;
	machine_call(j->service->machine, MSG_THAW_DISTRO, &(struct msg_number) { i->number }, thawed,
		     j->service);
	instance_release(i);
}

static void froze(const struct channel_message *m, const struct err *err, void *arg)
{
	struct job *j = arg;
	struct instance *i = instance_find(j->service, j->record.id);

	(void)m;
	j->freezing = false;
	if (err)
		j->err = *err;
	j->frozen = !err && i;
	if (j->frozen)
		instance_hold(i);
	if (!j->client && !j->err.errnum)
		err_id(&j->err, ERR_E_ABORT, "The export was cancelled.");
	if (!j->err.errnum)
		start_export(j);
	else
		finish(j);
}

static void stopped_for_export(struct waiter *w, const struct err *err)
{
	struct job *j = container_of(w, struct job, wait);

	if (err) {
		j->err = *err;
		finish(j);
		return;
	}
	start_export(j);
}

static void finish_export(struct job *j)
{
	struct instance *i = instance_find(j->service, j->record.id);
	bool was_frozen = j->frozen;

	thaw(j);
	if (!j->err.errnum && was_frozen && !i)
		err_id(&j->err, ERR_WSL_E_EXPORT_FAILED,
		       "The distribution '%s' was stopped while it was exported.", j->record.name);
	if (j->err.errnum)
		err_name(&j->err, ERR_WSL_E_EXPORT_FAILED);
	job_over(j, j->err.errnum ? &j->err : NULL, MSG_RESULT, &(struct msg_result) { 0 });
}

void job_export(struct client *c, const struct registry_record *rec, const char *format,
		       int target_fd)
{
	struct job *j = job_new(c, JOB_EXPORT);
	auto_close int target = target_fd;
	struct instance *i = instance_find(client_service(c), rec->id);

	if (!j)
		return;
	if (registry_find_id(j->service->registry, rec->id, REGISTRY_INSTALLED, &j->record, &j->err) < 0) {
		fail_now(j);
		return;
	}
	j->have_record = true;
	j->format = str_dup(format);
	j->target = take_fd(&target);
	j->wait.done = stopped_for_export;
	if (i && i->state == INSTANCE_RUNNING) {
		j->freezing = true;
		machine_call(j->service->machine, MSG_FREEZE_DISTRO, &(struct msg_number) { i->number },
			     froze, j);
	} else if (i) {
		instance_stop(i, false, &j->wait);
	} else {
		start_export(j);
	}
}

/* --- the end --- */

static void finish(struct job *j)
{
	if (j->kind == JOB_EXPORT)
		finish_export(j);
	else
		finish_import(j);
}

void job_cancel(struct job *j)
{
	j->client = NULL;
	if (j->pid > 0)
		kill(-j->pid, SIGKILL); /* finish() follows when it is reaped */
	else if (!j->freezing) {
		err_id(&j->err, ERR_E_ABORT, "The operation was cancelled.");
		finish(j);
	}
}
