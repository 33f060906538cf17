/* guest/distro/pty.h - pseudo terminals of the distribution's own devpts */
#ifndef GUEST_DISTRO_PTY_H
#define GUEST_DISTRO_PTY_H

#include <stdint.h>
#include <sys/types.h>

struct err;

struct pty {
	int master; /* non-blocking */
	int slave;
};

/* Owned by @uid and group tty, of the given size from the start. WSL_E_TTY_LIMIT when none is free.
 */
int pty_open(struct pty *ret_pty, uid_t uid, uint32_t rows, uint32_t cols, struct err *err);
int pty_resize(int master, uint32_t rows, uint32_t cols);

#endif
