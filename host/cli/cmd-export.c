/* host/cli/cmd-export.c - --export (spec cli.md section 10)
 *
 * The target is written under a temporary name in its directory and renamed when it is complete: a
 * failed export never costs an older good file. Devices, pipes and standard output are written to
 * directly.
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

static const struct {
	const char *format, *ending;
} formats[] = {
	{ "tar", ".tar" },    { "tar.gz", ".tar.gz" },   { "tar.gz", ".tgz" },
	{ "tar.gz", ".wsl" }, { "tar.xz", ".tar.xz" },   { "tar.xz", ".txz" },
	{ "img", ".img" },    { "tar.zst", ".tar.zst" }, { "tar.zst", ".tzst" },
	{ "img", ".raw" },
};

const char *export_format_of(const char *file)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (str_endswith(file, formats[i].ending))
			return formats[i].format;
	return "tar";
}

static int choose_format(const struct verb_args *args, const char **ret, struct err *err)
{
	bool disk = args->vhd || (args->format && (strcaseeq(args->format, "vhd") ||
						   strcaseeq(args->format, "vhdx")));

	if (args->vhd && args->format && !strcaseeq(args->format, "vhd"))
		return usage_error(err);
	if (disk)
		return err_id(err, ERR_WSL_E_EXPORT_FAILED,
			      "Exporting VHD files is not supported here. '--format img' writes a "
			      "raw disk "
			      "image, which 'qemu-img convert -O vhdx' turns into one.");
	if (!args->format) {
		*ret = export_format_of(args->file);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (strcaseeq(args->format, formats[i].format)) {
			*ret = formats[i].format;
			return 0;
		}
	}
	return err_id(err, ERR_E_INVALIDARG,
		      "Invalid format '%s': it is one of tar, tar.gz, tar.xz, tar.zst, img.",
		      args->format);
}

/* Where the bytes go: @temporary is renamed to @final at the end, unless it is NULL. */
struct target {
	int fd;
	char *temporary;
	const char *final;
};

static int target_stdout(struct target *t, struct err *err)
{
	if (isatty(STDOUT_FILENO))
		return err_id(
			err, ERR_E_INVALIDARG,
			"An archive is not written to a terminal: give a file, or pipe it on.");
	t->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	return t->fd < 0 ? err_errno(err, "cannot write to standard output") : 0;
}

static int target_open(struct target *t, const char *file, struct err *err)
{
	struct stat st;

	*t = (struct target) { .fd = -1, .final = file };
	if (streq(file, "-"))
		return target_stdout(t, err);
	if (stat(file, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(err, -EISDIR, "'%s' is a directory", file);
	if (stat(file, &st) == 0 && !S_ISREG(st.st_mode)) {
		t->fd = open(file, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		return t->fd < 0 ? err_errno(err, "cannot open '%s'", file) : 0;
	}
	t->temporary = str_printf("%s.%d~", file, (int)getpid());
	interrupt_unlink(t->temporary);
	t->fd = open(t->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (t->fd < 0) {
		int missing = errno == ENOENT;

		interrupt_unlink(NULL);
		err_errno(err, "cannot create '%s'", file);
		return missing ? err_name(err, ERR_ERROR_PATH_NOT_FOUND) : -err->errnum;
	}
	return 0;
}

/* @r: how the export went. A link keeps pointing where it did: what it names is replaced. */
static int target_finish(struct target *t, int r, struct err *err)
{
	auto_free char *real = t->temporary ? realpath(t->final, NULL) : NULL;

	if (t->temporary && r == 0) {
		if (fsync(t->fd) < 0)
			r = err_errno(err, "cannot write '%s'", t->temporary);
		else if (rename(t->temporary, real ? real : t->final) < 0)
			r = err_errno(err, "cannot rename '%s' to '%s'", t->temporary, t->final);
	}
	if (t->temporary && r < 0 && t->fd >= 0)
		unlink(t->temporary);
	interrupt_unlink(NULL);
	drop_fd(&t->fd);
	free(t->temporary);
	return r;
}

int cmd_export(struct cli *cli, const struct verb_args *args, struct err *err)
{
	struct msg_export m = { .name = args->distro };
	struct target t;
	int r;

	if (!args->distro || !args->file)
		return err_id(err, ERR_E_INVALIDARG,
			      "Argument --export is missing a required parameter.\n"
			      "Usage: wsl --export NAME FILE [options]");
	r = choose_format(args, &m.format, err);
	if (r == 0)
		r = find_distro(cli, args->distro, err);
	if (r < 0)
		return r;
	r = target_open(&t, args->file, err);
	if (r == 0 && t.temporary && isatty(STDERR_FILENO))
		fprintf(stderr, "Export in progress, this may take a few minutes.\n");
	if (r == 0)
		r = archive_call(cli, MSG_EXPORT, &m, t.fd, 0, NULL, err);
	r = target_finish(&t, r, err);
	if (r == 0 && !streq(args->file, "-"))
		puts(OPERATION_SUCCESSFUL);
	return r;
}
