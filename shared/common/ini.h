/* shared/common/ini.h - the configuration file syntax of .wslconfig, wsl.conf,
 * wsl-distribution.conf
 *
 * Grammar, types and message texts: spec config.md section 1. Sections [name], keys "name = value",
 * '#' comments, double quotes, escapes \\ \" \b \n \t and line continuation. Keys compare without
 * case; the first of two equal keys wins. A table of struct ini_key tells which keys exist, their
 * types and where their values go. Keys are shown in messages as the file spells them.
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

enum ini_type {
	INI_BOOL,   /* bool */
	INI_INT,    /* int64_t */
	INI_SIZE,   /* uint64_t, bytes */
	INI_STRING, /* char * */
	INI_ENUM,   /* int, index into names */
	INI_IPV4,   /* uint32_t, network byte order */
	INI_MAC,    /* uint8_t[6]; a bad one goes to the schema's fatal function */
	INI_IGNORED /* known, any value, kept nowhere */
};

struct ini_key {
	const char *name; /* "section.key" */
	enum ini_type type;
	size_t offset;            /* of the value in the target struct */
	const char *const *names; /* INI_ENUM: NULL-terminated; the value becomes the index */
	const char *alias_of; /* another key's name that counts as the same key and gives type and
			       * offset, or NULL */
};

typedef void (*ini_warn_fn)(const char *text, void *arg);

struct ini_schema {
	const struct ini_key *keys;
	size_t n_keys;
	bool stop_at_invalid_line; /* wsl.conf: yes; .wslconfig: no */
	const char *size_file;     /* file name in size messages, ".wslconfig"; NULL: that */
	ini_warn_fn fatal; /* told of a bad INI_MAC instead of @warn, with its arg; NULL: @warn */
};

/* @file: full path for messages. @target: the struct the offsets refer to. */
void ini_parse(const struct ini_schema *schema, const char *file, const char *text, size_t len,
	       void *target, ini_warn_fn warn, void *arg);

/* Reads and parses; a missing file is silent, an unreadable one warns "Failed to open config file".
 */
void ini_parse_file(const struct ini_schema *schema, int dirfd, const char *path,
		    const char *shown_path, void *target, ini_warn_fn warn, void *arg);

#endif
