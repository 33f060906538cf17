/* guest/distro/files.h - the files init writes in a distribution, and those it reads from it */
#ifndef GUEST_DISTRO_FILES_H
#define GUEST_DISTRO_FILES_H

#include <stdbool.h>

/* Writes only when the content differs: an unchanged start leaves the disk alone. 0 or -errno. */
int file_update(const char *path, const char *text);

/* The text of /etc/hosts; allocated. @domain "": localdomain. @more: whole lines of the host's. */
char *hosts_text(const char *hostname, const char *domain, const char *more);

/* Points /etc/localtime at the zone, if the distribution has it, and names it in /etc/timezone. */
void timezone_apply(const char *zone);

/* @generate: makes /etc/resolv.conf a link to the VM's (RESOLV_CONF); otherwise removes just that link. */
#define RESOLV_CONF "wsl/resolv.conf" /* below automount.root */
void resolv_conf_apply(const char *automount_root, bool generate);

#endif
