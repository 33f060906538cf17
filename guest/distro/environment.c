/* guest/distro/environment.c - builds environments; later steps win over earlier ones */
#include "distro/environment.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "distro/users.h"
#include "protocol/wire.h"

#define LOCALE_FILE_BYTES (64 * KIB)

static const char *const defaults[][2] = {
	{ "HOSTTYPE", "x86_64" },
	{ "LANG", "en_US.UTF-8" },
	{ "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games:"
		  "/usr/local/games" },
	{ "TERM", "xterm-256color" },
};

static const char *const locale_files[] = { "/etc/default/locale", "/etc/locale.conf" };

/* Takes over @var, a "NAME=value" string whose name has @len characters. */
static void set_var(struct environment *env, char *var, size_t len)
{
	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->vars[i], var, len + 1) == 0) {
			free(env->vars[i]);
			env->vars[i] = var;
			return;
		}
	}
	if (env->n + 2 > env->room) {
		env->room = env->room ? 2 * env->room : 32;
		env->vars = realloc(env->vars, env->room * sizeof(*env->vars));
		if (!env->vars)
			abort();
	}
	env->vars[env->n++] = var;
	env->vars[env->n] = NULL;
}

void environment_set(struct environment *env, const char *name, const char *value)
{
	set_var(env, str_printf("%s=%s", name, value), strlen(name));
}

void environment_merge(struct environment *env, const struct strv *vars)
{
	strv_foreach (s, vars) {
		const char *sign = strchr(s, '=');

		if (sign && sign != s)
			set_var(env, str_dup(s), (size_t)(sign - s));
	}
}

void environment_done(struct environment *env)
{
	for (size_t i = 0; i < env->n; i++)
		free(env->vars[i]);
	free(env->vars);
	*env = (struct environment) { 0 };
}

/* Copies one quoted or bare piece at *in; false when it is unbalanced. */
static bool unescape_piece(const char **in, char **out)
{
	const char *p = *in;

	if (*p == '\'') {
		const char *end = strchr(p + 1, '\'');

		if (!end)
			return false;
		*out = mempcpy(*out, p + 1, (size_t)(end - p - 1));
		*in = end + 1;
		return true;
	}
	if (*p == '"') {
		for (p++; *p && *p != '"'; p++) {
			if (*p == '\\' && p[1] == '\n') {
				p++;
				continue;
			}
			if (*p == '\\' && p[1] && strchr("\"\\$`", p[1]))
				p++;
			*(*out)++ = *p;
		}
		*in = p + 1;
		return *p == '"';
	}
	if (*p == '\\') {
		if (!p[1])
			return false;
		if (p[1] != '\n')
			*(*out)++ = p[1];
		*in = p + 2;
		return true;
	}
	*(*out)++ = *p;
	*in = p + 1;
	return true;
}

char *unescape_shell(const char *text)
{
	char *copy = str_dup(text), *out = copy;
	const char *in = text;

	while (*in) {
		if (!unescape_piece(&in, &out)) {
			free(copy);
			return str_dup(text);
		}
	}
	*out = '\0';
	return copy;
}

char *locale_lang_in(const char *text)
{
	const char *found = NULL;
	auto_free char *value = NULL;

	for (const char *line = text; *line; line += *line == '\n') {
		const char *after = str_after(line + strspn(line, " \t"), "LANG=");

		if (after)
			found = after;
		line = strchrnul(line, '\n');
	}
	if (!found)
		return NULL;
	value = str_printf("%.*s", (int)strcspn(found, "\n"), found);
	for (size_t n = strlen(value); n && strchr(" \t\r", value[n - 1]);)
		value[--n] = '\0';
	return unescape_shell(value);
}

char *locale_lang(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(locale_files); i++) {
		auto_free char *text = NULL;
		char *lang;

		if (read_file_at(AT_FDCWD, locale_files[i], LOCALE_FILE_BYTES, &text, NULL) < 0)
			continue;
		lang = locale_lang_in(text);
		if (lang)
			return lang;
	}
	return NULL;
}

void environment_build(struct environment *env, const struct user *user, const char *hostname,
		       const char *distro, const struct strv *client)
{
	auto_free char *lang = locale_lang();

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		environment_set(env, defaults[i][0], defaults[i][1]);
	if (client)
		environment_merge(env, client);
	environment_set(env, "NAME", hostname);
	environment_set(env, "WSL_DISTRO_NAME", distro);
	environment_set(env, "HOME", user->home);
	environment_set(env, "USER", user->name);
	environment_set(env, "LOGNAME", user->name);
	environment_set(env, "SHELL", user->shell);
	if (lang)
		environment_set(env, "LANG", lang);
}
