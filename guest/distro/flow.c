/* guest/distro/flow.c - a pump with its descriptors */
#include "distro/flow.h"

#include <errno.h>
#include <fcntl.h>

#include "common/cleanup.h"
#include "io/pump.h"

static void pump_ended(struct pump *p, int error, void *arg)
{
	struct flow *f = arg;

	(void)p;
	f->ended = true;
	f->pump = pump_free(f->pump);
	if (f->on_end)
		f->on_end(f, error, f->arg);
}

int flow_start(struct flow *f, struct loop *loop, int from, int to, flow_end_fn on_end, void *arg)
{
	*f = (struct flow) { .loop = loop, .from = from, .to = to, .on_end = on_end, .arg = arg };
	if (from >= 0 && to >= 0)
		f->pump = pump_new(loop, from, to, pump_ended, f);
	if (f->pump)
		return 0;
	flow_close(f);
	return -ENOMEM;
}

void flow_finish(struct flow *f)
{
	if (f->pump)
		pump_finish(f->pump);
}

void flow_discard(struct flow *f)
{
	f->pump = pump_free(f->pump);
	drop_fd(&f->to);
	f->on_end = NULL;
	f->ended = true;
	if (f->from < 0)
		return;
	f->to = open("/dev/null", O_WRONLY | O_CLOEXEC);
	f->pump = pump_new(f->loop, f->from, f->to, pump_ended, f);
}

void flow_close(struct flow *f)
{
	f->pump = pump_free(f->pump);
	f->ended = true;
	drop_fd(&f->from);
	drop_fd(&f->to);
}
