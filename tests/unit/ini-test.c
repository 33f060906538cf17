/* tests/unit/ini-test.c - the configuration syntax: every rule and every message */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/ini.h"
#include "common/limits.h"
#include "common/util.h"

struct values {
	bool flag;
	int64_t number;
	uint64_t size;
	char *text, *other;
	int mode;
	uint32_t address;
	uint8_t mac[6];
	/* what was said */
	char said[4096];
	unsigned warnings, fatals;
};

static const char *const modes[] = { "None", "Nat", "Bridged", "Mirrored", NULL };

static const struct ini_key keys[] = {
	{ "one.flag", INI_BOOL, offsetof(struct values, flag) },
	{ "one.number", INI_INT, offsetof(struct values, number) },
	{ "one.size", INI_SIZE, offsetof(struct values, size) },
	{ "one.text", INI_STRING, offsetof(struct values, text) },
	{ "one.other", INI_STRING, offsetof(struct values, other) },
	{ "one.mode", INI_ENUM, offsetof(struct values, mode), modes },
	{ "one.address", INI_IPV4, offsetof(struct values, address) },
	{ "one.mac", INI_MAC, offsetof(struct values, mac) },
	{ "one.nothing", INI_IGNORED },
	{ "old.mode", .alias_of = "one.mode" },
};

static void say(const char *text, void *arg)
{
	struct values *v = arg;
	size_t n = strlen(v->said);

	snprintf(v->said + n, sizeof(v->said) - n, "%s%s", n ? "\n" : "", text);
	v->warnings++;
}

static void say_fatal(const char *text, void *arg)
{
	struct values *v = arg;

	say(text, arg);
	v->fatals++;
}

static void parse(struct values *v, bool stop, const char *text)
{
	const struct ini_schema schema = { .keys = keys,
					   .n_keys = ARRAY_SIZE(keys),
					   .stop_at_invalid_line = stop,
					   .fatal = say_fatal };
	size_t len = strlen(text);
	char *exact = malloc(len + !len); /* no NUL behind: ASan sees any over-read */

	assert_non_null(exact);
	memcpy(exact, text, len);
	ini_parse(&schema, "F", exact, len, v, say, v);
	free(exact);
}

static void done(struct values *v)
{
	free(v->text);
	free(v->other);
	*v = (struct values) { 0 };
}

/* The text value of a document, after asserting what it said. */
static void expect_text(const char *document, const char *text, const char *said)
{
	struct values v = { 0 };

	parse(&v, false, document);
	assert_string_equal(v.said, said);
	if (text)
		assert_string_equal(v.text ? v.text : "(unset)", text);
	else
		assert_null(v.text);
	done(&v);
}

static void reads_every_type(void **state)
{
	struct values v = { 0 };
	static const uint8_t mac[] = { 0, 0x1a, 0x2b, 0xff, 0xCD, 9 };

	parse(&v, false,
	      "# comment\n\n[one]\nflag = TRUE\nnumber=-0x10\nsize = 4GB\ntext = a b\n"
	      "mode = mirrored\naddress = 10.1.2.3\nmac = 00-1a-2B-ff-cd-09\nnothing = anything\n");
	assert_string_equal(v.said, "");
	assert_true(v.flag);
	assert_int_equal(v.number, -16);
	assert_int_equal(v.size, 4 * GIB);
	assert_string_equal(v.text, "a b");
	assert_int_equal(v.mode, 3);
	assert_int_equal(v.address, htonl(0x0a010203));
	assert_memory_equal(v.mac, mac, 6);
	done(&v);
}

static void names_have_no_case(void **state)
{
	expect_text("[ONE]\ntExT=x", "x", "");
	expect_text("  [ one ]  # c\n\ttext\t=\tx\t", "x", "");
}

static void accepts_crlf_and_bom(void **state)
{
	expect_text("\xef\xbb\xbf[one]\r\n\r\ntext = v \r\n", "v", "");
	expect_text("[one]\r\ntext=a\\\r\nb\r\n", "ab", "");
	expect_text("[one]\r\ntext=v\r", "v", "");
}

static void comments_and_quotes(void **state)
{
	expect_text("[one]\ntext = a # b", "a", "");
	expect_text("[one]\ntext = a#b", "a", "");
	expect_text("[one]\ntext = a ; b", "a ; b", "");
	expect_text("[one]\ntext = \" a # b \" # c", " a # b ", "");
	expect_text("[one]\ntext = a\" # \"b", "a # b", "");
	expect_text("[one]\ntext = \"\"", "", "");
	expect_text("[one]\ntext =", "", "");
	expect_text("[one]\ntext = case = dir", "case = dir", "");
	expect_text("[one]\ntext = \" \"x  ", " x", "");
	expect_text("[one]\ntext = \"a\nnumber=7", NULL, "Expected ' \" ' in F:2");
	expect_text("[one]\ntext = \"a", NULL, "Expected ' \" ' in F:2");
}

static void escapes(void **state)
{
	expect_text("[one]\ntext = \\\\ \\\" \\b \\n x\\t", "\\ \" \b \n x\t", "");
	expect_text("[one]\ntext = a \\\n  b", "a   b", "");
	expect_text("[one]\ntext = \\\n  b", "b", "");
	expect_text("[one]\ntext = \"a\\\nb # c\"", "ab # c", "");
	expect_text("[one]\ntext = a\\", "a", "");
	expect_text("[one]\ntext = a\\qb", NULL, "Invalid escaped character: 'q' in F:2");
	expect_text("[one]\ntext = a\\\xc3\xa4z", NULL,
		    "Invalid escaped character: '\xc3\xa4' in F:2");
	expect_text("[one]\ntext = a\\\xc3", NULL, "Invalid escaped character: '\xc3' in F:2");
	/* the line number is that of the bad character; the bad key may come again */
	expect_text("[one]\ntext = a\\\nb\\x\ntext = c", "c",
		    "Invalid escaped character: 'x' in F:3");
	/* lines after a joined one are counted right */
	expect_text("[one]\ntext = a\\\nb\nfoo=1", "ab", "Unknown key 'one.foo' in F:4");
}

static void bad_values_are_reported_and_ignored(void **state)
{
	static const struct {
		const char *line, *said;
	} cases[] = {
		{ "flag = yes", "Invalid boolean value 'yes' for key 'one.flag' in F:2" },
		{ "flag = t", "Invalid boolean value 't' for key 'one.flag' in F:2" },
		{ "flag =", "Invalid boolean value '' for key 'one.flag' in F:2" },
		{ "number = 1x", "Invalid integer value '1x' for key 'one.number' in F:2" },
		{ "Number =", "Invalid integer value '' for key 'one.Number' in F:2" },
		{ "number = 99999999999999999999",
		  "Invalid integer value '99999999999999999999' for key 'one.number' in F:2" },
		{ "size =", "Invalid memory string '' for .wslconfig entry 'one.size' in F:2" },
		{ "size = 1 GB",
		  "Invalid memory string '1 GB' for .wslconfig entry 'one.size' in F:2" },
		{ "size = 1gb",
		  "Invalid memory string '1gb' for .wslconfig entry 'one.size' in F:2" },
		{ "size = 1GiB",
		  "Invalid memory string '1GiB' for .wslconfig entry 'one.size' in F:2" },
		{ "size = 1.5GB",
		  "Invalid memory string '1.5GB' for .wslconfig entry 'one.size' in F:2" },
		{ "size = 00",
		  "Invalid memory string '00' for .wslconfig entry 'one.size' in F:2" },
		{ "mode = x", "Invalid value 'x' for config key 'one.mode' in F:2 "
			      "(Valid values: Bridged, Mirrored, Nat, None)" },
		{ "mode =", "Invalid value '' for config key 'one.mode' in F:2 "
			    "(Valid values: Bridged, Mirrored, Nat, None)" },
		{ "address = 1.2.3", "Invalid IP value '1.2.3' for key 'one.address' in F:2" },
		{ "address =", "Invalid IP value '' for key 'one.address' in F:2" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct values v = { .flag = true, .number = 5, .size = 6, .mode = 2, .address = 7 };
		auto_free char *text = str_printf("[one]\n%s\ntext=after", cases[i].line);

		parse(&v, true, text); /* a bad value is not an invalid line */
		assert_string_equal(v.said, cases[i].said);
		assert_true(v.flag && v.number == 5 && v.size == 6 && v.mode == 2 &&
			    v.address == 7);
		assert_string_equal(v.text, "after");
		assert_int_equal(v.fatals, 0);
		done(&v);
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = { { "0", 0 },        { "0GB", 0 },      { "1", 1 },        { "1B", 1 },
		      { "2K", 2048 },    { "2KB", 2048 },   { "3M", 3 * MIB }, { "3MB", 3 * MIB },
		      { "4G", 4 * GIB }, { "5T", 5 * TIB }, { "5TB", 5 * TIB } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct values v = { .size = 77 };
		auto_free char *text = str_printf("[one]\nsize= %s ", cases[i].text);

		parse(&v, false, text);
		assert_string_equal(v.said, "");
		assert_int_equal(v.size, cases[i].bytes);
		done(&v);
	}
}

static void bad_mac_is_fatal(void **state)
{
	static const char *const bad[] = { "",
					   "00:11:22:33:44",
					   "00:11:22:33:44:5",
					   "00:11",
					   "00:11:22:33:44:55:66",
					   "00:11-22:33:44:55",
					   "g0:11:22:33:44:55",
					   "001122334455" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct values v = { 0 };
		auto_free char *text = str_printf("[one]\nmac=%s", bad[i]);
		auto_free char *said =
			str_printf("Invalid mac address '%s' for key 'one.mac' in F:2", bad[i]);

		parse(&v, false, text);
		assert_string_equal(v.said, said);
		assert_int_equal(v.fatals, 1);
		done(&v);
	}
}

static void first_of_two_equal_keys_wins(void **state)
{
	struct values v = { 0 };

	expect_text("[one]\ntext=a\n\nTEXT=b", "a",
		    "Duplicated config key 'one.TEXT' in F:4 (Conflicting key: 'one.text' in F:2)");
	parse(&v, true, "[old]\nmode=nat\n[one]\nmode=none\nnumber=1");
	assert_string_equal(v.said, "Duplicated config key 'one.mode' in F:4 (Conflicting key: "
				    "'old.mode' in F:2)");
	assert_int_equal(v.mode, 1);
	assert_int_equal(v.number, 1);
	done(&v);
	/* also when the first one has a bad value */
	parse(&v, false, "[one]\nflag=x\nflag=1");
	assert_int_equal(v.warnings, 2);
	assert_false(v.flag);
	done(&v);
}

static void invalid_lines(void **state)
{
	static const struct {
		const char *line, *said;
	} cases[] = {
		{ "[1a]", "Invalid section name in F:3" },
		{ "[]", "Invalid section name in F:3" },
		{ "[a-b]", "Invalid section name in F:3" },
		{ "[one", "Expected ']' in F:3" },
		{ "[one two]", "Expected ']' in F:3" },
		{ "[one # ]", "Expected ']' in F:3" },
		{ "[one] x", "Expected ' ' or '\\n' in F:3" },
		{ "1=2", "Invalid key name in F:3" },
		{ "=2", "Invalid key name in F:3" },
		{ "a-b=2", "Invalid key name in F:3" },
		{ "a_b=2", "Invalid key name in F:3" },
		{ "; note", "Invalid key name in F:3" },
		{ "flag", "Expected '=' in F:3" },
		{ "flag true", "Expected '=' in F:3" },
		{ "flag # = 1", "Expected '=' in F:3" },
		{ "flag = \\z", "Invalid escaped character: 'z' in F:3" },
		{ "flag = \"1", "Expected ' \" ' in F:3" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct values v = { 0 };
		auto_free char *text =
			str_printf("[one]\nnumber=3\n%s\n[one]\ntext=after", cases[i].line);

		parse(&v, false, text); /* .wslconfig goes on */
		assert_string_equal(v.said, cases[i].said);
		assert_int_equal(v.number, 3);
		assert_string_equal(v.text, "after");
		done(&v);
		parse(&v, true, text); /* wsl.conf stops */
		assert_string_equal(v.said, cases[i].said);
		assert_int_equal(v.number, 3);
		assert_null(v.text);
		done(&v);
	}
}

static void keys_below_an_invalid_section_are_dropped(void **state)
{
	expect_text("[one]\nother=1\n[bad\ntext=a\n[one]\nnumber=1", NULL, "Expected ']' in F:3");
}

static void unknown_keys(void **state)
{
	expect_text("foo=1\n[one]\nbar=2\ntext=a\n[Two]\ntext=b", "a",
		    "Unknown key 'foo' in F:1\nUnknown key 'one.bar' in F:3\n"
		    "Unknown key 'Two.text' in F:6");
}

static void overlong_names_and_nul_bytes(void **state)
{
	static const char nul[] = "[one]\ntext=a\0b\nother=c\n";
	const struct ini_schema schema = { .keys = keys, .n_keys = ARRAY_SIZE(keys) };
	struct values v = { 0 };
	char text[400];

	snprintf(text, sizeof(text), "[one]\n%0200d", 0);
	memset(text + 6, 'k', 200);
	expect_text(text, NULL, "Invalid key name in F:2");
	ini_parse(&schema, "F", nul, sizeof(nul) - 1, &v, say, &v);
	assert_string_equal(v.text, "a");
	assert_string_equal(v.other, "c");
	done(&v);
}

static void strings_replace_the_default(void **state)
{
	struct values v = { .text = str_dup("default") };

	parse(&v, false, "[one]\ntext=new");
	assert_string_equal(v.text, "new");
	done(&v);
}

static void reads_files(void **state)
{
	const struct ini_schema schema = { .keys = keys, .n_keys = ARRAY_SIZE(keys) };
	char dir[] = "/tmp/ini-test-XXXXXX";
	struct values v = { 0 };
	auto_close int fd = -1;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ini_parse_file(&schema, fd, "missing", "/m", &v, say, &v);
	assert_string_equal(v.said, "");
	assert_int_equal(write_file_at(fd, "f", "[one]\ntext=x\ny=1\n", 17, 0600), 0);
	ini_parse_file(&schema, fd, "f", "/etc/f", &v, say, &v);
	assert_string_equal(v.said, "Unknown key 'one.y' in /etc/f:3");
	assert_string_equal(v.text, "x");
	done(&v);
	assert_int_equal(mkdirat(fd, "d", 0700), 0);
	ini_parse_file(&schema, fd, "d", "/etc/d", &v, say, &v);
	assert_string_equal(v.said, "Failed to open config file /etc/d, Is a directory");
	done(&v);
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
}

static void limits_the_file_size(void **state)
{
	const struct ini_schema schema = { .keys = keys, .n_keys = ARRAY_SIZE(keys) };
	char path[] = "/tmp/ini-test-XXXXXX";
	struct values v = { 0 };
	auto_close int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, LIMIT_INI_BYTES), 0);
	assert_int_equal(pwrite(fd, "#", 1, 0), 1);
	ini_parse_file(&schema, AT_FDCWD, path, "/f", &v, say, &v);
	assert_string_equal(v.said, "");
	assert_int_equal(ftruncate(fd, LIMIT_INI_BYTES + 1), 0);
	ini_parse_file(&schema, AT_FDCWD, path, "/f", &v, say, &v);
	assert_string_equal(v.said, "Failed to open config file /f, File too large");
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_type),
		cmocka_unit_test(names_have_no_case),
		cmocka_unit_test(accepts_crlf_and_bom),
		cmocka_unit_test(comments_and_quotes),
		cmocka_unit_test(escapes),
		cmocka_unit_test(bad_values_are_reported_and_ignored),
		cmocka_unit_test(sizes),
		cmocka_unit_test(bad_mac_is_fatal),
		cmocka_unit_test(first_of_two_equal_keys_wins),
		cmocka_unit_test(invalid_lines),
		cmocka_unit_test(keys_below_an_invalid_section_are_dropped),
		cmocka_unit_test(unknown_keys),
		cmocka_unit_test(overlong_names_and_nul_bytes),
		cmocka_unit_test(strings_replace_the_default),
		cmocka_unit_test(reads_files),
		cmocka_unit_test(limits_the_file_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
