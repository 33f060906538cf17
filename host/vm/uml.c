/* host/vm/uml.c - the command line of the User-Mode-Linux engine */
#include "vm/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/util.h"
#include "vm/vm.h"

static void add(struct engine_command *cmd, char *word)
{
	if (cmd->argc < ENGINE_MAX_ARGS)
		cmd->argv[cmd->argc++] = word;
	else
		free(word);
}

static void add_words(struct engine_command *cmd, const char *line)
{
	while (line && *line) {
		size_t n = strcspn(line, " \t\n");

		if (n)
			add(cmd, str_printf("%.*s", (int)n, line));
		line += n + (line[n] != '\0');
	}
}

void uml_command(const struct vm_config *cfg, uint64_t lpj, struct engine_command *ret)
{
	*ret = (struct engine_command) { 0 };
	add(ret, str_dup(cfg->kernel));
	add(ret, str_printf("mem=%lluM", (unsigned long long)(cfg->memory_bytes / MIB)));
	add(ret, str_printf("ncpus=%u", cfg->processors));
	add(ret, str_printf("initrd=%s", cfg->initramfs));
	if (cfg->swap)
		add(ret, str_dup("ubd0=swap"));
	/* The directory of the management console; relative, or its socket name grows too long. */
	add_words(ret, "seccomp=on uml_dir=./ umid=uml con=null con0=fd:1 noreboot panic=-1 "
		       "WSL_ROOT_INIT=1 virtio_uml.device=" VHOST_SOCKET ":19");
	if (cfg->net)
		add_words(ret, "virtio_uml.device=" NET_SOCKET ":1");
	if (lpj)
		add(ret, str_printf("lpj=%llu", (unsigned long long)lpj));
	if (!cfg->verbose_console && lpj)
		add_words(ret, "quiet");
	add_words(ret, cfg->append);
}

void engine_command_done(struct engine_command *cmd)
{
	for (unsigned i = 0; i < cmd->argc; i++)
		free(cmd->argv[i]);
	*cmd = (struct engine_command) { 0 };
}
