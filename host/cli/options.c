/* host/cli/options.c - the words before the program or the verb (spec cli.md section 1)
 *
 * The original reads a raw command string; here the words of argv are its tokens. The first word
 * that does not start with '-' begins the program; "--" and --exec end the options; a verb takes
 * the rest.
 */
#include <errno.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "common/err.h"
#include "common/util.h"

static int take_distro(struct invocation *inv, const char *value, struct err *err)
{
	if (inv->distro || inv->distro_id[0])
		return err_id(err, ERR_E_INVALIDARG, "The distribution name has already been set.");
	inv->distro = value;
	return 0;
}

static int take_distro_id(struct invocation *inv, const char *value, struct err *err)
{
	if (!guid_parse(value, false, inv->distro_id))
		return err_id(err, ERR_E_INVALIDARG, "Invalid GUID format: '%s'", value);
	inv->distro = NULL;
	return 0;
}

static int take_user(struct invocation *inv, const char *value, struct err *err)
{
	inv->user = value;
	return 0;
}

/* A path that starts with / or ~ is one of the guest. The value may stand in double quotes. */
static int take_cd(struct invocation *inv, const char *value, struct err *err)
{
	size_t n = strlen(value);

	if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
		char *inner = str_dup(value + 1); /* lives as long as argv does: for ever */

		inner[n - 2] = '\0';
		value = inner;
	}
	if (value[0] != '/' && value[0] != '~')
		return err_id(err, ERR_E_INVALIDARG,
			      "The directory '%s' of --cd is not absolute: it must start with '/' "
			      "or '~'.",
			      value);
	inv->cwd = value;
	return 0;
}

static int take_system(struct invocation *inv, const char *value, struct err *err)
{
	inv->system = true;
	return 0;
}

static int take_shell_type(struct invocation *inv, const char *value, struct err *err)
{
	static const char *const names[] = { "standard", "login", "none" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (streq(value, names[i])) {
			inv->shell = (enum shell_type)i;
			return 0;
		}
	}
	return err_id(err, ERR_E_INVALIDARG,
		      "Invalid value '%s' for --shell-type: it is one of standard, login, none.",
		      value);
}

static int take_nothing(struct invocation *inv, const char *value, struct err *err)
{
	return 0;
}

const struct option_row option_rows[] = {
	{ "--distribution", 'd', "NAME", COMPLETE_DISTRO, false,
	  "Use this distribution instead of the default one.", take_distro },
	{ "--distribution-id", 0, "GUID", COMPLETE_NOTHING, false,
	  "Use the distribution with this identifier.", take_distro_id },
	{ "--user", 'u', "NAME", COMPLETE_NOTHING, false, "Run as this user of the distribution.",
	  take_user },
	{ "--cd", 0, "DIR", COMPLETE_NOTHING, false,
	  "Start in this directory of the distribution; '~' is the user's home.", take_cd },
	{ "--system", 0, NULL, COMPLETE_NOTHING, false,
	  "Run in the system distribution (needs support for graphical programs).", take_system },
	{ "--shell-type", 0, "TYPE", COMPLETE_NOTHING, false,
	  "How the command line is run: standard, login, or none.", take_shell_type },
	{ "--exec", 'e', NULL, COMPLETE_NOTHING, false,
	  "Run the rest of the line as it is, without a shell.", NULL },
	{ "--parent-console", 0, "PID", COMPLETE_NOTHING, true, "Ignored.", take_nothing },
};
const size_t n_option_rows = ARRAY_SIZE(option_rows);

static bool is_named(const char *word, const char *name, char letter)
{
	return streq(word, name) || (letter && word[0] == '-' && word[1] == letter && !word[2]);
}

static const struct option_row *find_option(const char *word)
{
	for (size_t i = 0; i < n_option_rows; i++)
		if (is_named(word, option_rows[i].name, option_rows[i].letter))
			return &option_rows[i];
	return NULL;
}

const struct command *find_command(const char *word)
{
	for (size_t i = 0; i < n_commands; i++)
		if (is_named(word, commands[i].name, commands[i].letter) ||
		    (commands[i].alias && streq(word, commands[i].alias)))
			return &commands[i];
	return NULL;
}

static int unknown_word(const char *word, struct err *err)
{
	struct suggestion s;
	const char *near;

	suggest_init(&s, word);
	for (size_t i = 0; i < n_option_rows; i++)
		if (!option_rows[i].hidden)
			suggest_try(&s, option_rows[i].name);
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i].hidden)
			suggest_try(&s, commands[i].name);
	near = suggest_best(&s);
	return err_id(err, ERR_E_INVALIDARG,
		      "Invalid command line argument: %s\n%s%s%s"
		      "Please use 'wsl --help' to get a list of supported arguments.",
		      word, near ? "Did you mean '" : "", near ? near : "", near ? "'?\n" : "");
}

/* The legacy prefix: a distribution's GUID in braces, then '~'. Only here is '~' special. */
static char **legacy_prefix(char **word, struct invocation *inv)
{
	if (*word && guid_parse(*word, true, inv->distro_id))
		word++;
	if (*word && streq(*word, "~")) {
		inv->cwd = "~";
		word++;
	}
	return word;
}

static void end_here(struct invocation *inv, char **word)
{
	inv->rest = word;
	inv->n_rest = 0;
	while (word[inv->n_rest])
		inv->n_rest++;
}

/* 1: go on, 0: the rest is known, negative: failure. *word is moved past what was read. */
static int one_word(char ***word, struct invocation *inv, struct err *err)
{
	const char *w = **word;
	const struct option_row *o;
	const char *value = NULL;
	int r;

	if (w[0] != '-')
		return 0;
	++*word;
	if (streq(w, "--"))
		return 0;
	inv->verb = find_command(w);
	if (inv->verb)
		return 0;
	o = find_option(w);
	if (!o)
		return unknown_word(w, err);
	if (!o->take) { /* --exec */
		inv->exec = true;
		return 0;
	}
	if (o->value) {
		value = **word;
		if (!value)
			return err_id(err, ERR_E_INVALIDARG,
				      "Argument %s is missing a required parameter.", o->name);
		++*word;
	}
	r = o->take(inv, value, err);
	return r < 0 ? r : 1;
}

int parse_invocation(int argc, char **argv, struct invocation *ret, struct err *err)
{
	char **word = argv + (argc > 0);
	int r = 1;

	*ret = (struct invocation) { 0 };
	word = legacy_prefix(word, ret);
	while (*word && r > 0)
		r = one_word(&word, ret, err);
	end_here(ret, word);
	if (r < 0)
		return r;
	if (ret->exec && !ret->n_rest && !ret->verb)
		return err_id(err, ERR_E_INVALIDARG, "Argument --exec needs a program to run.");
	return 0;
}
