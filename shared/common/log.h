/* shared/common/log.h - the program's voice on stderr, in a log file or in the kernel log
 *
 * Libraries return errors; programs log, once, and name the object they speak of. Lines are written
 * with one write(2) each. Levels follow syslog(3).
 */
#ifndef SHARED_COMMON_LOG_H
#define SHARED_COMMON_LOG_H

#include "common/util.h"

enum log_level { LOG_ERR = 3, LOG_WARNING = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

/* @program: kept, not copied. @fd: where lines go. @level: highest level that is written.
 * @kmsg: lines start with "<level>" as /dev/kmsg and journald want. */
void log_init(const char *program, int fd, enum log_level level, bool kmsg);
void log_set_level(enum log_level level);
void log_set_timestamps(bool on); /* wall clock before each line, for log files */
void log_msg(enum log_level level, const char *fmt, ...) format_printf(2, 3);

#define log_err(...)   log_msg(LOG_ERR, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_WARNING, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

#endif
