/* guest/distro/environment.h - the environment of a launched program (spec config.md section 5) */
#ifndef GUEST_DISTRO_ENVIRONMENT_H
#define GUEST_DISTRO_ENVIRONMENT_H

#include <stddef.h>

struct strv;
struct user;

struct environment { /* zero-initialised; vars is NULL-terminated once something was set */
	char **vars;
	size_t n, room;
};

/* Sets or replaces one variable. */
void environment_set(struct environment *env, const char *name, const char *value);
/* Merges "NAME=value" strings; others are skipped. */
void environment_merge(struct environment *env, const struct strv *vars);
void environment_done(struct environment *env);

/* @hostname, @distro: NAME and WSL_DISTRO_NAME; @client: what crosses from the host, may be NULL.
 */
void environment_build(struct environment *env, const struct user *user, const char *hostname,
		       const char *distro, const struct strv *client);

/* LANG of the locale files, or NULL; allocated. */
char *locale_lang(void);
/* Value of the last LANG= line of @text, unquoted as a shell would; NULL if there is none. */
char *locale_lang_in(const char *text);
/* Shell quoting removed; unbalanced input is returned as it is. Allocated. */
char *unescape_shell(const char *text);

#endif
