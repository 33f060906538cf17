/* host/service/status.c - what --list and --status tell */
#include "service/status.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "config/paths.h"
#include "io/channel.h"
#include "service/machine-net.h"
#include "service/network.h"
#include "service/service.h"

#define MAX_MAP_COUNT_WANTED 262144u

static uint64_t allocated_bytes(const struct registry_record *rec)
{
	auto_free char *path = registry_image_path(rec);
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static enum distro_state shown_state(struct service *s, const struct registry_record *rec)
{
	enum distro_state held = service_lock_state(s, rec->id);

	if (held)
		return held;
	if (rec->state == DISTRO_INSTALLED && instance_find(s, rec->id))
		return DISTRO_RUNNING;
	return rec->state;
}

void status_send_distro(struct service *s, struct channel *c, uint32_t seq,
			const struct registry_record *rec)
{
	struct instance *i = instance_find(s, rec->id);
	struct msg_distro msg = {
		.name = rec->name,
		.id = rec->id,
		.base_path = rec->base_path,
		.flavor = rec->flavor,
		.os_version = rec->os_version,
		.state = shown_state(s, rec),
		.version = rec->version,
		.is_default = rec->is_default,
		.default_uid = rec->default_uid,
		.run_oobe = rec->run_oobe,
		.sessions = i ? i->n_sessions : 0,
		.image_bytes = allocated_bytes(rec),
	};

	channel_send(c, MSG_DISTRO, seq, &msg);
}

/* "kernel release" from the text file beside an installed kernel; "" when it does not say. */
static char *installed_release(void)
{
	auto_free char *path = path_helper("linux.info");
	auto_free char *text = NULL;
	char *line;

	if (read_file_at(AT_FDCWD, path, 65536, &text, NULL) < 0)
		return str_dup("");
	line = strstr(text, "\nrelease: ");
	if (!line)
		return str_dup("");
	line += strlen("\nrelease: ");
	return str_printf("%.*s", (int)strcspn(line, "\r\n"), line);
}

static char *host_remarks(void)
{
	auto_free char *text = NULL;
	uint32_t count = 0;

	if (read_file_at(AT_FDCWD, "/proc/sys/vm/max_map_count", 64, &text, NULL) < 0)
		return str_dup("");
	text[strcspn(text, "\n")] = '\0';
	if (parse_u32(text, &count) < 0 || count >= MAX_MAP_COUNT_WANTED)
		return str_dup("");
	return str_printf("vm.max_map_count is %u: large programs in a distribution may be killed. As "
			  "root, run: sysctl -w vm.max_map_count=1048576",
			  count);
}

void status_send(struct service *s, struct channel *c, uint32_t seq)
{
	static const char *const states[] = { "Off", "Starting", "Running", "Stopping" };
	auto_free char *release = s->kernel_release ? str_dup(s->kernel_release) : installed_release();
	auto_free char *kernel = NULL;
	auto_free char *remarks = host_remarks();
	struct machine_net_texts net;
	struct network_ports ports;
	struct registry_record rec = { 0 };
	struct settings now;
	struct msg_status msg;
	bool have = registry_default(s->registry, &rec, NULL) == 0;
	uint32_t version = 2;

	registry_default_version(s->registry, &version, NULL);
	settings_load(&now, NULL, NULL);
	network_ports(s->network, &ports);
	machine_net_describe(machine_network(s->machine), &net);
	kernel = now.kernel ? str_dup(now.kernel) : path_helper("linux");
	msg = (struct msg_status) {
		.release = LXSS_VERSION,
		.kernel = release,
		.kernel_path = kernel,
		.engine = "uml",
		.default_distro = have ? rec.name : "",
		.vm_state = states[machine_state(s->machine)],
		.remarks = remarks,
		.default_version = version,
		.memory_bytes = now.memory_bytes,
		.processors = now.processors,
		.vm_uptime_ms = machine_uptime_ms(s->machine),
	};
	if (machine_state(s->machine) != MACHINE_OFF) {
		msg.networking_mode = machine_net_mode(machine_network(s->machine));
		msg.guest_address = net.address4;
		msg.guest_address6 = net.address6;
		msg.gateway = net.gateway4;
		msg.nameserver = net.nameserver;
		msg.ports.list = (const char *const *)ports.forwarded;
		msg.conflicts.list = (const char *const *)ports.conflicts;
	}
	channel_send(c, MSG_STATUS_REPLY, seq, &msg);
	network_ports_done(&ports);
	settings_done(&now);
	if (have)
		registry_record_done(&rec);
}
