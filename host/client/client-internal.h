/* host/client/client-internal.h - what the files of this folder share */
#ifndef HOST_CLIENT_CLIENT_INTERNAL_H
#define HOST_CLIENT_CLIENT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* A wslservice we started: its pid, and the pipe it writes to once it listens. */
struct service_start {
	pid_t pid;
	int ready_fd;
	bool ended;
	int status; /* once ended: its wait status */
};

/* Starts wslservice in a session of its own; 0 or -errno. */
int service_start(struct service_start *ret, struct err *err);
bool service_ended(struct service_start *s);
/* Fills *err with what became of it; always negative. */
int service_failure(struct service_start *s, struct err *err);
void service_start_done(struct service_start *s);

#endif
