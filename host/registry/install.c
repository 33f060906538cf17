/* host/registry/install.c - records that come and go, together with their files
 *
 * ORDER OF STEPS  so that a crash at any point leaves something registry_recover() understands:
 *   install   record (Installing), directory, partial image | record Installed, rename
 *   abort     partial image, directory, record
 *   remove    record Uninstalling | image, directory, record
 *   A file of ours therefore always has a record, and an Installed record without its image but
 * with a partial one is a rename that did not happen. WHAT IS OURS    the partial image; the
 * directory if it did not exist (made_dir) and is empty. An image registered in place becomes ours
 * when its install is committed.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "registry/registry-internal.h"

/* Where a new distribution goes. */
struct place {
	char *base, *image;
	bool missing; /* base does not exist yet */
};

static void place_done(struct place *place)
{
	free(place->base);
	free(place->image);
}
#define auto_place __attribute__((cleanup(place_done)))

static int new_id(char id[REGISTRY_ID_BYTES], struct err *err)
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return err_errno(err, "Cannot generate an identifier");
	b[6] = (b[6] & 0x0f) | 0x40; /* version 4, variant 1 of RFC 9562 */
	b[8] = (b[8] & 0x3f) | 0x80;
	return str_format(id, REGISTRY_ID_BYTES,
			  "{%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x}",
			  b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
			  b[12], b[13], b[14], b[15]);
}

/* --- the place ------------------------------------------------------------------------------- */

static int place_in_place(const char *file, struct place *ret, struct err *err)
{
	auto_free char *real = realpath(file, NULL);
	struct stat st;
	char *slash;

	if (!real && errno == ENOENT)
		return err_id(err, ERR_ERROR_FILE_NOT_FOUND, "The image '%s' does not exist.",
			      file);
	if (!real || stat(real, &st) < 0)
		return err_errno(err, "Cannot use the image '%s'", file);
	if (!S_ISREG(st.st_mode))
		return err_id(err, ERR_E_INVALIDARG, "'%s' is not an image file.", file);
	slash = strrchr(real, '/');
	ret->image = str_dup(slash + 1);
	*slash = '\0';
	ret->base = str_dup(real[0] ? real : "/");
	return 0;
}

/* The directory itself may be missing, its parent may not. */
static int place_at(const char *location, struct place *ret, struct err *err)
{
	auto_free char *copy_dir = str_dup(location), *copy_name = str_dup(location);
	auto_free char *parent = NULL;
	struct stat st;

	if (location[0] != '/')
		return err_id(err, ERR_E_INVALIDARG, "The install location '%s' is not absolute.",
			      location);
	ret->image = str_dup(REGISTRY_IMAGE);
	ret->base = realpath(location, NULL);
	if (ret->base) {
		if (stat(ret->base, &st) == 0 && !S_ISDIR(st.st_mode))
			return err_set(err, -ENOTDIR,
				       "The install location '%s' is not a directory.", location);
		return 0;
	}
	if (errno != ENOENT)
		return err_errno(err, "Cannot use the install location '%s'", location);
	parent = realpath(dirname(copy_dir), NULL);
	if (!parent)
		return err_id(
			err, ERR_ERROR_PATH_NOT_FOUND,
			"Cannot create the install location '%s': the directory above it does "
			"not exist.",
			location);
	ret->base = str_printf("%s/%s", streq(parent, "/") ? "" : parent, basename(copy_name));
	ret->missing = true;
	return 0;
}

static int place_default(const char *install_path, const char *id, struct place *ret,
			 struct err *err)
{
	auto_free char *location = NULL;
	int r;

	if (!install_path || install_path[0] != '/')
		return err_id(err, ERR_E_INVALIDARG, "No install location was given.");
	r = mkdir_p(install_path, 0700);
	if (r < 0)
		return err_code(err, r, "Cannot create the directory for distributions '%s'",
				install_path);
	location = str_printf("%s/%s", install_path, id);
	return place_at(location, ret, err);
}

static int check_no_file(const char *base, const char *name, struct err *err)
{
	auto_free char *path = str_printf("%s/%s", base, name);
	struct stat st;

	if (lstat(path, &st) == 0)
		return err_id(err, ERR_ERROR_FILE_EXISTS,
			      "Failed to create disk '%s': The file exists.", path);
	return 0;
}

static int find_place(const struct registry_plan *plan, const char *id, struct place *ret,
		      struct err *err)
{
	if (plan->in_place)
		return place_in_place(plan->in_place, ret, err);
	if (plan->location && plan->location[0])
		return place_at(plan->location, ret, err);
	return place_default(plan->install_path, id, ret, err);
}

/* Images registered in place may share a directory, nothing else may. */
static int check_place_free(struct registry *reg, const struct place *place, bool in_place,
			    struct err *err)
{
	auto_stmt sqlite3_stmt *stmt = NULL;
	int r = sql_prepare(reg, &stmt, err,
			    "SELECT 1 FROM distribution WHERE base_path = ?"
			    " AND NOT (in_place AND ? AND image <> ?)",
			    "sis", place->base, (int64_t)in_place, place->image);

	if (r == 0)
		r = sql_step(reg, stmt, err);
	if (r > 0)
		return err_id(err, ERR_ERROR_FILE_EXISTS,
			      "The supplied install location is already in use.");
	if (r < 0 || in_place)
		return r;
	r = check_no_file(place->base, place->image, err);
	return r < 0 ? r : check_no_file(place->base, REGISTRY_PARTIAL, err);
}

/* --- installing ------------------------------------------------------------------------------ */

static int insert(struct registry *reg, const struct registry_plan *plan, const char *id,
		  const struct place *place, struct err *err)
{
	const char *name = plan->name ? plan->name : "";
	int r = 0;

	if (name[0])
		r = check_name_free(reg, name, NULL, err);
	if (r == 0)
		r = check_place_free(reg, place, plan->in_place, err);
	if (r < 0)
		return r;
	r = sql_run(reg, err,
		    "INSERT INTO distribution (id, name, state, version, base_path, image, flags,"
		    " run_oobe, created, in_place, made_dir)"
		    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    "ssiissiiiii", id, name, (int64_t)DISTRO_INSTALLING,
		    (int64_t)(plan->version ? plan->version : 2), place->base, place->image,
		    (int64_t)DISTRO_FLAGS_DEFAULT, (int64_t)plan->run_oobe, (int64_t)time(NULL),
		    (int64_t)(plan->in_place != NULL), (int64_t)place->missing);
	return r < 0 ? r : 0;
}

static int delete_record(struct registry *reg, const char *id, struct err *err)
{
	int r = sql_begin(reg, err);

	if (r < 0)
		return r;
	r = sql_run(reg, err, "DELETE FROM distribution WHERE id = ?", "s", id);
	if (r >= 0)
		r = default_repair(reg, NULL, err);
	return sql_end(reg, r, err);
}

int registry_begin_install(struct registry *reg, const struct registry_plan *plan,
			   struct registry_record *ret, struct err *err)
{
	auto_place struct place place = { 0 };
	char id[REGISTRY_ID_BYTES];
	int r = 0;

	if (plan->name && plan->name[0])
		r = registry_check_name(plan->name, err);
	if (r == 0 && plan->name && plan->name[0])
		r = check_name_free(reg, plan->name, NULL, err); /* before anything is created */
	if (r == 0)
		r = new_id(id, err);
	if (r == 0)
		r = find_place(plan, id, &place, err);
	if (r == 0)
		r = sql_begin(reg, err);
	if (r < 0)
		return r;
	r = sql_end(reg, insert(reg, plan, id, &place, err), err);
	if (r < 0)
		return r;
	if (place.missing && mkdir(place.base, 0700) < 0 && errno != EEXIST) {
		r = err_errno(err, "Cannot create the install location '%s'", place.base);
		delete_record(reg, id, NULL);
		return r;
	}
	return registry_find_id(reg, id, REGISTRY_ANY_STATE, ret, err);
}

/* The record of an install that is under way. */
static int installing(struct registry *reg, const char *id, struct row *ret, struct err *err)
{
	int r = row_by_id(reg, id, ret, err);

	if (r < 0 || ret->rec.state == DISTRO_INSTALLING)
		return r;
	return err_id(err, ERR_E_ILLEGAL_STATE_CHANGE,
		      "The distribution '%s' is not being installed.", ret->rec.name);
}

static int name_within(struct registry *reg, const char *id, const char *name, struct err *err)
{
	auto_row struct row row = { 0 };
	int r = installing(reg, id, &row, err);

	if (r == 0)
		r = check_name_free(reg, name, id, err);
	if (r == 0)
		r = sql_run(reg, err, "UPDATE distribution SET name = ? WHERE id = ?", "ss", name,
			    id);
	return r < 0 ? r : 0;
}

int registry_name_install(struct registry *reg, const char *id, const char *name, struct err *err)
{
	int r = registry_check_name(name, err);

	if (r == 0)
		r = sql_begin(reg, err);
	return r < 0 ? r : sql_end(reg, name_within(reg, id, name, err), err);
}

static int sync_directory(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Gives the finished image its name without ever replacing a file. */
static int publish(const struct registry_record *rec, struct err *err)
{
	auto_free char *from = registry_partial_path(rec), *to = registry_image_path(rec);
	int r = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);

	if (r < 0 && errno == EINVAL) { /* the file system cannot do that: look first */
		struct stat st;

		if (lstat(to, &st) == 0)
			errno = EEXIST;
		else
			r = rename(from, to);
	}
	if (r < 0)
		return err_errno(err, "Cannot rename '%s' to '%s'", from, to);
	r = sync_directory(rec->base_path);
	return r < 0 ? err_code(err, r, "Cannot write the directory '%s'", rec->base_path) : 0;
}

static int commit_within(struct registry *reg, const struct registry_record *rec,
			 const char *flavor, const char *os_version, struct err *err)
{
	int r = sql_run(reg, err, "UPDATE distribution SET state = ? WHERE id = ?", "is",
			(int64_t)DISTRO_INSTALLED, rec->id);

	if (r >= 0)
		r = registry_set_os(reg, rec->id, flavor, os_version, err);
	if (r >= 0)
		r = default_repair(reg, rec->id, err);
	return r;
}

/* Back to Installing, for the caller to abort. */
static void revert(struct registry *reg, const char *id)
{
	int r = sql_begin(reg, NULL);

	if (r < 0)
		return;
	r = sql_run(reg, NULL, "UPDATE distribution SET state = ? WHERE id = ?", "is",
		    (int64_t)DISTRO_INSTALLING, id);
	if (r >= 0)
		r = default_repair(reg, NULL, NULL);
	sql_end(reg, r, NULL);
}

int registry_commit_install(struct registry *reg, const char *id, const char *flavor,
			    const char *os_version, struct err *err)
{
	auto_row struct row row = { 0 };
	auto_free char *partial = NULL;
	int r = installing(reg, id, &row, err);

	if (r < 0)
		return r;
	if (!row.rec.name[0])
		return err_id(
			err, ERR_WSL_E_DISTRIBUTION_NAME_NEEDED,
			"This distribution doesn't contain a default name. Use --name to choose "
			"the distribution name.");
	partial = registry_partial_path(&row.rec);
	if (!row.rec.in_place && access(partial, F_OK) < 0)
		return err_errno(err, "The new image '%s' is gone", partial);
	r = sql_begin(reg, err);
	if (r < 0)
		return r;
	r = sql_end(reg, commit_within(reg, &row.rec, flavor, os_version, err), err);
	if (r < 0 || row.rec.in_place)
		return r;
	r = publish(&row.rec, err);
	if (r < 0)
		revert(reg, id);
	return r;
}

/* --- removing -------------------------------------------------------------------------------- */

static int delete_file(const char *path, struct err *err)
{
	if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
		return err_errno(err, "Cannot delete '%s'", path);
	return 0;
}

static int abort_row(struct registry *reg, const struct row *row, struct err *err)
{
	auto_free char *partial = registry_partial_path(&row->rec);
	int r = row->rec.in_place ? 0 : delete_file(partial, err);

	if (r < 0)
		return r;
	if (row->made_dir)
		rmdir(row->rec.base_path); /* stays if somebody put something there */
	return delete_record(reg, row->rec.id, err);
}

static int remove_row(struct registry *reg, const struct row *row, struct err *err)
{
	auto_free char *partial = registry_partial_path(&row->rec);
	auto_free char *image = registry_image_path(&row->rec);
	int r = delete_file(image, err);

	if (r == 0 && !row->rec.in_place)
		r = delete_file(partial, err);
	if (r < 0)
		return r;
	rmdir(row->rec.base_path); /* only when empty */
	return delete_record(reg, row->rec.id, err);
}

int registry_abort_install(struct registry *reg, const char *id, struct err *err)
{
	auto_row struct row row = { 0 };
	int r = installing(reg, id, &row, err);

	return r < 0 ? r : abort_row(reg, &row, err);
}

/* An install that was left behind stays Installing: registry_remove() aborts it. */
int registry_begin_remove(struct registry *reg, const char *id, struct err *err)
{
	auto_row struct row row = { 0 };
	int r = row_by_id(reg, id, &row, err);

	if (r < 0 || row.rec.state == DISTRO_INSTALLING)
		return r;
	r = sql_run(reg, err, "UPDATE distribution SET state = ? WHERE id = ?", "is",
		    (int64_t)DISTRO_UNINSTALLING, id);
	return r < 0 ? r : 0;
}

int registry_remove(struct registry *reg, const char *id, struct err *err)
{
	auto_row struct row row = { 0 };
	int r = row_by_id(reg, id, &row, err);

	if (r < 0)
		return r;
	switch (row.rec.state) {
	case DISTRO_INSTALLING:
		return abort_row(reg, &row, err);
	case DISTRO_UNINSTALLING:
		return remove_row(reg, &row, err);
	default:
		return err_id(err, ERR_E_ILLEGAL_STATE_CHANGE,
			      "The distribution '%s' is not being removed.", row.rec.name);
	}
}

/* --- after a crash --------------------------------------------------------------------------- */

static int finish_rename(const struct registry_record *rec, struct err *err)
{
	auto_free char *partial = registry_partial_path(rec), *image = registry_image_path(rec);

	if (rec->in_place || access(image, F_OK) == 0 || access(partial, F_OK) < 0)
		return 0;
	return publish(rec, err);
}

static int recover_row(struct registry *reg, const struct row *row, struct err *err)
{
	switch (row->rec.state) {
	case DISTRO_INSTALLING:
		return abort_row(reg, row, err);
	case DISTRO_UNINSTALLING:
		return remove_row(reg, row, err);
	default:
		return finish_rename(&row->rec, err);
	}
}

static void recover_one(struct registry *reg, const char *id, registry_report_fn report, void *arg)
{
	auto_row struct row row = { 0 };
	auto_free char *text = NULL;
	struct err err = ERR_INIT;
	int r = row_by_id(reg, id, &row, &err);

	if (r == 0)
		r = recover_row(reg, &row, &err);
	if (r < 0)
		text = str_dup(err.text);
	else if (row.rec.state == DISTRO_INSTALLING)
		text = str_printf("The unfinished installation of '%s' was removed.",
				  row.rec.name[0] ? row.rec.name : row.rec.base_path);
	else if (row.rec.state == DISTRO_UNINSTALLING)
		text = str_printf("The interrupted removal of '%s' was completed.", row.rec.name);
	if (text && report)
		report(text, arg);
}

int registry_recover(struct registry *reg, registry_report_fn report, void *arg, struct err *err)
{
	struct registry_record *list;
	size_t n;
	int r = registry_list(reg, &list, &n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		recover_one(reg, list[i].id, report, arg);
	registry_list_free(list, n);
	return 0;
}
