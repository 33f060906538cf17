/* host/cli/archive.h - files that become distributions, and files that distributions become */
#ifndef HOST_CLI_ARCHIVE_H
#define HOST_CLI_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

struct cli;
struct err;
struct msg_import;
struct msg_imported;

/* Opens what an import reads; "-" is standard input, shown as "<stdin>". Returns fd or -errno. */
int archive_open(const char *file, struct err *err);
const char *archive_shown(const char *file);

/* "tar", "tar.gz", ... by how the name ends; "tar" when it says nothing. */
const char *export_format_of(const char *file);

/* Version 1 is refused, others than 1 and 2 are not versions. */
int check_version(bool given, uint32_t version, struct err *err);

/* Sends a message with @fd attached, shows progress, and waits for the end: import_call() for IMPORT
 * and IMPORT_IN_PLACE, archive_call() for any that is answered by RESULT or by @reply. */
int import_call(struct cli *cli, uint16_t type, const struct msg_import *m, int fd,
		struct msg_imported *ret, struct err *err);
int archive_call(struct cli *cli, uint16_t type, const void *msg, int fd, uint16_t reply,
		 void *ret_reply, struct err *err);

#endif
