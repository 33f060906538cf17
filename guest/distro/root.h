/* guest/distro/root.h - a distribution's root file system and what is mounted in it */
#ifndef GUEST_DISTRO_ROOT_H
#define GUEST_DISTRO_ROOT_H

struct distro_boot;
struct distro_settings;
struct err;
struct warnings;

/* Mounts the disk, makes it "/", reads wsl.conf and sets up the mounts of a distribution. On
 * failure *ret_step names the step. */
int root_enter(const struct distro_boot *boot, struct distro_settings *settings,
	       struct warnings *warnings, const char **ret_step, struct err *err);

#endif
