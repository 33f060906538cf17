/* tests/unit/registry-test.c - records, names, places, defaults, crashes, damage */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "registry/registry.h"

struct fixture {
	char dir[64], db[96], distros[96];
	struct registry *reg;
	struct err err;
	char said[1024];
};

static void reopen(struct fixture *f)
{
	f->reg = registry_close(f->reg);
	assert_int_equal(registry_open(f->db, &f->reg, &f->err), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	strcpy(f->dir, "/tmp/registry-test-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	str_format(f->db, sizeof(f->db), "%s/registry.db", f->dir);
	str_format(f->distros, sizeof(f->distros), "%s/distros", f->dir);
	reopen(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	registry_close(f->reg);
	remove_tree(AT_FDCWD, f->dir);
	free(f);
	return 0;
}

static void touch(const char *path)
{
	assert_int_equal(write_file_at(AT_FDCWD, path, "x", 1, 0600), 0);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static int begin(struct fixture *f, const char *name, struct registry_record *rec)
{
	const struct registry_plan plan = { .name = name, .install_path = f->distros };

	return registry_begin_install(f->reg, &plan, rec, &f->err);
}

/* As the image worker does. */
static void write_partial(const struct registry_record *rec)
{
	auto_free char *path = registry_partial_path(rec);

	touch(path);
}

static struct registry_record install(struct fixture *f, const char *name)
{
	struct registry_record rec;

	assert_int_equal(begin(f, name, &rec), 0);
	write_partial(&rec);
	assert_int_equal(registry_commit_install(f->reg, rec.id, "debian", "12", &f->err), 0);
	return rec;
}

static void assert_names(struct fixture *f, const char *expected)
{
	struct registry_record *list;
	char text[512] = "";
	size_t n;

	assert_int_equal(registry_list(f->reg, &list, &n, &f->err), 0);
	for (size_t i = 0; i < n; i++) {
		if (i)
			strcat(text, " ");
		strcat(text, list[i].name);
		if (list[i].is_default)
			strcat(text, "*");
		if (list[i].state != DISTRO_INSTALLED)
			strcat(text, list[i].state == DISTRO_INSTALLING ? "+" : "-");
	}
	registry_list_free(list, n);
	assert_string_equal(text, expected);
}

static void assert_error(struct fixture *f, int r, enum err_id id, const char *text)
{
	assert_true(r < 0);
	assert_int_equal(f->err.errnum, -r);
	assert_string_equal(f->err.text, text);
	assert_int_equal(f->err.id, id);
}

static void exec_sql(struct fixture *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void say(const char *text, void *arg)
{
	struct fixture *f = arg;

	strncat(f->said, text, sizeof(f->said) - strlen(f->said) - 2);
	strcat(f->said, "\n");
}

/* --- tests ----------------------------------------------------------------------------------- */

static void a_new_registry_is_empty(void **state)
{
	struct fixture *f = *state;
	struct registry_record rec;
	struct stat st;
	uint32_t version;

	assert_names(f, "");
	assert_int_equal(registry_default(f->reg, &rec, &f->err), -ENOENT);
	assert_int_equal(f->err.id, ERR_WSL_E_DEFAULT_DISTRO_NOT_FOUND);
	assert_non_null(strstr(f->err.text, "wsl --list --online"));
	assert_non_null(strstr(f->err.text, "wsl --install <Distro>"));
	assert_int_equal(registry_default_version(f->reg, &version, &f->err), 0);
	assert_int_equal(version, 2);
	assert_int_equal(stat(f->db, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void installs(void **state)
{
	struct fixture *f = *state;
	struct registry_record rec, again;
	auto_free char *partial = NULL, *image = NULL, *base = NULL;

	assert_int_equal(begin(f, "Debian", &rec), 0);
	assert_int_equal(rec.state, DISTRO_INSTALLING);
	base = str_printf("%s/%s", f->distros, rec.id);
	assert_string_equal(rec.base_path, base);
	assert_true(exists(base));
	assert_string_equal(rec.image, "ext4.img");
	assert_int_equal(rec.flags, DISTRO_FLAGS_DEFAULT);
	assert_int_equal(rec.version, 2);
	assert_false(rec.run_oobe || rec.in_place || rec.is_default);
	assert_true(rec.created > 1700000000);
	assert_names(f, "Debian+");
	/* invisible to ordinary look-ups, visible to --unregister */
	assert_error(f, registry_find(f->reg, "debian", REGISTRY_INSTALLED, &again, &f->err),
		     ERR_WSL_E_DISTRO_NOT_FOUND,
		     "There is no distribution with the supplied name.");
	assert_int_equal(registry_find(f->reg, "debian", REGISTRY_ANY_STATE, &again, &f->err), 0);
	registry_record_done(&again);

	partial = registry_partial_path(&rec);
	image = registry_image_path(&rec);
	assert_true(registry_commit_install(f->reg, rec.id, NULL, NULL, &f->err) <
		    0); /* no image */
	assert_names(f, "Debian+");
	write_partial(&rec);
	assert_int_equal(registry_commit_install(f->reg, rec.id, "debian", "12", &f->err), 0);
	assert_false(exists(partial));
	assert_true(exists(image));
	registry_record_done(&rec);
	reopen(f);
	assert_names(f, "Debian*");
	assert_int_equal(registry_find(f->reg, "DEBIAN", REGISTRY_INSTALLED, &rec, &f->err), 0);
	assert_string_equal(rec.name, "Debian");
	assert_string_equal(rec.flavor, "debian");
	assert_string_equal(rec.os_version, "12");
	assert_true(rec.is_default);
	registry_record_done(&rec);
}

static void finds_by_id(void **state)
{
	struct fixture *f = *state;
	struct registry_record rec = install(f, "a"), found;
	char bare[REGISTRY_ID_BYTES], id[REGISTRY_ID_BYTES];
	static const char *const bad[] = { "",
					   "{}",
					   "x",
					   "{11111111-1111-1111-1111-111111111111",
					   "11111111-1111-1111-1111-111111111111}",
					   "1111111-11111-1111-1111-111111111111",
					   "11111111-1111-1111-1111-1111111111111",
					   "g1111111-1111-1111-1111-111111111111" };

	assert_int_equal(strlen(rec.id), 38);
	assert_int_equal(rec.id[15], '4'); /* version of the GUID */
	memcpy(bare, rec.id + 1, 36);
	bare[36] = '\0';
	for (char *c = bare; *c; c++)
		*c = *c >= 'a' ? (char)(*c - 'a' + 'A') : *c;
	assert_int_equal(registry_find_id(f->reg, bare, REGISTRY_INSTALLED, &found, &f->err), 0);
	assert_string_equal(found.id, rec.id);
	registry_record_done(&found);
	assert_error(f,
		     registry_find_id(f->reg, "{11111111-1111-1111-1111-111111111111}",
				      REGISTRY_INSTALLED, &found, &f->err),
		     ERR_WSL_E_DISTRO_NOT_FOUND,
		     "There is no distribution with the supplied name.");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_free char *text = str_printf("Invalid GUID format: '%s'", bad[i]);

		assert_error(f, registry_parse_id(bad[i], id, &f->err), ERR_E_INVALIDARG, text);
	}
	registry_record_done(&rec);
}

static void checks_names(void **state)
{
	struct fixture *f = *state;
	static const char *const good[] = { "a", "Ubuntu-24.04", "x_y", "..", "Legacy2" };
	static const char *const bad[] = {
		"", "a b", "legacy", "LEGACY", "a/b", "\xc3\xa4", "a\n"
	};
	struct registry_record rec;
	char name[258];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(registry_check_name(good[i], &f->err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_free char *text = str_printf("Invalid distribution name: \"%s\".", bad[i]);

		assert_error(f, registry_check_name(bad[i], &f->err), ERR_E_INVALIDARG, text);
	}
	memset(name, 'n', sizeof(name));
	name[257] = '\0';
	assert_int_equal(registry_check_name(name, NULL), -EINVAL);
	name[256] = '\0';
	assert_int_equal(registry_check_name(name, NULL), 0);
	assert_int_equal(begin(f, "a b", &rec), -EINVAL);
	assert_names(f, "");
	assert_false(exists(f->distros)); /* nothing was created */
}

static void names_are_unique(void **state)
{
	struct fixture *f = *state;
	struct registry_record a = install(f, "Debian"), b, c;

	assert_error(f, begin(f, "debian", &b), ERR_ERROR_ALREADY_EXISTS,
		     "A distribution with the supplied name already exists. Use --name to choose a "
		     "different name.");
	assert_int_equal(begin(f, "Other", &b), 0);
	assert_error(f, begin(f, "other", &c), ERR_E_ILLEGAL_STATE_CHANGE,
		     "An install, uninstall, or conversion is in progress for this distribution.");
	registry_record_done(&a);
	registry_record_done(&b);
}

static void names_may_come_late(void **state)
{
	struct fixture *f = *state;
	struct registry_record a = install(f, "one"), b, c;

	assert_int_equal(begin(f, NULL, &b), 0);
	assert_int_equal(begin(f, "", &c), 0); /* any number of nameless ones */
	assert_string_equal(b.name, "");
	write_partial(&b);
	assert_error(f, registry_commit_install(f->reg, b.id, NULL, NULL, &f->err),
		     ERR_WSL_E_DISTRIBUTION_NAME_NEEDED,
		     "This distribution doesn't contain a default name. Use --name to choose the "
		     "distribution name.");
	assert_int_equal(registry_name_install(f->reg, b.id, "ONE", &f->err), -EEXIST);
	assert_int_equal(registry_name_install(f->reg, b.id, "t wo", &f->err), -EINVAL);
	assert_int_equal(registry_name_install(f->reg, b.id, "two", &f->err), 0);
	assert_int_equal(registry_commit_install(f->reg, b.id, NULL, NULL, &f->err), 0);
	assert_int_equal(registry_name_install(f->reg, b.id, "three", &f->err), -EBUSY);
	assert_int_equal(registry_abort_install(f->reg, c.id, &f->err), 0);
	assert_names(f, "one* two");
	assert_true(registry_find(f->reg, "", REGISTRY_ANY_STATE, &c, &f->err) < 0);
	registry_record_done(&a);
	registry_record_done(&b);
	registry_record_done(&c);
}

static int begin_at(struct fixture *f, const char *name, const char *location,
		    struct registry_record *rec)
{
	const struct registry_plan plan = { .name = name, .location = location };

	return registry_begin_install(f->reg, &plan, rec, &f->err);
}

static void locations(void **state)
{
	struct fixture *f = *state;
	auto_free char *place = str_printf("%s/place/", f->dir);
	auto_free char *link = str_printf("%s/link", f->dir);
	auto_free char *deep = str_printf("%s/no/such", f->dir);
	auto_free char *image = str_printf("%s/other/ext4.img", f->dir);
	auto_free char *other = str_printf("%s/other", f->dir);
	auto_free char *said = str_printf("Failed to create disk '%s': The file exists.", image);
	struct registry_record a, b;

	assert_int_equal(begin_at(f, "a", place, &a), 0);
	assert_true(exists(place));
	assert_int_equal(symlink("place", link), 0); /* another way to write the same directory */
	assert_error(f, begin_at(f, "b", link, &b), ERR_ERROR_FILE_EXISTS,
		     "The supplied install location is already in use.");
	assert_int_equal(begin_at(f, "b", deep, &b), -ENOENT);
	assert_int_equal(f->err.id, ERR_ERROR_PATH_NOT_FOUND);
	assert_int_equal(begin_at(f, "b", "relative", &b), -EINVAL);
	assert_int_equal(begin_at(f, "b", f->db, &b), -ENOTDIR);
	assert_int_equal(mkdir(other, 0700), 0);
	touch(image);
	assert_error(f, begin_at(f, "b", other, &b), ERR_ERROR_FILE_EXISTS, said);
	assert_names(f, "a+");
	registry_record_done(&a);
}

static void abort_removes_only_what_is_ours(void **state)
{
	struct fixture *f = *state;
	auto_free char *mine = str_printf("%s/mine", f->dir);
	auto_free char *theirs = str_printf("%s/theirs", f->dir);
	auto_free char *file = str_printf("%s/mine/precious", f->dir);
	struct registry_record rec;

	for (int kept = 0; kept < 2; kept++) {
		assert_int_equal(begin_at(f, "a", mine, &rec), 0);
		write_partial(&rec);
		if (kept)
			touch(file);
		assert_int_equal(registry_abort_install(f->reg, rec.id, &f->err), 0);
		assert_int_equal(exists(mine), kept);
		registry_record_done(&rec);
		assert_names(f, "");
	}
	assert_true(exists(file));
	assert_int_equal(mkdir(theirs, 0700), 0);
	assert_int_equal(begin_at(f, "a", theirs, &rec), 0);
	write_partial(&rec);
	assert_int_equal(registry_abort_install(f->reg, rec.id, &f->err), 0);
	assert_true(exists(theirs));
	assert_int_equal(rmdir(theirs), 0); /* empty again */
	registry_record_done(&rec);
}

static void in_place(void **state)
{
	struct fixture *f = *state;
	auto_free char *one = str_printf("%s/one.img", f->dir);
	auto_free char *two = str_printf("%s/two.img", f->dir);
	struct registry_plan plan = { .name = "one", .in_place = one };
	struct registry_record a, b;

	assert_int_equal(registry_begin_install(f->reg, &plan, &a, &f->err), -ENOENT);
	assert_int_equal(f->err.id, ERR_ERROR_FILE_NOT_FOUND);
	touch(one);
	touch(two);
	assert_int_equal(registry_begin_install(f->reg, &plan, &a, &f->err), 0);
	assert_string_equal(a.image, "one.img");
	assert_string_equal(a.base_path, f->dir);
	plan.name = "again";
	assert_int_equal(registry_begin_install(f->reg, &plan, &b, &f->err), -EEXIST);
	plan.name = "two";
	plan.in_place = two; /* same directory, other image */
	assert_int_equal(registry_begin_install(f->reg, &plan, &b, &f->err), 0);
	assert_int_equal(registry_abort_install(f->reg, b.id, &f->err), 0);
	assert_true(exists(two));
	assert_int_equal(registry_commit_install(f->reg, a.id, NULL, NULL, &f->err), 0);
	assert_true(exists(one));
	assert_int_equal(registry_begin_remove(f->reg, a.id, &f->err), 0);
	assert_int_equal(registry_remove(f->reg, a.id, &f->err), 0);
	assert_false(exists(one));
	assert_true(exists(f->db));
	registry_record_done(&a);
	registry_record_done(&b);
}

static void commit_never_replaces_a_file(void **state)
{
	struct fixture *f = *state;
	struct registry_record rec;
	auto_free char *image = NULL, *partial = NULL;

	assert_int_equal(begin(f, "a", &rec), 0);
	write_partial(&rec);
	image = registry_image_path(&rec);
	partial = registry_partial_path(&rec);
	touch(image); /* somebody was quicker */
	assert_int_equal(registry_commit_install(f->reg, rec.id, NULL, NULL, &f->err), -EEXIST);
	assert_names(f, "a+");
	assert_int_equal(registry_abort_install(f->reg, rec.id, &f->err), 0);
	assert_true(exists(image));
	assert_false(exists(partial));
	assert_names(f, "");
	registry_record_done(&rec);
}

static void removal_picks_the_next_default(void **state)
{
	struct fixture *f = *state;
	struct registry_record a = install(f, "a"), b = install(f, "b"), c = install(f, "c"), d;

	assert_names(f, "a* b c");
	assert_int_equal(registry_set_default(f->reg, c.id, &f->err), 0);
	assert_names(f, "c* a b");
	assert_error(f, registry_remove(f->reg, c.id, &f->err), ERR_E_ILLEGAL_STATE_CHANGE,
		     "The distribution 'c' is not being removed.");
	assert_int_equal(registry_begin_remove(f->reg, c.id, &f->err), 0);
	assert_names(f, "c*- a b");
	assert_int_equal(registry_set_default(f->reg, c.id, &f->err), -ENOENT);
	assert_int_equal(registry_default(f->reg, &d, &f->err), -ENOENT);
	assert_int_equal(registry_remove(f->reg, c.id, &f->err), 0);
	assert_false(exists(c.base_path));
	assert_names(f, "a* b");
	/* a directory that is gone is no error */
	assert_int_equal(remove_tree(AT_FDCWD, a.base_path), 0);
	assert_int_equal(registry_begin_remove(f->reg, a.id, &f->err), 0);
	assert_int_equal(registry_remove(f->reg, a.id, &f->err), 0);
	assert_names(f, "b*");
	assert_int_equal(registry_begin_remove(f->reg, b.id, &f->err), 0);
	assert_int_equal(registry_remove(f->reg, b.id, &f->err), 0);
	assert_names(f, "");
	assert_int_equal(registry_remove(f->reg, b.id, &f->err), -ENOENT);
	d = install(f, "d");
	assert_names(f, "d*");
	registry_record_done(&a);
	registry_record_done(&b);
	registry_record_done(&c);
	registry_record_done(&d);
}

static void a_broken_default_is_replaced_by_the_next_install(void **state)
{
	struct fixture *f = *state;
	struct registry_record a = install(f, "a"), b, rec;

	exec_sql(f, "UPDATE setting SET value = '{gone}' WHERE key = 'default'");
	assert_int_equal(registry_default(f->reg, &rec, &f->err), -ENOENT);
	b = install(f, "b");
	assert_names(f, "b* a");
	registry_record_done(&a);
	registry_record_done(&b);
}

static void properties(void **state)
{
	struct fixture *f = *state;
	struct registry_record rec = install(f, "a");
	uint32_t version;

	assert_int_equal(registry_set_uid(f->reg, rec.id, 4294967294u, &f->err), 0);
	assert_int_equal(registry_set_run_oobe(f->reg, rec.id, true, &f->err), 0);
	assert_int_equal(registry_set_os(f->reg, rec.id, "ubuntu", "bad value", &f->err), 0);
	registry_record_done(&rec);
	reopen(f);
	assert_int_equal(registry_default(f->reg, &rec, &f->err), 0);
	assert_int_equal(rec.default_uid, 4294967294u);
	assert_true(rec.run_oobe);
	assert_string_equal(rec.flavor, "ubuntu");
	assert_string_equal(rec.os_version, "12"); /* the invalid one is ignored */
	registry_record_done(&rec);
	assert_int_equal(registry_set_uid(f->reg, "{x}", 1, &f->err), -ENOENT);
	assert_int_equal(registry_set_default_version(f->reg, 1, &f->err), 0);
	assert_int_equal(registry_default_version(f->reg, &version, &f->err), 0);
	assert_int_equal(version, 1);
	assert_int_equal(registry_set_default_version(f->reg, 3, &f->err), -EINVAL);
	assert_int_equal(f->err.id, ERR_ERROR_VERSION_PARSE_ERROR);
}

static void recovers_from_every_crash(void **state)
{
	struct fixture *f = *state;
	struct registry_record a = install(f, "a"), b, c = install(f, "c"), d = install(f, "d");
	auto_free char *image = registry_image_path(&d), *partial = registry_partial_path(&d);

	assert_int_equal(begin(f, "b", &b), 0); /* crash while unpacking */
	write_partial(&b);
	assert_int_equal(registry_begin_remove(f->reg, a.id, &f->err), 0); /* while removing */
	assert_int_equal(rename(image, partial), 0); /* between commit and rename */
	assert_names(f, "a*- c d b+");
	reopen(f);
	assert_int_equal(registry_recover(f->reg, say, f, &f->err), 0);
	assert_string_equal(f->said, "The interrupted removal of 'a' was completed.\n"
				     "The unfinished installation of 'b' was removed.\n");
	assert_names(f, "c* d");
	assert_false(exists(a.base_path));
	assert_false(exists(b.base_path));
	assert_true(exists(c.base_path));
	assert_true(exists(image));
	f->said[0] = '\0';
	assert_int_equal(registry_recover(f->reg, say, f, &f->err), 0);
	assert_string_equal(f->said, "");
	registry_record_done(&a);
	registry_record_done(&b);
	registry_record_done(&c);
	registry_record_done(&d);
}

static void unregisters_an_abandoned_install(void **state)
{
	struct fixture *f = *state;
	struct registry_record a;

	assert_int_equal(begin(f, "a", &a), 0);
	write_partial(&a);
	assert_int_equal(registry_begin_remove(f->reg, a.id, &f->err), 0);
	assert_int_equal(registry_remove(f->reg, a.id, &f->err), 0);
	assert_names(f, "");
	assert_false(exists(a.base_path));
	registry_record_done(&a);
}

static void an_image_that_cannot_be_deleted_stays_known(void **state)
{
	struct fixture *f = *state;
	struct registry_record a = install(f, "a");
	auto_free char *image = registry_image_path(&a);

	assert_int_equal(unlink(image), 0);
	assert_int_equal(mkdir(image, 0700), 0); /* unlink() fails on it, for root too */
	assert_int_equal(registry_begin_remove(f->reg, a.id, &f->err), 0);
	assert_true(registry_remove(f->reg, a.id, &f->err) < 0);
	assert_names(f, "a*-");
	assert_int_equal(registry_recover(f->reg, say, f, &f->err), 0);
	assert_non_null(strstr(f->said, image));
	assert_int_equal(rmdir(image), 0);
	assert_int_equal(registry_remove(f->reg, a.id, &f->err), 0);
	registry_record_done(&a);
}

static void one_bad_record_does_not_hide_the_others(void **state)
{
	struct fixture *f = *state;
	struct registry_record a = install(f, "a"), b = install(f, "b"), rec;
	auto_free char *text =
		str_printf("Failed to read property 'Version' from distribution %s", a.id);

	exec_sql(f, "UPDATE distribution SET version = 'x' WHERE name = 'a'");
	assert_names(f, "b");
	assert_error(f, registry_find(f->reg, "a", REGISTRY_INSTALLED, &rec, &f->err),
		     ERR_E_UNEXPECTED, text);
	registry_record_done(&a);
	registry_record_done(&b);
}

static void damage_is_told_and_kept(void **state)
{
	struct fixture *f = *state;
	struct registry_record a = install(f, "a");
	struct registry *reg;
	auto_free char *content = NULL;
	size_t len;
	int fd;

	f->reg = registry_close(f->reg);
	fd = open(f->db, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "this is not a database at all...", 32, 0), 32);
	close(fd);
	assert_int_equal(registry_open(f->db, &reg, &f->err), -EUCLEAN);
	assert_int_equal(f->err.id, ERR_WSL_E_REGISTRY_CORRUPTED);
	assert_non_null(strstr(f->err.text, f->db));
	assert_non_null(strstr(f->err.text, "wsl --import-in-place"));
	assert_int_equal(read_file_at(AT_FDCWD, f->db, 1 << 20, &content, &len), 0);
	assert_memory_equal(content, "this is not", 11);
	registry_record_done(&a);
}

static void damaged_pages_are_noticed(void **state)
{
	struct fixture *f = *state;
	struct registry_record a = install(f, "a");
	struct registry *reg;
	char junk[4096 - 100];
	int fd;

	f->reg = registry_close(f->reg);
	memset(junk, 0x5a, sizeof(junk));
	fd = open(f->db, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 4096), sizeof(junk));
	close(fd);
	assert_int_equal(registry_open(f->db, &reg, &f->err), -EUCLEAN);
	registry_record_done(&a);
}

static void a_foreign_database_is_not_ours(void **state)
{
	struct fixture *f = *state;
	struct registry_record *list;
	size_t n;

	exec_sql(f, "DROP TABLE distribution");
	assert_int_equal(registry_list(f->reg, &list, &n, &f->err), -EUCLEAN);
}

static void a_newer_schema_is_refused(void **state)
{
	struct fixture *f = *state;
	struct registry *reg;

	exec_sql(f, "PRAGMA user_version = 999");
	assert_int_equal(registry_open(f->db, &reg, &f->err), -EPROTO);
	assert_int_equal(f->err.id, ERR_WSL_E_REGISTRY_TOO_NEW);
	assert_non_null(strstr(f->err.text, "999"));
}

static void two_handles_see_each_other(void **state)
{
	struct fixture *f = *state;
	struct registry *first = f->reg;
	struct registry_record a;

	assert_int_equal(registry_open(f->db, &f->reg, &f->err), 0);
	a = install(f, "a");
	registry_close(f->reg);
	f->reg = first;
	assert_names(f, "a*");
	registry_record_done(&a);
}

/* Another process holds the write lock for a moment: the write waits instead of failing. */
static void waits_for_a_busy_database(void **state)
{
	struct fixture *f = *state;
	struct registry_record a;
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		sqlite3 *db;

		if (sqlite3_open(f->db, &db) ||
		    sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL))
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(2);
		usleep(300 * 1000);
		_exit(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	a = install(f, "a");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(ready[1]);
	registry_record_done(&a);
}

static void opens_below_xdg_data_home(void **state)
{
	struct fixture *f = *state;
	auto_free char *path = str_printf("%s/lxss/registry.db", f->dir);
	struct registry *reg;

	setenv("XDG_DATA_HOME", f->dir, 1);
	assert_int_equal(registry_open(NULL, &reg, &f->err), 0);
	assert_true(exists(path));
	registry_close(reg);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_new_registry_is_empty),
		TEST(installs),
		TEST(finds_by_id),
		TEST(checks_names),
		TEST(names_are_unique),
		TEST(names_may_come_late),
		TEST(locations),
		TEST(abort_removes_only_what_is_ours),
		TEST(in_place),
		TEST(commit_never_replaces_a_file),
		TEST(removal_picks_the_next_default),
		TEST(a_broken_default_is_replaced_by_the_next_install),
		TEST(properties),
		TEST(recovers_from_every_crash),
		TEST(unregisters_an_abandoned_install),
		TEST(an_image_that_cannot_be_deleted_stays_known),
		TEST(one_bad_record_does_not_hide_the_others),
		TEST(damage_is_told_and_kept),
		TEST(damaged_pages_are_noticed),
		TEST(a_foreign_database_is_not_ours),
		TEST(a_newer_schema_is_refused),
		TEST(two_handles_see_each_other),
		TEST(waits_for_a_busy_database),
		TEST(opens_below_xdg_data_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
