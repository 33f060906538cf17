/* host/service/guest-clock.h - keeps the guest's wall clock at the host's while the VM runs
 *
 * Ownership  the machine's; it must be freed before the machine and its loop.
 * Units      nanoseconds of CLOCK_REALTIME. CLOCK_MONOTONIC of the guest is never touched.
 * Errors     none that stop anything: a clock that cannot be set becomes a warning in the log.
 */
#ifndef HOST_SERVICE_GUEST_CLOCK_H
#define HOST_SERVICE_GUEST_CLOCK_H

struct guest_clock;
struct loop;
struct machine;

struct guest_clock *guest_clock_new(struct loop *loop, struct machine *machine);
struct guest_clock *guest_clock_free(struct guest_clock *c); /* NULL is fine; returns NULL */
void guest_clock_start(struct guest_clock *c);               /* the VM runs */
void guest_clock_stop(struct guest_clock *c); /* it does not: nothing is asked, no timer runs */

#endif
