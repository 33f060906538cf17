/* tests/lib/probe.c - a static program inside test distributions that sees what shells hide
 *
 *   args WORD...      each word in brackets, one a line, with its length
 *   size              the terminal's size on stdin, looked at before anything else
 *   records FILE N    appends N numbered records (0: for ever), each flushed to the disk before its
 *                     number goes to stdout
 *   check FILE        the last number of such a file; fails at a gap or a torn record
 *   signals           "ready", then the name of each signal that arrives; leaves after three
 *   blocked           the mask of blocked signals
 *   exit N, kill N    ends itself so
 *   pause             waits until it is killed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define RECORD_BYTES 64

static int cmd_args(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		printf("%zu[%s]\n", strlen(argv[i]), argv[i]);
	return 0;
}

static void record_text(char *buf, unsigned long n)
{
	memset(buf, 'a' + (int)(n % 26), RECORD_BYTES);
	snprintf(buf, RECORD_BYTES, "%020lu", n);
	buf[20] = ' ';
	buf[RECORD_BYTES - 1] = '\n';
}

static int cmd_records(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, n;
	int fd = open(argv[0], O_WRONLY | O_CREAT | O_APPEND, 0644);
	char text[RECORD_BYTES], line[32];
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (end < 0) {
		perror(argv[0]);
		return 1;
	}
	if (end % RECORD_BYTES) {
		if (ftruncate(fd, end - end % RECORD_BYTES) < 0)
			return 1;
	}
	for (n = (unsigned long)end / RECORD_BYTES; !count || n < count; n++) {
		int len = snprintf(line, sizeof(line), "%lu\n", n);

		record_text(text, n);
		if (write(fd, text, sizeof(text)) != sizeof(text) || fsync(fd) < 0) {
			perror("write");
			return 1;
		}
		if (write(1, line, (size_t)len) != len)
			return 1;
	}
	return 0;
}

static int cmd_check(int argc, char **argv)
{
	char text[RECORD_BYTES], want[RECORD_BYTES];
	int fd = open(argv[0], O_RDONLY);
	unsigned long n = 0;
	ssize_t got;

	if (fd < 0) {
		perror(argv[0]);
		return 1;
	}
	while ((got = read(fd, text, sizeof(text))) == sizeof(text)) {
		record_text(want, n);
		if (memcmp(text, want, sizeof(text)) != 0) {
			printf("record %lu is damaged\n", n);
			return 1;
		}
		n++;
	}
	printf("%ld\n", (long)n - 1);
	return got < 0;
}

static int cmd_size(int argc, char **argv)
{
	struct winsize ws;

	if (ioctl(0, TIOCGWINSZ, &ws) < 0) {
		printf("no terminal\n");
		return 1;
	}
	printf("size %u %u\n", ws.ws_row, ws.ws_col);
	return 0;
}

static volatile sig_atomic_t arrived;

static void on_signal(int signo)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "signal %s\n", sigabbrev_np(signo));

	arrived++;
	if (write(1, line, (size_t)n) < 0)
		_exit(3);
}

static int cmd_signals(int argc, char **argv)
{
	static const int signals[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT };
	struct sigaction sa = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &sa, NULL);
	printf("ready\n");
	fflush(stdout);
	while (arrived < 3)
		pause();
	return 0;
}

static int cmd_blocked(int argc, char **argv)
{
	sigset_t set;
	unsigned n = 0;

	sigprocmask(SIG_BLOCK, NULL, &set);
	for (int s = 1; s < 65; s++)
		n += sigismember(&set, s) == 1;
	printf("%u blocked\n", n);
	for (int s = 1; s < 32; s++) {
		struct sigaction sa;

		if (sigaction(s, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			printf("ignored %s\n", sigabbrev_np(s));
	}
	return 0;
}

static int cmd_exit(int argc, char **argv)
{
	return atoi(argv[0]);
}

static int cmd_kill(int argc, char **argv)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	raise(atoi(argv[0]));
	pause();
	return 99;
}

static int cmd_pause(int argc, char **argv)
{
	for (;;)
		pause();
}

static const struct {
	const char *name;
	int min, (*run)(int argc, char **argv);
} commands[] = {
	{ "args", 0, cmd_args },       { "size", 0, cmd_size },   { "records", 1, cmd_records },
	{ "check", 1, cmd_check },     { "signals", 0, cmd_signals }, { "blocked", 0, cmd_blocked },
	{ "exit", 1, cmd_exit },       { "kill", 1, cmd_kill },   { "pause", 0, cmd_pause },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].min)
			return commands[i].run(argc - 2, argv + 2);
	fprintf(stderr, "usage: see the head of probe.c\n");
	return 2;
}
