/* host/cli/cmd-manage.c - verbs that ask the service for one thing and say that it is done */
#include <errno.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/distros.h"
#include "client/client.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "config/paths.h"

#define SHUTDOWN_GRACE_MS 3000u
#define FORCE_MS          5000u

static int done(void)
{
	puts(OPERATION_SUCCESSFUL);
	return 0;
}

static int about_distro(struct cli *cli, uint16_t type, const struct verb_args *args,
			struct err *err)
{
	struct msg_text m = { .text = args->distro };
	int r = cli_request(cli, type, &m, CLIENT_QUICK_MS, err);

	return r < 0 ? name_error(cli, args->distro, err) : r;
}

int cmd_set_default(struct cli *cli, const struct verb_args *args, struct err *err)
{
	int r = about_distro(cli, MSG_SET_DEFAULT, args, err);

	return r < 0 ? r : done();
}

int cmd_terminate(struct cli *cli, const struct verb_args *args, struct err *err)
{
	int r = about_distro(cli, MSG_TERMINATE, args, err);

	return r < 0 ? r : done();
}

int cmd_unregister(struct cli *cli, const struct verb_args *args, struct err *err)
{
	int r;

	puts("Unregistering.");
	fflush(stdout);
	r = about_distro(cli, MSG_UNREGISTER, args, err);
	return r < 0 ? r : done();
}

int cmd_set_default_version(struct cli *cli, const struct verb_args *args, struct err *err)
{
	struct msg_number m;
	uint32_t version;
	int r;

	if (parse_u32(args->text, &version) < 0 || version < 1 || version > 2)
		return err_id(err, ERR_ERROR_VERSION_PARSE_ERROR,
			      "The version '%s' is not valid: it is 1 or 2.", args->text);
	if (version == 1)
		return err_id(err, ERR_WSL_E_WSL1_NOT_SUPPORTED,
			      "Version 1 distributions are not supported by this installation.");
	puts("For information on key differences with WSL 2 see wsl(1).");
	m.number = version;
	r = cli_request(cli, MSG_SET_DEFAULT_VERSION, &m, CLIENT_QUICK_MS, err);
	return r < 0 ? r : done();
}

/* A service of another version, or one that hangs, cannot be asked: its process is ended, and its
 * virtual machine with it. */
static int shutdown_unasked(struct cli *cli, bool force, struct err *err)
{
	bool hung = err->id == ERR_ERROR_TIMEOUT;
	int r;

	*err = ERR_INIT;
	r = client_kill_service(cli->runtime_fd, force, SHUTDOWN_GRACE_MS, err);
	if (r == 0 && hung)
		report_warning("wslservice did not answer and was ended.", NULL);
	return r;
}

int cmd_shutdown(struct cli *cli, const struct verb_args *args, struct err *err)
{
	struct msg_shutdown m = { .force = args->force };
	struct client *client;
	int r = cli_running_client(cli, &client, err);

	if (r == 0 && !client)
		return 0; /* nothing runs */
	if (r == 0)
		r = cli_request(cli, MSG_SHUTDOWN, &m, args->force ? FORCE_MS : CLIENT_QUICK_MS,
				err);
	if (r < 0 && (err->id == ERR_WSL_E_PROTOCOL_MISMATCH || err->id == ERR_ERROR_TIMEOUT))
		return shutdown_unasked(cli, args->force, err);
	return r;
}

int cmd_update(struct cli *cli, const struct verb_args *args, struct err *err)
{
	puts("Checking for updates.");
	puts("wsl " LXSS_VERSION
	     " is kept up to date by the package manager of this system, with the rest "
	     "of it.");
	return 0;
}

int cmd_uninstall(struct cli *cli, const struct verb_args *args, struct err *err)
{
	if (args->text)
		return err_id(err, ERR_E_INVALIDARG,
			      "--uninstall does not take any arguments. To unregister a "
			      "distribution, use "
			      "--unregister instead.");
	return err_set(
		err, -EOPNOTSUPP,
		"wsl was installed by the package manager of this system, or by 'ninja install': "
		"remove it the same way.\nDistributions stay until '--unregister' removes them.");
}
