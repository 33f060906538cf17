/* host/cli/report.c - errors, warnings, progress: everything that goes to stderr */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/terminal.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

/* The terminal may be raw: lines then need their carriage return. */
static const char *line_end(void)
{
	return terminal_is_raw() ? "\r\n" : "\n";
}

/* Text lines, then the stable name last. Two errors explain themselves and go without a name. */
void report_error(const struct cli *cli, const struct err *err)
{
	progress_end();
	fflush(stdout);
	if (err->id == ERR_WSL_E_INVALID_USAGE && !err->text[0]) {
		print_usage(stderr);
		return;
	}
	fprintf(stderr, "%s\n", err->text);
	if (err->id == ERR_WSL_E_INVALID_USAGE || err->id == ERR_WSL_E_DEFAULT_DISTRO_NOT_FOUND)
		return;
	fprintf(stderr, "Error code: %s/%s%s%s\n", cli->context, err->context,
		err->context[0] ? "/" : "", err_label(err));
}

int usage_error(struct err *err)
{
	return err_id(err, ERR_WSL_E_INVALID_USAGE, "%s", "");
}

void report_warning(const char *text, void *arg)
{
	const char *off = getenv("WSL_DISABLE_WARNINGS");

	if (off && streq(off, "1"))
		return;
	progress_end();
	fprintf(stderr, "wsl: %s%s", text, line_end());
}

/* --- progress --- */

#define BAR_CELLS     24
#define REDRAW_MS     100
#define PLAIN_LINE_MS 30000

static struct {
	uint64_t start_ms, drawn_ms;
	bool drawn;
	char phase[64];
} progress;

static void print_eta(char *buf, size_t size, const struct msg_progress *p, uint64_t elapsed_ms)
{
	uint64_t left;

	buf[0] = '\0';
	if (!p->total || !p->done || p->done > p->total || elapsed_ms < 1000)
		return;
	left = (uint64_t)((double)(p->total - p->done) / (double)p->done * (double)elapsed_ms /
			  1000);
	snprintf(buf, size, ", %llu:%02llu left", (unsigned long long)(left / 60),
		 (unsigned long long)(left % 60));
}

static void progress_line(const struct msg_progress *p, uint64_t elapsed_ms, bool bar)
{
	char done[32], total[32], rate[32], eta[32], cells[BAR_CELLS + 4] = "";
	uint64_t rate_bytes = elapsed_ms ? p->done * 1000 / elapsed_ms : 0;

	format_size(done, sizeof(done), p->done);
	format_size(total, sizeof(total), p->total);
	format_size(rate, sizeof(rate), rate_bytes);
	print_eta(eta, sizeof(eta), p, elapsed_ms);
	if (bar && p->total) {
		size_t full = (size_t)(MIN(p->done, p->total) * BAR_CELLS / p->total);

		cells[0] = '[';
		memset(cells + 1, '#', full);
		memset(cells + 1 + full, ' ', BAR_CELLS - full);
		memcpy(cells + 1 + BAR_CELLS, "] ", 3);
	}
	fprintf(stderr, "%s%s %s%s%s%s, %s/s%s%s", bar ? "\r" : "", p->phase, cells, done,
		p->total ? " of " : "", p->total ? total : "", rate, eta, bar ? "\033[K" : "\n");
}

/* A bar that redraws itself on a terminal, a line now and then elsewhere. */
void progress_show(const struct msg_progress *p, void *arg)
{
	static int tty = -1;
	uint64_t now = now_ms();

	if (tty < 0)
		tty = isatty(STDERR_FILENO);
	if (strncmp(progress.phase, p->phase, sizeof(progress.phase) - 1) != 0) {
		progress_end();
		snprintf(progress.phase, sizeof(progress.phase), "%s", p->phase);
		progress.start_ms = now;
		progress.drawn_ms = tty ? 0 : now;
	}
	if (now - progress.drawn_ms < (tty ? REDRAW_MS : PLAIN_LINE_MS) &&
	    !(tty && p->done == p->total))
		return;
	progress.drawn_ms = now;
	progress.drawn = tty;
	progress_line(p, now - progress.start_ms, tty);
}

void progress_end(void)
{
	if (progress.drawn)
		fprintf(stderr, "\n");
	progress.drawn = false;
	progress.phase[0] = '\0';
}

/* --- interruption --- */

static const char *volatile doomed;

static void interrupted(int signo)
{
	const char *path = doomed;

	if (path)
		unlink(path);
	signal(signo,
	       SIG_DFL); /* die of it, so that a script's loop ends, too: the shell says 128+n */
	raise(signo);
}

void interrupt_unlink(const char *path)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };

	doomed = path;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction was, sa = { .sa_handler = path ? interrupted : SIG_DFL };

		if (sigaction(signals[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
	}
}
