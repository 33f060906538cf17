/* shared/common/cleanup.h - scope-bound clean-up for descriptors, memory and files
 *
 * Variables declared with auto_* are released when their scope ends, last declared first. take_fd()
 * and take_ptr() hand ownership on and leave the variable empty.
 */
#ifndef SHARED_COMMON_CLEANUP_H
#define SHARED_COMMON_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFINE_AUTO(tag, type, is_there, end)                                                      \
	static inline void tag##_auto_end(type *p)                                                 \
	{                                                                                          \
		if (*p is_there)                                                                   \
			end(*p);                                                                   \
	}

DEFINE_AUTO(fd, int, >= 0, close) /* a negative errno value is none */
DEFINE_AUTO(file, FILE *, != NULL, fclose)

static inline void mem_auto_end(void *p)
{
	void *m;

	memcpy(&m, p, sizeof(m));
	free(m);
}

#define auto_close  __attribute__((cleanup(fd_auto_end)))
#define auto_fclose __attribute__((cleanup(file_auto_end)))
#define auto_free   __attribute__((cleanup(mem_auto_end)))

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Closes *fd if it is open and marks it closed. */
static inline void drop_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

#endif
