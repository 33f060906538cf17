/* host/cli/cmd-status.c - --status and --version */
#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "cli/cli.h"
#include "client/client.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

static int get_status(struct cli *cli, struct msg_status *ret, struct err *err)
{
	struct msg_none none = { 0 };
	struct client_call call = {
		.type = MSG_STATUS,
		.msg = &none,
		.reply = MSG_STATUS_REPLY,
		.ret_reply = ret,
		.silence_ms = CLIENT_QUICK_MS,
	};
	struct client *client;
	int r = cli_client(cli, &client, err);

	return r < 0 ? r : client_call(client, &call, err);
}

static void json_list(const char *name, const struct strv *v)
{
	const char *comma = "";

	printf(", \"%s\": [", name);
	strv_foreach (s, v) {
		fputs(comma, stdout);
		json_string(stdout, s);
		comma = ", ";
	}
	putchar(']');
}

static void status_json(const struct msg_status *s)
{
	const struct {
		const char *name, *text;
	} rows[] = {
		{ "defaultDistribution", s->default_distro },
		{ "release", s->release },
		{ "engine", s->engine },
		{ "kernel", s->kernel },
		{ "kernelPath", s->kernel_path },
		{ "vmState", s->vm_state },
		{ "remarks", s->remarks },
		{ "networkingMode", s->networking_mode },
		{ "guestAddress", s->guest_address },
		{ "guestAddress6", s->guest_address6 },
		{ "gateway", s->gateway },
		{ "nameserver", s->nameserver },
	};

	printf("{\"defaultVersion\": %u", s->default_version);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		printf(", \"%s\": ", rows[i].name);
		json_string(stdout, rows[i].text);
	}
	json_list("forwardedPorts", &s->ports);
	json_list("portConflicts", &s->conflicts);
	printf(", \"memoryBytes\": %llu, \"processors\": %llu, \"vmUptimeMs\": %llu}\n",
	       (unsigned long long)s->memory_bytes, (unsigned long long)s->processors,
	       (unsigned long long)s->vm_uptime_ms);
}

static void network_text(const struct msg_status *s)
{
	if (s->networking_mode[0])
		printf("Networking Mode: %s\n", s->networking_mode);
	if (s->guest_address[0])
		printf("Guest Address: %s%s%s, gateway %s\n", s->guest_address,
		       s->guest_address6[0] ? ", " : "", s->guest_address6, s->gateway);
	if (s->nameserver[0])
		printf("Name Server: %s\n", s->nameserver);
	strv_foreach (port, &s->ports)
		printf("Forwarded Port: %s\n", port);
	strv_foreach (line, &s->conflicts)
		printf("%s\n", line);
}

static void status_text(const struct msg_status *s)
{
	char memory[32];

	if (s->default_distro[0])
		printf("Default Distribution: %s\n", s->default_distro);
	printf("Default Version: %u\n", s->default_version);
	if (s->engine[0])
		printf("Engine: %s\n", s->engine);
	if (s->vm_state[0])
		printf("Virtual Machine: %s", s->vm_state);
	if (s->vm_state[0] && s->vm_uptime_ms)
		printf(", up %llu s, %llu processor%s, %s",
		       (unsigned long long)(s->vm_uptime_ms / 1000),
		       (unsigned long long)s->processors, s->processors == 1 ? "" : "s",
		       format_size(memory, sizeof(memory), s->memory_bytes));
	if (s->vm_state[0])
		putchar('\n');
	network_text(s);
	if (s->remarks[0])
		printf("%s%s", s->remarks, str_endswith(s->remarks, "\n") ? "" : "\n");
}

int cmd_status(struct cli *cli, const struct verb_args *args, struct err *err)
{
	struct msg_status s;
	int r = get_status(cli, &s, err);

	if (r < 0)
		return r;
	if (args->json)
		status_json(&s);
	else
		status_text(&s);
	return 0;
}

/* The host in one line: "Debian GNU/Linux 12 (bookworm), Linux 6.1.0". */
static void host_version(char *buf, size_t size)
{
	auto_fclose FILE *f = fopen("/etc/os-release", "re");
	struct utsname u = { 0 };
	char line[256], name[200] = "";

	while (f && fgets(line, sizeof(line), f)) {
		const char *value = str_after(line, "PRETTY_NAME=");

		if (value && sscanf(value, "\"%199[^\"\n]", name) != 1)
			sscanf(value, "%199[^\n]", name);
	}
	uname(&u);
	snprintf(buf, size, "%s%s%s %s", name, name[0] ? ", " : "", u.sysname, u.release);
}

/* The lines and their order are those that scripts know. The service is asked for the kernel only
 * if it can be: this command answers in any case. */
int cmd_version(struct cli *cli, const struct verb_args *args, struct err *err)
{
	struct msg_status s = { .kernel = "" };
	struct err ignored = ERR_INIT;
	char host[512];

	get_status(cli, &s, &ignored);
	host_version(host, sizeof(host));
	printf("WSL version: %s\n", LXSS_VERSION);
	printf("Kernel version: %s\n", s.kernel[0] ? s.kernel : "n/a");
	printf("WSLg version: n/a\nMSRDC version: n/a\nDirect3D version: n/a\nDXCore version: "
	       "n/a\n");
	printf("Windows version: n/a (%s)\n", host);
	return 0;
}
