/* host/config/paths.c - XDG directories, checked for ownership */
#include "config/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

static const struct {
	const char *variable, *below_home, *what;
} kinds[] = {
	[PATH_DATA] = { "XDG_DATA_HOME", ".local/share", "data" },
	[PATH_CACHE] = { "XDG_CACHE_HOME", ".cache", "cache" },
	[PATH_STATE] = { "XDG_STATE_HOME", ".local/state", "state" },
	[PATH_RUNTIME] = { "XDG_RUNTIME_DIR", NULL, "runtime" },
};

char *path_home(void)
{
	const char *home = getenv("HOME");
	struct passwd *pw;

	if (home && home[0] == '/')
		return str_dup(home);
	pw = getpwuid(getuid());
	return pw ? str_dup(pw->pw_dir) : NULL;
}

static char *plan(enum path_kind kind, struct err *err)
{
	const char *base = getenv(kinds[kind].variable);
	auto_free char *home = NULL;

	if (base && base[0] == '/' && (kinds[kind].below_home || access(base, W_OK) == 0))
		return str_printf("%s/lxss", base);
	if (!kinds[kind].below_home)
		return str_printf("/tmp/lxss-%u", (unsigned)getuid());
	home = path_home();
	if (!home) {
		err_set(err, -ENOENT,
			"cannot find a home directory for the %s directory: set HOME or %s",
			kinds[kind].what, kinds[kind].variable);
		return NULL;
	}
	return str_printf("%s/%s/lxss", home, kinds[kind].below_home);
}

static int check_private(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, "cannot inspect '%s'", path);
	if (st.st_uid != getuid())
		return err_set(err, -EPERM,
			       "the runtime directory '%s' belongs to another user (uid %u): remove it or "
			       "set XDG_RUNTIME_DIR to a directory of yours",
			       path, (unsigned)st.st_uid);
	if ((st.st_mode & 077) && fchmod(fd, 0700) < 0)
		return err_errno(err, "cannot make '%s' private", path);
	return 0;
}

static int open_dir(enum path_kind kind, char **ret_path, struct err *err)
{
	auto_free char *path = plan(kind, err);
	auto_close int fd = -1;
	int r;

	if (!path)
		return -ENOENT;
	r = mkdir_p(path, 0700);
	if (r < 0)
		return err_code(err, r, "cannot create the %s directory '%s'", kinds[kind].what, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (kind == PATH_RUNTIME ? O_NOFOLLOW : 0));
	if (fd < 0)
		return err_errno(err, "cannot open the %s directory '%s'", kinds[kind].what, path);
	if (kind == PATH_RUNTIME) {
		r = check_private(fd, path, err);
		if (r < 0)
			return r;
	}
	if (ret_path)
		*ret_path = take_ptr(path);
	return take_fd(&fd);
}

char *path_dir(enum path_kind kind, struct err *err)
{
	char *path = NULL;
	auto_close int fd = open_dir(kind, &path, err);

	return fd < 0 ? NULL : path;
}

int path_open(enum path_kind kind, struct err *err)
{
	return open_dir(kind, NULL, err);
}

/* A build tree keeps each program in its module's folder; LXSS_LIBEXEC names one flat directory. */
char *path_helper(const char *name)
{
	const char *dir = getenv("LXSS_LIBEXEC");

	if (dir && dir[0] == '/')
		return str_printf("%s/%s", dir, name);
	return str_printf("%s/%s", LXSS_LIBEXECDIR, name);
}
