/* guest/boot/kmsg.c - log descriptor and descriptor hygiene */
#include "boot/kmsg.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

void kmsg_open(const char *program)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	bool kmsg = fd >= 0;

	if (fd != LOG_FD)
		dup3(kmsg ? fd : STDERR_FILENO, LOG_FD, O_CLOEXEC);
	if (kmsg && fd != LOG_FD)
		close(fd);
	log_init(program, LOG_FD, LOG_INFO, kmsg);
}

void close_others(int keep)
{
	unsigned first = LOG_FD + 1;

	if (keep >= (int)first) {
		if (keep > (int)first)
			close_range(first, (unsigned)keep - 1, 0);
		first = (unsigned)keep + 1;
	}
	close_range(first, ~0u, 0);
}
