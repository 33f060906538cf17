/* guest/boot/kmsg.c - log descriptor and descriptor hygiene */
#include "boot/kmsg.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

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

void close_others(int keep, int keep_too)
{
	int kept[] = { MIN(keep, keep_too), MAX(keep, keep_too) };
	unsigned first = LOG_FD + 1;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (kept[i] < (int)first)
			continue;
		if (kept[i] > (int)first)
			close_range(first, (unsigned)kept[i] - 1, 0);
		first = (unsigned)kept[i] + 1;
	}
	close_range(first, ~0u, 0);
}
