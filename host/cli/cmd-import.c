/* host/cli/cmd-import.c - --import and --import-in-place (spec cli.md section 10)
 *
 * The file is opened here, with the caller's rights, and travels to the service as a descriptor. An
 * interrupted client closes the connection: the service then undoes what it has begun.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/archive.h"
#include "cli/cli.h"
#include "client/client.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

static bool is_vhd(const char *file)
{
	size_t n = strlen(file);

	return (n >= 4 && strcaseeq(file + n - 4, ".vhd")) ||
	       (n >= 5 && strcaseeq(file + n - 5, ".vhdx"));
}

const char *archive_shown(const char *file)
{
	return streq(file, "-") ? "<stdin>" : file;
}

static int open_error(const char *file, struct err *err)
{
	int missing = errno == ENOENT;

	err_errno(err, "cannot open '%s'", file);
	return missing ? err_name(err, ERR_ERROR_FILE_NOT_FOUND) : -err->errnum;
}

static int open_regular(const char *file, int flags, struct err *err)
{
	auto_close int fd = open(file, flags | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return open_error(file, err);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(err, -EISDIR, "'%s' is a directory", file);
	return take_fd(&fd);
}

int archive_open(const char *file, struct err *err)
{
	int fd;

	if (!streq(file, "-"))
		return open_regular(file, O_RDONLY, err);
	if (isatty(STDIN_FILENO))
		return err_id(
			err, ERR_E_INVALIDARG,
			"An archive cannot be read from a terminal: give a file, or pipe one in.");
	fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? err_errno(err, "cannot read standard input") : fd;
}

int check_version(bool given, uint32_t version, struct err *err)
{
	if (!given || version == 2)
		return 0;
	if (version == 1)
		return err_id(err, ERR_WSL_E_WSL1_NOT_SUPPORTED,
			      "Version 1 distributions are not supported by this installation.");
	return err_id(err, ERR_E_INVALIDARG, "The version '%u' is not valid: it is 1 or 2.",
		      version);
}

int archive_call(struct cli *cli, uint16_t type, const void *msg, int fd, uint16_t reply,
		 void *ret_reply, struct err *err)
{
	struct client_call call = {
		.type = type,
		.msg = msg,
		.fds = &fd,
		.n_fds = 1,
		.reply = reply,
		.ret_reply = ret_reply,
		.silence_ms = CLIENT_STALL_MS,
	};
	struct client *client;
	int r = cli_client(cli, &client, err);

	if (r == 0)
		r = client_call(client, &call, err);
	progress_end();
	return r;
}

int import_call(struct cli *cli, uint16_t type, const struct msg_import *m, int fd,
		struct msg_imported *ret, struct err *err)
{
	return archive_call(cli, type, m, fd, MSG_IMPORTED, ret, err);
}

static void in_progress(const char *what)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%s in progress, this may take a few minutes.\n", what);
}

static int check_image_wish(const struct verb_args *args, struct err *err)
{
	if (args->vhd)
		return err_id(err, ERR_WSL_E_IMPORT_FAILED,
			      "Importing disk images is not supported here. Convert VHD and VHDX "
			      "files with "
			      "'qemu-img convert -O raw' and use --import-in-place.");
	if (is_vhd(args->file))
		return err_id(
			err, ERR_E_INVALIDARG,
			"This looks like a VHD file. Use --vhd to import a VHD instead of a tar.");
	return 0;
}

int cmd_import(struct cli *cli, const struct verb_args *args, struct err *err)
{
	struct msg_import m = { .name = args->name, .location = args->location };
	struct msg_imported done;
	auto_close int fd = -1;
	int r;

	if (!args->name || !args->location || !args->file)
		return err_id(err, ERR_E_INVALIDARG,
			      "Argument --import is missing a required parameter.\n"
			      "Usage: wsl --import NAME DIR FILE [options]");
	r = check_version(args->have_version, args->version, err);
	if (r == 0)
		r = check_distro_name(args->name, err);
	if (r == 0)
		r = check_image_wish(args, err);
	if (r < 0)
		return r;
	fd = archive_open(args->file, err);
	if (fd < 0)
		return fd;
	in_progress("Import");
	m.source = archive_shown(args->file);
	r = import_call(cli, MSG_IMPORT, &m, fd, &done, err);
	if (r == 0)
		puts(OPERATION_SUCCESSFUL);
	return r;
}

int cmd_import_in_place(struct cli *cli, const struct verb_args *args, struct err *err)
{
	struct msg_import m = { .name = args->name, .source = args->location };
	auto_free char *dir = NULL;
	struct msg_imported done;
	auto_close int fd = -1;
	int r;

	if (!args->name || !args->location)
		return usage_error(err);
	r = check_distro_name(args->name, err);
	if (r < 0)
		return r;
	if (is_vhd(args->location))
		return err_id(err, ERR_WSL_E_IMPORT_FAILED,
			      "VHD and VHDX files cannot be used in place. Convert '%s' with "
			      "'qemu-img convert "
			      "-O raw' first.",
			      args->location);
	fd = open_regular(args->location, O_RDWR, err);
	if (fd < 0)
		return fd;
	dir = str_dup(args->location);
	*(strrchr(dir, '/') + (strrchr(dir, '/') == dir)) = '\0';
	m.location = dir;
	r = import_call(cli, MSG_IMPORT_IN_PLACE, &m, fd, &done, err);
	if (r == 0)
		puts(OPERATION_SUCCESSFUL);
	return r;
}
