/* guest/distro/settings.h - /etc/wsl.conf and /etc/wsl-distribution.conf
 *
 * Ownership  strings belong to the struct and live as long as the process. Warnings are collected,
 *            because they are read before anybody can be told.
 */
#ifndef GUEST_DISTRO_SETTINGS_H
#define GUEST_DISTRO_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct distro_settings { /* /etc/wsl.conf, spec config.md section 3 */
	bool mount_fstab, generate_hosts, generate_resolv_conf, use_timezone, systemd;
	int64_t umask, init_timeout_ms;
	char *automount_root, *hostname, *user, *boot_command;
};

struct oobe_settings { /* /etc/wsl-distribution.conf, section 4 */
	char *command;
	int64_t default_uid; /* -1: none */
};

#define WARNINGS_MAX 64

struct warnings { /* zero-initialised */
	char *text[WARNINGS_MAX];
	size_t n; /* beyond the maximum they are dropped */
};

void warnings_add(const char *text, void *warnings);

/* @path: normally "/etc/wsl.conf", below @dirfd; messages show the canonical path. */
void distro_settings_read(struct distro_settings *s, int dirfd, const char *path,
			  struct warnings *warnings);
void oobe_settings_read(struct oobe_settings *s, struct warnings *warnings);

#endif
