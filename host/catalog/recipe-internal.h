/* host/catalog/recipe-internal.h - the parts of a build that can be tested alone */
#ifndef HOST_CATALOG_RECIPE_INTERNAL_H
#define HOST_CATALOG_RECIPE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

struct err;

#define BUILD_PHASE_BYTES 96u

/* What mmdebstrap's output tells about its progress. */
struct build_progress {
	const char *phase;    /* of the last stage line; NULL: none yet */
	unsigned done, total; /* packages of this stage; total 0: unknown */
};

/* True when @line changed what is to be shown; then @phase says it. */
bool build_progress_line(struct build_progress *p, const char *line, char phase[BUILD_PHASE_BYTES]);

/* mmdebstrap's mode that works for this user; an error names the packages that are missing. */
int choose_mode(const char **ret_mode, struct err *err);

/* "http_proxy=..." from apt's configuration, unless the environment has a proxy; else NULL. */
char *apt_proxy_env(void);

#endif
