/* tests/unit/cli-test.c - command lines, quoting, listings, exit codes, JSON, suggestions */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/archive.h"
#include "cli/cli.h"
#include "cli/distros.h"
#include "cli/environment.h"
#include "cli/session.h"
#include "common/err.h"
#include "common/util.h"

/* The verbs of the catalogue belong to the programs, not to the library. */
int cmd_install(struct cli *cli, const struct verb_args *args, struct err *err)
{
	return 0;
}

int list_online(struct cli *cli, const struct verb_args *args, struct err *err)
{
	return 0;
}

/* --- options (spec cli.md section 1) --- */

#define GUID "{01234567-89ab-cdef-0123-456789abcdef}"

static struct err err;
static struct invocation inv;

#define PARSE(...) parse_words((char *[]) { (char[]) { "wsl" }, __VA_ARGS__ __VA_OPT__(, ) NULL })
#define W(text)    ((char *)(uintptr_t)(text))

static int parse_words(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	err = ERR_INIT;
	return parse_invocation(argc, argv, &inv, &err);
}

static void no_words_start_a_shell(void **state)
{
	assert_int_equal(PARSE(), 0);
	assert_null(inv.verb);
	assert_int_equal(inv.n_rest, 0);
	assert_false(inv.exec);
	assert_int_equal(PARSE(W("--")), 0);
	assert_int_equal(inv.n_rest, 0);
}

static void each_option_is_understood(void **state)
{
	assert_int_equal(
		PARSE(W("-d"), W("Deb"), W("-u"), W("root"), W("--cd"), W("~/x"), W("ls"), W("-l")),
		0);
	assert_string_equal(inv.distro, "Deb");
	assert_string_equal(inv.user, "root");
	assert_string_equal(inv.cwd, "~/x");
	assert_int_equal(inv.n_rest, 2);
	assert_string_equal(inv.rest[1], "-l");

	assert_int_equal(PARSE(W("--distribution"), W("D"), W("--user"), W("u"), W("--system"),
			       W("-e"), W("id")),
			 0);
	assert_true(inv.exec && inv.system);
	assert_string_equal(inv.rest[0], "id");

	assert_int_equal(
		PARSE(W("--shell-type"), W("login"), W("--parent-console"), W("7"), W("x")), 0);
	assert_int_equal(inv.shell, SHELL_TYPE_LOGIN);
	assert_int_equal(PARSE(W("--cd"), W("\"/a b\"")), 0);
	assert_string_equal(inv.cwd, "/a b");
	free(W(inv.cwd));
}

static void a_distribution_is_named_once(void **state)
{
	assert_int_equal(PARSE(W("-d"), W("a"), W("-d"), W("b")), -EINVAL);
	assert_string_equal(err.text, "The distribution name has already been set.");
	assert_string_equal(err_label(&err), "E_INVALIDARG");
	assert_int_equal(PARSE(W(GUID), W("-d"), W("b")), -EINVAL);
	assert_string_equal(err.text, "The distribution name has already been set.");
}

static void identifiers_have_braces_or_not(void **state)
{
	static const char *const good[] = { GUID, "01234567-89ab-cdef-0123-456789abcdef",
					    "01234567-89AB-CDEF-0123-456789ABCDEF" };
	static const char *const bad[] = { "",
					   "{}",
					   "01234567-89ab-cdef-0123-456789abcde",
					   "{01234567-89ab-cdef-0123-456789abcdef",
					   "01234567-89ab-cdef-0123-456789abcdef}",
					   "0123456789ab-cdef-0123-456789abcdef-0",
					   "01234567-89ab-cdef-0123-456789abcdeg" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(PARSE(W("-d"), W("x"), W("--distribution-id"), W(good[i])), 0);
		assert_string_equal(inv.distro_id, GUID);
		assert_null(inv.distro); /* the identifier overrides */
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(PARSE(W("--distribution-id"), W(bad[i])), -EINVAL);
		assert_int_equal(err.id, ERR_E_INVALIDARG);
	}
}

static void the_legacy_prefix_stands_first_only(void **state)
{
	assert_int_equal(PARSE(W(GUID), W("~"), W("ls")), 0);
	assert_string_equal(inv.distro_id, GUID);
	assert_string_equal(inv.cwd, "~");
	assert_string_equal(inv.rest[0], "ls");
	assert_int_equal(PARSE(W("~")), 0);
	assert_string_equal(inv.cwd, "~");
	assert_int_equal(PARSE(W("-u"), W("x"), W("~")), 0);
	assert_null(inv.cwd);
	assert_string_equal(inv.rest[0], "~");
	assert_int_equal(PARSE(W("{nonsense}")), 0); /* a command of the guest */
	assert_string_equal(inv.rest[0], "{nonsense}");
}

static void missing_values_are_named_in_full(void **state)
{
	static const struct {
		const char *word, *text;
	} rows[] = {
		{ "-d", "Argument --distribution is missing a required parameter." },
		{ "--distribution", "Argument --distribution is missing a required parameter." },
		{ "--distribution-id",
		  "Argument --distribution-id is missing a required parameter." },
		{ "-u", "Argument --user is missing a required parameter." },
		{ "--cd", "Argument --cd is missing a required parameter." },
		{ "--shell-type", "Argument --shell-type is missing a required parameter." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(PARSE(W(rows[i].word)), -EINVAL);
		assert_string_equal(err.text, rows[i].text);
	}
}

static void bad_values_are_refused(void **state)
{
	assert_int_equal(PARSE(W("--cd"), W("here")), -EINVAL);
	assert_int_equal(PARSE(W("--cd"), W("")), -EINVAL);
	assert_int_equal(PARSE(W("--shell-type"), W("Login")), -EINVAL);
	assert_int_equal(PARSE(W("-e")), -EINVAL);
	assert_int_equal(PARSE(W("-d"), W("x"), W("--exec")), -EINVAL);
	assert_int_equal(err.id, ERR_E_INVALIDARG);
}

static void unknown_words_get_two_lines_and_a_hint(void **state)
{
	assert_int_equal(PARSE(W("-x")), -EINVAL);
	assert_string_equal(err.text,
			    "Invalid command line argument: -x\n"
			    "Please use 'wsl --help' to get a list of supported arguments.");
	assert_int_equal(PARSE(W("--distributon"), W("x")), -EINVAL);
	assert_non_null(strstr(err.text, "\nDid you mean '--distribution'?\n"));
	assert_int_equal(PARSE(W("--lsit")), -EINVAL);
	assert_non_null(strstr(err.text, "'--list'"));
	assert_int_equal(PARSE(W("-")), -EINVAL);
	assert_int_equal(PARSE(W("--completely-else")), -EINVAL);
	assert_null(strstr(err.text, "mean"));
}

static void a_verb_takes_the_rest(void **state)
{
	assert_int_equal(PARSE(W("-d"), W("x"), W("--terminate"), W("y"), W("z")), 0);
	assert_string_equal(inv.verb->name, "--terminate");
	assert_int_equal(inv.n_rest, 2);
	assert_int_equal(PARSE(W("-l"), W("-v")), 0);
	assert_string_equal(inv.verb->name, "--list");
	assert_int_equal(PARSE(W("--setdefault"), W("x")), 0);
	assert_string_equal(inv.verb->name, "--set-default");
	assert_int_equal(PARSE(W("echo"), W("--list")), 0); /* a word of the program */
	assert_null(inv.verb);
	assert_int_equal(PARSE(W(""), W("--list")), 0); /* not even a dash */
	assert_int_equal(inv.n_rest, 2);
}

/* --- the remainder (spec section 2 and 'On a Linux host') --- */

static void the_remainder_keeps_what_matters(void **state)
{
	static const struct {
		const char *words[5], *line;
	} rows[] = {
		{ { "echo", "-n", "$USER" }, "echo -n $USER" },
		{ { "echo", "" }, "echo \"\"" },
		{ { "a", "", "b" }, "a \"\" b" },
		{ { "echo", "a b" }, "echo \"a b\"" },
		{ { "echo", "tab\there" }, "echo \"tab\there\"" },
		{ { "echo", "line\nbreak" }, "echo \"line\nbreak\"" },
		{ { "echo", "say \"hi\"" }, "echo \"say \\\"hi\\\"\"" },
		{ { "echo", "a\"b" }, "echo \"a\\\"b\"" },
		{ { "echo", "it's", "*", ";", "&&" }, "echo it's * ; &&" },
		{ { "echo", "back\\slash" }, "echo back\\slash" },
		{ { "echo", "back\\ slash" }, "echo \"back\\\\ slash\"" },
		{ { "ls | wc -l" }, "\"ls | wc -l\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int n = 0;
		char *line;

		while (n < 5 && rows[i].words[n])
			n++;
		line = remainder_join(n, (char *const *)(uintptr_t)rows[i].words);
		assert_string_equal(line, rows[i].line);
		free(line);
	}
}

static void the_remainder_may_be_long(void **state)
{
	char *words[1000], *line;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = W("\"\"\"\"");
	line = remainder_join((int)ARRAY_SIZE(words), words);
	assert_int_equal(strlen(line), 1000 * 10 + 999);
	free(line);
}

/* --- the sub-parser (spec section 5) --- */

static struct verb_args args;

#define VERB(name, ...) parse_verb(name, (char *[]) { __VA_ARGS__ __VA_OPT__(, ) NULL })

static int parse_verb(const char *name, char **words)
{
	int n = 0;

	while (words[n])
		n++;
	err = ERR_INIT;
	return parse_args(find_command(name), n, words, &args, &err);
}

static void options_stand_anywhere(void **state)
{
	assert_int_equal(VERB("--import", W("n"), W("--version"), W("2"), W("/d"), W("-")), 0);
	assert_string_equal(args.name, "n");
	assert_string_equal(args.location, "/d");
	assert_string_equal(args.file, "-");
	assert_int_equal(args.version, 2);
	free(W(args.location));
	assert_int_equal(VERB("--export", W("--"), W("--odd"), W("f")), 0);
	assert_string_equal(args.distro, "--odd");
}

static void short_options_combine(void **state)
{
	assert_int_equal(VERB("--list", W("-qo")), 0);
	assert_true(args.quiet && args.online);
	assert_int_equal(VERB("--list", W("-qx")), -EINVAL);
	assert_false(args.quiet);
	assert_non_null(str_after(err.text, "Invalid command line argument: -qx\n"));
	assert_int_equal(VERB("--install", W("-nd"), W("Debian")), 0);
	assert_true(args.no_launch);
	assert_string_equal(args.distro, "Debian");
}

static void sub_parser_refusals(void **state)
{
	assert_int_equal(VERB("--install", W("--name")), -EINVAL);
	assert_non_null(str_after(err.text, "Command line argument --name requires a value.\n"));
	assert_int_equal(err.id, ERR_E_INVALIDARG);
	assert_int_equal(VERB("--install", W("--vhd-size"), W("1gb")), -EINVAL);
	assert_string_equal(err.text, "Invalid size: 1gb");
	assert_int_equal(VERB("--install", W("--version"), W("two")), -EINVAL);
	assert_string_equal(err.text, "two is not a valid integer.");
	assert_int_equal(VERB("--list", W("surplus")), -EINVAL);
	assert_non_null(str_after(err.text, "Invalid command line argument: surplus\n"));
	assert_int_equal(VERB("--list", W("-")), -EINVAL); /* no positional is expected */
	assert_int_equal(VERB("--list", W("--qiet")), -EINVAL);
	assert_non_null(strstr(err.text, "Did you mean '--quiet'?"));
	assert_int_equal(VERB("--terminate"), -EINVAL);
	assert_non_null(
		str_after(err.text, "Argument --terminate is missing a required parameter."));
	assert_int_equal(VERB("--terminate", W("x"), W("ignored")), 0);
	assert_string_equal(args.distro, "x");
}

static void relative_paths_become_absolute(void **state)
{
	assert_int_equal(VERB("--install", W("-l"), W("sub"), W("--vhd-size"), W("64GB")), 0);
	assert_int_equal(args.location[0], '/');
	assert_true(str_endswith(args.location, "/sub"));
	assert_true(args.vhd_size == 64 * GIB);
	free(W(args.location));
}

/* --- listings (spec section 6) --- */

static struct msg_distro rows3[] = {
	{ .name = "Debian",
	  .id = "{1}",
	  .base_path = "/a\"b",
	  .flavor = "debian",
	  .os_version = "12",
	  .state = DISTRO_INSTALLED,
	  .version = 2,
	  .is_default = 1 },
	{ .name = "a-longer-name",
	  .id = "{2}",
	  .base_path = "",
	  .flavor = "",
	  .os_version = "",
	  .state = DISTRO_RUNNING,
	  .version = 2 },
	{ .name = "New",
	  .id = "{3}",
	  .base_path = "",
	  .flavor = "",
	  .os_version = "",
	  .state = DISTRO_INSTALLING,
	  .version = 1 },
};

static const char *listed(size_t n, struct verb_args a, int *ret)
{
	static char buf[2048];
	struct distro_list l = { rows3, n };
	FILE *to = fmemopen(buf, sizeof(buf), "w");

	buf[0] = '\0';
	err = ERR_INIT;
	*ret = distros_print(to, &l, &a, &err);
	fclose(to);
	return buf;
}

static void plain_lists(void **state)
{
	int r;

	assert_string_equal(
		listed(3, (struct verb_args) { 0 }, &r),
		"Windows Subsystem for Linux Distributions:\nDebian (Default)\na-longer-name\n");
	assert_int_equal(r, 0);
	assert_string_equal(listed(3, (struct verb_args) { .all = true }, &r),
			    "Windows Subsystem for Linux Distributions:\nDebian (Default)\n"
			    "a-longer-name\nNew\n");
	assert_string_equal(listed(3, (struct verb_args) { .running = true }, &r),
			    "Windows Subsystem for Linux Distributions:\na-longer-name\n");
	assert_string_equal(listed(3, (struct verb_args) { .quiet = true }, &r),
			    "Debian\na-longer-name\n");
}

static void verbose_lists(void **state)
{
	int r;

	assert_string_equal(listed(3, (struct verb_args) { .verbose = true, .running = true }, &r),
			    "  NAME             STATE           VERSION\n"
			    "* Debian           Stopped         2\n"
			    "  a-longer-name    Running         2\n"
			    "  New              Installing      1\n");
	assert_string_equal(listed(1, (struct verb_args) { .verbose = true }, &r),
			    "  NAME      STATE           VERSION\n"
			    "* Debian    Stopped         2\n");
}

static void empty_lists(void **state)
{
	int r;

	listed(0, (struct verb_args) { 0 }, &r);
	assert_int_equal(r, -ENOENT);
	assert_int_equal(err.id, ERR_WSL_E_DEFAULT_DISTRO_NOT_FOUND);
	listed(0, (struct verb_args) { .verbose = true }, &r);
	assert_int_equal(r, -ENOENT);
	assert_string_equal(listed(0, (struct verb_args) { .quiet = true }, &r), "");
	assert_int_equal(r, 0);
	assert_string_equal(listed(1, (struct verb_args) { .quiet = true, .running = true }, &r),
			    "");
	assert_int_equal(r, 0);
	listed(1, (struct verb_args) { .running = true }, &r);
	assert_int_equal(r, 255);
	assert_string_equal(listed(0, (struct verb_args) { .json = true }, &r), "[]\n");
}

static void json_lists(void **state)
{
	int r;

	assert_string_equal(
		listed(1, (struct verb_args) { .json = true }, &r),
		"[{\"name\": \"Debian\", \"id\": \"{1}\", \"state\": \"Stopped\", \"basePath\": "
		"\"/a\\\"b\", "
		"\"flavor\": \"debian\", \"osVersion\": \"12\", \"default\": true, \"version\": 2, "
		"\"defaultUid\": 0, \"sessions\": 0, \"imageBytes\": 0}]\n");
}

static void json_strings_are_escaped(void **state)
{
	char buf[128];
	FILE *to = fmemopen(buf, sizeof(buf), "w");

	json_string(to, "a\"b\\c\n\t\x01\x7f\xc3\xa4/");
	fclose(to);
	assert_string_equal(buf, "\"a\\\"b\\\\c\\n\\t\\u0001\x7f\xc3\xa4/\"");
}

/* --- small rules --- */

static void exit_codes_follow_the_shell(void **state)
{
	for (int code = 0; code < 256; code++) /* 67 and 87 are codes like others */
		assert_int_equal(session_exit_code(code << 8), code);
	assert_int_equal(session_exit_code(SIGKILL), 137);
	assert_int_equal(session_exit_code(SIGSEGV | 0x80), 139);
}

static void suggestions_are_near_or_none(void **state)
{
	static const struct {
		const char *word, *best;
	} rows[] = {
		{ "--termiate", "--terminate" },
		{ "--instal", "--install" },
		{ "--veresion", "--version" },
		{ "--xyz", NULL },
		{ "-q", NULL },
		{ "--", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct suggestion s;

		suggest_init(&s, rows[i].word);
		suggest_try(&s, "--terminate");
		suggest_try(&s, "--install");
		suggest_try(&s, "--version");
		if (rows[i].best)
			assert_string_equal(suggest_best(&s), rows[i].best);
		else
			assert_null(suggest_best(&s));
	}
}

static void names_follow_the_rule(void **state)
{
	char longest[258];

	memset(longest, 'x', sizeof(longest));
	longest[256] = '\0';
	assert_true(distro_name_valid(longest));
	longest[256] = 'x';
	longest[257] = '\0';
	assert_false(distro_name_valid(longest));
	assert_true(distro_name_valid("Debian-12.1_x"));
	for (const char *const *bad =
		     (const char *const[]) { "", "a b", "a/b", "legacy", "\xc3\xa4", NULL };
	     *bad; bad++)
		assert_false(distro_name_valid(*bad));
}

static void export_formats_come_from_the_name(void **state)
{
	assert_string_equal(export_format_of("x.tar"), "tar");
	assert_string_equal(export_format_of("x.tar.gz"), "tar.gz");
	assert_string_equal(export_format_of("x.tgz"), "tar.gz");
	assert_string_equal(export_format_of("x.tar.xz"), "tar.xz");
	assert_string_equal(export_format_of("x.tar.zst"), "tar.zst");
	assert_string_equal(export_format_of("x.img"), "img");
	assert_string_equal(export_format_of("-"), "tar");
}

static bool has(const struct environment *env, const char *entry)
{
	for (size_t i = 0; i < env->n; i++)
		if (streq(env->list[i], entry))
			return true;
	return false;
}

static void only_listed_variables_cross(void **state)
{
	struct environment env;

	clearenv();
	setenv("TERM", "vt100", 1);
	setenv("SECRET", "x", 1);
	setenv("A", "1", 1);
	setenv("W", "2", 1);
	setenv("P", "/x", 1);
	setenv("EMPTY", "", 1);
	setenv("WSLENV", "A:W/w:P/p:UNSET/u:EMPTY:A/u:Q/x::TERM \n", 1);
	environment_init(&env);
	assert_true(has(&env, "TERM=vt100"));
	assert_true(has(&env, "WSLENV=A:W/w:P/p:UNSET/u:EMPTY:A/u:Q/x::TERM"));
	assert_true(has(&env, "A=1") && has(&env, "P=/x") && has(&env, "UNSET=") &&
		    has(&env, "EMPTY="));
	assert_int_equal(env.n, 6);
	assert_null(env.list[env.n]);
	environment_done(&env);
	clearenv();
	environment_init(&env);
	assert_int_equal(env.n, 0);
	environment_done(&env);
}

static void every_verb_has_its_row(void **state)
{
	for (size_t i = 0; i < n_commands; i++) {
		const struct command *k = &commands[i];

		assert_ptr_equal(find_command(k->name), k);
		assert_non_null(k->help);
		assert_non_null(k->run);
		assert_non_null(k->args);
		for (size_t o = 0; o < n_option_rows; o++) {
			assert_string_not_equal(k->name, option_rows[o].name);
			assert_true(!k->letter || k->letter != option_rows[o].letter);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_words_start_a_shell),
		cmocka_unit_test(each_option_is_understood),
		cmocka_unit_test(a_distribution_is_named_once),
		cmocka_unit_test(identifiers_have_braces_or_not),
		cmocka_unit_test(the_legacy_prefix_stands_first_only),
		cmocka_unit_test(missing_values_are_named_in_full),
		cmocka_unit_test(bad_values_are_refused),
		cmocka_unit_test(unknown_words_get_two_lines_and_a_hint),
		cmocka_unit_test(a_verb_takes_the_rest),
		cmocka_unit_test(the_remainder_keeps_what_matters),
		cmocka_unit_test(the_remainder_may_be_long),
		cmocka_unit_test(options_stand_anywhere),
		cmocka_unit_test(short_options_combine),
		cmocka_unit_test(sub_parser_refusals),
		cmocka_unit_test(relative_paths_become_absolute),
		cmocka_unit_test(plain_lists),
		cmocka_unit_test(verbose_lists),
		cmocka_unit_test(empty_lists),
		cmocka_unit_test(json_lists),
		cmocka_unit_test(json_strings_are_escaped),
		cmocka_unit_test(exit_codes_follow_the_shell),
		cmocka_unit_test(suggestions_are_near_or_none),
		cmocka_unit_test(names_follow_the_rule),
		cmocka_unit_test(export_formats_come_from_the_name),
		cmocka_unit_test(only_listed_variables_cross),
		cmocka_unit_test(every_verb_has_its_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
