/* host/registry/registry-internal.h - what the files of the registry share: statements, rows */
#ifndef HOST_REGISTRY_REGISTRY_INTERNAL_H
#define HOST_REGISTRY_REGISTRY_INTERNAL_H

#include <sqlite3.h>

#include "registry/registry.h"

struct registry {
	sqlite3 *db;
	char *path;
};

/* A row with what only this module needs to know. */
struct row {
	struct registry_record rec;
	bool made_dir; /* base_path did not exist before us */
};

/* sql.c. @types names each following argument: 's' const char * (NULL allowed), 'i' int64_t. */
int sql_open(struct registry *reg, struct err *err);
int sql_prepare(struct registry *reg, sqlite3_stmt **ret, struct err *err, const char *sql,
		const char *types, ...);
/* Next row: 1; end: 0. */
int sql_step(struct registry *reg, sqlite3_stmt *stmt, struct err *err);
/* Runs a statement without result; returns the number of changed rows. */
int sql_run(struct registry *reg, struct err *err, const char *sql, const char *types, ...);
int sql_begin(struct registry *reg, struct err *err);
/* Commits when @r >= 0, else rolls back; returns @r, or the error of the commit. */
int sql_end(struct registry *reg, int r, struct err *err);
/* The database's last error, worded and named. */
int sql_error(struct registry *reg, struct err *err);

static inline void sql_stmt_auto_end(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
}
#define auto_stmt __attribute__((cleanup(sql_stmt_auto_end)))

/* registry.c */
int row_by_id(struct registry *reg, const char *id, struct row *ret, struct err *err);
void row_done(struct row *row);
int check_name_free(struct registry *reg, const char *name, const char *but_id, struct err *err);
int setting_get(struct registry *reg, const char *key, char **ret, struct err *err);
int setting_set(struct registry *reg, const char *key, const char *value, struct err *err);
/* Makes @id, or with NULL the first installed distribution, the default if the current one is not
 * installed. */
int default_repair(struct registry *reg, const char *id, struct err *err);
bool os_word_valid(const char *word);

static inline void row_auto_end(struct row *row)
{
	row_done(row);
}
#define auto_row __attribute__((cleanup(row_auto_end)))

#define SETTING_DEFAULT "default"
#define SETTING_VERSION "default_version"

#endif
