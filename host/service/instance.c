/* host/service/instance.c - life of a running distribution
 *
 * THEORY OF OPERATION
 *   waiting -> attaching -> launching -> running -> stopping -> detaching -> gone. One deadline timer
 *   serves the state it is in. A failure on the way up is kept in failure, told to all who wait, and
 *   the instance goes the same way down as a running one.
 *   Going down escalates: STOP to its init, STOP_DISTRO to mini_init, the end of the VM.
 * INVARIANTS
 *   device is set from the answered attach until the answered detach.
 *   A session is in the list from the moment the guest is asked until it says SESSION_ENDED or the
 *   instance is gone, whether or not its client still lives.
 */
#include "service/service.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "common/log.h"
#include "io/loop.h"
#include "service/machine-config.h"
#include "service/machine-net.h"
#include "vm/vm.h"

#define STOP_TIMEOUT_MS  4000
#define FORCE_TIMEOUT_MS 4000

static void go_down(struct instance *i);
static void check_idle(struct instance *i);

struct instance *instance_find(struct service *s, const char *id)
{
	for (struct instance *i = s->instances; i; i = i->next)
		if (streq(i->record.id, id))
			return i;
	return NULL;
}

static struct instance *find_number(struct service *s, uint64_t number)
{
	for (struct instance *i = s->instances; i; i = i->next)
		if (i->number == number)
			return i;
	return NULL;
}

/* --- sessions --- */

static void session_end(struct session *session, const struct err *why)
{
	struct instance *i = session->instance;

	for (struct session **p = &i->sessions; *p; p = &(*p)->next) {
		if (*p == session) {
			*p = session->next;
			break;
		}
	}
	i->n_sessions--;
	if (i->oobe == session) {
		i->oobe = NULL;
		waiters_wake(&i->oobe_waiters, NULL);
	}
	if (session->client && why)
		client_session_lost(session->client, why);
	else if (session->client)
		client_session_lost(session->client, NULL);
	free(session);
}

void session_forget_client(struct session *session)
{
	session->client = NULL;
	check_idle(session->instance);
}

static struct session *session_by_number(struct instance *i, uint64_t number)
{
	for (struct session *s = i->sessions; s; s = s->next)
		if (s->number == number)
			return s;
	return NULL;
}

static void session_answered(const struct channel_message *m, const struct err *err, void *arg)
{
	struct session *session = arg;
	struct client *client = session->client;

	if (!err && m->header.type == MSG_SESSION_CREATED) {
		if (client)
			client_session_created(client, session, m->msg);
		return;
	}
	session->client = NULL;
	if (client)
		client_session_failed(client, err);
	session_end(session, NULL);
}

void session_create(struct instance *i, struct client *client, const struct msg_launch *launch)
{
	struct session *session = calloc(1, sizeof(*session));
	struct err err = ERR_INIT;
	struct msg_create_session msg = {
		.user = launch->user,
		.cwd = launch->cwd,
		.argv = launch->argv,
		.env = launch->env,
		.shell = launch->shell,
		.flags = launch->flags & ~SESSION_RUN_OOBE,
		.rows = launch->rows,
		.cols = launch->cols,
		.default_uid = i->record.default_uid,
	};

	if (!session || i->n_sessions >= LIMIT_SESSIONS) {
		err_set(&err, -EAGAIN, "The distribution '%s' has %u sessions already.", i->record.name,
			i->n_sessions);
		free(session);
		client_session_failed(client, &err);
		return;
	}
	*session = (struct session) { .next = i->sessions, .instance = i, .client = client };
	session->number = msg.session = ++i->service->next_number;
	i->sessions = session;
	i->n_sessions++;
	timer_cancel(i->idle);
	if (i->record.run_oobe && launch->shell == SHELL_INTERACTIVE && !i->oobe) {
		msg.flags |= SESSION_RUN_OOBE;
		i->oobe = session;
	}
	i->asked_us = now_us();
	client_session_begun(client, session);
	calls_send(&i->calls, i->channel, MSG_CREATE_SESSION, &msg, session_answered, session);
}

static void oobe_done(struct instance *i, const struct msg_oobe_done *done)
{
	struct registry *reg = i->service->registry;
	struct err err = ERR_INIT;
	int r = registry_set_run_oobe(reg, i->record.id, false, &err);

	i->record.run_oobe = false;
	if (r == 0 && done->default_uid != UINT32_MAX) {
		i->record.default_uid = done->default_uid;
		r = registry_set_uid(reg, i->record.id, done->default_uid, &err);
	}
	if (r < 0)
		log_warn("%s: cannot record the end of its first launch: %s", i->record.name, err.text);
	if (i->oobe && i->oobe->number == done->session) {
		i->oobe = NULL;
		waiters_wake(&i->oobe_waiters, NULL);
	}
}

/* --- the end --- */

static void instance_unlink(struct instance *i)
{
	struct instance **p = &i->service->instances;

	while (*p != i)
		p = &(*p)->next;
	*p = i->next;
}

static void instance_free(struct instance *i)
{
	waiter_remove(&i->on_machine);
	channel_free(i->channel);
	machine_cancel(i->service->machine, i);
	timer_free(i->deadline);
	timer_free(i->idle);
	registry_record_done(&i->record);
	free(i);
}

static void start_again(struct service *s, const char *id, struct waiter *w)
{
	struct registry_record record;
	struct err err = ERR_INIT;

	if (registry_find_id(s->registry, id, REGISTRY_INSTALLED, &record, &err) < 0) {
		w->done(w, &err);
		return;
	}
	instance_want(s, &record, w);
	registry_record_done(&record);
}

/* The instance is gone; whoever asked for its start since it began to stop gets a new one. */
static void gone(struct instance *i, const struct err *why)
{
	struct service *s = i->service;

	instance_unlink(i);
	calls_fail(&i->calls, why);
	while (i->sessions)
		session_end(i->sessions, why);
	if (i->failure.errnum || machine_state(s->machine) != MACHINE_RUNNING)
		waiters_wake(&i->waiters, i->failure.errnum ? &i->failure : why);
	waiters_wake(&i->stop_waiters, NULL);
	while (i->waiters) {
		struct waiter *w = i->waiters;

		waiter_remove(w);
		start_again(s, i->record.id, w);
	}
	instance_free(i);
	machine_check_idle(s->machine);
	service_check_idle(s);
}

static const struct err *stopped_reason(void)
{
	static struct err err;

	if (!err.errnum)
		err_id(&err, ERR_E_ABORT, "The distribution was terminated.");
	return &err;
}

static void disk_detached(struct vm *vm, const struct err *err, const char *device, void *arg)
{
	struct instance *i = arg;

	(void)vm, (void)device;
	if (err)
		log_warn("%s: its disk stays attached until the VM stops: %s", i->record.name, err->text);
	i->device[0] = '\0';
	gone(i, stopped_reason());
}

static void detach(struct instance *i)
{
	struct vm *vm = machine_vm(i->service->machine);

	i->state = INSTANCE_DETACHING;
	timer_cancel(i->deadline); /* the engine's console has its own */
	if (i->attaching)
		return; /* disk_attached() comes back here */
	if (i->device[0] && vm && machine_state(i->service->machine) == MACHINE_RUNNING)
		vm_detach_disk(vm, i->device, disk_detached, i);
	else
		gone(i, stopped_reason());
}

void instance_exited(struct service *s, uint64_t number, uint32_t status)
{
	struct instance *i = find_number(s, number);

	if (!i || i->state == INSTANCE_DETACHING)
		return;
	log_info("%s: stopped (status 0x%x)", i->record.name, status);
	i->channel = channel_free(i->channel);
	i->launched = false;
	if (i->state == INSTANCE_LAUNCHING && !i->failure.errnum)
		err_id(&i->failure, ERR_E_FAIL,
		       "The distribution '%s' failed to start: its init ended with status 0x%x. The "
		       "kernel's console tells more (wsl --status shows where).",
		       i->record.name, status);
	detach(i);
}

/* --- going down --- */

static void force_answered(const struct channel_message *m, const struct err *err, void *arg)
{
	struct instance *i = arg;

	(void)m;
	if (!err)
		return; /* DISTRO_EXITED does the rest */
	log_debug("%s: forced stop: %s", i->record.name, err->text);
	if (i->state == INSTANCE_STOPPING)
		detach(i);
}

static void force(struct instance *i)
{
	i->escalated = true;
	timer_set(i->deadline, FORCE_TIMEOUT_MS);
	machine_call(i->service->machine, MSG_STOP_DISTRO, &(struct msg_number) { i->number },
		     force_answered, i);
}

static void go_down(struct instance *i)
{
	i->state = INSTANCE_STOPPING;
	timer_cancel(i->idle);
	if (!i->launched) {
		detach(i);
		return;
	}
	timer_set(i->deadline, STOP_TIMEOUT_MS);
	if (i->forced || !i->channel || channel_send(i->channel, MSG_STOP, 0, &(struct msg_none) { 0 }) < 0)
		force(i);
}

static void start_failed(struct instance *i, const struct err *err)
{
	log_err("%s: cannot be started: %s", i->record.name, err->text);
	i->failure = *err;
	err_context(&i->failure, "CreateInstance");
	waiters_wake(&i->waiters, &i->failure);
	i->forced = true;
	go_down(i);
}

static void deadline_passed(struct timer *t, void *arg)
{
	struct instance *i = arg;
	struct err err = ERR_INIT;

	(void)t;
	switch (i->state) {
	case INSTANCE_WAITING:
	case INSTANCE_ATTACHING:
	case INSTANCE_LAUNCHING:
		err_id(&err, ERR_ERROR_TIMEOUT,
		       "The distribution '%s' did not start within %lld ms "
		       "(wsl2.distributionStartTimeout).",
		       i->record.name,
		       (long long)machine_settings(i->service->machine)->distribution_start_timeout_ms);
		start_failed(i, &err);
		break;
	case INSTANCE_STOPPING:
		if (!i->escalated) {
			force(i);
			break;
		}
		log_err("%s: cannot be stopped: ending the VM", i->record.name);
		machine_stop(i->service->machine, true, NULL);
		break;
	case INSTANCE_DETACHING:
	case INSTANCE_RUNNING:
		break;
	}
}

void instance_stop(struct instance *i, bool forced, struct waiter *w)
{
	if (w)
		waiter_add(&i->stop_waiters, w);
	i->forced |= forced;
	switch (i->state) {
	case INSTANCE_WAITING:
	case INSTANCE_ATTACHING:
	case INSTANCE_LAUNCHING:
		start_failed(i, stopped_reason());
		break;
	case INSTANCE_RUNNING:
		go_down(i);
		break;
	case INSTANCE_STOPPING:
	case INSTANCE_DETACHING:
		break;
	}
}

void instance_stop_by_id(struct service *s, const char *id, bool forced, struct waiter *w)
{
	struct instance *i = instance_find(s, id);

	if (i)
		instance_stop(i, forced, w);
	else if (w)
		w->done(w, NULL);
}

void instances_machine_gone(struct service *s, const struct err *why)
{
	while (s->instances) {
		struct instance *i = s->instances;

		i->channel = channel_free(i->channel);
		i->device[0] = '\0';
		if (!i->failure.errnum && i->state < INSTANCE_RUNNING)
			i->failure = *why;
		gone(i, why);
	}
}

/* --- idle --- */

static void idle_expired(struct timer *t, void *arg)
{
	struct instance *i = arg;

	(void)t;
	if (i->state != INSTANCE_RUNNING || i->n_sessions || i->holds)
		return;
	log_info("%s: idle, stopping it", i->record.name);
	go_down(i);
}

static void check_idle(struct instance *i)
{
	int64_t timeout = machine_settings(i->service->machine)->instance_idle_timeout_ms;

	if (i->state != INSTANCE_RUNNING || i->n_sessions || i->holds || timeout < 0)
		timer_cancel(i->idle);
	else if (!timer_armed(i->idle))
		timer_set(i->idle, (uint64_t)timeout);
}

void instance_hold(struct instance *i)
{
	i->holds++;
	check_idle(i);
}

void instance_release(struct instance *i)
{
	i->holds--;
	check_idle(i);
}

/* --- coming up --- */

static void on_ready(struct instance *i, const struct msg_distro_ready *ready)
{
	struct err err = ERR_INIT;

	if (i->state != INSTANCE_LAUNCHING)
		return;
	timer_cancel(i->deadline);
	i->state = INSTANCE_RUNNING;
	i->ready_us = now_us();
	log_info("%s: running, %llu ms after it was asked for", i->record.name,
		 (unsigned long long)((i->ready_us - i->wanted_us) / 1000));
	if ((!streq(ready->flavor, i->record.flavor) || !streq(ready->os_version, i->record.os_version)) &&
	    registry_set_os(i->service->registry, i->record.id, ready->flavor[0] ? ready->flavor : NULL,
			    ready->os_version[0] ? ready->os_version : NULL, &err) < 0)
		log_warn("%s: cannot record its version: %s", i->record.name, err.text);
	waiters_wake(&i->waiters, NULL);
	check_idle(i);
}

static void on_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct instance *i = arg;
	const struct msg_number *number = m->msg;
	const struct msg_text *text = m->msg;
	struct session *session;

	(void)c;
	if (m->header.seq && calls_answer(&i->calls, m))
		return;
	switch (m->header.type) {
	case MSG_DISTRO_READY:
		on_ready(i, m->msg);
		break;
	case MSG_WARNING:
		log_warn("%s: %s", i->record.name, text->text);
		waiters_warn(i->waiters, text->text);
		break;
	case MSG_SESSION_ENDED:
		session = session_by_number(i, number->number);
		if (session)
			session_end(session, NULL);
		check_idle(i);
		break;
	case MSG_OOBE_DONE:
		oobe_done(i, m->msg);
		break;
	default:
		log_debug("%s: unexpected %s", i->record.name, message_name(m->header.type));
	}
}

static void on_close(struct channel *c, int reason, void *arg)
{
	struct instance *i = arg;
	struct err err = ERR_INIT;

	(void)reason;
	channel_free(c);
	i->channel = NULL;
	err_id(&err, ERR_E_UNEXPECTED, "The init process of '%s' ended unexpectedly.", i->record.name);
	calls_fail(&i->calls, &err);
	if (i->state == INSTANCE_RUNNING || i->state == INSTANCE_LAUNCHING) {
		/* Its death is reported by mini_init; a hung one is ended by the deadline. */
		i->state = INSTANCE_STOPPING;
		i->forced = true;
		if (i->waiters)
			i->failure = err;
		timer_set(i->deadline, STOP_TIMEOUT_MS);
	}
}

static const struct channel_ops init_ops = { on_message, on_close };

/* Without the DNS tunnel the guest cannot ask for the host's own names: it gets a copy. */
static char *hosts_for(struct instance *i)
{
	bool large;
	char *text;

	if (!machine_net_copies_hosts(machine_network(i->service->machine)))
		return str_dup("");
	text = host_hosts("/etc/hosts", &large);
	if (large)
		waiters_warn(i->waiters, "The host's /etc/hosts is too large to be copied to the distribution.");
	return text;
}

void instance_hello(struct service *s, struct channel *c, const struct msg_hello *hello)
{
	struct instance *i = hello->role == ROLE_DISTRO_INIT ? find_number(s, hello->id) : NULL;
	auto_free char *hostname = NULL, *domain = NULL, *timezone = NULL, *hosts = NULL;
	struct msg_distro_config config;

	if (!i || i->state != INSTANCE_LAUNCHING || i->channel) {
		log_warn("guest: a HELLO of role %u, id %llu, is not expected", hello->role,
			 (unsigned long long)hello->id);
		channel_free(c);
		return;
	}
	hostname = host_name();
	domain = host_domain();
	timezone = host_timezone();
	hosts = hosts_for(i);
	config = (struct msg_distro_config) {
		.name = i->record.name,
		.hostname = hostname,
		.domain = domain,
		.timezone = timezone,
		.default_uid = i->record.default_uid,
		.hosts = hosts,
	};
	i->channel = c;
	i->hello_us = now_us();
	channel_set_owner(c, &init_ops, i);
	channel_send(c, MSG_DISTRO_CONFIG, 0, &config);
}

static void launch_answered(const struct channel_message *m, const struct err *err, void *arg)
{
	struct instance *i = arg;

	(void)m;
	if (!err || i->state != INSTANCE_LAUNCHING)
		return;
	i->launched = false;
	start_failed(i, err);
}

static void disk_attached(struct vm *vm, const struct err *err, const char *device, void *arg)
{
	struct instance *i = arg;
	auto_free char *hostname = NULL;
	struct msg_launch_distro msg;

	(void)vm;
	i->attaching = false;
	if (!err)
		snprintf(i->device, sizeof(i->device), "%s", device);
	if (i->state != INSTANCE_ATTACHING) { /* told to stop meanwhile */
		if (i->state == INSTANCE_DETACHING)
			detach(i);
		return;
	}
	if (err) {
		struct err with_phase = *err;

		err_context(&with_phase, "MountDisk");
		start_failed(i, &with_phase);
		return;
	}
	hostname = host_name();
	msg = (struct msg_launch_distro) {
		.instance = i->number,
		.device = i->device,
		.hostname = hostname,
		.device_timeout_ms = (uint64_t)MAX(
			machine_settings(i->service->machine)->mount_device_timeout_ms, (int64_t)0),
	};
	i->state = INSTANCE_LAUNCHING;
	i->launch_us = now_us();
	i->launched = true;
	machine_call(i->service->machine, MSG_LAUNCH_DISTRO, &msg, launch_answered, i);
}

static void machine_ready(struct waiter *w, const struct err *err)
{
	struct instance *i = container_of(w, struct instance, on_machine);
	int64_t timeout;
	auto_free char *image = NULL;

	if (err) {
		start_failed(i, err);
		return;
	}
	timeout = machine_settings(i->service->machine)->distribution_start_timeout_ms;
	if (timeout >= 0)
		timer_set(i->deadline, (uint64_t)timeout);
	i->state = INSTANCE_ATTACHING;
	i->attach_us = now_us();
	i->attaching = true;
	image = registry_image_path(&i->record);
	vm_attach_disk(machine_vm(i->service->machine), image, disk_attached, i);
}

static void machine_warns(struct waiter *w, const char *text)
{
	struct instance *i = container_of(w, struct instance, on_machine);

	waiters_warn(i->waiters, text);
}

static int copy_record(struct service *s, const struct registry_record *rec, struct registry_record *ret,
		       struct err *err)
{
	return registry_find_id(s->registry, rec->id, REGISTRY_INSTALLED, ret, err);
}

void instance_want(struct service *s, const struct registry_record *rec, struct waiter *w)
{
	struct instance *i = instance_find(s, rec->id);
	struct err err = ERR_INIT;

	if (i && i->state == INSTANCE_RUNNING) {
		w->done(w, NULL);
		return;
	}
	if (i) { /* coming up: woken then; going down: started anew */
		waiter_add(&i->waiters, w);
		return;
	}
	i = calloc(1, sizeof(*i));
	if (!i || copy_record(s, rec, &i->record, &err) < 0) {
		if (!i)
			err_set(&err, -ENOMEM, "out of memory");
		free(i);
		w->done(w, &err);
		return;
	}
	i->service = s;
	i->number = ++s->next_number;
	i->wanted_us = now_us();
	i->deadline = loop_timer(s->loop, deadline_passed, i);
	i->idle = loop_timer(s->loop, idle_expired, i);
	i->on_machine.done = machine_ready;
	i->on_machine.warn = machine_warns;
	i->next = s->instances;
	s->instances = i;
	waiter_add(&i->waiters, w);
	machine_want(s->machine, &i->on_machine);
}
