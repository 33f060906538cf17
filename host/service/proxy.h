/* host/service/proxy.h - which proxy variables of the caller a session gets (autoProxy)
 *
 * From http_proxy, https_proxy and no_proxy, in either case, each in both cases: programs differ in
 * what they read. A proxy on the host's loopback is named by the address at which the guest reaches
 * it. One that the guest cannot reach is left out with a warning, and the list of exceptions with
 * it. What the session's own environment names (WSLENV) is left alone.
 */
#ifndef HOST_SERVICE_PROXY_H
#define HOST_SERVICE_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/wire.h"

#define PROXY_MAX_VARS 6u

struct proxy_vars {
	char *vars[PROXY_MAX_VARS + 1]; /* "NAME=value", NULL-terminated */
	size_t n;
	char *warning; /* NULL: none */
};

struct proxy_place {
	const char *hostname; /* of the computer */
	const char *gateway;  /* where the guest reaches the host's 127.0.0.1; "": no network */
	const char *gateway6; /* and its ::1; "": no IPv6 */
	bool mirrored;        /* the guest shares the host's 127.0.0.1 */
};

void proxy_choose(struct proxy_vars *ret, const struct strv *offered,
		  const struct strv *environment, const struct proxy_place *place);
void proxy_vars_done(struct proxy_vars *v);

#endif
