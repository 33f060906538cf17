/* host/cli/terminal.c - raw mode, undone on every way out */
#include "cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/util.h"

static struct {
	struct termios saved;
	int fd;
	volatile sig_atomic_t raw;
} term;

bool terminal_foreground(int fd)
{
	pid_t owner = tcgetpgrp(fd);

	return owner < 0 || owner == getpgrp(); /* not our controlling terminal: nobody stops us */
}

/* Safe in a signal handler: tcsetattr(3) is one ioctl. SIGTTOU cannot stop a handler's caller here:
 * a process that went to the background after entering raw mode blocks it for the call. */
void terminal_restore(void)
{
	sigset_t ttou, old;

	if (!term.raw)
		return;
	term.raw = 0;
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &old);
	tcsetattr(term.fd, TCSANOW, &term.saved);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void fatal(int signo)
{
	terminal_restore();
	signal(signo, SIG_DFL);
	raise(signo);
}

static void install_exits(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP };
	static bool done;

	if (done)
		return;
	done = true;
	atexit(terminal_restore);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction sa = { .sa_handler = fatal, .sa_flags = (int)SA_RESETHAND };

		sigaction(signals[i], &sa, NULL);
	}
}

int terminal_raw(int fd, bool output_too)
{
	struct termios raw;

	if (term.raw)
		return 0;
	if (tcgetattr(fd, &term.saved) < 0)
		return -errno;
	raw = term.saved;
	cfmakeraw(&raw);
	if (!output_too)
		raw.c_oflag = term.saved.c_oflag;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	install_exits();
	term.fd = fd;
	term.raw = 1; /* first: a signal between the two restores what is still there */
	if (tcsetattr(fd, TCSANOW, &raw) < 0) {
		term.raw = 0;
		return -errno;
	}
	return 0;
}

bool terminal_is_raw(void)
{
	return term.raw;
}

bool terminal_size(int fd, uint32_t *ret_rows, uint32_t *ret_cols)
{
	struct winsize ws = { 0 };
	bool known = ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_row && ws.ws_col;

	*ret_rows = known ? ws.ws_row : 24;
	*ret_cols = known ? ws.ws_col : 80;
	return known;
}
