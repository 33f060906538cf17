/* guest/boot/mounts.c - the mount tables and their interpreter */
#include "boot/mounts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/util.h"

#define NOSUID_NODEV_NOEXEC (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* /proc and /sys have the usual access time option: user namespaces may mount their own only with the
 * options of a visible one, and rootless containers use the default. */
const struct mount_row vm_mounts[] = {
	{ "/proc", "proc", "proc", NOSUID_NODEV_NOEXEC },
	{ "/sys", "sysfs", "sysfs", NOSUID_NODEV_NOEXEC },
	{ "/dev", "devtmpfs", "devtmpfs", MS_NOSUID, "mode=755" },
	{ "/dev/pts", "devpts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620" },
	{ SHARED_DIR, "tmpfs", "tmpfs", MS_NOATIME, "mode=755" },
	{ "/proc/sys/fs/binfmt_misc", "binfmt_misc", "binfmt_misc", MS_RELATIME, .optional = true },
};
const size_t n_vm_mounts = ARRAY_SIZE(vm_mounts);

const struct mount_row cgroup_mount = { "/sys/fs/cgroup", "cgroup2", "cgroup2", NOSUID_NODEV_NOEXEC,
					"nsdelegate" };

const struct mount_row distro_mounts[] = {
	{ "/dev", "devtmpfs", "devtmpfs", MS_NOSUID | MS_RELATIME, "mode=755" },
	{ "/sys", "sysfs", "sysfs", NOSUID_NODEV_NOEXEC },
	{ "/proc", "proc", "proc", NOSUID_NODEV_NOEXEC },
	{ "/dev/pts", "devpts", "devpts", MS_NOSUID | MS_NOEXEC | MS_NOATIME, "gid=5,mode=620" },
	{ "/run", "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755" },
	{ "/run/lock", "tmpfs", "tmpfs", NOSUID_NODEV_NOEXEC | MS_NOATIME, "mode=1777" },
	{ "/run/shm", "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOATIME, "mode=1777" },
	{ "/dev/shm", "/run/shm", NULL, MS_BIND },
	{ "/run/user", "tmpfs", "tmpfs", NOSUID_NODEV_NOEXEC | MS_NOATIME, "mode=755" },
	{ "/proc/sys/fs/binfmt_misc", "binfmt_misc", "binfmt_misc", MS_RELATIME, .optional = true },
	{ "/sys/fs/cgroup", "cgroup2", "cgroup2", NOSUID_NODEV_NOEXEC | MS_RELATIME, "nsdelegate" },
	{ "/tmp", .mode = 01777 },
};
const size_t n_distro_mounts = ARRAY_SIZE(distro_mounts);

static int make_directory(const char *path, unsigned mode)
{
	struct stat st;
	int r;

	if (mode == 0)
		return mkdir_p(path, 0755);
	if (stat(path, &st) == 0 && (st.st_mode & 07777) == mode)
		return 0;
	r = mkdir_p(path, mode);
	return r == 0 && chmod(path, mode) < 0 ? -errno : r;
}

static int apply(const char *root, const struct mount_row *row)
{
	char target[PATH_MAX], bound[PATH_MAX];
	const char *source = row->source;

	snprintf(target, sizeof(target), "%s%s", root, row->target);
	if (!source)
		return make_directory(target, row->mode);
	if (row->flags & MS_BIND) {
		snprintf(bound, sizeof(bound), "%s%s", root, source);
		source = bound;
	}
	/* Most directories exist: asking first would be a system call each. */
	if (mount(source, target, row->type, row->flags, row->data) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	if (make_directory(target, row->mode) < 0 ||
	    mount(source, target, row->type, row->flags, row->data) < 0)
		return -errno;
	return 0;
}

int mounts_apply(const char *root, const struct mount_row *rows, size_t n, struct err *err)
{
	for (const struct mount_row *row = rows; row < rows + n; row++) {
		int r = apply(root, row);

		if (r < 0 && !row->optional)
			return err_code(err, r, "cannot mount %s", row->target);
	}
	return 0;
}
