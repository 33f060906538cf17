/* host/image/main.c - wslimage: images are made and read by a process of their own
 *
 * wslservice runs it as a worker, people may run it by hand. With --channel the results are framed
 * messages on descriptor 3 (PROGRESS, WARNING, IMAGE_INFO, and one RESULT as the last); without, a
 * progress line on a terminal and errors on standard error. Exit status 0 or 1.
 *
 *	import   archive on standard input, or --archive FILE
 *	export   archive on standard output, or --target FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "image/image.h"
#include "image/sandbox.h"
#include "protocol/message.h"

#define CHANNEL_FD 3

struct options {
	const char *image, *file, *name, *format;
	uint64_t size_bytes;
	int fixed, channel, frozen, any;
};

struct voice { /* how results are told */
	bool channel, tty, line_open;
	int lost; /* -errno: nobody reads the channel */
};

/* ---- results ---- */

static void send_message(struct voice *v, uint16_t type, const void *msg)
{
	size_t size = message_size(type, msg);
	auto_free uint8_t *buf = malloc(size);
	ssize_t len = buf ? message_encode(type, 0, 0, msg, buf, size) : -ENOMEM;
	int r = len < 0 ? (int)len : write_all(CHANNEL_FD, buf, (size_t)len);

	if (r < 0 && v->lost == 0)
		v->lost = r;
}

static void end_line(struct voice *v)
{
	if (v->line_open)
		fputs("\r\033[K", stderr);
	v->line_open = false;
}

static void on_progress(void *arg, uint64_t done, uint64_t total, const char *phase)
{
	struct msg_progress msg = { .done = done, .total = total, .phase = phase };
	struct voice *v = arg;
	char text[32];

	if (v->channel) {
		send_message(v, MSG_PROGRESS, &msg);
	} else if (v->tty) {
		format_size(text, sizeof(text), done);
		if (total)
			fprintf(stderr, "\r%s: %3u%% (%s)\033[K", phase,
				(unsigned)(MIN(done, total) * 100.0 / (double)total), text);
		else
			fprintf(stderr, "\r%s: %s\033[K", phase, text);
		v->line_open = true;
	}
}

static void on_warning(void *arg, const char *text)
{
	struct msg_text msg = { .text = text };
	struct voice *v = arg;

	end_line(v);
	if (v->channel)
		send_message(v, MSG_WARNING, &msg);
	else
		fprintf(stderr, "wslimage: warning: %s\n", text);
}

static void tell_info(struct voice *v, const struct image_info *info)
{
	struct msg_image_info msg = { .distribution_conf = info->distribution_conf,
				      .os_release = info->os_release,
				      .files = info->files,
				      .bytes = info->bytes };
	char size[32];

	end_line(v);
	if (v->channel)
		send_message(v, MSG_IMAGE_INFO, &msg);
	else
		printf("%llu files, %s\n", (unsigned long long)info->files,
		       format_size(size, sizeof(size), info->bytes));
}

static int tell_result(struct voice *v, int r, const struct err *err)
{
	struct msg_result msg = { .text = "", .context = "" };

	if (r < 0)
		msg = (struct msg_result) { (uint32_t)err->errnum, (uint32_t)err->id, err->text,
					    err->context };
	end_line(v);
	if (v->channel)
		send_message(v, MSG_RESULT, &msg);
	else if (r < 0)
		fprintf(stderr, "wslimage: %s\n", err->text);
	if (v->lost < 0 && v->lost != -EPIPE)
		fprintf(stderr, "wslimage: cannot report on descriptor %d\n", CHANNEL_FD);
	return r < 0 || v->lost < 0 ? 1 : 0;
}

/* ---- commands ---- */

static int open_image(const struct options *o, int flags, int *ret, struct err *err)
{
	*ret = open(o->image, flags | O_CLOEXEC | O_NOCTTY, 0600);
	if (*ret < 0 && (errno == ENOSPC || errno == EDQUOT))
		return err_id(err, ERR_ERROR_DISK_FULL, "cannot create '%s': the disk is full",
			      o->image);
	return *ret < 0 ? err_errno(err, "cannot open '%s'", o->image) : 0;
}

static int enter(struct err *err)
{
	image_prepare();
	return sandbox_enter(err);
}

static int cmd_import(const struct options *o, struct voice *v, struct err *err)
{
	struct image_import job = { .image_name = o->image,
				    .size_bytes = o->size_bytes,
				    .fixed = o->fixed,
				    .archive_fd = STDIN_FILENO,
				    .archive_name = o->name ? o->name : "standard input",
				    .accept_any = o->any,
				    .events = { on_progress, on_warning, v } };
	struct image_info info;
	auto_close int image = -1, archive = -1;
	int r;

	if (o->file) {
		archive = open(o->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (archive < 0)
			return err_errno(err, "cannot open '%s'", o->file);
		job.archive_fd = archive;
		job.archive_name = o->name ? o->name : o->file;
	}
	r = open_image(o, O_RDWR | O_CREAT, &image, err);
	if (r == 0)
		r = enter(err);
	if (r < 0)
		return r;
	job.image_fd = image;
	r = image_import(&job, &info, err);
	if (r < 0)
		return r;
	tell_info(v, &info);
	image_info_done(&info);
	return 0;
}

static int cmd_create(const struct options *o, struct voice *v, struct err *err)
{
	auto_close int image = -1;
	int r = open_image(o, O_RDWR | O_CREAT, &image, err);

	if (r == 0)
		r = enter(err);
	return r < 0 ? r : image_create(image, o->image, o->size_bytes, o->fixed, err);
}

static int cmd_inspect(const struct options *o, struct voice *v, struct err *err)
{
	struct image_info info;
	auto_close int image = -1;
	int r = open_image(o, O_RDONLY, &image, err);

	if (r == 0)
		r = enter(err);
	if (r == 0)
		r = image_inspect(image, o->image, &info, err);
	if (r < 0)
		return r;
	tell_info(v, &info);
	image_info_done(&info);
	return 0;
}

static int cmd_export(const struct options *o, struct voice *v, struct err *err)
{
	struct image_export job = { .image_name = o->image,
				    .target_fd = STDOUT_FILENO,
				    .target_name = o->name ? o->name : "standard output",
				    .events = { on_progress, on_warning, v } };
	auto_close int image = -1, target = -1;
	int r;

	if (!o->format || image_format_parse(o->format, &job.format) < 0)
		return err_set(err, -EINVAL,
			       "--format must be tar, tar.gz, tar.xz, tar.zst or img");
	if (o->file) {
		target = open(o->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
		if (target < 0)
			return err_errno(err, "cannot create '%s'", o->file);
		job.target_fd = target;
		job.target_name = o->name ? o->name : o->file;
	}
	r = open_image(o, O_RDONLY, &image, err);
	if (r == 0)
		r = enter(err);
	job.image_fd = image;
	return r < 0 ? r : image_export(&job, err);
}

static int cmd_check(const struct options *o, struct voice *v, struct err *err)
{
	struct image_events events = { on_progress, on_warning, v };

	return image_check(o->image, &events, err);
}

static const struct command {
	const char *name, *help;
	int (*run)(const struct options *o, struct voice *v, struct err *err);
} commands[] = {
	{ "import", "make an image from the archive on standard input", cmd_import },
	{ "export", "write the content of an image to standard output", cmd_export },
	{ "inspect", "check that an image holds a distribution", cmd_inspect },
	{ "create", "make an empty image", cmd_create },
	{ "check", "repair an image with e2fsck", cmd_check },
};

enum { OPT_IMAGE = 256, OPT_SIZE, OPT_NAME, OPT_FORMAT, OPT_ARCHIVE, OPT_HELP };

static void usage(FILE *f)
{
	fputs("usage: wslimage COMMAND --image PATH [OPTION...]\n\ncommands:\n", f);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\noptions:\n"
	      "  --image PATH            the image file\n"
	      "  --size BYTES            import, create: virtual size, such as 256GB (1TB)\n"
	      "  --fixed                 import, create: allocate the whole size\n"
	      "  --any                   import: accept content that is no distribution\n"
	      "  --archive PATH          import: instead of standard input\n"
	      "  --target PATH           export: instead of standard output\n"
	      "  --format FORMAT         export: tar tar.gz tar.xz tar.zst img\n"
	      "  --frozen                export: the image is of a running, frozen distribution\n"
	      "  --name-for-errors TEXT  what messages call the archive or target\n"
	      "  --channel               report messages on descriptor 3\n",
	      f);
}

static int parse_options(int argc, char **argv, struct options *o, struct err *err)
{
	const struct option table[] = { { "image", required_argument, NULL, OPT_IMAGE },
					{ "size", required_argument, NULL, OPT_SIZE },
					{ "name-for-errors", required_argument, NULL, OPT_NAME },
					{ "format", required_argument, NULL, OPT_FORMAT },
					{ "archive", required_argument, NULL, OPT_ARCHIVE },
					{ "target", required_argument, NULL, OPT_ARCHIVE },
					{ "fixed", no_argument, &o->fixed, 1 },
					{ "frozen", no_argument, &o->frozen, 1 },
					{ "any", no_argument, &o->any, 1 },
					{ "channel", no_argument, &o->channel, 1 },
					{ "help", no_argument, NULL, OPT_HELP },
					{ 0 } };
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 0:
			break;
		case OPT_IMAGE:
			o->image = optarg;
			break;
		case OPT_SIZE:
			if (parse_size(optarg, &o->size_bytes) < 0)
				return err_set(err, -EINVAL, "'%s' is not a size", optarg);
			break;
		case OPT_NAME:
			o->name = optarg;
			break;
		case OPT_FORMAT:
			o->format = optarg;
			break;
		case OPT_ARCHIVE:
			o->file = optarg;
			break;
		case OPT_HELP:
			usage(stdout);
			exit(0);
		default:
			return err_set(err, -EINVAL, "unknown or incomplete option '%s'",
				       argv[optind - 1]);
		}
	}
	return 0;
}

static int run(int argc, char **argv, struct options *o, struct voice *v, struct err *err)
{
	int r = parse_options(argc, argv, o, err);

	v->channel = o->channel;
	v->tty = isatty(STDERR_FILENO);
	if (r < 0)
		return r;
	if (optind + 1 != argc || !o->image)
		return err_set(err, -EINVAL, "usage: wslimage COMMAND --image PATH [OPTION...]");
	r = sandbox_basics(err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (streq(commands[i].name, argv[optind]))
			return commands[i].run(o, v, err);
	return err_set(err, -EINVAL, "unknown command '%s'; see wslimage --help", argv[optind]);
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct voice v = { 0 };
	struct err err = ERR_INIT;
	int r = run(argc, argv, &o, &v, &err);

	return tell_result(&v, r, &err);
}
