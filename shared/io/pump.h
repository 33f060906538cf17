/* shared/io/pump.h - moves bytes from one descriptor to another, driven by the loop
 *
 * Used by the wsl client and by the guest's session relay between terminals, pipes and streams. A
 * pump reads ahead at most one buffer, so a slow reader stops a fast writer and nobody deadlocks.
 *
 * Ownership  descriptors are borrowed: the owner closes them after on_end or pump_free(). Both must be
 *            non-blocking, or files that never block.
 * End        on_end is called once, when everything read has been written and the source reported
 *            its end (error 0), or when either side failed (negative errno; -EPIPE: the sink is
 *            gone). EIO from a terminal counts as its end. The pump is idle then, until freed.
 */
#ifndef SHARED_IO_PUMP_H
#define SHARED_IO_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct pump;

typedef void (*pump_end_fn)(struct pump *p, int error, void *arg);

#define PUMP_BUFFER_BYTES (256u * 1024)

struct pump *pump_new(struct loop *loop, int from, int to, pump_end_fn on_end, void *arg);
struct pump *pump_free(struct pump *p); /* may be called from on_end */

/* Reads what the source holds right now without waiting, then ends as if the source had ended: for
 * a pipe whose writers live on after the program of interest is gone. */
void pump_finish(struct pump *p);
uint64_t pump_bytes(const struct pump *p); /* written so far */
bool pump_holds(const struct pump *p);	/* bytes read that the sink has not taken yet */

#endif
