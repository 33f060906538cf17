/* tests/unit/common-test.c - errors, strings, numbers, files, clean-up */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/osrelease.h"
#include "common/util.h"

/* --- err --- */

static void err_says_what_and_why(void **state)
{
	struct err err = ERR_INIT;

	errno = ENOENT;
	assert_int_equal(err_errno(&err, "cannot open '%s'", "x"), -ENOENT);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.text, "cannot open 'x': No such file or directory");
	assert_string_equal(err_label(&err), "ENOENT");
	assert_int_equal(err_code(&err, -EPERM, "no"), -EPERM);
	assert_string_equal(err.text, "no: Operation not permitted");
	assert_int_equal(err_set(&err, -EINVAL, "bad"), -EINVAL);
	assert_string_equal(err.text, "bad");
}

static void err_prefix_goes_before(void **state)
{
	struct err err = ERR_INIT;

	err_set(&err, -EIO, "cause");
	assert_int_equal(err_prefix(&err, "importing '%s'", "demo"), -EIO);
	assert_string_equal(err.text, "importing 'demo': cause");
}

static void err_prefix_never_cuts_the_cause(void **state)
{
	struct err err = ERR_INIT;
	char cause[ERR_TEXT_BYTES - 10], outer[100];

	memset(cause, 'c', sizeof(cause) - 1);
	cause[sizeof(cause) - 1] = '\0';
	memset(outer, 'o', sizeof(outer) - 1);
	outer[sizeof(outer) - 1] = '\0';
	err_set(&err, -EIO, "%s", cause);
	err_prefix(&err, "%s", outer);
	assert_int_equal(strlen(err.text), ERR_TEXT_BYTES - 1);
	assert_string_equal(err.text + strlen(err.text) - strlen(cause), cause);
	err_prefix(&err, "%s", outer); /* no room left at all */
	assert_string_equal(err.text + strlen(err.text) - strlen(cause), cause);
}

static void err_context_nests(void **state)
{
	struct err err = ERR_INIT;

	err_set(&err, -EIO, "x");
	err_context(&err, "CreateInstance");
	err_context(&err, "Service");
	assert_string_equal(err.context, "Service/CreateInstance");
	err_set(&err, -EIO, "y");
	assert_string_equal(err.context, "");
}

static void err_has_names(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(err_id(&err, ERR_WSL_E_DISTRO_NOT_FOUND, "none"), -ENOENT);
	assert_string_equal(err_label(&err), "WSL_E_DISTRO_NOT_FOUND");
	assert_int_equal(err_name(&err, ERR_E_FAIL), -ENOENT);
	assert_string_equal(err_label(&err), "WSL_E_DISTRO_NOT_FOUND");
	assert_null(err_id_name(ERR_NONE));
	assert_null(err_id_name(ERR_ID_COUNT));
	for (int id = 1; id < ERR_ID_COUNT; id++)
		assert_non_null(err_id_name((enum err_id)id));
}

static void err_may_be_null(void **state)
{
	errno = EACCES;
	assert_int_equal(err_errno(NULL, "x"), -EACCES);
	assert_int_equal(err_set(NULL, -EBUSY, "x"), -EBUSY);
	assert_int_equal(err_id(NULL, ERR_E_ACCESSDENIED, "x"), -EACCES);
	assert_true(err_prefix(NULL, "x") < 0);
	assert_true(err_context(NULL, "x") < 0);
}

/* --- numbers --- */

static void numbers_are_strict(void **state)
{
	static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1.0", "a" };
	uint32_t v32;
	uint64_t v64;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_u32(bad[i], &v32), -EINVAL);
		assert_int_equal(parse_u64(bad[i], &v64), -EINVAL);
	}
	assert_int_equal(parse_u32("4294967295", &v32), 0);
	assert_int_equal(v32, UINT32_MAX);
	assert_int_equal(parse_u32("4294967296", &v32), -ERANGE);
	assert_int_equal(parse_u64("18446744073709551615", &v64), 0);
	assert_true(v64 == UINT64_MAX);
	assert_int_equal(parse_u64("18446744073709551616", &v64), -ERANGE);
	assert_int_equal(parse_u64("99999999999999999999999", &v64), -ERANGE);
}

static void sizes_have_units(void **state)
{
	static const char *const bad[] = { "",     "GB",    "1gb",
					   "1 GB", "1.5GB", "08GB",
					   "-1",   "1PB",   "111111111111111111111111111" };
	uint64_t v;

	assert_int_equal(parse_size("0", &v), 0);
	assert_true(v == 0);
	assert_int_equal(parse_size("512", &v), 0);
	assert_true(v == 512);
	assert_int_equal(parse_size("8GB", &v), 0);
	assert_true(v == 8 * GIB);
	assert_int_equal(parse_size("2K", &v), 0);
	assert_true(v == 2048);
	assert_int_equal(parse_size("1T", &v), 0);
	assert_true(v == TIB);
	assert_int_equal(parse_size("16777215TB", &v), 0);
	assert_int_equal(parse_size("16777216TB", &v), -ERANGE);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(parse_size(bad[i], &v) < 0);
}

static void sizes_are_shown(void **state)
{
	char b[32];

	assert_string_equal(format_size(b, sizeof(b), 0), "0 B");
	assert_string_equal(format_size(b, sizeof(b), 1023), "1023 B");
	assert_string_equal(format_size(b, sizeof(b), 1536), "1.5 KiB");
	assert_string_equal(format_size(b, sizeof(b), UINT64_MAX), "16.0 EiB");
}

static void booleans(void **state)
{
	bool b;

	assert_int_equal(parse_bool("TRUE", &b), 0);
	assert_true(b);
	assert_int_equal(parse_bool("0", &b), 0);
	assert_false(b);
	assert_int_equal(parse_bool("yes", &b), -EINVAL);
	assert_int_equal(parse_bool("", &b), -EINVAL);
}

static void strings(void **state)
{
	char b[4];

	assert_true(str_endswith("a.tar", ".tar"));
	assert_false(str_endswith("tar", ".tar"));
	assert_string_equal(str_after("--port=7", "--port="), "7");
	assert_null(str_after("--por", "--port="));
	assert_int_equal(str_format(b, sizeof(b), "%s", "abc"), 0);
	assert_string_equal(b, "abc");
	assert_int_equal(str_format(b, sizeof(b), "%s", "abcd"), -ENAMETOOLONG);
	assert_string_equal(b, "");
}

/* --- files --- */

static char *dir;

static int make_dir(void **state)
{
	dir = str_dup("/tmp/common-test.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
	int r = remove_tree(AT_FDCWD, dir);

	free(dir);
	return r;
}

static void files_are_replaced_whole(void **state)
{
	auto_close int d = open(dir, O_DIRECTORY | O_CLOEXEC);
	auto_free char *text = NULL;
	struct stat st;
	size_t len;

	assert_int_equal(write_file_at(d, "f", "one", 3, 0644), 0);
	assert_int_equal(write_file_at(d, "f", "two!", 4, 0600), 0);
	assert_int_equal(fstatat(d, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(read_file_at(d, "f", 4, &text, &len), 0);
	assert_int_equal(len, 4);
	assert_string_equal(text, "two!");
	free(take_ptr(text));
	assert_int_equal(read_file_at(d, "f", 3, &text, &len), -EFBIG);
	assert_int_equal(read_file_at(d, "g", 3, &text, &len), -ENOENT);
	assert_int_equal(write_file_at(d, "no/f", "x", 1, 0600), -ENOENT);
}

static void long_files_are_read(void **state)
{
	auto_free char *big = calloc(1, 100001), *text = NULL;
	auto_close int d = open(dir, O_DIRECTORY | O_CLOEXEC);
	size_t len;

	memset(big, 'b', 100000);
	assert_int_equal(write_file_at(d, "big", big, 100000, 0600), 0);
	assert_int_equal(read_file_at(d, "big", 100000, &text, &len), 0);
	assert_int_equal(len, 100000);
	assert_string_equal(text, big);
}

static void trees_come_and_go(void **state)
{
	auto_free char *deep = str_printf("%s/a/b/c", dir), *a = str_printf("%s/a", dir);
	auto_free char *link = str_printf("%s/a/b/link", dir);
	auto_free char *outside = str_printf("%s/outside", dir);

	assert_int_equal(mkdir_p(outside, 0700), 0);
	assert_int_equal(mkdir_p(deep, 0700), 0);
	assert_int_equal(mkdir_p(deep, 0700), 0);
	assert_int_equal(symlink(outside, link), 0);
	assert_int_equal(remove_tree(AT_FDCWD, a), 0);
	assert_int_equal(access(a, F_OK), -1);
	assert_int_equal(access(outside, F_OK), 0); /* links are not followed */
	assert_int_equal(remove_tree(AT_FDCWD, a), 0);
}

static void whole_reads_and_writes(void **state)
{
	char b[8];
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write_all(p[1], "abc", 3), 0);
	close(p[1]);
	assert_int_equal(read_all(p[0], b, 4), -ENODATA);
	close(p[0]);
	assert_int_equal(read_all(-1, b, 1), -EBADF);
}

/* --- log and clean-up --- */

static void log_lines(void **state)
{
	char b[4096];
	int p[2];
	ssize_t n;

	assert_int_equal(pipe(p), 0);
	log_init("prog", p[1], LOG_WARNING, false);
	log_info("not shown");
	errno = EPERM;
	log_warn("shown %d", 7);
	assert_int_equal(errno, EPERM);
	log_init("prog", p[1], LOG_DEBUG, true);
	log_err("%*s", 4000, "long");
	log_init("common-test", STDERR_FILENO, LOG_INFO, false);
	close(p[1]);
	n = read(p[0], b, sizeof(b));
	assert_true(n > 16);
	assert_memory_equal(b, "prog: shown 7\n<3>prog: ", 23);
	assert_int_equal(b[n - 1], '\n');
	assert_true(n < 2200);
	close(p[0]);
}

static void descriptors_are_closed(void **state)
{
	int seen;

	{
		auto_close int fd = open("/dev/null", O_RDONLY);

		seen = fd;
		assert_true(fd >= 0);
	}
	assert_int_equal(fcntl(seen, F_GETFD), -1);
	{
		auto_close int fd = open("/dev/null", O_RDONLY);

		seen = take_fd(&fd);
		assert_int_equal(fd, -1);
	}
	assert_true(fcntl(seen, F_GETFD) >= 0);
	drop_fd(&seen);
	assert_int_equal(seen, -1);
	drop_fd(&seen);
}

static void os_release_values(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "NAME=x\nID=debian\nVERSION_ID=\"12\"\n", "debian" },
		{ "ID=\"opensuse-leap\"\nID_LIKE=suse", "opensuse-leap" },
		{ "ID='alpine'\r\n", "alpine" },
		{ "ID=first\nID=second\n", "second" },
		{ "ID=good\nID=not good\n", NULL },
		{ "ID=\"\"", NULL },
		{ "ID=\"open", NULL },
		{ "ID=1;2", NULL },
		{ "XID=x\nID_LIKE=y", NULL },
		{ "ID", NULL },
		{ "", NULL },
		{ "ID=0123456789012345678901234567890123456789012345678901234567890123",
		  "0123456789012345678901234567890123456789012345678901234567890123" },
		{ "ID=01234567890123456789012345678901234567890123456789012345678901234", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *value = osrelease_value(cases[i].text, "ID");

		if (cases[i].expected)
			assert_string_equal(value, cases[i].expected);
		else
			assert_null(value);
		free(value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_says_what_and_why),
		cmocka_unit_test(err_prefix_goes_before),
		cmocka_unit_test(err_prefix_never_cuts_the_cause),
		cmocka_unit_test(err_context_nests),
		cmocka_unit_test(err_has_names),
		cmocka_unit_test(err_may_be_null),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(sizes_have_units),
		cmocka_unit_test(sizes_are_shown),
		cmocka_unit_test(booleans),
		cmocka_unit_test(strings),
		cmocka_unit_test(os_release_values),
		cmocka_unit_test_setup_teardown(files_are_replaced_whole, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(long_files_are_read, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(trees_come_and_go, make_dir, drop_dir),
		cmocka_unit_test(whole_reads_and_writes),
		cmocka_unit_test(log_lines),
		cmocka_unit_test(descriptors_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
