/* host/cli/handover.c - what needs the distribution catalogue is done by wslinstall
 *
 * Downloading and reading lists takes libraries whose loading would cost every `wsl` command more
 * time than its own work. The helper gets the same command line and takes this process's place.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "config/paths.h"

static int hand_over(struct cli *cli, struct err *err)
{
	auto_free char *program = path_helper("wslinstall");

	fflush(stdout);
	execv(program, cli->argv);
	return err_errno(err, "cannot run '%s'", program);
}

int cmd_install(struct cli *cli, const struct verb_args *args, struct err *err)
{
	return hand_over(cli, err);
}

int list_online(struct cli *cli, const struct verb_args *args, struct err *err)
{
	return hand_over(cli, err);
}
