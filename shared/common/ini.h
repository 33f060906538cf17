/* shared/common/ini.h - the configuration file syntax of .wslconfig, wsl.conf, wsl-distribution.conf
 *
 * Grammar, types and message texts: spec config.md section 1. Sections [name], keys "name = value",
 * '#' comments, double quotes, escapes \\ \" \b \n \t and line continuation. Keys compare without
 * case; the first of two equal keys wins. A table of struct ini_key tells which keys exist, their
 * types and where their values go.
 *
 * Ownership  string values are allocated (str_dup) into *(char **)target; the old value is freed.
 * Errors     nothing here fails for bad content: every problem becomes one call of @warn with a
 *            complete sentence; defaults stay.
 */
#ifndef SHARED_COMMON_INI_H
#define SHARED_COMMON_INI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ini_type { INI_BOOL, INI_INT, INI_SIZE, INI_STRING, INI_ENUM, INI_IPV4, INI_IGNORED };

struct ini_key {
	const char *name; /* "section.key" */
	enum ini_type type;
	size_t offset; /* of the value in the target struct: bool, int64_t, uint64_t, char *, int, uint32_t */
	const char *const *names; /* INI_ENUM: NULL-terminated; the value becomes the index */
	const char *alias_of; /* another key's name that counts as the same key, or NULL */
};

typedef void (*ini_warn_fn)(const char *text, void *arg);

struct ini_schema {
	const struct ini_key *keys;
	size_t n_keys;
	bool stop_at_invalid_line; /* wsl.conf: yes; .wslconfig: no */
	const char *size_file; /* file name used in size messages (".wslconfig entry") */
};

/* @file: full path for messages. @target: the struct the offsets refer to. */
void ini_parse(const struct ini_schema *schema, const char *file, const char *text, size_t len,
	       void *target, ini_warn_fn warn, void *arg);

/* Reads and parses; a missing file is silent, an unreadable one warns "Failed to open config file". */
void ini_parse_file(const struct ini_schema *schema, int dirfd, const char *path,
		    const char *shown_path, void *target, ini_warn_fn warn, void *arg);

#endif
