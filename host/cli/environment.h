/* host/cli/environment.h - the variables that cross to the guest (spec config.md section 5)
 *
 * TERM and COLORTERM, WSLENV itself, and what WSLENV lists for this direction; nothing else.
 */
#ifndef HOST_CLI_ENVIRONMENT_H
#define HOST_CLI_ENVIRONMENT_H

#include <stddef.h>

struct environment {
	const char **list; /* "NAME=value", NULL-terminated */
	size_t n;
};

void environment_init(struct environment *env);
/* The proxy variables of this process, for the service to choose from (autoProxy). */
void environment_proxy(struct environment *env);
void environment_done(struct environment *env);

#endif
