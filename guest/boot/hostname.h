/* guest/boot/hostname.h - host names that every tool accepts */
#ifndef GUEST_BOOT_HOSTNAME_H
#define GUEST_BOOT_HOSTNAME_H

#define HOSTNAME_BYTES 65 /* 64 characters and the end mark */

/* Keeps letters, digits, inner '-' and the first inner '.'; never empty: "localhost". */
void hostname_clean(const char *name, char ret_name[HOSTNAME_BYTES]);

#endif
