/* host/cli/args.c - the sub-parser of verbs (spec cli.md section 5), driven by their option rows
 *
 * Options stand anywhere; other words are positionals in order; "--" ends the options; a lone "-"
 * is a positional. Short options may be combined; a value is the next word.
 */
#include <errno.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "common/err.h"
#include "common/util.h"

#define HINT "\nPlease use 'wsl --help' to get a list of supported arguments."

struct parser {
	const struct command *command;
	char **word, **end;
	int positionals;
	bool options_over;
	struct verb_args *out;
};

static const struct arg *find_arg(const struct command *k, const char *word)
{
	for (const struct arg *a = k->args; a->help; a++)
		if (a->name && streq(a->name, word))
			return a;
	return NULL;
}

static const struct arg *find_letter(const struct command *k, char letter)
{
	for (const struct arg *a = k->args; a->help; a++)
		if (a->letter == letter)
			return a;
	return NULL;
}

static const struct arg *next_positional(struct parser *p)
{
	int n = p->positionals;

	for (const struct arg *a = p->command->args; a->help; a++)
		if (!a->name && n-- == 0)
			return a;
	return NULL;
}

static int unknown(const struct parser *p, const char *word, struct err *err)
{
	struct suggestion s;
	const char *near;

	suggest_init(&s, word);
	for (const struct arg *a = p->command->args; a->help; a++)
		if (a->name && !a->hidden)
			suggest_try(&s, a->name);
	near = word[0] == '-' ? suggest_best(&s) : NULL;
	return err_id(err, ERR_E_INVALIDARG, "Invalid command line argument: %s%s%s%s" HINT, word,
		      near ? "\nDid you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int store(const struct arg *a, const char *value, struct verb_args *out, struct err *err)
{
	void *at = (char *)out + a->offset;
	uint32_t number;
	uint64_t size;
	bool truth;

	switch (a->type) {
	case ARG_FLAG:
		*(bool *)at = true;
		break;
	case ARG_STRING:
		*(const char **)at = value;
		break;
	case ARG_PATH:
		*(const char **)at = absolute_path(value, err); /* lives as long as the program */
		return *(const char **)at ? 0 : -err->errnum;
	case ARG_SIZE:
		if (parse_size(value, &size) < 0)
			return err_id(err, ERR_E_INVALIDARG, "Invalid size: %s", value);
		*(uint64_t *)at = size;
		out->have_size = true;
		break;
	case ARG_UINT:
		if (parse_u32(value, &number) < 0)
			return err_id(err, ERR_E_INVALIDARG, "%s is not a valid integer.", value);
		*(uint32_t *)at = number;
		out->have_version = true;
		break;
	case ARG_BOOL:
		if (parse_bool(value, &truth) < 0)
			return err_id(err, ERR_E_INVALIDARG,
				      "%s is not a valid boolean, <true|false>", value);
		*(int *)at = truth;
		break;
	}
	return 0;
}

static int take(struct parser *p, const struct arg *a, const char *spelling, struct err *err)
{
	const char *value = NULL;

	if (a->type != ARG_FLAG) {
		if (p->word == p->end)
			return err_id(err, ERR_E_INVALIDARG,
				      "Command line argument %s requires a value." HINT, spelling);
		value = *p->word++;
	}
	return store(a, value, p->out, err);
}

/* "-abc": each letter an option; an unknown one refuses the word before any has an effect. */
static int take_cluster(struct parser *p, const char *word, struct err *err)
{
	for (const char *l = word + 1; *l; l++)
		if (!find_letter(p->command, *l))
			return unknown(p, word, err);
	for (const char *l = word + 1; *l; l++) {
		const struct arg *a = find_letter(p->command, *l);
		int r = take(p, a, a->name, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int take_word(struct parser *p, const char *word, struct err *err)
{
	const struct arg *a;
	int r;

	if (!p->options_over && streq(word, "--")) {
		p->options_over = true;
		return 0;
	}
	if (!p->options_over && word[0] == '-' && word[1] == '-') {
		a = find_arg(p->command, word);
		return a ? take(p, a, word, err) : unknown(p, word, err);
	}
	if (!p->options_over && word[0] == '-' && word[1])
		return take_cluster(p, word, err);
	a = next_positional(p);
	if (!a)
		return unknown(p, word, err);
	r = store(a, word, p->out, err);
	p->positionals++;
	return r;
}

static int missing_word(const struct command *k, struct err *err)
{
	return err_id(err, ERR_E_INVALIDARG,
		      "Argument %s is missing a required parameter.\nUsage: wsl %s %s", k->name,
		      k->name, k->synopsis);
}

static int parse_words(const struct command *k, int n, char **words, struct verb_args *ret,
		       struct err *err)
{
	int i = 0, r;

	if (n < k->min_words)
		return missing_word(k, err);
	for (const struct arg *a = k->args; a->help && i < n; a++, i++) {
		r = store(a, words[i], ret, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int parse_args(const struct command *k, int n, char **words, struct verb_args *ret, struct err *err)
{
	struct parser p = { .command = k, .word = words, .end = words + n, .out = ret };
	int r = 0;

	*ret = (struct verb_args) { 0 };
	if (k->parse == PARSE_WORDS)
		return parse_words(k, n, words, ret, err);
	while (p.word < p.end && r == 0)
		r = take_word(&p, *p.word++, err);
	if (r == 0 && p.positionals < k->min_words)
		return missing_word(k, err);
	return r;
}

int run_verb(struct cli *cli, const struct command *k, int n, char **words, struct err *err)
{
	struct verb_args args;
	int r = parse_args(k, n, words, &args, err);

	return r < 0 ? r : k->run(cli, &args, err);
}
