/* host/registry/registry.c - reading records, names and ids, defaults, single properties */
#include "registry/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/util.h"
#include "config/paths.h"
#include "registry/registry-internal.h"

#define COLUMNS                                                                                    \
	"id, name, state, version, base_path, image, flags, default_uid, run_oobe, flavor,"        \
	" os_version, created, in_place, made_dir,"                                                \
	" id = coalesce((SELECT value FROM setting WHERE key = '" SETTING_DEFAULT "'), '')"

enum column {
	COLUMN_ID,
	COLUMN_NAME,
	COLUMN_STATE,
	COLUMN_VERSION,
	COLUMN_BASE_PATH,
	COLUMN_IMAGE,
	COLUMN_FLAGS,
	COLUMN_DEFAULT_UID,
	COLUMN_RUN_OOBE,
	COLUMN_FLAVOR,
	COLUMN_OS_VERSION,
	COLUMN_CREATED,
	COLUMN_IN_PLACE,
	COLUMN_MADE_DIR,
	COLUMN_IS_DEFAULT
};

int registry_open(const char *path, struct registry **ret, struct err *err)
{
	struct registry *reg = calloc(1, sizeof(*reg));
	int r;

	if (!reg)
		return err_id(err, ERR_E_OUTOFMEMORY, "Out of memory.");
	if (path) {
		reg->path = str_dup(path);
	} else {
		auto_free char *dir = path_dir(PATH_DATA, err);

		if (!dir) {
			registry_close(reg);
			return err ? -err->errnum : -EIO;
		}
		reg->path = str_printf("%s/" REGISTRY_FILE, dir);
	}
	r = sql_open(reg, err);
	if (r < 0) {
		registry_close(reg);
		return r;
	}
	*ret = reg;
	return 0;
}

struct registry *registry_close(struct registry *reg)
{
	if (reg) {
		sqlite3_close(reg->db);
		free(reg->path);
		free(reg);
	}
	return NULL;
}

/* --- names and ids --------------------------------------------------------------------------- */

static bool word_of(const char *word, const char *punctuation)
{
	static const char alnum[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

	for (; *word; word++) {
		if (!strchr(alnum, *word) && !strchr(punctuation, *word))
			return false;
	}
	return true;
}

bool os_word_valid(const char *word)
{
	return word && word[0] && word_of(word, "-_.,");
}

int registry_check_name(const char *name, struct err *err)
{
	size_t n = strlen(name);

	if (n >= 1 && n <= LIMIT_DISTRO_NAME_BYTES && word_of(name, "._-") &&
	    !strcaseeq(name, "Legacy"))
		return 0;
	return err_id(err, ERR_E_INVALIDARG, "Invalid distribution name: \"%s\".", name);
}

int registry_parse_id(const char *text, char ret[REGISTRY_ID_BYTES], struct err *err)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	const char *s = text + (text[0] == '{');
	char id[REGISTRY_ID_BYTES] = "{";
	size_t i;

	for (i = 0; shape[i]; i++) {
		char c = s[i];

		if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 'a');
		if (shape[i] == '-' ? c != '-' : !c || !strchr("0123456789abcdef", c))
			break;
		id[i + 1] = c;
	}
	if (shape[i] || !streq(s + i, text[0] == '{' ? "}" : ""))
		return err_id(err, ERR_E_INVALIDARG, "Invalid GUID format: '%s'", text);
	id[i + 1] = '}';
	memcpy(ret, id, REGISTRY_ID_BYTES);
	return 0;
}

int check_name_free(struct registry *reg, const char *name, const char *but_id, struct err *err)
{
	auto_stmt sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(reg, &stmt, err,
			    "SELECT state FROM distribution WHERE name = ? AND id <> ?", "ss", name,
			    but_id ? but_id : "");

	if (r == 0)
		r = sql_step(reg, stmt, err);
	if (r <= 0)
		return r;
	if (sqlite3_column_int(stmt, 0) == DISTRO_INSTALLED)
		return err_id(err, ERR_ERROR_ALREADY_EXISTS,
			      "A distribution with the supplied name already exists. Use --name to "
			      "choose a different name.");
	return err_id(err, ERR_E_ILLEGAL_STATE_CHANGE,
		      "An install, uninstall, or conversion is in progress for this distribution.");
}

/* --- rows ------------------------------------------------------------------------------------ */

void registry_record_done(struct registry_record *rec)
{
	free(rec->name);
	free(rec->base_path);
	free(rec->image);
	free(rec->flavor);
	free(rec->os_version);
	*rec = (struct registry_record) { 0 };
}

void registry_list_free(struct registry_record *records, size_t n)
{
	for (size_t i = 0; i < n; i++)
		registry_record_done(&records[i]);
	free(records);
}

void row_done(struct row *row)
{
	registry_record_done(&row->rec);
}

static char *column_text(sqlite3_stmt *stmt, enum column column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, (int)column);

	return str_dup(text ? text : "");
}

static bool column_in(sqlite3_stmt *stmt, enum column column, int64_t low, int64_t high)
{
	int64_t v = sqlite3_column_int64(stmt, (int)column);

	return sqlite3_column_type(stmt, (int)column) == SQLITE_INTEGER && v >= low && v <= high;
}

/* The first property of a row that makes no sense, or NULL. */
static const char *bad_property(sqlite3_stmt *stmt, const struct registry_record *rec)
{
	int64_t state = sqlite3_column_int64(stmt, COLUMN_STATE);
	char id[REGISTRY_ID_BYTES];

	if (state != DISTRO_INSTALLED && state != DISTRO_INSTALLING && state != DISTRO_UNINSTALLING)
		return "State";
	if (!(rec->name[0] == '\0' && state != DISTRO_INSTALLED) &&
	    registry_check_name(rec->name, NULL) < 0)
		return "DistributionName";
	if (registry_parse_id(rec->id, id, NULL) < 0 || !streq(id, rec->id))
		return "Id";
	if (!column_in(stmt, COLUMN_VERSION, 1, 2))
		return "Version";
	if (rec->base_path[0] != '/')
		return "BasePath";
	if (!rec->image[0] || strchr(rec->image, '/') || streq(rec->image, ".") ||
	    streq(rec->image, ".."))
		return "ImageFileName";
	if (!column_in(stmt, COLUMN_FLAGS, 0, UINT32_MAX))
		return "Flags";
	if (!column_in(stmt, COLUMN_DEFAULT_UID, 0, UINT32_MAX))
		return "DefaultUid";
	return NULL;
}

static int read_row(sqlite3_stmt *stmt, struct row *ret, struct err *err)
{
	auto_free char *id = column_text(stmt, COLUMN_ID);
	auto_row struct row row = {
		.rec = {
			.name = column_text(stmt, COLUMN_NAME),
			.state = (enum distro_state)sqlite3_column_int(stmt, COLUMN_STATE),
			.version = (uint32_t)sqlite3_column_int64(stmt, COLUMN_VERSION),
			.base_path = column_text(stmt, COLUMN_BASE_PATH),
			.image = column_text(stmt, COLUMN_IMAGE),
			.flags = (uint32_t)sqlite3_column_int64(stmt, COLUMN_FLAGS),
			.default_uid = (uint32_t)sqlite3_column_int64(stmt, COLUMN_DEFAULT_UID),
			.run_oobe = sqlite3_column_int(stmt, COLUMN_RUN_OOBE) != 0,
			.flavor = column_text(stmt, COLUMN_FLAVOR),
			.os_version = column_text(stmt, COLUMN_OS_VERSION),
			.created = sqlite3_column_int64(stmt, COLUMN_CREATED),
			.is_default = sqlite3_column_int(stmt, COLUMN_IS_DEFAULT) != 0,
			.in_place = sqlite3_column_int(stmt, COLUMN_IN_PLACE) != 0,
		},
		.made_dir = sqlite3_column_int(stmt, COLUMN_MADE_DIR) != 0,
	};
	const char *bad;

	str_format(row.rec.id, sizeof(row.rec.id), "%s", id);
	bad = bad_property(stmt, &row.rec);
	if (bad)
		return err_id(err, ERR_E_UNEXPECTED,
			      "Failed to read property '%s' from distribution %s", bad, id);
	*ret = row;
	row = (struct row) { 0 };
	return 0;
}

static int not_found(struct err *err)
{
	return err_id(err, ERR_WSL_E_DISTRO_NOT_FOUND,
		      "There is no distribution with the supplied name.");
}

/* @where is a constant condition with one text parameter. */
static int find_row(struct registry *reg, const char *where, const char *value, struct row *ret,
		    struct err *err)
{
	auto_free char *sql = str_printf("SELECT " COLUMNS " FROM distribution WHERE %s", where);
	auto_stmt sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(reg, &stmt, err, sql, "s", value);

	if (r == 0)
		r = sql_step(reg, stmt, err);
	if (r < 0)
		return r;
	return r == 0 ? not_found(err) : read_row(stmt, ret, err);
}

int row_by_id(struct registry *reg, const char *id, struct row *ret, struct err *err)
{
	return find_row(reg, "id = ?", id, ret, err);
}

static int find_record(struct registry *reg, const char *where, const char *value,
		       enum registry_scope scope, struct registry_record *ret, struct err *err)
{
	struct row row = { 0 };
	int r = find_row(reg, where, value, &row, err);

	if (r < 0)
		return r;
	if (scope == REGISTRY_INSTALLED && row.rec.state != DISTRO_INSTALLED) {
		row_done(&row);
		return not_found(err);
	}
	*ret = row.rec;
	return 0;
}

int registry_find(struct registry *reg, const char *name, enum registry_scope scope,
		  struct registry_record *ret, struct err *err)
{
	if (!name[0])
		return not_found(err);
	return find_record(reg, "name = ?", name, scope, ret, err);
}

int registry_find_id(struct registry *reg, const char *id, enum registry_scope scope,
		     struct registry_record *ret, struct err *err)
{
	char canonical[REGISTRY_ID_BYTES];
	int r = registry_parse_id(id, canonical, err);

	return r < 0 ? r : find_record(reg, "id = ?", canonical, scope, ret, err);
}

/* A record that cannot be read is left out: the others must stay usable. */
int registry_list(struct registry *reg, struct registry_record **ret, size_t *ret_n,
		  struct err *err)
{
	auto_stmt sqlite3_stmt *stmt = NULL;
	struct registry_record *list = NULL, *grown;
	size_t n = 0, room = 0;
	struct row row;
	int r = sql_prepare(reg, &stmt, err,
			    "SELECT " COLUMNS " AS is_default FROM distribution"
			    " ORDER BY is_default DESC, seq",
			    "");

	while (r >= 0 && (r = sql_step(reg, stmt, err)) > 0) {
		if (n == room) {
			room = room ? room * 2 : 16;
			grown = realloc(list, room * sizeof(*list));
			if (!grown) {
				r = err_id(err, ERR_E_OUTOFMEMORY, "Out of memory.");
				break;
			}
			list = grown;
		}
		if (read_row(stmt, &row, NULL) == 0)
			list[n++] = row.rec;
	}
	if (r < 0) {
		registry_list_free(list, n);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

char *registry_image_path(const struct registry_record *rec)
{
	return str_printf("%s/%s", rec->base_path, rec->image);
}

char *registry_partial_path(const struct registry_record *rec)
{
	return str_printf("%s/" REGISTRY_PARTIAL, rec->base_path);
}

/* --- settings -------------------------------------------------------------------------------- */

int setting_get(struct registry *reg, const char *key, char **ret, struct err *err)
{
	auto_stmt sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(reg, &stmt, err, "SELECT value FROM setting WHERE key = ?", "s", key);

	if (r == 0)
		r = sql_step(reg, stmt, err);
	if (r < 0)
		return r;
	*ret = r == 0 ? NULL : column_text(stmt, 0);
	return 0;
}

int setting_set(struct registry *reg, const char *key, const char *value, struct err *err)
{
	int r = value ? sql_run(reg, err, "INSERT OR REPLACE INTO setting VALUES (?, ?)", "ss", key,
				value)
		      : sql_run(reg, err, "DELETE FROM setting WHERE key = ?", "s", key);

	return r < 0 ? r : 0;
}

static int no_default(struct err *err)
{
	return err_id(err, ERR_WSL_E_DEFAULT_DISTRO_NOT_FOUND,
		      "There are no installed distributions.\nUse 'wsl --list --online' to list "
		      "available distributions and 'wsl --install <Distro>' to install one.");
}

int registry_default(struct registry *reg, struct registry_record *ret, struct err *err)
{
	auto_free char *id = NULL;
	int r = setting_get(reg, SETTING_DEFAULT, &id, err);

	if (r < 0)
		return r;
	if (!id)
		return no_default(err);
	r = find_record(reg, "id = ?", id, REGISTRY_INSTALLED, ret, err);
	return r == -ENOENT ? no_default(err) : r;
}

int registry_set_default(struct registry *reg, const char *id, struct err *err)
{
	struct registry_record rec;
	int r = registry_find_id(reg, id, REGISTRY_INSTALLED, &rec, err);

	if (r < 0)
		return r;
	r = setting_set(reg, SETTING_DEFAULT, rec.id, err);
	registry_record_done(&rec);
	return r;
}

int default_repair(struct registry *reg, const char *id, struct err *err)
{
	struct registry_record current;
	auto_stmt sqlite3_stmt *stmt = NULL;
	int r = registry_default(reg, &current, NULL);

	if (r == 0) {
		registry_record_done(&current);
		return 0;
	}
	if (id)
		return setting_set(reg, SETTING_DEFAULT, id, err);
	r = sql_prepare(reg, &stmt, err,
			"SELECT id FROM distribution WHERE state = ? ORDER BY seq LIMIT 1", "i",
			(int64_t)DISTRO_INSTALLED);
	if (r == 0)
		r = sql_step(reg, stmt, err);
	if (r < 0)
		return r;
	return setting_set(reg, SETTING_DEFAULT,
			   r ? (const char *)sqlite3_column_text(stmt, 0) : NULL, err);
}

int registry_default_version(struct registry *reg, uint32_t *ret, struct err *err)
{
	auto_free char *text = NULL;
	int r = setting_get(reg, SETTING_VERSION, &text, err);

	if (r < 0)
		return r;
	*ret = text && streq(text, "1") ? 1 : 2;
	return 0;
}

int registry_set_default_version(struct registry *reg, uint64_t version, struct err *err)
{
	if (version != 1 && version != 2)
		return err_id(err, ERR_ERROR_VERSION_PARSE_ERROR,
			      "Invalid distribution version: %" PRIu64 ". Use 1 or 2.", version);
	return setting_set(reg, SETTING_VERSION, version == 1 ? "1" : "2", err);
}

/* --- properties ------------------------------------------------------------------------------ */

static int updated(int r, struct err *err)
{
	if (r < 0)
		return r;
	return r == 0 ? not_found(err) : 0;
}

int registry_set_uid(struct registry *reg, const char *id, uint32_t uid, struct err *err)
{
	return updated(sql_run(reg, err, "UPDATE distribution SET default_uid = ? WHERE id = ?",
			       "is", (int64_t)uid, id),
		       err);
}

int registry_set_run_oobe(struct registry *reg, const char *id, bool run, struct err *err)
{
	return updated(sql_run(reg, err, "UPDATE distribution SET run_oobe = ? WHERE id = ?", "is",
			       (int64_t)run, id),
		       err);
}

int registry_set_os(struct registry *reg, const char *id, const char *flavor,
		    const char *os_version, struct err *err)
{
	return updated(sql_run(reg, err,
			       "UPDATE distribution SET flavor = coalesce(?, flavor),"
			       " os_version = coalesce(?, os_version) WHERE id = ?",
			       "sss", os_word_valid(flavor) ? flavor : NULL,
			       os_word_valid(os_version) ? os_version : NULL, id),
		       err);
}
