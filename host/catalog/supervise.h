/* host/catalog/supervise.h - runs a program tree that never outlives us
 *
 * A supervisor process stands between: it adopts every descendant, and ends them all when the
 * program is done or when we are gone, for whatever reason: it holds the reading end of a pipe
 * whose writing end only we have. It runs in a session of its own, so that Ctrl-C reaches us alone.
 * In the end it removes the scratch directory, and the output file unless the program succeeded.
 */
#ifndef HOST_CATALOG_SUPERVISE_H
#define HOST_CATALOG_SUPERVISE_H

#include <stdbool.h>

struct err;

struct supervised {
	const char *const *argv; /* argv[0] is searched in PATH */
	const char *const *env;  /* "NAME=value" added to ours, NULL-terminated */
	int stdin_fd, stdout_fd;
	const char *const *read_only; /* directories root's program must not write to; or NULL */
	const char *scratch;          /* directory to remove in the end */
	const char *output;           /* file to remove unless the exit status is 0 */
	const char *const
		*remover; /* words before a path that remove what we may not; NULL: none */
	void (*on_line)(const char *line, void *arg); /* of its stderr */
	bool (*cancelled)(void *arg);
	void *arg;
};

/* The wait status, or negative: -EINTR with ERR_E_ABORT when cancelled. */
int supervise(const struct supervised *job, struct err *err);

/* rm -rf, by @remover (may be NULL) where our rights do not suffice; never below a mount. */
void supervise_remove(const char *dir, const char *const *remover);

#endif
