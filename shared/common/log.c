/* shared/common/log.c - one line, one write */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct {
	const char *program;
	int fd;
	enum log_level level;
	bool kmsg, timestamps;
} out = { "lxss", STDERR_FILENO, LOG_INFO, false, false };

void log_init(const char *program, int fd, enum log_level level, bool kmsg)
{
	out.program = program;
	out.fd = fd;
	out.level = level;
	out.kmsg = kmsg;
}

void log_set_level(enum log_level level)
{
	out.level = level;
}

void log_set_timestamps(bool on)
{
	out.timestamps = on;
}

static size_t line_head(char *line, size_t size, enum log_level level)
{
	size_t n = 0;

	if (out.kmsg)
		n += (size_t)snprintf(line, size, "<%d>", (int)level);
	if (out.timestamps) {
		struct timespec ts;
		struct tm tm;

		clock_gettime(CLOCK_REALTIME, &ts);
		localtime_r(&ts.tv_sec, &tm);
		n += strftime(line + n, size - n, "%F %T", &tm);
		n += (size_t)snprintf(line + n, size - n, ".%03d ", (int)(ts.tv_nsec / 1000000));
	}
	n += (size_t)snprintf(line + n, size - n, "%s: ", out.program);
	return n;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	char line[2048];
	size_t n;
	int m;
	va_list ap;

	if (level > out.level)
		return;
	n = line_head(line, sizeof(line), level);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (m > 0)
		n += MIN((size_t)m, sizeof(line) - n - 2);
	line[n++] = '\n';
	if (write(out.fd, line, n) < 0) {
		/* Nobody is left to tell. */
	}
	errno = saved;
}
