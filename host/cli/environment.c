/* host/cli/environment.c - TERM, and WSLENV with its flags */
#include "cli/environment.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

static bool listed(const struct environment *env, const char *name, size_t n)
{
	for (size_t i = 0; i < env->n; i++)
		if (strncmp(env->list[i], name, n) == 0 && env->list[i][n] == '=')
			return true;
	return false;
}

static void add(struct environment *env, const char *name, size_t n, const char *value)
{
	const char **list;

	if (!n || memchr(name, '=', n) || listed(env, name, n))
		return;
	list = realloc(env->list, (env->n + 2) * sizeof(*list));
	if (!list)
		abort();
	list[env->n++] = str_printf("%.*s=%s", (int)n, name, value ? value : "");
	list[env->n] = NULL;
	env->list = list;
}

/* u: to the guest; w: to the host only; p and l translate paths, once there are shared paths. */
static bool crosses(const char *flags)
{
	bool to_host = false, to_guest = false;

	for (; *flags; flags++) {
		if (!strchr("pluw", *flags))
			return false;
		to_host |= *flags == 'w';
		to_guest |= *flags == 'u';
	}
	return to_guest || !to_host;
}

static void add_listed(struct environment *env, char *item)
{
	char *slash = strchr(item, '/');

	if (slash)
		*slash = '\0';
	if (!slash || crosses(slash + 1))
		add(env, item, strlen(item), getenv(item));
}

static void add_wslenv(struct environment *env, const char *value)
{
	auto_free char *copy = str_dup(value);
	size_t n = strlen(copy);
	char *rest = copy, *item;

	while (n && strchr(" \t\r\n", copy[n - 1]))
		copy[--n] = '\0';
	add(env, "WSLENV", 6, copy);
	while ((item = strsep(&rest, ":")))
		add_listed(env, item);
}

void environment_init(struct environment *env)
{
	const char *wslenv = getenv("WSLENV");

	*env = (struct environment) { .list = calloc(1, sizeof(*env->list)) };
	if (!env->list)
		abort();
	if (wslenv)
		add_wslenv(env, wslenv);
	if (getenv("TERM"))
		add(env, "TERM", 4, getenv("TERM"));
	if (getenv("COLORTERM"))
		add(env, "COLORTERM", 9, getenv("COLORTERM"));
}

void environment_proxy(struct environment *env)
{
	static const char *const names[] = { "http_proxy", "HTTP_PROXY",  "https_proxy",
					     "HTTPS_PROXY", "no_proxy", "NO_PROXY" };

	*env = (struct environment) { .list = calloc(1, sizeof(*env->list)) };
	if (!env->list)
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (getenv(names[i]))
			add(env, names[i], strlen(names[i]), getenv(names[i]));
}

void environment_done(struct environment *env)
{
	for (size_t i = 0; i < env->n; i++)
		free((char *)(uintptr_t)env->list[i]);
	free(env->list);
}
