/* host/cli/distros.h - the service's list of distributions, copied, and its printed forms */
#ifndef HOST_CLI_DISTROS_H
#define HOST_CLI_DISTROS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "protocol/message.h"

struct cli;
struct err;
struct verb_args;

struct distro_list {             /* the default distribution first, then the service's order */
	struct msg_distro *rows; /* strings are allocated; distros_free() */
	size_t n;
};

int distros_get(struct cli *cli, struct distro_list *ret, struct err *err);
void distros_free(struct distro_list *l);
const struct msg_distro *distros_find(const struct distro_list *l, const char *name);
/* The error for a name that is not in the list, with the nearest one; @l may be NULL. */
int unknown_distro(const struct distro_list *l, const char *name, struct err *err);
/* A request about @name failed: if the name is unknown, tells it as above, whichever phase of the
 * service noticed. Returns -errnum. */
int name_error(struct cli *cli, const char *name, struct err *err);

/* Prints what --list with @args shows; an exit code, or a negative errno value. */
int distros_print(FILE *to, const struct distro_list *l, const struct verb_args *args,
		  struct err *err);
const char *distro_state_name(uint32_t state);

#endif
