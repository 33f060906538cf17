/* tests/unit/guest-clock-test.c - guest-clock.c and a guest whose clock is made up
 *
 * The test is the rest of the service: it fires the timer and answers questions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "io/loop.h"
#include "service/guest-clock.h"
#include "service/service.h"

#define SECOND 1000000000ll
#define NEAR   (100 * SECOND / 1000)

/* --- what guest-clock.c asks of others --- */

static struct {
	timer_fn fn;
	void *arg;
	bool armed;
} period;
static struct {
	call_fn fn;
	void *arg;
	int64_t step;
} question;
static unsigned questions;

struct timer *loop_timer(struct loop *l, timer_fn fn, void *arg)
{
	period.fn = fn;
	period.arg = arg;
	return (struct timer *)&period;
}

void timer_set(struct timer *t, uint64_t delay_ms)
{
	assert_in_range(delay_ms, 1, 60000);
	period.armed = true;
}

void timer_cancel(struct timer *t)
{
	period.armed = false;
}

struct timer *timer_free(struct timer *t)
{
	period.armed = false;
	return NULL;
}

struct watch *loop_watch(struct loop *l, int fd, uint32_t events, watch_fn fn, void *arg)
{
	return (struct watch *)&period;
}

struct watch *watch_remove(struct watch *w)
{
	return NULL;
}

void machine_call(struct machine *m, uint16_t type, const void *msg, call_fn fn, void *arg)
{
	assert_int_equal(type, MSG_STEP_CLOCK);
	assert_null(question.fn);
	question.fn = fn;
	question.arg = arg;
	question.step = (int64_t)((const struct msg_number *)msg)->number;
	questions++;
}

void machine_cancel(struct machine *m, const void *arg)
{
	if (question.arg == arg)
		question.fn = NULL;
}

/* --- the guest --- */

static int64_t off; /* its clock minus the host's */
static struct guest_clock *guest_clock;

static uint64_t guest_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)(t.tv_sec * SECOND + t.tv_nsec + off);
}

static void answer(uint64_t time)
{
	struct channel_message m = { .header.type = MSG_CLOCK,
				     .msg = &(struct msg_number) { time } };
	call_fn fn = question.fn;

	assert_non_null(fn);
	question.fn = NULL;
	fn(&m, NULL, question.arg);
}

static void obey(void)
{
	off += question.step;
	answer(guest_time());
}

static void look(void)
{
	assert_true(period.armed);
	period.armed = false;
	questions = 0;
	period.fn((struct timer *)&period, period.arg);
	assert_int_equal(question.step, 0);
}

static int set_up(void **state)
{
	log_init("guest-clock-test", STDERR_FILENO, LOG_ERR, false);
	guest_clock = guest_clock_new(NULL, NULL);
	if (!guest_clock)
		return -1;
	off = 0;
	guest_clock_start(guest_clock);
	obey();
	return 0;
}

static int tear_down(void **state)
{
	guest_clock_free(guest_clock);
	assert_false(period.armed);
	assert_null(question.fn);
	return 0;
}

/* --- tests --- */

static void a_clock_that_is_right_is_left_alone(void **state)
{
	look();
	obey();
	assert_null(question.fn);
	assert_true(period.armed);
}

static void a_clock_that_is_off_is_stepped_and_asked_again(void **state)
{
	static const int64_t wrong[] = { -3600 * SECOND, 3600 * SECOND, -NEAR, NEAR,
					 1000000000 * SECOND };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		off = wrong[i];
		look();
		while (question.fn)
			obey();
		assert_in_range(questions, 2, 5);
		assert_in_range(off + NEAR, 1, 2 * NEAR - 1);
	}
}

/* The guest read its clock at one end or the other of a long way: it may well be right. */
static void a_slow_answer_is_no_reason_to_step(void **state)
{
	uint64_t early;

	look();
	early = guest_time();
	usleep(200000);
	answer(early);
	assert_int_equal(question.step, 0);
	usleep(200000);
	obey();
	assert_int_equal(question.step, 0);
	obey();
	assert_int_equal(off, 0);
}

static void a_step_that_was_long_under_way_is_right_when_it_comes(void **state)
{
	off = -3600 * SECOND;
	look();
	obey();
	assert_int_not_equal(question.step, 0);
	usleep(200000);
	while (question.fn)
		obey();
	assert_in_range(off + NEAR, 1, 2 * NEAR - 1);
}

static void a_clock_that_cannot_be_set_is_asked_a_few_times(void **state)
{
	static const uint64_t stubborn[] = { 0, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };

	for (size_t i = 0; i < sizeof(stubborn) / sizeof(stubborn[0]); i++) {
		look();
		while (question.fn)
			answer(stubborn[i]);
		assert_int_equal(questions, 5);
		assert_true(period.armed);
	}
}

static void an_error_ends_it_until_the_next_look(void **state)
{
	struct err err = ERR_INIT;
	call_fn fn;

	look();
	fn = question.fn;
	question.fn = NULL;
	err_set(&err, -EPERM, "cannot set the clock");
	fn(NULL, &err, question.arg);
	assert_null(question.fn);
	look();
	obey();
}

static void a_look_while_one_is_under_way_waits_for_it(void **state)
{
	look();
	period.fn((struct timer *)&period, period.arg);
	assert_int_equal(questions, 1);
	obey();
	assert_null(question.fn);
}

static void a_vm_that_is_off_is_asked_nothing(void **state)
{
	look();
	guest_clock_stop(guest_clock);
	assert_false(period.armed);
	assert_null(question.fn);
	guest_clock_start(guest_clock);
	assert_true(period.armed);
	obey();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_clock_that_is_right_is_left_alone),
		TEST(a_clock_that_is_off_is_stepped_and_asked_again),
		TEST(a_slow_answer_is_no_reason_to_step),
		TEST(a_step_that_was_long_under_way_is_right_when_it_comes),
		TEST(a_clock_that_cannot_be_set_is_asked_a_few_times),
		TEST(an_error_ends_it_until_the_next_look),
		TEST(a_look_while_one_is_under_way_waits_for_it),
		TEST(a_vm_that_is_off_is_asked_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
