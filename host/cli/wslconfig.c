/* host/cli/wslconfig.c - the older front end to four of wsl's verbs (spec cli.md section 12) */
#include <errno.h>
#include <stdio.h>

#include "cli/cli.h"
#include "common/err.h"
#include "common/util.h"

static const struct {
	const char *letter, *name, *verb, *args, *help;
} rows[] = {
	{ "/l", "/list", "--list", "[/all | /running]", "List distributions." },
	{ "/s", "/setdefault", "--set-default", "NAME", "Make a distribution the default one." },
	{ "/t", "/terminate", "--terminate", "NAME", "Stop a distribution." },
	{ "/u", "/unregister", "--unregister", "NAME", "Remove a distribution and all its files." },
};

static int usage(FILE *to)
{
	fputs("Usage: wslconfig OPTION\n\nOptions:\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		fprintf(to, "    %s, %s %s\n        %s\n", rows[i].letter, rows[i].name,
			rows[i].args, rows[i].help);
	return EXIT_WSL_FAILED;
}

/* Fills *args; false when the words are not a use of row @i. */
static bool read_words(size_t i, int n, char **words, struct verb_args *args)
{
	if (i != 0) {
		args->distro = n == 1 ? words[0] : NULL;
		return n == 1;
	}
	if (n == 0)
		return true;
	args->all = strcaseeq(words[0], "/all");
	args->running = strcaseeq(words[0], "/running");
	return n == 1 && (args->all || args->running);
}

static int run(struct cli *cli, int argc, char **argv, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows) && argc > 1; i++) {
		struct verb_args args = { 0 };

		if (!strcaseeq(argv[1], rows[i].letter) && !strcaseeq(argv[1], rows[i].name))
			continue;
		if (!read_words(i, argc - 2, argv + 2, &args))
			break;
		return find_command(rows[i].verb)->run(cli, &args, err);
	}
	if (argc == 2 && (streq(argv[1], "--help") || streq(argv[1], "/?"))) {
		usage(stdout);
		return 0;
	}
	return usage(stderr);
}

int wslconfig_main(int argc, char **argv)
{
	struct cli cli = { .context = "WslConfig", .argv = argv, .runtime_fd = -1 };
	struct err err = ERR_INIT;
	int r = run(&cli, argc, argv, &err);

	if (r < 0) {
		report_error(&cli, &err);
		r = EXIT_WSL_FAILED;
	}
	cli_done(&cli);
	return r;
}
