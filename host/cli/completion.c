/* host/cli/completion.c - completion scripts for shells, generated from the tables
 *
 * `wsl --generate-completion bash|zsh|fish` writes the script; "words" writes every option, one a
 * line, as tools/check-man wants them.
 */
#include <errno.h>
#include <stdio.h>

#include "cli/cli.h"
#include "common/err.h"
#include "common/util.h"

static int words(void)
{
	for (size_t i = 0; i < n_option_rows; i++)
		if (!option_rows[i].hidden)
			printf("wsl %s %c\n", option_rows[i].name,
			       option_rows[i].letter ? option_rows[i].letter : '-');
	for (size_t i = 0; i < n_commands; i++) {
		const struct command *k = &commands[i];

		if (k->hidden)
			continue;
		printf("wsl %s %c\n", k->name, k->letter ? k->letter : '-');
		for (const struct arg *a = k->args; a->help; a++)
			if (a->name && !a->hidden)
				printf("%s %s %c\n", k->name, a->name, a->letter ? a->letter : '-');
	}
	return 0;
}

/* --- bash --- */

static const char *bash_action(enum completion c)
{
	switch (c) {
	case COMPLETE_DISTRO:
		return "_wsl_names --list --quiet";
	case COMPLETE_ONLINE:
		return "_wsl_online";
	case COMPLETE_FILE:
		return "_wsl_files -f";
	case COMPLETE_DIR:
		return "_wsl_files -d";
	case COMPLETE_NOTHING:
		break;
	}
	return ":";
}

static void bash_options(const char *name, char letter, const char *value, int completion)
{
	if (!value)
		return;
	if (letter)
		printf("\t\t-%c|%s) %s; return ;;\n", letter, name,
		       bash_action((enum completion)completion));
	else
		printf("\t\t%s) %s; return ;;\n", name, bash_action((enum completion)completion));
}

static void bash_command(const struct command *k)
{
	int at = 0;

	printf("\t%s", k->name);
	if (k->letter)
		printf("|-%c", k->letter);
	if (k->alias)
		printf("|%s", k->alias);
	printf(")\n\t\tcase $prev in\n");
	for (const struct arg *a = k->args; a->help; a++)
		if (a->name && !a->hidden)
			bash_options(a->name, a->letter, a->value, a->completion);
	printf("\t\tesac\n\t\tif [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '");
	for (const struct arg *a = k->args; a->help; a++)
		if (a->name && !a->hidden)
			printf("%s ", a->name);
	printf("' -- \"$cur\")); return; fi\n\t\tcase $position in\n");
	for (const struct arg *a = k->args; a->help; a++)
		if (!a->name)
			printf("\t\t%d) %s ;;\n", at++, bash_action(a->completion));
	printf("\t\tesac ;;\n");
}

static int bash(void)
{
	fputs("# bash completion for wsl; generated from its command table\n"
	      "_wsl_names() { local IFS=$'\\n'; COMPREPLY=($(compgen -W \"$(wsl \"$@\" "
	      "2>/dev/null)\" -- "
	      "\"$cur\")); }\n"
	      "_wsl_online() { local IFS=$'\\n'; COMPREPLY=($(compgen -W \"$(wsl --list --online "
	      "--quiet "
	      "2>/dev/null)\" -- \"$cur\")); }\n"
	      "_wsl_files() { local IFS=$'\\n'; compopt -o filenames 2>/dev/null; "
	      "COMPREPLY=($(compgen "
	      "\"$1\" -- \"$cur\")); }\n"
	      "_wsl() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal verb=${COMP_WORDS[1]} position=$((COMP_CWORD - 2))\n"
	      "\tCOMPREPLY=()\n"
	      "\tif ((COMP_CWORD > 1)); then\n\tcase $verb in\n",
	      stdout);
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i].hidden)
			bash_command(&commands[i]);
	fputs("\tesac\n\tfi\n\tcase $prev in\n", stdout);
	for (size_t i = 0; i < n_option_rows; i++)
		if (!option_rows[i].hidden)
			bash_options(option_rows[i].name, option_rows[i].letter,
				     option_rows[i].value, option_rows[i].completion);
	fputs("\tesac\n\t[[ $cur == -* ]] || return\n\tCOMPREPLY=($(compgen -W '", stdout);
	for (size_t i = 0; i < n_option_rows; i++)
		if (!option_rows[i].hidden)
			printf("%s ", option_rows[i].name);
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i].hidden)
			printf("%s ", commands[i].name);
	fputs("' -- \"$cur\"))\n}\ncomplete -F _wsl wsl\n", stdout);
	return 0;
}

/* --- zsh --- */

static const char *zsh_action(enum completion c)
{
	switch (c) {
	case COMPLETE_DISTRO:
		return "_wsl_names";
	case COMPLETE_ONLINE:
		return "_wsl_online";
	case COMPLETE_FILE:
		return "_files";
	case COMPLETE_DIR:
		return "_files -/";
	case COMPLETE_NOTHING:
		break;
	}
	return " ";
}

/* Single quotes inside, brackets and colons have a meaning to _arguments. */
static void zsh_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void zsh_option(const char *name, const char *help, const char *value, int completion)
{
	printf("\t\t'%s[", name);
	zsh_text(help);
	putchar(']');
	if (value)
		printf(":%s:%s", value, zsh_action((enum completion)completion));
	fputs("'\n", stdout);
}

static void zsh_command(const struct command *k)
{
	int at = 1;

	printf("\t(%s", k->name);
	if (k->letter)
		printf("|-%c", k->letter);
	printf(")\n\t\tspec=(\n");
	for (const struct arg *a = k->args; a->help; a++) {
		if (a->hidden)
			continue;
		if (a->name)
			zsh_option(a->name, a->help, a->value, a->completion);
		else
			printf("\t\t'%d:%s:%s'\n", at++, a->value, zsh_action(a->completion));
	}
	printf("\t\t) ;;\n");
}

static int zsh(void)
{
	fputs("#compdef wsl\n# zsh completion for wsl; generated from its command table\n"
	      "_wsl_names() { local -a names; names=(${(f)\"$(wsl --list --quiet 2>/dev/null)\"}); "
	      "compadd "
	      "-a names }\n"
	      "_wsl_online() { local -a names; names=(${(f)\"$(wsl --list --online --quiet "
	      "2>/dev/null)\"}); compadd -a names }\n"
	      "_wsl() {\n\tlocal -a spec\n\tif ((CURRENT > 2)); then\n\tcase $words[2] in\n",
	      stdout);
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i].hidden)
			zsh_command(&commands[i]);
	fputs("\tesac\n\tif (($#spec)); then\n\t\tshift words; ((CURRENT--))\n\t\t_arguments "
	      "$spec\n"
	      "\t\treturn\n\tfi\n\tfi\n\tspec=(\n",
	      stdout);
	for (size_t i = 0; i < n_option_rows; i++)
		if (!option_rows[i].hidden)
			zsh_option(option_rows[i].name, option_rows[i].help, option_rows[i].value,
				   option_rows[i].completion);
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i].hidden)
			zsh_option(commands[i].name, commands[i].help, NULL, 0);
	fputs("\t)\n\t_arguments $spec\n}\n_wsl \"$@\"\n", stdout);
	return 0;
}

/* --- fish --- */

static void fish_line(const char *condition, const char *name, char letter, const char *help,
		      const char *value, int completion)
{
	printf("complete -c wsl -n '%s' -l %s", condition, name + 2);
	if (letter)
		printf(" -s %c", letter);
	if (value) {
		switch ((enum completion)completion) {
		case COMPLETE_DISTRO:
			printf(" -x -a '(wsl --list --quiet 2>/dev/null)'");
			break;
		case COMPLETE_ONLINE:
			printf(" -x -a '(wsl --list --online --quiet 2>/dev/null)'");
			break;
		case COMPLETE_FILE:
		case COMPLETE_DIR:
			printf(" -r -F");
			break;
		case COMPLETE_NOTHING:
			printf(" -x");
			break;
		}
	}
	printf(" -d '");
	for (; *help; help++)
		printf(*help == '\'' ? "\\%c" : "%c", *help);
	printf("'\n");
}

static void fish_command(const struct command *k)
{
	char condition[128];

	fish_line("test (count (commandline -opc)) -eq 1", k->name, k->letter, k->help, NULL, 0);
	snprintf(condition, sizeof(condition), "contains -- %s (commandline -opc)", k->name);
	for (const struct arg *a = k->args; a->help; a++) {
		if (a->hidden)
			continue;
		if (a->name)
			fish_line(condition, a->name, a->letter, a->help, a->value, a->completion);
		else if (a->completion == COMPLETE_DISTRO)
			printf("complete -c wsl -n '%s' -a '(wsl --list --quiet 2>/dev/null)'\n",
			       condition);
		else if (a->completion == COMPLETE_FILE || a->completion == COMPLETE_DIR)
			printf("complete -c wsl -n '%s' -F\n", condition);
	}
}

static int fish(void)
{
	puts("# fish completion for wsl; generated from its command table\ncomplete -c wsl -f");
	for (size_t i = 0; i < n_option_rows; i++)
		if (!option_rows[i].hidden)
			fish_line("not contains -- -- (commandline -opc)", option_rows[i].name,
				  option_rows[i].letter, option_rows[i].help, option_rows[i].value,
				  option_rows[i].completion);
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i].hidden)
			fish_command(&commands[i]);
	return 0;
}

int cmd_generate_completion(struct cli *cli, const struct verb_args *args, struct err *err)
{
	static const struct {
		const char *name;
		int (*fn)(void);
	} shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish }, { "words", words } };

	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		if (streq(args->text, shells[i].name))
			return shells[i].fn();
	return err_id(err, ERR_E_INVALIDARG, "There is no completion for '%s': bash, zsh or fish.",
		      args->text);
}
