/* guest/boot/disk.h - block devices of distributions: appearing, mounting, going */
#ifndef GUEST_BOOT_DISK_H
#define GUEST_BOOT_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/* Blocks until the device can be opened: 0, -ETIMEDOUT or -errno. */
int device_wait(const char *device, uint64_t timeout_ms);

/* Mounts the ext4 image on @device at @root. A disk that is read-only or full gets a writable layer
 * in memory; *ret_read_only tells. A damaged one fails with WSL_E_DISK_CORRUPTED. */
int disk_mount(const char *device, const char *root, bool *ret_read_only, struct err *err);

/* True when nothing has the device mounted; its cache is written back then. */
bool device_released(const char *device);
/* Detaches what is left of the device's mounts in this namespace (binds below SHARED_DIR) and, by
 * propagation, in every other. */
void device_detach(const char *device);

#endif
