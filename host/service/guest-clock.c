/* host/service/guest-clock.c - asks the guest for its time, and tells it how far off it is
 *
 * THEORY OF OPERATION
 *   The guest's CLOCK_MONOTONIC follows the host's; its CLOCK_REALTIME is that plus what was the
 *   difference at the boot. When the host is suspended or its clock is set, the difference changes.
 *   The kernel tells by cancelling a timer; every PERIOD_MS is a look for whatever was missed,
 *   a root of the guest that set the clock included.
 *   STEP_CLOCK says how much to add to the guest's clock, at first nothing; the answer tells what it
 *   shows. It showed that at some moment between the request and the answer. A step is sent only if
 *   the clock is off whichever moment it was, and is relative: a VM that was stopped meanwhile
 *   receives no time of the past. After a step, or an answer that was long under way, it is asked
 *   again.
 */
#include "service/guest-clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "service/service.h"

#define PERIOD_MS     30000
#define TOLERANCE_NS  20000000
#define SLOW_US       50000 /* an answer says too little when it was under way for longer */
#define MAX_QUESTIONS 5     /* in a row */
#define NS            1000000000u

struct guest_clock {
	struct loop *loop;
	struct machine *machine;
	struct timer *period;
	struct watch *jumps;
	int fd; /* of the timer that is cancelled when the host's clock jumps; -1: the VM is off */
	unsigned questions;
	bool asking;
	uint64_t asked_us;
};

static void ask(struct guest_clock *c, int64_t step_ns);

static uint64_t host_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static void told(struct guest_clock *c, uint64_t guest_ns)
{
	uint64_t took_us = now_us() - c->asked_us;
	/* the number is the guest's: the difference may wrap */
	int64_t off = (int64_t)(host_ns() - took_us * 500 - guest_ns);
	int64_t doubt = (int64_t)took_us * 500 + TOLERANCE_NS;
	bool wrong = off > doubt || off < -doubt;

	if (!wrong && took_us <= SLOW_US)
		return;
	if (c->questions < MAX_QUESTIONS) {
		if (wrong)
			log_info("the guest's clock is %lld ms off: stepping it",
				 (long long)-(off / 1000000));
		ask(c, wrong ? off : 0);
	} else if (wrong) {
		log_warn("the guest's clock stays %lld ms off", (long long)-(off / 1000000));
	}
}

static void answered(const struct channel_message *cm, const struct err *err, void *arg)
{
	struct guest_clock *c = arg;

	c->asking = false;
	if (err)
		log_warn("the guest's clock is not set: %s", err->text);
	else if (cm->header.type == MSG_CLOCK)
		told(c, ((const struct msg_number *)cm->msg)->number);
}

static void ask(struct guest_clock *c, int64_t step_ns)
{
	c->questions++;
	c->asking = true;
	c->asked_us = now_us();
	machine_call(c->machine, MSG_STEP_CLOCK, &(struct msg_number) { (uint64_t)step_ns },
		     answered, c);
}

static void check(struct guest_clock *c)
{
	c->questions = 0;
	timer_set(c->period, PERIOD_MS);
	if (!c->asking)
		ask(c, 0);
}

static void period_due(struct timer *t, void *arg)
{
	(void)t;
	check(arg);
}

static void host_jumped(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct guest_clock *c = arg;
	uint64_t expirations;

	(void)w, (void)events;
	if (read(fd, &expirations, sizeof(expirations)) < 0 && errno == ECANCELED)
		check(c);
}

void guest_clock_start(struct guest_clock *c)
{
	/* never due; the kernel cancels it when CLOCK_REALTIME jumps, also over a suspend */
	struct itimerspec never = { .it_value.tv_sec = INT64_MAX };

	check(c); /* the boot took its time, and read the host's clock at its beginning */
	c->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->fd >= 0 &&
	    timerfd_settime(c->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) == 0)
		c->jumps = loop_watch(c->loop, c->fd, EPOLLIN, host_jumped, c);
	if (!c->jumps)
		log_warn("jumps of the host's clock reach the guest up to %d s late: %s",
			 PERIOD_MS / 1000, strerror(errno));
}

void guest_clock_stop(struct guest_clock *c)
{
	timer_cancel(c->period);
	c->jumps = watch_remove(c->jumps);
	drop_fd(&c->fd);
	machine_cancel(c->machine, c);
	c->asking = false;
}

struct guest_clock *guest_clock_new(struct loop *loop, struct machine *machine)
{
	struct guest_clock *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct guest_clock) { .loop = loop, .machine = machine, .fd = -1 };
	c->period = loop_timer(loop, period_due, c);
	return c->period ? c : guest_clock_free(c);
}

struct guest_clock *guest_clock_free(struct guest_clock *c)
{
	if (!c)
		return NULL;
	guest_clock_stop(c);
	timer_free(c->period);
	free(c);
	return NULL;
}
