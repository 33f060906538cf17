/* host/cli/cmd-run.c - running a program or a shell in a distribution */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/distros.h"
#include "cli/environment.h"
#include "cli/session.h"
#include "cli/terminal.h"
#include "client/client.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

/* When the parts of a launch were over; WSL_TIMING=1 shows them. */
struct timing {
	uint64_t start, connected, launched, streams, ended;
};

static double ms_between(uint64_t from, uint64_t to)
{
	return to > from ? (double)(to - from) / 1000 : 0;
}

/* "vm=310000 init=2100": the service's own account, in microseconds. */
static void print_words(const char *timings)
{
	auto_free char *copy = str_dup(timings);
	char *rest = copy, *word;

	while ((word = strsep(&rest, " "))) {
		char *equals = strchr(word, '=');
		uint64_t us;

		if (!equals || parse_u64(equals + 1, &us) < 0)
			continue;
		*equals = '\0';
		fprintf(stderr, ", %s %.1f ms", word, (double)us / 1000);
	}
}

static void print_timing(const struct timing *t, const char *timings)
{
	fprintf(stderr, "wsl: timing: connect %.1f ms, launch %.1f ms",
		ms_between(t->start, t->connected), ms_between(t->connected, t->launched));
	print_words(timings);
	fprintf(stderr, ", streams %.1f ms, program %.1f ms, total %.1f ms\n",
		ms_between(t->launched, t->streams), ms_between(t->streams, t->ended),
		ms_between(t->start, t->ended));
}

/* The words of the guest's program: as they are, joined to a line for the shell, or none. */
struct command_line {
	enum shell_mode shell;
	char *joined;
	const char **list;
};

static void command_line_init(struct command_line *l, const struct invocation *inv)
{
	size_t n = (size_t)inv->n_rest;

	*l = (struct command_line) { .list = calloc(n + 2, sizeof(*l->list)) };
	if (!l->list)
		abort();
	if (!n) {
		l->shell = SHELL_INTERACTIVE;
	} else if (inv->exec || inv->shell == SHELL_TYPE_NONE) {
		l->shell = SHELL_NONE;
		for (size_t i = 0; i < n; i++)
			l->list[i] = inv->rest[i];
	} else {
		l->shell = inv->shell == SHELL_TYPE_LOGIN ? SHELL_LOGIN : SHELL_STANDARD;
		l->list[0] = l->joined = remainder_join(inv->n_rest, inv->rest);
	}
}

static void command_line_done(struct command_line *l)
{
	free(l->joined);
	free(l->list);
}

static int launch(struct client *client, const struct invocation *inv,
		  const struct command_line *line, uint32_t flags, struct msg_launched *ret,
		  struct err *err)
{
	struct environment env, proxy;
	struct msg_launch m = {
		.distro = inv->distro ? inv->distro : "",
		.distro_id = inv->distro_id,
		.user = inv->user ? inv->user : "",
		.cwd = inv->cwd ? inv->cwd : "~",
		.argv.list = line->list,
		.shell = line->shell,
		.flags = flags,
	};
	struct client_call call = {
		.type = MSG_LAUNCH,
		.msg = &m,
		.reply = MSG_LAUNCHED,
		.ret_reply = ret,
		.silence_ms = CLIENT_LAUNCH_MS,
	};
	int r;

	if (streq(m.cwd, "~"))
		m.flags |= SESSION_CWD_HOME;
	terminal_size(flags & SESSION_TTY_STDOUT   ? 1
		      : flags & SESSION_TTY_STDERR ? 2
						   : 0,
		      &m.rows, &m.cols);
	environment_init(&env);
	environment_proxy(&proxy);
	m.env.list = env.list;
	m.proxy.list = proxy.list;
	r = client_call(client, &call, err);
	environment_done(&env);
	environment_done(&proxy);
	return r;
}

static int run_session(struct cli *cli, const struct msg_launched *launched, uint32_t flags,
		       struct timing *t, struct err *err)
{
	bool lost = false;
	struct session_config cfg = {
		.client = cli->client,
		.launched = launched,
		.flags = flags,
		.ret_lost = &lost,
		.ret_streams_us = &t->streams,
	};
	int status, r = session_run(&cfg, &status, err);

	t->ended = now_us();
	if (r == 0)
		return session_exit_code(status);
	if (!lost)
		return r;
	report_error(cli, err);
	return EXIT_VM_LOST;
}

int run_in_guest(struct cli *cli, const struct invocation *inv, struct err *err)
{
	struct timing t = { .start = cli->start_us };
	uint32_t flags = session_tty_flags();
	auto_free char *timings = NULL;
	struct msg_launched launched;
	struct command_line line;
	struct client *client;
	int r;

	if (inv->system)
		return err_id(err, ERR_WSL_E_GUI_APPLICATIONS_DISABLED,
			      "GUI application support is disabled: there is no system "
			      "distribution to run in.");
	r = cli_client(cli, &client, err);
	if (r < 0)
		return r;
	t.connected = now_us();
	command_line_init(&line, inv);
	r = launch(client, inv, &line, flags, &launched, err);
	command_line_done(&line);
	if (r < 0)
		return name_error(cli, inv->distro, err);
	t.launched = now_us();
	timings = str_dup(launched.timings);
	launched.relay_socket =
		strdupa(launched.relay_socket); /* the next message may overwrite it */
	r = run_session(cli, &launched, flags, &t, err);
	if (r >= 0 && getenv("WSL_TIMING") && streq(getenv("WSL_TIMING"), "1"))
		print_timing(&t, timings);
	return r;
}
