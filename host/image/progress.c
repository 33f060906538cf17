/* host/image/progress.c - reports about work under way, at a bounded rate */
#include "image/image-internal.h"

#include <stdarg.h>
#include <stdio.h>

#define TICK_MS 100u

void ticker_init(struct ticker *t, const struct image_events *events, const char *phase)
{
	*t = (struct ticker) { .events = events, .phase = phase };
}

void ticker_done(struct ticker *t, uint64_t done, uint64_t total)
{
	if (t->events && t->events->progress)
		t->events->progress(t->events->arg, done, total, t->phase);
}

void ticker_tick(struct ticker *t, uint64_t done, uint64_t total)
{
	uint64_t now;

	if (!t->events || !t->events->progress)
		return;
	now = now_ms();
	if (now < t->next_ms)
		return;
	t->next_ms = now + TICK_MS;
	ticker_done(t, done, total);
}

void warn(const struct image_events *events, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!events || !events->warning)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	events->warning(events->arg, text);
}
