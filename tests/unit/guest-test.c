/* tests/unit/guest-test.c - the guest's parsers and generated texts */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/hostname.h"
#include "common/util.h"
#include "distro/environment.h"
#include "distro/files.h"
#include "distro/program.h"
#include "distro/settings.h"
#include "distro/users.h"
#include "protocol/message.h"

static void cleans_host_names(void **state)
{
	static const char long_name[] =
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const char *const cases[][2] = {
		{ "Simple_Hostname", "SimpleHostname" },
		{ "--hostname", "hostname" },
		{ "hostname.-", "hostname" },
		{ ".hostname", "hostname" },
		{ "host|name", "hostname" },
		{ "a.b.c", "a.bc" },
		{ "a-.b", "a-b" },
		{ "a--b", "a-b" },
		{ "a.-b", "a.b" },
		{ "box", "box" },
		{ "", "localhost" },
		{ "-.-", "localhost" },
		{ "\303\274mlaut", "mlaut" },
	};
	char name[HOSTNAME_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		hostname_clean(cases[i][0], name);
		assert_string_equal(name, cases[i][1]);
	}
	hostname_clean(long_name, name);
	assert_int_equal(strlen(name), 64);
}

static void writes_the_hosts_file(void **state)
{
	char *text = hosts_text("box", "", "");

	assert_non_null(strstr(text, "# [network]\n# generateHosts = false\n"));
	assert_non_null(strstr(text, "\n127.0.0.1\tlocalhost\n127.0.1.1\tbox.localdomain\tbox\n"));
	assert_non_null(strstr(text, "\n::1     ip6-localhost ip6-loopback\n"));
	free(text);
	text = hosts_text("box", "example.org", "192.0.2.1\tprinter\n");
	assert_non_null(strstr(text, "\n127.0.1.1\tbox.example.org\tbox\n"));
	free(text);
}

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
			     "# a comment\n"
			     "broken:x:1\n"
			     "bad:x:-5:0::/:/bin/sh\n"
			     "+::::::\n"
			     "bare:x:7:8:::\n"
			     "user:x:1000:1001:A, B:/home/user:/bin/zsh";

static void finds_users(void **state)
{
	struct user u;

	assert_int_equal(passwd_find(passwd, "user", 0, &u), 0);
	assert_int_equal(u.uid, 1000);
	assert_int_equal(u.gid, 1001);
	assert_string_equal(u.home, "/home/user");
	assert_string_equal(u.shell, "/bin/zsh");
	user_done(&u);
	assert_int_equal(passwd_find(passwd, NULL, 7, &u), 0);
	assert_string_equal(u.name, "bare");
	assert_string_equal(u.home, "/");
	assert_string_equal(u.shell, "/bin/sh");
	user_done(&u);
	assert_int_equal(passwd_find(passwd, "use", 0, &u), -ENOENT);
	assert_int_equal(passwd_find(passwd, "broken", 0, &u), -ENOENT);
	assert_int_equal(passwd_find(passwd, "bad", 0, &u), -ENOENT);
	assert_int_equal(passwd_find("", NULL, 0, &u), -ENOENT);
}

static void collects_groups(void **state)
{
	char text[8192] = "user:x:1001:user\nwheel:x:10:root,user\nother:x:11:usera,auser\nempty:x:"
			  "12:\nx:x:y:user\n";
	size_t n, at = strlen(text);
	gid_t *gids;

	for (int i = 0; i < 100; i++)
		at += (size_t)sprintf(text + at, "g%d:x:%d:a,user,b\n", i, 2000 + i);
	assert_int_equal(group_members(text, "user", 1001, &gids, &n), 0);
	assert_int_equal(n, 102);
	assert_int_equal(gids[0], 1001);
	assert_int_equal(gids[1], 10);
	assert_int_equal(gids[101], 2099);
	free(gids);
}

static void unescapes_as_a_shell(void **state)
{
	static const char *const cases[][2] = {
		{ "en_US.UTF-8", "en_US.UTF-8" },
		{ "\"a b\"", "a b" },
		{ "'a\"b'", "a\"b" },
		{ "\"\\\"\\\\\\$\\`\\n\"", "\"\\$`\\n" },
		{ "a\\ b", "a b" },
		{ "a\\\nb", "ab" },
		{ "\"a\\\nb\"", "ab" },
		{ "\"open", "\"open" },
		{ "'open", "'open" },
		{ "end\\", "end\\" },
		{ "a'b'\"c\"d", "abcd" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *s = unescape_shell(cases[i][0]);

		assert_string_equal(s, cases[i][1]);
		free(s);
	}
}

static void the_last_lang_counts(void **state)
{
	char *lang = locale_lang_in("#LANG=x\nLANG=C\nLC_ALL=y\nLANG='de_DE.UTF-8' \nLANGUAGE=z\n");

	assert_string_equal(lang, "de_DE.UTF-8");
	free(lang);
	assert_null(locale_lang_in("LANGUAGE=de\nXLANG=y\n"));
}

static const char *value_of(const struct environment *env, const char *name)
{
	const char *found = NULL;

	for (size_t i = 0; i < env->n; i++) {
		const char *after = str_after(env->vars[i], name);

		if (after && *after == '=') {
			assert_null(found); /* each only once */
			found = after + 1;
		}
	}
	return found;
}

static void later_steps_of_the_environment_win(void **state)
{
	static char name[] = "user", home[] = "/home/user", shell[] = "/bin/sh";
	static const char vars[] = "TERM=vt100\0HOME=/wrong\0PATH=/p\0=x\0novalue\0A=\0A=1=2";
	struct user user = { .uid = 1, .gid = 1, .name = name, .home = home, .shell = shell };
	struct strv client = { .n = 7, .bytes = sizeof(vars), .packed = vars };
	struct environment env = { 0 };

	environment_build(&env, &user, "box", "Debian", &client);
	assert_string_equal(value_of(&env, "TERM"), "vt100");
	assert_string_equal(value_of(&env, "HOME"), "/home/user");
	assert_string_equal(value_of(&env, "PATH"), "/p");
	assert_string_equal(value_of(&env, "A"), "1=2");
	assert_string_equal(value_of(&env, "NAME"), "box");
	assert_string_equal(value_of(&env, "WSL_DISTRO_NAME"), "Debian");
	assert_string_equal(value_of(&env, "LOGNAME"), "user");
	assert_string_equal(value_of(&env, "HOSTTYPE"), "x86_64");
	assert_null(value_of(&env, "novalue"));
	assert_null(env.vars[env.n]);
	environment_done(&env);
	for (int i = 0; i < 100; i++) {
		char key[16];

		snprintf(key, sizeof(key), "K%d", i);
		environment_set(&env, key, "v");
	}
	assert_int_equal(env.n, 100);
	environment_done(&env);
}

static void check_command(uint32_t shell, const struct strv *argv, const char *file,
			  const char *const *want)
{
	static char zsh[] = "/usr/bin/zsh";
	struct user user = { .shell = zsh };
	struct command c = { 0 };

	assert_int_equal(command_build(&c, &user, shell, argv, NULL), 0);
	assert_string_equal(c.file, file);
	for (size_t i = 0; want[i]; i++)
		assert_string_equal(c.argv[i], want[i]);
	command_done(&c);
}

static void builds_commands(void **state)
{
	struct strv none = { 0 }, one = { .n = 1, .bytes = 5, .packed = "ls x" };
	struct strv two = { .n = 2, .bytes = 4, .packed = "ls\0" };
	struct command c = { 0 };
	struct user user = { 0 };

	check_command(SHELL_INTERACTIVE, &none, "/usr/bin/zsh", (const char *[]) { "-zsh", NULL });
	check_command(SHELL_STANDARD, &one, "/usr/bin/zsh",
		      (const char *[]) { "/usr/bin/zsh", "-c", "ls x", NULL });
	check_command(SHELL_LOGIN, &one, "/usr/bin/zsh",
		      (const char *[]) { "-zsh", "-c", "ls x", NULL });
	check_command(SHELL_STANDARD, &none, "/usr/bin/zsh", (const char *[]) { "-zsh", NULL });
	check_command(SHELL_NONE, &two, "ls", (const char *[]) { "ls", "", NULL });
	assert_int_equal(command_build(&c, &user, SHELL_NONE, &none, NULL), -EINVAL);
}

/* Runs the settings reader on @text in a scratch directory. */
static void read_settings(const char *text, struct distro_settings *s, struct warnings *w)
{
	char dir[] = "/tmp/guest-test-XXXXXX";
	int fd;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(write_file_at(fd, "wsl.conf", text, strlen(text), 0644), 0);
	distro_settings_read(s, fd, "wsl.conf", w);
	unlinkat(fd, "wsl.conf", 0);
	close(fd);
	rmdir(dir);
}

static void settings_done(struct distro_settings *s, struct warnings *w)
{
	free(s->automount_root);
	free(s->hostname);
	free(s->user);
	free(s->boot_command);
	for (size_t i = 0; i < w->n; i++)
		free(w->text[i]);
}

static void reads_settings(void **state)
{
	struct distro_settings s;
	struct warnings w = { 0 };

	read_settings("[boot]\nsystemd=true\ncommand = echo \"a # b\"\n[user]\ndefault=me\n"
		      "[automount]\nroot = /media\nmountFsTab=false\n[filesystem]\numask=077\n"
		      "[nonsense]\nkey=1\n[boot]\nsystemd=maybe\n",
		      &s, &w);
	assert_true(s.systemd);
	assert_string_equal(s.boot_command, "echo a # b");
	assert_string_equal(s.user, "me");
	assert_string_equal(s.automount_root, "/media/");
	assert_false(s.mount_fstab);
	assert_int_equal(s.umask, 077);
	assert_true(s.generate_hosts);
	assert_int_equal(w.n, 2);
	assert_string_equal(w.text[0], "Unknown key 'nonsense.key' in /etc/wsl.conf:12");
	settings_done(&s, &w);
	w = (struct warnings) { 0 };
	read_settings("", &s, &w);
	assert_string_equal(s.automount_root, "/mnt/");
	assert_int_equal(s.umask, 022);
	assert_int_equal(w.n, 0);
	settings_done(&s, &w);
}

static void warnings_have_a_limit(void **state)
{
	struct warnings w = { 0 };

	for (int i = 0; i < WARNINGS_MAX + 1; i++)
		warnings_add("x", &w);
	assert_int_equal(w.n, WARNINGS_MAX);
	for (size_t i = 0; i < w.n; i++)
		free(w.text[i]);
}

static void files_are_written_only_when_they_change(void **state)
{
	char path[] = "/tmp/guest-test-XXXXXX", *text;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(file_update(path, "one\n"), 0);
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(file_update(path, "one\n"), 0);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(file_update(path, "2\n"), 0);
	assert_int_equal(read_file_at(AT_FDCWD, path, 100, &text, NULL), 0);
	assert_string_equal(text, "2\n");
	free(text);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cleans_host_names),
		cmocka_unit_test(writes_the_hosts_file),
		cmocka_unit_test(finds_users),
		cmocka_unit_test(collects_groups),
		cmocka_unit_test(unescapes_as_a_shell),
		cmocka_unit_test(the_last_lang_counts),
		cmocka_unit_test(later_steps_of_the_environment_win),
		cmocka_unit_test(builds_commands),
		cmocka_unit_test(reads_settings),
		cmocka_unit_test(warnings_have_a_limit),
		cmocka_unit_test(files_are_written_only_when_they_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
