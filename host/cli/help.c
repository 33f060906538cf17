/* host/cli/help.c - the usage text, written from the tables */
#include <stdio.h>

#include "cli/cli.h"
#include "common/util.h"

static const char *const group_titles[] = {
	[GROUP_INSTALL] = "Installing, moving in and out:",
	[GROUP_MANAGE] = "Managing distributions:",
	[GROUP_SYSTEM] = "The system:",
};

static void put_name(FILE *to, const char *indent, const char *name, char letter, const char *value)
{
	fputs(indent, to);
	fputs(name, to);
	if (letter)
		fprintf(to, ", -%c", letter);
	if (value && *value)
		fprintf(to, " %s", value);
	fputc('\n', to);
}

static void put_command(FILE *to, const struct command *k)
{
	put_name(to, "    ", k->name, k->letter, k->synopsis);
	fprintf(to, "        %s\n", k->help);
	for (const struct arg *a = k->args; a->help; a++) {
		if (!a->name || a->hidden)
			continue;
		put_name(to, "        ", a->name, a->letter, a->value);
		fprintf(to, "            %s\n", a->help);
	}
}

static void put_group(FILE *to, enum verb_group group)
{
	fprintf(to, "\n%s\n", group_titles[group]);
	for (size_t i = 0; i < n_commands; i++)
		if (commands[i].group == group && !commands[i].hidden)
			put_command(to, &commands[i]);
}

void print_usage(FILE *to)
{
	fputs("Usage: wsl [options] [command line]\n"
	      "       wsl VERB ...\n"
	      "\n"
	      "Runs the command line in a distribution, or the user's shell when there is none.\n"
	      "\n"
	      "Options for running programs:\n",
	      to);
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_row *o = &option_rows[i];

		if (o->hidden)
			continue;
		put_name(to, "    ", o->name, o->letter, o->value);
		fprintf(to, "        %s\n", o->help);
	}
	fputs("    --\n        Run the rest of the line through the user's shell.\n", to);
	for (enum verb_group g = GROUP_INSTALL; g <= GROUP_SYSTEM; g++)
		put_group(to, g);
	fputs("\nSee wsl(1) for exit codes, environment variables and examples.\n", to);
}

int cmd_help(struct cli *cli, const struct verb_args *args, struct err *err)
{
	print_usage(stdout);
	return 0;
}
