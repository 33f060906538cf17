/* host/service/client.c - one connection of a wsl command
 *
 * THEORY OF OPERATION
 *   HELLO first, then one request at a time; its sequence number is kept until it is answered. A
 *   request that waits (for an instance, a stop, a job) has the client's waiter in one list, or a job.
 *   After LAUNCHED the connection stands for the session's client until it closes.
 *   Closing while a request is under way cancels it: waits are left, jobs undone.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "common/log.h"
#include "config/paths.h"
#include "io/loop.h"
#include "io/socket.h"
#include "service/machine-config.h"
#include "service/machine-net.h"
#include "service/proxy.h"
#include "service/service.h"
#include "service/status.h"
#include "vm/vm.h"

struct client {
	struct client *next, **link;
	struct service *service;
	struct channel *channel;
	bool hello, busy;
	uint32_t seq; /* of the request under way */
	uint16_t type;
	struct waiter wait;
	struct registry_record record; /* the distribution of the request under way */
	bool have_record, locked;
	uint8_t *launch_bytes;
	struct msg_launch launch;
	struct session *session;
	struct job *job;
	uint64_t asked_us;
};

struct service *client_service(struct client *c)
{
	return c->service;
}

/* --- answers --- */

static void request_over(struct client *c)
{
	if (c->locked)
		service_unlock(c->service, c->record.id);
	c->locked = false;
	if (c->have_record)
		registry_record_done(&c->record);
	c->have_record = false;
	free(take_ptr(c->launch_bytes));
	c->busy = false;
}

void client_result(struct client *c, const struct err *err)
{
	struct err full = ERR_INIT;

	if (err) {
		full = *err;
		err_context(&full, "Service");
	}
	channel_result(c->channel, c->seq, err ? &full : NULL);
	request_over(c);
}

void client_reply(struct client *c, uint16_t type, const void *msg)
{
	channel_send(c->channel, type, c->seq, msg);
	request_over(c);
}

void client_warn(struct client *c, const char *text)
{
	channel_send(c->channel, MSG_WARNING, c->seq, &(struct msg_text) { text });
}

void client_progress(struct client *c, const struct msg_progress *p)
{
	channel_send(c->channel, MSG_PROGRESS, c->seq, p);
}

static void wait_warns(struct waiter *w, const char *text)
{
	client_warn(container_of(w, struct client, wait), text);
}

/* --- sessions --- */

/* From the request on: a client that leaves before the answer must be forgotten, too. */
void client_session_begun(struct client *c, struct session *session)
{
	c->session = session;
}

void client_session_created(struct client *c, struct session *session,
			    const struct msg_session_created *created)
{
	auto_free char *path = str_printf("%s/%s/%s", c->service->runtime, VM_DIR, RELAY_SOCKET);
	struct instance *i = session->instance;
	char machine[128], timings[512];
	uint64_t now = now_us();

	machine_timings(c->service->machine, machine, sizeof(machine));
	if (i->ready_us > c->asked_us) /* this command started the distribution, perhaps the VM, too */
		str_format(timings, sizeof(timings), "%s disk=%llu namespaces=%llu init=%llu session=%llu",
			   i->attach_us - c->asked_us > 1000 ? machine : "",
			   (unsigned long long)(i->launch_us - i->attach_us),
			   (unsigned long long)(i->hello_us - i->launch_us),
			   (unsigned long long)(i->ready_us - i->hello_us),
			   (unsigned long long)(now - i->asked_us));
	else
		str_format(timings, sizeof(timings), "session=%llu",
			   (unsigned long long)(now - i->asked_us));
	client_reply(c, MSG_LAUNCHED,
		     &(struct msg_launched) { .relay_socket = path,
					      .port = created->port,
					      .streams = created->streams,
					      .timings = timings });
}

void client_session_failed(struct client *c, const struct err *err)
{
	struct err full = *err;

	c->session = NULL;
	err_context(&full, "LaunchProcess");
	client_result(c, &full);
}

void client_session_lost(struct client *c, const struct err *why)
{
	struct err full = ERR_INIT;

	c->session = NULL;
	if (!why)
		return;
	full = *why;
	err_context(&full, "Service");
	channel_result(c->channel, c->seq, &full);
}

static void warn_once(struct client *c, const char *text)
{
	struct service *s = c->service;

	if (s->proxy_warning && streq(s->proxy_warning, text))
		return;
	free(s->proxy_warning);
	s->proxy_warning = str_dup(text);
	client_warn(c, text);
}

/* The session's environment, with the proxy variables it gets behind what it has. */
static void start_session(struct client *c, struct instance *i)
{
	const struct machine_net *net = machine_network(c->service->machine);
	auto_free char *hostname = host_name();
	struct msg_launch launch = c->launch;
	auto_free const char **list = NULL;
	struct machine_net_texts texts;
	struct proxy_vars proxy = { .n = 0 };
	size_t n = 0;

	machine_net_describe(net, &texts);
	if (net->auto_proxy)
		proxy_choose(&proxy, &c->launch.proxy, &c->launch.env,
			     &(struct proxy_place) {
				     .hostname = hostname,
				     .gateway = texts.gateway4,
				     .gateway6 = texts.gateway6,
				     .mirrored = net->mode == NETWORKING_MIRRORED,
			     });
	if (proxy.warning)
		warn_once(c, proxy.warning);
	list = calloc(c->launch.env.n + proxy.n + 1, sizeof(*list));
	if (list) {
		strv_foreach (s, &c->launch.env)
			list[n++] = s;
		for (size_t v = 0; v < proxy.n; v++)
			list[n++] = proxy.vars[v];
		launch.env = (struct strv) { .list = list };
	}
	session_create(i, c, &launch);
	proxy_vars_done(&proxy);
}

static void instance_up(struct waiter *w, const struct err *err)
{
	struct client *c = container_of(w, struct client, wait);
	struct instance *i;
	auto_free char *text = NULL;

	if (err) {
		client_result(c, err);
		return;
	}
	i = instance_find(c->service, c->record.id);
	if (!i || i->state != INSTANCE_RUNNING) { /* stopped again at once */
		instance_want(c->service, &c->record, w);
		return;
	}
	if (i->oobe && c->launch.shell == SHELL_INTERACTIVE && i->record.run_oobe) {
		text = str_printf("Waiting for OOBE command to complete for distribution \"%s\"...",
				  i->record.name);
		client_warn(c, text);
		waiter_add(&i->oobe_waiters, w);
		return;
	}
	start_session(c, i);
}

/* The request outlives its receive buffer: a copy is encoded and decoded again. */
static int keep_launch(struct client *c, const struct msg_launch *msg)
{
	size_t size = message_size(MSG_LAUNCH, msg);

	c->launch_bytes = malloc(size);
	if (!c->launch_bytes)
		return -ENOMEM;
	message_encode(MSG_LAUNCH, 0, 0, msg, c->launch_bytes, size);
	return message_decode(MSG_LAUNCH, c->launch_bytes + MESSAGE_HEADER, size - MESSAGE_HEADER,
			      &c->launch);
}

/* The distribution a request names; "" means the default. */
static int find_distro(struct client *c, const char *name, const char *id, enum registry_scope scope,
		       struct err *err)
{
	struct registry *reg = c->service->registry;
	int r;

	if (id[0])
		r = registry_find_id(reg, id, scope, &c->record, err);
	else if (name[0])
		r = registry_find(reg, name, scope, &c->record, err);
	else
		r = registry_default(reg, &c->record, err);
	c->have_record = r == 0;
	return r;
}

static void free_or_busy(struct client *c, struct err *err, int *r)
{
	enum distro_state held = service_lock_state(c->service, c->record.id);

	if (*r == 0 && held && held != DISTRO_RUNNING)
		*r = err_id(err, ERR_E_ILLEGAL_STATE_CHANGE,
			    "An install, uninstall, or conversion is in progress for this distribution.");
}

static void do_launch(struct client *c, struct channel_message *m)
{
	const struct msg_launch *msg = m->msg;
	struct err err = ERR_INIT;
	int r = find_distro(c, msg->distro, msg->distro_id, REGISTRY_INSTALLED, &err);

	free_or_busy(c, &err, &r);
	if (r == 0 && keep_launch(c, msg) < 0)
		r = err_set(&err, -ENOMEM, "out of memory");
	if (r < 0) {
		err_context(&err, "CreateInstance");
		client_result(c, &err);
		return;
	}
	c->wait.done = instance_up;
	instance_want(c->service, &c->record, &c->wait);
}

/* --- simple requests --- */

static void do_list(struct client *c, struct channel_message *m)
{
	struct registry_record *records = NULL;
	struct err err = ERR_INIT;
	size_t n = 0;

	(void)m;
	if (registry_list(c->service->registry, &records, &n, &err) < 0) {
		client_result(c, &err);
		return;
	}
	for (size_t i = 0; i < n; i++)
		status_send_distro(c->service, c->channel, c->seq, &records[i]);
	registry_list_free(records, n);
	client_result(c, NULL);
}

static void do_status(struct client *c, struct channel_message *m)
{
	(void)m;
	status_send(c->service, c->channel, c->seq);
	request_over(c);
}

static void do_set_default(struct client *c, struct channel_message *m)
{
	const struct msg_text *msg = m->msg;
	struct err err = ERR_INIT;
	int r = find_distro(c, msg->text, "", REGISTRY_INSTALLED, &err);

	if (r == 0)
		r = registry_set_default(c->service->registry, c->record.id, &err);
	if (r < 0)
		err_context(&err, "SetDefaultDistro");
	client_result(c, r < 0 ? &err : NULL);
}

static void do_set_default_version(struct client *c, struct channel_message *m)
{
	const struct msg_number *msg = m->msg;
	struct err err = ERR_INIT;
	int r = 0;

	if (msg->number == 1)
		r = err_id(&err, ERR_WSL_E_WSL1_NOT_SUPPORTED,
			   "Version 1 distributions are not supported by this release.");
	if (r == 0)
		r = registry_set_default_version(c->service->registry, msg->number, &err);
	client_result(c, r < 0 ? &err : NULL);
}

static void done_plain(struct waiter *w, const struct err *err)
{
	client_result(container_of(w, struct client, wait), err);
}

static void do_terminate(struct client *c, struct channel_message *m)
{
	const struct msg_text *msg = m->msg;
	struct err err = ERR_INIT;
	int r = find_distro(c, msg->text, "", REGISTRY_INSTALLED, &err);

	free_or_busy(c, &err, &r);
	if (r < 0) {
		err_context(&err, "TerminateDistro");
		client_result(c, &err);
		return;
	}
	c->wait.done = done_plain;
	instance_stop_by_id(c->service, c->record.id, false, &c->wait);
}

static void do_shutdown(struct client *c, struct channel_message *m)
{
	const struct msg_shutdown *msg = m->msg;

	c->wait.done = done_plain;
	machine_stop(c->service->machine, msg->force != 0, &c->wait);
}

static void vm_off_quit(struct waiter *w, const struct err *err)
{
	struct client *c = container_of(w, struct client, wait);
	struct service *s = c->service;

	client_result(c, err);
	service_quit(s);
}

static void do_stop_service(struct client *c, struct channel_message *m)
{
	(void)m;
	c->wait.done = vm_off_quit;
	machine_stop(c->service->machine, false, &c->wait);
}

static void stopped_for_unregister(struct waiter *w, const struct err *err)
{
	struct client *c = container_of(w, struct client, wait);
	struct err own = ERR_INIT;
	int r;

	if (err) {
		client_result(c, err);
		return;
	}
	r = registry_remove(c->service->registry, c->record.id, &own);
	if (r < 0)
		err_context(&own, "UnregisterDistro");
	client_result(c, r < 0 ? &own : NULL);
}

static void do_unregister(struct client *c, struct channel_message *m)
{
	const struct msg_text *msg = m->msg;
	struct err err = ERR_INIT;
	int r = find_distro(c, msg->text, "", REGISTRY_ANY_STATE, &err);

	if (r == 0)
		r = service_lock(c->service, c->record.id, DISTRO_UNINSTALLING, &err);
	if (r == 0) {
		c->locked = true;
		r = registry_begin_remove(c->service->registry, c->record.id, &err);
	}
	if (r < 0) {
		err_context(&err, "UnregisterDistro");
		client_result(c, &err);
		return;
	}
	c->wait.done = stopped_for_unregister;
	instance_stop_by_id(c->service, c->record.id, true, &c->wait);
}

/* --- jobs --- */

void client_job_begun(struct client *c, struct job *j)
{
	c->job = j;
}

void client_job_done(struct client *c)
{
	c->job = NULL;
}

static int one_descriptor(struct client *c, struct channel_message *m)
{
	struct err err = ERR_INIT;

	if (m->n_fds == 1)
		return take_fd(&m->fds[0]);
	err_id(&err, ERR_WSL_E_PROTOCOL_MISMATCH, "%s came without its file",
	       message_name(m->header.type));
	client_result(c, &err);
	return -1;
}

static void do_import(struct client *c, struct channel_message *m)
{
	int fd = one_descriptor(c, m);

	if (fd >= 0)
		job_import(c, m->msg, fd);
}

static void do_import_in_place(struct client *c, struct channel_message *m)
{
	job_import_in_place(c, m->msg);
}

static void do_export(struct client *c, struct channel_message *m)
{
	const struct msg_export *msg = m->msg;
	auto_close int fd = one_descriptor(c, m);
	struct err err = ERR_INIT;
	int r;

	if (fd < 0)
		return;
	r = find_distro(c, msg->name, "", REGISTRY_INSTALLED, &err);
	if (r == 0)
		r = service_lock(c->service, c->record.id, DISTRO_EXPORTING, &err);
	if (r < 0) {
		err_context(&err, "ExportDistro");
		client_result(c, &err);
		return;
	}
	c->locked = true;
	job_export(c, &c->record, msg->format, take_fd(&fd));
}

static const struct request {
	uint16_t type;
	void (*run)(struct client *c, struct channel_message *m);
} requests[] = {
	{ MSG_LIST, do_list },
	{ MSG_STATUS, do_status },
	{ MSG_LAUNCH, do_launch },
	{ MSG_TERMINATE, do_terminate },
	{ MSG_SHUTDOWN, do_shutdown },
	{ MSG_SET_DEFAULT, do_set_default },
	{ MSG_SET_DEFAULT_VERSION, do_set_default_version },
	{ MSG_UNREGISTER, do_unregister },
	{ MSG_IMPORT, do_import },
	{ MSG_IMPORT_IN_PLACE, do_import_in_place },
	{ MSG_EXPORT, do_export },
	{ MSG_STOP_SERVICE, do_stop_service },
};

/* --- the connection --- */

static void client_free(struct client *c)
{
	struct service *s = c->service;

	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	s->n_clients--;
	waiter_remove(&c->wait);
	if (c->session)
		session_forget_client(c->session);
	if (c->job)
		job_cancel(c->job);
	channel_free(c->channel);
	request_over(c);
	free(c);
	service_check_idle(s);
}

static void refuse(struct client *c, uint32_t seq, enum err_id id, const char *text)
{
	struct err err = ERR_INIT;

	err_id(&err, id, "%s", text);
	channel_result(c->channel, seq, &err);
}

static void on_hello(struct client *c, struct channel_message *m)
{
	const struct msg_hello *hello = m->msg;
	struct msg_hello ours = {
		.version = PROTOCOL_VERSION,
		.role = ROLE_SERVICE,
		.release = LXSS_VERSION,
	};

	channel_send(c->channel, MSG_HELLO, m->header.seq, &ours);
	if (m->header.type == MSG_HELLO && hello->version == PROTOCOL_VERSION)
		c->hello = true;
	else
		refuse(c, m->header.seq, ERR_WSL_E_PROTOCOL_MISMATCH,
		       "The running wslservice is of another version. Run wsl --shutdown, then end the "
		       "service (pkill wslservice); it starts anew by itself.");
}

static void on_message(struct channel *ch, struct channel_message *m, void *arg)
{
	struct client *c = arg;

	(void)ch;
	if (!c->hello) {
		on_hello(c, m);
		return;
	}
	if (c->busy || c->session) {
		refuse(c, m->header.seq, ERR_E_UNEXPECTED, "A request is under way on this connection.");
		return;
	}
	for (const struct request *r = requests; r < requests + ARRAY_SIZE(requests); r++) {
		if (r->type != m->header.type)
			continue;
		c->busy = true;
		c->seq = m->header.seq;
		c->type = m->header.type;
		c->asked_us = now_us();
		c->wait.warn = wait_warns;
		r->run(c, m);
		return;
	}
	refuse(c, m->header.seq, ERR_WSL_E_PROTOCOL_MISMATCH, "This message is not a request.");
}

static void on_close(struct channel *ch, int reason, void *arg)
{
	(void)ch, (void)reason;
	client_free(arg);
}

static const struct channel_ops client_ops = { on_message, on_close };

void client_new(struct service *s, int fd)
{
	struct client *c = NULL;
	uid_t uid;
	pid_t pid;

	if (unix_peer(fd, &uid, &pid) < 0 || (uid != getuid() && uid != 0) ||
	    s->n_clients >= LIMIT_CLIENTS)
		goto refuse;
	c = calloc(1, sizeof(*c));
	if (!c)
		goto refuse;
	c->service = s;
	c->channel = channel_new(s->loop, fd, &client_ops, c);
	if (!c->channel) {
		free(c);
		return;
	}
	c->next = s->clients;
	c->link = &s->clients;
	if (c->next)
		c->next->link = &c->next;
	s->clients = c;
	s->n_clients++;
	service_check_idle(s);
	return;
refuse:
	log_warn("a client was refused: it is another user's, or there are too many");
	close(fd);
}

void clients_free(struct service *s)
{
	while (s->clients)
		client_free(s->clients);
}
