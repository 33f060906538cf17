/* host/service/service.c - set-up, the listening socket, locks on distributions, the end */
#include "service/service.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "config/paths.h"
#include "io/loop.h"

void service_quit(struct service *s)
{
	s->quitting = true;
	machine_stop(s->machine, false, NULL);
	service_check_idle(s);
}

void service_check_idle(struct service *s)
{
	bool idle = !s->clients && machine_state(s->machine) == MACHINE_OFF && !s->locks;

	if (s->quitting && machine_state(s->machine) == MACHINE_OFF)
		loop_stop(s->loop, 0);
	if (!s->idle)
		return;
	if (!idle)
		timer_cancel(s->idle);
	else if (!timer_armed(s->idle))
		timer_set(s->idle, 120000);
}

static struct lock *find_lock(struct service *s, const char *id)
{
	for (struct lock *l = s->locks; l; l = l->next)
		if (streq(l->id, id))
			return l;
	return NULL;
}

enum distro_state service_lock_state(struct service *s, const char *id)
{
	struct lock *l = find_lock(s, id);

	return l ? l->state : 0;
}

int service_lock(struct service *s, const char *id, enum distro_state state, struct err *err)
{
	struct lock *l;

	if (find_lock(s, id))
		return err_id(err, ERR_E_ILLEGAL_STATE_CHANGE,
			      "An install, uninstall, or conversion is in progress for this distribution.");
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	l->state = state;
	str_format(l->id, sizeof(l->id), "%s", id);
	l->next = s->locks;
	s->locks = l;
	return 0;
}

void service_unlock(struct service *s, const char *id)
{
	for (struct lock **p = &s->locks; *p; p = &(*p)->next) {
		struct lock *l = *p;

		if (!streq(l->id, id))
			continue;
		*p = l->next;
		free(l);
		return;
	}
}
