/* host/cli/wsl.c - the life of the program: parse, run, report; the connection to the service */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "client/client.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "config/paths.h"

/* Who only wants to stop things does not wait long for a service that hangs. */
#define SHUTDOWN_CONNECT_MS 4000u

static int open_client(struct cli *cli, bool start, struct client **ret, struct err *err)
{
	struct client_config cfg = {
		.start_service = start,
		.connect_ms = start ? 0 : SHUTDOWN_CONNECT_MS,
		.warning = report_warning,
		.progress = progress_show,
	};
	int r;

	*ret = cli->client;
	if (cli->client)
		return 0;
	if (cli->runtime_fd < 0)
		cli->runtime_fd = path_open(PATH_RUNTIME, err);
	if (cli->runtime_fd < 0)
		return cli->runtime_fd;
	cfg.dirfd = cli->runtime_fd;
	r = client_open(&cfg, &cli->client, err);
	*ret = cli->client;
	return r;
}

int cli_client(struct cli *cli, struct client **ret, struct err *err)
{
	return open_client(cli, true, ret, err);
}

int cli_running_client(struct cli *cli, struct client **ret, struct err *err)
{
	int r = open_client(cli, false, ret, err);

	return r < 0 && err->id == ERR_WSL_E_SERVICE_UNAVAILABLE ? 0 : r;
}

void cli_done(struct cli *cli)
{
	cli->client = client_free(cli->client);
	drop_fd(&cli->runtime_fd);
}

int cli_request(struct cli *cli, uint16_t type, const void *msg, uint64_t silence_ms,
		struct err *err)
{
	struct client_call call = { .type = type, .msg = msg, .silence_ms = silence_ms };
	struct client *client;
	int r = cli_client(cli, &client, err);

	return r < 0 ? r : client_call(client, &call, err);
}

/* Programs may be started with standard descriptors closed: ours must not land there. */
static void fill_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
}

/* A name that does not exist is reported before anything that stands behind it. */
static int check_distro_first(struct cli *cli, const struct invocation *inv, struct err *err)
{
	struct err unknown = ERR_INIT;

	if (inv->distro && find_distro(cli, inv->distro, &unknown) == -ENOENT &&
	    unknown.id == ERR_WSL_E_DISTRO_NOT_FOUND)
		*err = unknown;
	return -err->errnum;
}

static int finish(struct cli *cli, int r, const struct err *err)
{
	if (r < 0) {
		report_error(cli, err);
		r = EXIT_WSL_FAILED;
	}
	if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE) {
		fprintf(stderr, "wsl: cannot write the output: %s\n", strerror(errno));
		r = EXIT_WSL_FAILED;
	}
	cli_done(cli);
	return r;
}

int wsl_main(int argc, char **argv)
{
	struct cli cli = { .context = "Wsl", .argv = argv, .runtime_fd = -1, .start_us = now_us() };
	struct err err = ERR_INIT;
	struct invocation inv;
	int r;

	fill_standard_fds();
	r = parse_invocation(argc, argv, &inv, &err);
	if (r < 0)
		r = check_distro_first(&cli, &inv, &err);
	else if (inv.verb)
		r = run_verb(&cli, inv.verb, inv.n_rest, inv.rest, &err);
	else
		r = run_in_guest(&cli, &inv, &err);
	return finish(&cli, r, &err);
}
