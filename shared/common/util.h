/* shared/common/util.h - the few macros and string helpers that every module needs */
#ifndef SHARED_COMMON_UTIL_H
#define SHARED_COMMON_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#undef MIN /* <sys/param.h> has its own, which evaluates twice */
#undef MAX
#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) min_a_ = (a);                                                        \
		__typeof__(b) min_b_ = (b);                                                        \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) max_a_ = (a);                                                        \
		__typeof__(b) max_b_ = (b);                                                        \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})
#define container_of(ptr, type, member)                                                            \
	((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))
#define format_printf(fmt, args) __attribute__((format(printf, fmt, args)))

#define KIB 1024ull
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)
#define TIB (1024ull * GIB)

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool strcaseeq(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

/* Returns what follows @prefix in @s, or NULL if @s does not start with it. */
static inline const char *str_after(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool str_endswith(const char *s, const char *suffix);

/* printf into fresh memory; owned by the caller. Ends the process when memory is out: small strings
 * only. */
char *str_printf(const char *fmt, ...) format_printf(1, 2);
char *str_dup(const char *s); /* NULL stays NULL; otherwise as str_printf() */

/* printf into buf; -ENAMETOOLONG (and an empty string) instead of a cut result. */
int str_format(char *buf, size_t size, const char *fmt, ...) format_printf(3, 4);

/* Strict base-10 parsers: digits only, the whole string, -EINVAL or -ERANGE. */
int parse_u32(const char *s, uint32_t *ret);
int parse_u64(const char *s, uint64_t *ret);

/* "0", "512", "8GB", "64MB", "1TB", "2K": powers of 1024, uppercase suffixes (spec config.md). */
int parse_size(const char *s, uint64_t *ret_bytes);
/* 0 1 true false, any case. */
int parse_bool(const char *s, bool *ret);
/* "1.5 GiB" style text for people, into buf, returned. */
const char *format_size(char *buf, size_t size, uint64_t bytes);

/* write() and read() until all is done; 0 or -errno (-EPIPE/-ENODATA on an early end). */
int write_all(int fd, const void *data, size_t len);
int read_all(int fd, void *data, size_t len);

/* Reads a whole small file into NUL-terminated fresh memory; refuses more than @max bytes with
 * -EFBIG. @dirfd as in openat(2). */
int read_file_at(int dirfd, const char *path, size_t max, char **ret_text, size_t *ret_len);
/* Replaces a file atomically (temporary name, fsync, rename). */
int write_file_at(int dirfd, const char *path, const void *data, size_t len, unsigned mode);
/* Writes to an existing file without creating or replacing it (sysctl files). */
int write_existing(const char *path, const char *text);

/* mkdir -p; existing directories are fine. */
int mkdir_p(const char *path, unsigned mode);
/* rm -r without following links; 0 when nothing is there. */
int remove_tree(int dirfd, const char *path);

uint64_t now_ms(void); /* CLOCK_MONOTONIC */
uint64_t now_us(void);

#endif
