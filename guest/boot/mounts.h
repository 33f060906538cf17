/* guest/boot/mounts.h - tables of mounts, applied below a directory
 *
 * A row is a file system, a bind (type NULL), or only a directory (source NULL). Missing
 * directories are made. Paths in rows are absolute and below the root they are applied to.
 */
#ifndef GUEST_BOOT_MOUNTS_H
#define GUEST_BOOT_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

struct err;

struct mount_row {
	const char *target, *source, *type;
	unsigned long flags; /* MS_* */
	const char *data;
	unsigned mode; /* of the directory, when it has to be made or has no source; 0: 0755 */
	bool optional; /* a kernel without it is fine */
};

/* Applies rows in order below @root ("" for the real root); stops at the first failure. */
int mounts_apply(const char *root, const struct mount_row *rows, size_t n, struct err *err);

/* What the VM itself has, and what each distribution gets. */
extern const struct mount_row vm_mounts[];
extern const size_t n_vm_mounts;
extern const struct mount_row cgroup_mount; /* of the VM, once it is tuned */
extern const struct mount_row distro_mounts[];
extern const size_t n_distro_mounts;

#define SHARED_DIR "/mnt/wsl" /* in the VM's root: the mount all distributions share */

#endif
