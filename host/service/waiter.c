/* host/service/waiter.c - lists of those who wait */
#include "service/service.h"

void waiter_add(struct waiter **list, struct waiter *w)
{
	while (*list)
		list = &(*list)->next;
	w->next = NULL;
	w->link = list;
	*list = w;
}

void waiter_remove(struct waiter *w)
{
	if (!w->link)
		return;
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	w->next = NULL;
	w->link = NULL;
}

/* Wakes those who wait now; who queues again during that waits for the next time. */
void waiters_wake(struct waiter **list, const struct err *err)
{
	struct waiter *now = *list;

	*list = NULL;
	if (now)
		now->link = &now;
	while (now) {
		struct waiter *w = now;

		waiter_remove(w);
		w->done(w, err);
	}
}

void waiters_warn(struct waiter *list, const char *text)
{
	for (; list; list = list->next)
		if (list->warn)
			list->warn(list, text);
}
