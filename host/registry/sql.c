/* host/registry/sql.c - the database file: opening, schema migrations, statements, errors
 *
 * THE FILE   $XDG_DATA_HOME/lxss/registry.db, WAL mode, synchronous=FULL: a write that returned is
 *            on disk. Its user_version is the number of migrations that were applied.
 * MIGRATING  every migration runs in one transaction with its new user_version. Migrations are only
 *            ever appended.
 * DAMAGE     is looked for at every open (the file is small) and also recognised later. The file is
 *            never touched then: the distributions' images are intact and can be registered again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "registry/registry-internal.h"

#define BUSY_TIMEOUT_MS 5000

static const char *const migrations[] = {
	/* 1 */
	"CREATE TABLE distribution ("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT," /* order of listing */
	" id TEXT NOT NULL UNIQUE,"
	" name TEXT NOT NULL COLLATE NOCASE,"
	" state INTEGER NOT NULL," /* enum distro_state */
	" version INTEGER NOT NULL,"
	" base_path TEXT NOT NULL,"
	" image TEXT NOT NULL,"
	" flags INTEGER NOT NULL,"
	" default_uid INTEGER NOT NULL DEFAULT 0,"
	" run_oobe INTEGER NOT NULL,"
	" flavor TEXT NOT NULL DEFAULT '',"
	" os_version TEXT NOT NULL DEFAULT '',"
	" created INTEGER NOT NULL,"
	" in_place INTEGER NOT NULL,"
	" made_dir INTEGER NOT NULL);"
	"CREATE UNIQUE INDEX distribution_name ON distribution(name) WHERE name <> '';"
	"CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
};

static int damaged(struct registry *reg, const char *why, struct err *err)
{
	const char *slash = strrchr(reg->path, '/');

	return err_id(
		err, ERR_WSL_E_REGISTRY_CORRUPTED,
		"The registry of distributions '%s' is damaged (%s). It was left as it is. To "
		"recover, run 'wsl --shutdown', move '%s' and the files '%s-wal' and '%s-shm' "
		"away, and register each image found below '%.*s' again: "
		"wsl --import-in-place <Name> <path of " REGISTRY_IMAGE ">",
		reg->path, why, reg->path, reg->path, reg->path,
		slash ? (int)(slash - reg->path) : 1, slash ? reg->path : ".");
}

int sql_error(struct registry *reg, struct err *err)
{
	const char *text = sqlite3_errmsg(reg->db);

	switch (sqlite3_errcode(reg->db) & 0xff) {
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
	case SQLITE_ERROR: /* a table or column is missing */
		return damaged(reg, text, err);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_id(err, ERR_ERROR_SHARING_VIOLATION,
			      "The registry '%s' is in use by another process.", reg->path);
	case SQLITE_FULL:
		return err_id(err, ERR_ERROR_DISK_FULL,
			      "Cannot write the registry '%s': the disk is full.", reg->path);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		return err_set(err, -EACCES, "Cannot access the registry '%s': %s.", reg->path,
			       text);
	case SQLITE_NOMEM:
		return err_id(err, ERR_E_OUTOFMEMORY, "Out of memory.");
	default:
		return err_set(err, -EIO, "Cannot use the registry '%s': %s.", reg->path, text);
	}
}

static int bind(sqlite3_stmt *stmt, const char *types, va_list ap)
{
	int r = SQLITE_OK;

	for (int i = 0; types[i] && r == SQLITE_OK; i++) {
		if (types[i] == 's')
			r = sqlite3_bind_text(stmt, i + 1, va_arg(ap, const char *), -1,
					      SQLITE_TRANSIENT);
		else
			r = sqlite3_bind_int64(stmt, i + 1, va_arg(ap, int64_t));
	}
	return r;
}

static int prepare(struct registry *reg, sqlite3_stmt **ret, struct err *err, const char *sql,
		   const char *types, va_list ap)
{
	auto_stmt sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(reg->db, sql, -1, &stmt, NULL) != SQLITE_OK ||
	    bind(stmt, types, ap) != SQLITE_OK)
		return sql_error(reg, err);
	*ret = take_ptr(stmt);
	return 0;
}

int sql_prepare(struct registry *reg, sqlite3_stmt **ret, struct err *err, const char *sql,
		const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = prepare(reg, ret, err, sql, types, ap);
	va_end(ap);
	return r;
}

int sql_step(struct registry *reg, sqlite3_stmt *stmt, struct err *err)
{
	switch (sqlite3_step(stmt)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return sql_error(reg, err);
	}
}

int sql_run(struct registry *reg, struct err *err, const char *sql, const char *types, ...)
{
	auto_stmt sqlite3_stmt *stmt = NULL;
	va_list ap;
	int r;

	va_start(ap, types);
	r = prepare(reg, &stmt, err, sql, types, ap);
	va_end(ap);
	while (r >= 0) {
		r = sql_step(reg, stmt, err);
		if (r == 0)
			return sqlite3_changes(reg->db);
	}
	return r;
}

int sql_begin(struct registry *reg, struct err *err)
{
	int r = sql_run(reg, err, "BEGIN IMMEDIATE", "");

	return r < 0 ? r : 0;
}

int sql_end(struct registry *reg, int r, struct err *err)
{
	int committed;

	if (r >= 0) {
		committed = sql_run(reg, err, "COMMIT", "");
		if (committed >= 0)
			return r;
		r = committed;
	}
	if (!sqlite3_get_autocommit(reg->db)) /* a failed commit may have rolled back already */
		sql_run(reg, NULL, "ROLLBACK", "");
	return r;
}

static int user_version(struct registry *reg, int64_t *ret, struct err *err)
{
	auto_stmt sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(reg, &stmt, err, "PRAGMA user_version", "");

	if (r == 0)
		r = sql_step(reg, stmt, err);
	if (r < 0)
		return r;
	*ret = sqlite3_column_int64(stmt, 0);
	return 0;
}

static int migrate_within(struct registry *reg, struct err *err)
{
	auto_free char *pragma = NULL;
	int64_t version;
	int r = user_version(reg, &version, err);

	if (r < 0)
		return r;
	if (version < 0)
		return damaged(reg, "impossible schema number", err);
	for (; version < (int64_t)ARRAY_SIZE(migrations); version++) {
		if (sqlite3_exec(reg->db, migrations[version], NULL, NULL, NULL) != SQLITE_OK)
			return sql_error(reg, err);
	}
	pragma = str_printf("PRAGMA user_version = %zu", ARRAY_SIZE(migrations));
	r = sql_run(reg, err, pragma, "");
	return r < 0 ? r : 0;
}

static int migrate(struct registry *reg, struct err *err)
{
	int64_t version;
	int r = user_version(reg, &version, err);

	if (r < 0)
		return r;
	if (version == (int64_t)ARRAY_SIZE(migrations))
		return 0;
	if (version > (int64_t)ARRAY_SIZE(migrations))
		return err_id(err, ERR_WSL_E_REGISTRY_TOO_NEW,
			      "The registry '%s' was written by a newer lxss (schema %" PRId64
			      ", this one knows %zu). Install that version again.",
			      reg->path, version, ARRAY_SIZE(migrations));
	r = sql_begin(reg, err);
	if (r < 0)
		return r;
	return sql_end(reg, migrate_within(reg, err), err);
}

static int check_damage(struct registry *reg, struct err *err)
{
	auto_stmt sqlite3_stmt *stmt = NULL;
	const char *verdict;
	int r = sql_prepare(reg, &stmt, err, "PRAGMA quick_check(1)", "");

	if (r == 0)
		r = sql_step(reg, stmt, err);
	if (r < 0)
		return r;
	verdict = r == 0 ? "no answer" : (const char *)sqlite3_column_text(stmt, 0);
	if (verdict && streq(verdict, "ok"))
		return 0;
	return damaged(reg, verdict ? verdict : "unreadable", err);
}

int sql_open(struct registry *reg, struct err *err)
{
	/* sqlite would make the file readable for others; an existing one must not be opened here,
	 * since closing it would drop the locks of other handles of this process */
	int fd = open(reg->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd >= 0)
		close(fd);
	else if (errno != EEXIST)
		return err_errno(err, "Cannot create the registry '%s'", reg->path);
	r = sqlite3_open_v2(reg->path, &reg->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (!reg->db)
		return err_id(err, ERR_E_OUTOFMEMORY, "Out of memory.");
	if (r != SQLITE_OK)
		return sql_error(reg, err);
	sqlite3_busy_timeout(reg->db, BUSY_TIMEOUT_MS);
	sqlite3_db_config(reg->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(reg->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	r = check_damage(reg, err);
	if (r < 0)
		return r;
	/* where WAL is impossible (some network file systems) the classic journal serves as well */
	r = sql_run(reg, err, "PRAGMA journal_mode = WAL", "");
	if (r >= 0)
		r = sql_run(reg, err, "PRAGMA synchronous = FULL", "");
	return r < 0 ? r : migrate(reg, err);
}
