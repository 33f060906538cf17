/* guest/boot/disk.c - wait for, mount and release the disk of a distribution */
#include "boot/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/util.h"
#include "io/socket.h"

/* Bitmaps are read when they are needed: all of them, of a sparse image of 1 TiB, are 32 MiB. */
#define EXT4_OPTIONS    "discard,errors=remount-ro,data=ordered,no_prefetch_block_bitmaps"
#define OVERLAY_DIR     "/overlay" /* in the initramfs: upper layer of a read-only disk */
#define SUSPICION_BYTES (64 * MIB) /* ext4 keeps up to 16 MiB that even root cannot have */

static int device_openable(const char *device)
{
	auto_close int fd = open(device, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : 0;
}

/* The node exists before a disk without a medium can be opened: both are waited for. */
int device_wait(const char *device, uint64_t timeout_ms)
{
	auto_close int watch = -1;
	uint64_t deadline = now_ms() + timeout_ms;
	int r = device_openable(device);

	if (r == 0)
		return 0;
	watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch < 0 || inotify_add_watch(watch, "/dev", IN_CREATE | IN_ATTRIB) < 0)
		return -errno;
	for (;;) {
		char events[4096];

		r = device_openable(device);
		if (r != -ENOENT && r != -ENXIO && r != -ENOMEDIUM)
			return r;
		if (now_ms() >= deadline)
			return -ETIMEDOUT;
		fd_wait(watch, POLLIN, MIN(deadline, now_ms() + 20));
		while (read(watch, events, sizeof(events)) > 0)
			;
	}
}

/* Only trying tells for sure, and only where it may be so. */
static bool disk_full(const char *root)
{
	char probe[PATH_MAX];
	struct statvfs st;

	if (statvfs(root, &st) < 0 || (uint64_t)st.f_bfree * st.f_frsize >= SUSPICION_BYTES)
		return false;
	snprintf(probe, sizeof(probe), "%s/.lxss-probe", root);
	if (mkdir(probe, 0700) < 0)
		return errno == ENOSPC;
	rmdir(probe);
	return false;
}

static int mount_ext4(const char *device, const char *root, unsigned long flags)
{
	return mount(device, root, "ext4", flags, EXT4_OPTIONS) < 0 ? -errno : 0;
}

/* The disk below, memory above, the union at @root. */
static int mount_overlay(const char *device, const char *root, bool mounted)
{
	char options[PATH_MAX];
	int r = 0;

	if (mkdir(OVERLAY_DIR, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (mount("tmpfs", OVERLAY_DIR, "tmpfs", 0, "mode=755") < 0)
		return -errno;
	if (mkdir(OVERLAY_DIR "/lower", 0755) < 0 || mkdir(OVERLAY_DIR "/upper", 0755) < 0 ||
	    mkdir(OVERLAY_DIR "/work", 0755) < 0)
		return -errno;
	if (mounted) {
		if (mount(root, OVERLAY_DIR "/lower", NULL, MS_MOVE, NULL) < 0)
			return -errno;
	} else {
		r = mount_ext4(device, OVERLAY_DIR "/lower", MS_RDONLY);
	}
	if (r < 0)
		return r;
	str_format(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		   OVERLAY_DIR, OVERLAY_DIR, OVERLAY_DIR);
	return mount("overlay", root, "overlay", 0, options) < 0 ? -errno : 0;
}

int disk_mount(const char *device, const char *root, bool *ret_read_only, struct err *err)
{
	bool fallback = false;
	int r = mount_ext4(device, root, 0);

	if (r == -EROFS || r == -EACCES) {
		fallback = true;
		r = mount_overlay(device, root, false);
	} else if (r == 0 && disk_full(root)) {
		fallback = true;
		r = mount_overlay(device, root, true);
	}
	if (r == -EINVAL || r == -EUCLEAN)
		return err_id(err, ERR_WSL_E_DISK_CORRUPTED,
			      "The file system of the distribution's disk is damaged and cannot be "
			      "mounted. Check the image with 'e2fsck -f' before the next start.");
	if (r < 0)
		return err_code(err, r, "cannot mount %s", device);
	*ret_read_only = fallback;
	return 0;
}

bool device_released(const char *device)
{
	auto_close int fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);

	if (fd < 0)
		return errno != EBUSY; /* a disk that is gone is as free as can be */
	fsync(fd);
	return true;
}

/* Field 3 of mountinfo is the device, field 5 the mount point; octal escapes only hide blanks. */
static bool parse_mount_line(const char *line, dev_t dev, char target[PATH_MAX])
{
	unsigned major, minor;

	return sscanf(line, "%*u %*u %u:%u %*s %4095s", &major, &minor, target) == 3 &&
	       makedev(major, minor) == dev;
}

void device_detach(const char *device)
{
	auto_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[2 * PATH_MAX], target[PATH_MAX];
	struct stat st;

	if (!f || stat(device, &st) < 0)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (!parse_mount_line(line, st.st_rdev, target))
			continue;
		log_info("detaching %s, left over from %s", target, device);
		umount2(target, MNT_DETACH);
	}
}
