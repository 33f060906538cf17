/* guest/distro/root.c - from the VM's root to the distribution's
 *
 * /init and the shared directory belong to the VM's root, which is out of reach after the switch;
 * they are held as detached mounts (open_tree) meanwhile, because the place of the second depends
 * on the distribution's wsl.conf, which is only read, safely, from inside.
 */
#include "distro/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/disk.h"
#include "boot/launch.h"
#include "boot/mounts.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/util.h"
#include "distro/settings.h"

#define STAGE "/distro" /* in the VM's root */

static const struct {
	const char *path, *target;
} links[] = {
	{ "/dev/fd", "/proc/self/fd" },
	{ "/dev/stdin", "/proc/self/fd/0" },
	{ "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" },
};

static const char *const public_devices[] = { "/dev/fuse", "/dev/net/tun" };

static int detached_copy(const char *path, struct err *err)
{
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd < 0 ? err_errno(err, "cannot copy the mount of %s", path) : fd;
}

static int switch_root(struct err *err)
{
	if (chdir(STAGE) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return err_errno(err, "cannot change the root");
	return 0;
}

static int attach(int tree, const char *target, struct err *err)
{
	if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(err, "cannot mount %s", target);
	return 0;
}

static int attach_init(int tree, struct err *err)
{
	auto_close int fd = -1;
	struct stat st;
	int r = lstat("/init", &st);

	if (r == 0 && S_ISLNK(st.st_mode)) /* a mount would land on what it points to */
		r = unlink("/init") < 0 ? 0 : -1;
	if (r < 0) {
		fd = open("/init", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
		if (fd < 0)
			return err_errno(err, "cannot make /init");
	}
	r = attach(tree, "/init", err);
	if (r < 0)
		return r;
	if (mount(NULL, "/init", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL) < 0)
		return err_errno(err, "cannot protect /init");
	return 0;
}

static int attach_shared(int tree, const char *automount_root, struct err *err)
{
	auto_free char *path = str_printf("%swsl", automount_root);
	int r = mkdir_p(path, 0755);

	if (r < 0)
		return err_code(err, r, "cannot make %s", path);
	return attach(tree, path, err);
}

static void finish_devices(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlink(links[i].target, links[i].path) < 0 && errno != EEXIST)
			log_warn("cannot make %s: %s", links[i].path, strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(public_devices); i++)
		chmod(public_devices[i], 0666); /* a kernel may lack them */
}

static int mount_disk(const struct distro_boot *boot, struct warnings *warnings, struct err *err)
{
	bool read_only = false;
	int r;

	if (mkdir(STAGE, 0755) < 0 && errno != EEXIST)
		return err_errno(err, "cannot make %s", STAGE);
	r = disk_mount(boot->device, STAGE, &read_only, err);
	if (r == 0 && read_only) {
		warnings_add("An error occurred mounting the distribution disk, it was mounted "
			     "read-only as a fallback.",
			     warnings);
		warnings_add("How to repair it: see 'Damaged and full disks' in wsl(1).", warnings);
	}
	return r;
}

int root_enter(const struct distro_boot *boot, struct distro_settings *settings,
	       struct warnings *warnings, const char **ret_step, struct err *err)
{
	auto_close int init = -1, shared = -1;
	int r;

	*ret_step = "WaitDisk";
	r = device_wait(boot->device, boot->device_timeout_ms);
	if (r < 0)
		return err_code(err, r, "disk %s did not appear", boot->device);
	*ret_step = "MountDisk";
	r = mount_disk(boot, warnings, err);
	if (r < 0)
		return r;
	*ret_step = "SwitchRoot";
	init = detached_copy("/init", err);
	shared = detached_copy(SHARED_DIR, err);
	if (init < 0 || shared < 0)
		return init < 0 ? init : shared;
	r = switch_root(err);
	if (r < 0)
		return r;
	distro_settings_read(settings, AT_FDCWD, "/etc/wsl.conf", warnings);
	*ret_step = "Mounts";
	r = mounts_apply("", distro_mounts, n_distro_mounts, err);
	if (r == 0)
		r = attach_init(init, err);
	if (r == 0)
		r = attach_shared(shared, settings->automount_root, err);
	if (r < 0)
		return r;
	finish_devices();
	if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		return err_errno(err, "cannot share the mounts");
	return 0;
}
