/* host/service/service.h - wslservice's parts and how they know each other
 *
 * client.c    one wsl command each: requests in, replies out; owns waits, sessions' client ends, jobs
 * machine.c   the VM: off, starting, running, stopping; control channel of mini_init
 * instance.c  running distributions: attach, launch, handshake, sessions, idle, stop, detach
 * job.c       import, export and inspection by wslimage workers
 * service.c   set-up, listening socket, locks on distributions, end of the service
 *
 * Everything runs on one loop. Who waits for something puts a struct waiter into a list; it is taken
 * out before its function is called. Objects that are being freed first fail their waiters.
 */
#ifndef HOST_SERVICE_SERVICE_H
#define HOST_SERVICE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "config/settings.h"
#include "io/channel.h"
#include "protocol/message.h"
#include "registry/registry.h"
#include "service/calls.h"

struct client;
struct instance;
struct job;
struct loop;
struct machine;
struct machine_net;
struct network;
struct service;
struct timer;
struct vm;

/* --- waiting --- */

struct waiter {
	struct waiter *next, **link; /* link NULL: in no list */
	void (*done)(struct waiter *w, const struct err *err_or_null);
	void (*warn)(struct waiter *w, const char *text); /* may be NULL */
};

void waiter_add(struct waiter **list, struct waiter *w);
void waiter_remove(struct waiter *w);
void waiters_wake(struct waiter **list, const struct err *err_or_null);
void waiters_warn(struct waiter *list, const char *text);

/* --- the service --- */

struct lock { /* a distribution in the middle of an operation */
	struct lock *next;
	char id[REGISTRY_ID_BYTES];
	enum distro_state state;
};

struct service {
	struct loop *loop;
	struct registry *registry;
	struct machine *machine;
	struct network *network;
	struct instance *instances;
	struct client *clients;
	struct lock *locks;
	unsigned n_clients;
	int runtime_fd, vm_fd, listen_fd;
	char *runtime, *cache, *state, *kernel_release;
	char *proxy_warning; /* given last: not again */
	struct timer *idle;
	uint64_t next_number; /* of instances and sessions */
	bool quitting; /* leave as soon as the VM is off */
};

void service_quit(struct service *s); /* stops the VM, then ends the loop */
/* Starts or stops the countdown to leaving an idle service; called when something ended. */
void service_check_idle(struct service *s);
/* ERR_E_ILLEGAL_STATE_CHANGE while another operation holds the distribution. */
int service_lock(struct service *s, const char *id, enum distro_state state, struct err *err);
void service_unlock(struct service *s, const char *id);
enum distro_state service_lock_state(struct service *s, const char *id); /* 0: free */

/* --- machine.c --- */

enum machine_state { MACHINE_OFF, MACHINE_STARTING, MACHINE_RUNNING, MACHINE_STOPPING };

struct machine *machine_new(struct service *s, int lock_fd);
struct machine *machine_free(struct machine *m); /* kills the VM */
enum machine_state machine_state(const struct machine *m);
const struct settings *machine_settings(const struct machine *m); /* of the VM's start */
struct vm *machine_vm(struct machine *m);
const struct machine_net *machine_network(const struct machine *m); /* of the VM's start */
uint64_t machine_uptime_ms(const struct machine *m);
/* Wakes @w when the VM runs; starts it if need be. */
void machine_want(struct machine *m, struct waiter *w);
/* Wakes @w (may be NULL) when the VM is off. @force: kills it at once. */
void machine_stop(struct machine *m, bool force, struct waiter *w);
void machine_call(struct machine *m, uint16_t type, const void *msg, call_fn fn, void *arg);
void machine_cancel(struct machine *m, const void *arg);
void machine_check_idle(struct machine *m);
/* "phase=microseconds" words of the last start, for WSL_TIMING. */
void machine_timings(const struct machine *m, char *buf, size_t size);

/* --- instance.c --- */

struct session {
	struct session *next;
	struct instance *instance;
	struct client *client; /* NULL once its wsl is gone */
	uint64_t number;
};

enum instance_state {
	INSTANCE_WAITING,   /* for the VM */
	INSTANCE_ATTACHING, /* its disk */
	INSTANCE_LAUNCHING, /* namespaces and root file system, then init's hello and DISTRO_READY */
	INSTANCE_RUNNING,
	INSTANCE_STOPPING,
	INSTANCE_DETACHING
};

struct instance {
	struct instance *next;
	struct service *service;
	struct registry_record record;
	uint64_t number;
	uint64_t wanted_us, attach_us, launch_us, hello_us, ready_us, asked_us; /* for WSL_TIMING */
	enum instance_state state;
	char device[16];
	struct channel *channel;
	struct calls calls;
	struct waiter on_machine;
	struct waiter *waiters, *stop_waiters, *oobe_waiters;
	struct session *sessions, *oobe;
	unsigned n_sessions, holds;
	struct timer *deadline, *idle;
	struct err failure;
	bool attaching, launched, forced, escalated;
};

struct instance *instance_find(struct service *s, const char *id);
/* Wakes @w when the distribution runs; starts it if need be. */
void instance_want(struct service *s, const struct registry_record *rec, struct waiter *w);
/* Wakes @w (may be NULL) when it is stopped and its image is closed. */
void instance_stop(struct instance *i, bool force, struct waiter *w);
void instance_stop_by_id(struct service *s, const char *id, bool force, struct waiter *w);
/* Keeps it from being stopped for idleness. */
void instance_hold(struct instance *i);
void instance_release(struct instance *i);
/* Called by machine.c */
void instance_hello(struct service *s, struct channel *c, const struct msg_hello *hello);
void instance_exited(struct service *s, uint64_t number, uint32_t status);
void instances_machine_gone(struct service *s, const struct err *why);

/* Starts a session on a running instance for @client; the reply goes to client_session_*(). */
void session_create(struct instance *i, struct client *client, const struct msg_launch *launch);
void session_forget_client(struct session *session);

/* --- client.c --- */

void client_new(struct service *s, int fd);
void clients_free(struct service *s);
void client_warn(struct client *c, const char *text);
void client_progress(struct client *c, const struct msg_progress *p);
void client_result(struct client *c, const struct err *err_or_null);
void client_reply(struct client *c, uint16_t type, const void *msg);
void client_session_begun(struct client *c, struct session *session);
void client_session_created(struct client *c, struct session *session,
			    const struct msg_session_created *created);
void client_session_failed(struct client *c, const struct err *err);
void client_session_lost(struct client *c, const struct err *why);
void client_job_begun(struct client *c, struct job *j);
void client_job_done(struct client *c); /* the job is freed after this */
struct service *client_service(struct client *c);

/* --- job.c --- */

/* Each answers the client's request in the end; descriptors are taken. */
void job_import(struct client *c, const struct msg_import *msg, int archive_fd);
void job_import_in_place(struct client *c, const struct msg_import *msg);
void job_export(struct client *c, const struct registry_record *rec, const char *format, int target_fd);
/* The client is gone: ends the worker and undoes everything. */
void job_cancel(struct job *j);

#endif
