/* guest/boot/kmsg.h - the log of every guest role, and what survives a fork
 *
 * The log is always descriptor LOG_FD, close-on-exec, so that a forked role can close everything
 * else without asking who opened what.
 */
#ifndef GUEST_BOOT_KMSG_H
#define GUEST_BOOT_KMSG_H

#define LOG_FD 3

/* Opens /dev/kmsg (standard error where there is none) as LOG_FD. @program: kept, not copied. */
void kmsg_open(const char *program);

/* Closes every descriptor above LOG_FD but these two (-1: none). */
void close_others(int keep, int keep_too);

#endif
