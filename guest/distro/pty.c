/* guest/distro/pty.c - make and resize a pseudo terminal */
#include "distro/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

#define TTY_GID 5 /* also the gid= of the devpts mount */

int pty_resize(int master, uint32_t rows, uint32_t cols)
{
	struct winsize size = {
		.ws_row = (unsigned short)MIN(rows, (uint32_t)UINT16_MAX),
		.ws_col = (unsigned short)MIN(cols, (uint32_t)UINT16_MAX),
	};

	return ioctl(master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

/* The line editor must erase characters, not bytes. */
static void set_utf8(int slave)
{
	struct termios t;

	if (tcgetattr(slave, &t) < 0)
		return;
	t.c_iflag |= IUTF8;
	tcsetattr(slave, TCSANOW, &t);
}

int pty_open(struct pty *ret_pty, uid_t uid, uint32_t rows, uint32_t cols, struct err *err)
{
	auto_close int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	auto_close int slave = -1;
	int unlock = 0;

	if (master < 0 && (errno == ENOSPC || errno == EAGAIN))
		return err_id(err, ERR_WSL_E_TTY_LIMIT,
			      "The distribution has no free terminal. Close another session, or "
			      "raise kernel.pty.max.");
	if (master < 0)
		return err_errno(err, "cannot open /dev/ptmx");
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_errno(err, "cannot unlock a terminal");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_errno(err, "cannot open a terminal");
	if (uid != 0 && fchown(slave, uid, TTY_GID) < 0)
		return err_errno(err, "cannot give a terminal to user %u", (unsigned)uid);
	pty_resize(master, rows, cols);
	set_utf8(slave);
	*ret_pty = (struct pty) { .master = take_fd(&master), .slave = take_fd(&slave) };
	return 0;
}
