/* host/cli/cli.h - what the files of the command line programs share
 *
 * Theory     main() hands argv to parse_invocation(): options up to a program for the guest or a
 *            verb. A verb is a row of the command table; its words are parsed by parse_args() into
 *            struct verb_args, then its run function is called.
 * Results    run functions return an exit code (0..255), or a negative errno value with *err
 * filled: printed by report_error(), exit code 255. Output     results on stdout; errors, warnings
 * and progress on stderr.
 */
#ifndef HOST_CLI_CLI_H
#define HOST_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "protocol/message.h"

struct client;
struct err;

#define EXIT_WSL_FAILED      255 /* any failure of wsl itself */
#define EXIT_VM_LOST         1   /* the virtual machine went away under a session */
#define OPERATION_SUCCESSFUL "The operation completed successfully. "

struct cli {
	const char *context;   /* first word of the error code line: "Wsl", "WslConfig" */
	char **argv;           /* all words of the command line, for handing over to wslinstall */
	struct client *client; /* opened by cli_client() */
	int runtime_fd;
	uint64_t start_us;
};

/* --- options that say what to run, and where (spec cli.md section 1) --- */

enum shell_type { SHELL_TYPE_STANDARD, SHELL_TYPE_LOGIN, SHELL_TYPE_NONE };

struct command;

struct invocation {
	const char *distro, *user, *cwd;
	char distro_id[40];
	enum shell_type shell;
	bool exec, system;
	const struct command *verb; /* NULL: run a program */
	char **rest;                /* words of the verb, or the program and its arguments */
	int n_rest;
};

/* A row of the option table; @take gets the value, or NULL for an option without one. */
struct option_row {
	const char *name;
	char letter;
	const char *value; /* what the value is called; NULL: takes none */
	int completion;    /* enum completion of the value */
	bool hidden;
	const char *help;
	int (*take)(struct invocation *inv, const char *value, struct err *err);
};

extern const struct option_row option_rows[];
extern const size_t n_option_rows;

int parse_invocation(int argc, char **argv, struct invocation *ret, struct err *err);

/* --- verbs --- */

enum completion { COMPLETE_NOTHING, COMPLETE_DISTRO, COMPLETE_FILE, COMPLETE_DIR, COMPLETE_ONLINE };
enum arg_type { ARG_FLAG, ARG_STRING, ARG_SIZE, ARG_UINT, ARG_BOOL, ARG_PATH };

/* An option of a verb, or with .name NULL the next positional word. */
struct arg {
	const char *name;
	char letter;
	enum arg_type type;
	size_t offset; /* in struct verb_args: bool, const char *, uint64_t, uint32_t, int, char *
			*/
	const char *value;
	enum completion completion;
	bool hidden;
	const char *help;
};

/* Every value that any verb takes; strings point into argv. ARG_BOOL is -1 when not given. */
struct verb_args {
	const char *distro, *name, *file, *location, *format, *size, *text;
	uint64_t vhd_size;
	uint32_t version;
	bool all, running, quiet, verbose, online, json, force;
	bool no_launch, no_distribution, fixed_vhd, legacy, enable_wsl1, vhd, ignored, have_version;
	bool have_size;
};

enum verb_group { GROUP_INSTALL, GROUP_MANAGE, GROUP_SYSTEM };
enum verb_parse {
	PARSE_ARGS,  /* the sub-parser of spec section 5 */
	PARSE_WORDS, /* the first words are positionals, surplus ones are ignored */
	PARSE_RAW    /* run gets everything in verb_words */
};

struct command {
	const char *name;
	char letter;
	const char *alias;
	const char *synopsis; /* what follows the name */
	const char *help;
	enum verb_group group;
	enum verb_parse parse;
	bool hidden;
	const struct arg *args; /* ends with an all-zero row: .help NULL */
	int min_words;          /* fewer: @missing */
	int (*run)(struct cli *cli, const struct verb_args *args, struct err *err);
};

extern const struct command commands[];
extern const size_t n_commands;

const struct command *find_command(const char *word);
int parse_args(const struct command *k, int n, char **words, struct verb_args *ret,
	       struct err *err);
int run_verb(struct cli *cli, const struct command *k, int n, char **words, struct err *err);

int cmd_export(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_generate_completion(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_help(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_import(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_import_in_place(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_install(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_list(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_set_default(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_set_default_version(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_shutdown(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_status(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_terminate(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_uninstall(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_unregister(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_update(struct cli *cli, const struct verb_args *args, struct err *err);
int cmd_version(struct cli *cli, const struct verb_args *args, struct err *err);

/* Replaced in wslinstall, which has the catalogue: install.c instead of handover.c. */
int list_online(struct cli *cli, const struct verb_args *args, struct err *err);

/* 0, or -ENOENT with the error for an unknown name. */
int find_distro(struct cli *cli, const char *name, struct err *err);
/* Runs what the invocation asks for in a distribution; the exit code of the program. */
int run_in_guest(struct cli *cli, const struct invocation *inv, struct err *err);

/* --- helpers --- */

/* The connection, opened (and the service started) at first use. */
int cli_client(struct cli *cli, struct client **ret, struct err *err);
/* As above, but 0 and NULL when no service runs. */
int cli_running_client(struct cli *cli, struct client **ret, struct err *err);
void cli_done(struct cli *cli);
/* A call whose answer is RESULT. */
int cli_request(struct cli *cli, uint16_t type, const void *msg, uint64_t silence_ms,
		struct err *err);

/* The whole life of a program: parses, runs, reports. */
int wsl_main(int argc, char **argv);
int wslconfig_main(int argc, char **argv);

void report_error(const struct cli *cli, const struct err *err);
void report_warning(const char *text, void *arg);
int usage_error(struct err *err);
void print_usage(FILE *to);

char *remainder_join(int n, char *const *words);
/* The candidate nearest to @word, or NULL when none is near. */
struct suggestion {
	const char *word, *best;
	unsigned distance;
};
void suggest_init(struct suggestion *s, const char *word);
void suggest_try(struct suggestion *s, const char *candidate);
const char *suggest_best(const struct suggestion *s);

bool guid_parse(const char *text, bool braces_needed, char ret[40]);
bool distro_name_valid(const char *name);
int check_distro_name(const char *name, struct err *err);
char *absolute_path(const char *path, struct err *err);

/* Text as a JSON string, quotes included. */
void json_string(FILE *to, const char *text);

void progress_show(const struct msg_progress *p, void *arg);
void progress_end(void);

/* Removes @path (kept, not copied; NULL: nothing) when a signal ends the program. */
void interrupt_unlink(const char *path);

#endif
