/* host/config/settings.c - ~/.wslconfig: its keys, defaults, clamping
 *
 * The parser fills struct raw, whose numbers may be out of range or still unset; finish() turns
 * them into what struct settings promises.
 */
#include "config/settings.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "config/paths.h"

#define UNSET_SIZE         UINT64_MAX
#define DNS_TUNNEL_ADDRESS 0x0afffffeu /* 10.255.255.254 */
#define CGROUP_ROOT        "/sys/fs/cgroup"

struct raw {
	struct settings s; /* first: the parser's callbacks and finish() see one object */
	int64_t processors;
	uint64_t memory, swap;
	const struct settings_host *host;
	const char *home;
	ini_warn_fn warn;
	void *arg;
};

static_assert(offsetof(struct raw, s) == 0, "offsets of the key table serve settings_done() too");

/* Written by the index of enum networking_mode; the last name is an alias. */
static const char *const networking_modes[] = { "None",     "Nat",         "Bridged", "Mirrored",
						"Consomme", "VirtioProxy", NULL };
#define NETWORKING_VIRTIO_PROXY 5
static const char *const reclaim_modes[] = { "Disabled", "Gradual", "DropCache", NULL };

#define AT(member) offsetof(struct raw, member)
#define BOOL(name, member)                                                                         \
	{                                                                                          \
		name, INI_BOOL, AT(s.member), NULL, NULL                                           \
	}
#define NUMBER(name, member)                                                                       \
	{                                                                                          \
		name, INI_INT, AT(s.member), NULL, NULL                                            \
	}
#define STRING(name, member)                                                                       \
	{                                                                                          \
		name, INI_STRING, AT(s.member), NULL, NULL                                         \
	}
#define ALIAS(name, of)                                                                            \
	{                                                                                          \
		name, INI_IGNORED, 0, NULL, of                                                     \
	}

static const struct ini_key keys[] = {
	STRING("wsl2.kernel", kernel),
	STRING("wsl2.kernelModules", kernel_modules),
	STRING("wsl2.kernelCommandLine", kernel_command_line),
	STRING("wsl2.loadKernelModules", load_kernel_modules),
	BOOL("wsl2.loadDefaultKernelModules", load_default_kernel_modules),
	{ "wsl2.memory", INI_SIZE, AT(memory), NULL, NULL },
	{ "wsl2.processors", INI_INT, AT(processors), NULL, NULL },
	{ "wsl2.swap", INI_SIZE, AT(swap), NULL, NULL },
	STRING("wsl2.swapFile", swap_file),
	NUMBER("wsl2.vmIdleTimeout", vm_idle_timeout_ms),
	NUMBER("wsl2.kernelBootTimeout", kernel_boot_timeout_ms),
	NUMBER("wsl2.distributionStartTimeout", distribution_start_timeout_ms),
	NUMBER("wsl2.mountDeviceTimeout", mount_device_timeout_ms),
	BOOL("wsl2.localhostForwarding", localhost_forwarding),
	{ "wsl2.networkingMode", INI_ENUM, AT(s.networking_mode), networking_modes, NULL },
	STRING("wsl2.vmSwitch", vm_switch),
	{ "wsl2.macAddress", INI_MAC, AT(s.mac_address), NULL, NULL },
	BOOL("wsl2.dhcp", dhcp),
	NUMBER("wsl2.dhcpTimeout", dhcp_timeout_ms),
	BOOL("wsl2.ipv6", ipv6),
	BOOL("wsl2.dnsProxy", dns_proxy),
	BOOL("wsl2.dnsTunneling", dns_tunneling),
	BOOL("wsl2.firewall", firewall),
	BOOL("wsl2.autoProxy", auto_proxy),
	BOOL("wsl2.nestedVirtualization", nested_virtualization),
	BOOL("wsl2.guiApplications", gui_applications),
	BOOL("wsl2.gpuSupport", gpu_support),
	STRING("wsl2.systemDistro", system_distro),
	BOOL("wsl2.virtio", virtio),
	BOOL("wsl2.virtiofs", virtiofs),
	BOOL("wsl2.virtio9p", virtio9p),
	BOOL("wsl2.hostFileSystemAccess", host_file_system_access),
	BOOL("wsl2.hardwarePerformanceCounters", hardware_performance_counters),
	BOOL("wsl2.debugConsole", debug_console),
	STRING("wsl2.debugConsoleLogFile", debug_console_log_file),
	BOOL("wsl2.earlyBootLogging", early_boot_logging),
	NUMBER("wsl2.kernelDebugPort", kernel_debug_port),
	BOOL("wsl2.telemetry", telemetry),
	BOOL("wsl2.safeMode", safe_mode),
	{ "wsl2.defaultVhdSize", INI_SIZE, AT(s.default_vhd_bytes), NULL, NULL },
	STRING("wsl2.crashDumpFolder", crash_dump_folder),
	NUMBER("wsl2.maxCrashDumpCount", max_crash_dump_count),
	BOOL("wsl2.isolateDistroCgroup", isolate_distro_cgroup),
	STRING("general.distributionInstallPath", distribution_install_path),
	NUMBER("general.instanceIdleTimeout", instance_idle_timeout_ms),
	STRING("general.distributionListUrl", distribution_list_url),
	STRING("general.distributionListUrlAppend", distribution_list_url_append),
	{ "experimental.autoMemoryReclaim", INI_ENUM, AT(s.auto_memory_reclaim), reclaim_modes,
	  NULL },
	BOOL("experimental.sparseVhd", sparse_vhd),
	BOOL("experimental.bestEffortDnsParsing", best_effort_dns_parsing),
	{ "experimental.dnsTunnelingIpAddress", INI_IPV4, AT(s.dns_tunneling_address), NULL, NULL },
	NUMBER("experimental.initialAutoProxyTimeout", initial_auto_proxy_timeout_ms),
	STRING("experimental.ignoredPorts", ignored_ports),
	BOOL("experimental.hostAddressLoopback", host_address_loopback),
	STRING("experimental.swiotlb", swiotlb),
	BOOL("experimental.virtioFsAggregateShares", virtiofs_aggregate_shares),
	BOOL("experimental.setVersionDebug", set_version_debug),
	ALIAS("experimental.networkingMode", "wsl2.networkingMode"),
	ALIAS("experimental.dnsTunneling", "wsl2.dnsTunneling"),
	ALIAS("experimental.firewall", "wsl2.firewall"),
	ALIAS("experimental.autoProxy", "wsl2.autoProxy"),
};

static void on_problem(const char *text, void *arg)
{
	struct raw *raw = arg;

	if (raw->warn)
		raw->warn(text, raw->arg);
}

static void on_fatal(const char *text, void *arg)
{
	struct raw *raw = arg;

	free(raw->s.fatal);
	raw->s.fatal = str_dup(text);
}

static const struct ini_schema schema = {
	.keys = keys,
	.n_keys = ARRAY_SIZE(keys),
	.size_file = ".wslconfig",
	.fatal = on_fatal,
};

static void warn_of(struct raw *raw, const char *fmt, ...) format_printf(2, 3);
static void warn_of(struct raw *raw, const char *fmt, ...)
{
	auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	on_problem(text, raw);
}

static void start(struct raw *raw, const struct settings_host *host, const char *home,
		  const char *file, ini_warn_fn warn, void *arg)
{
	*raw = (struct raw) { .memory = UNSET_SIZE,
			      .swap = UNSET_SIZE,
			      .host = host,
			      .home = home,
			      .warn = warn,
			      .arg = arg };
	raw->s = (struct settings) {
		.file = str_dup(file),
		.kernel_command_line = str_dup(""),
		.load_kernel_modules = str_dup(""),
		.load_default_kernel_modules = true,
		.vm_idle_timeout_ms = 60000,
		.kernel_boot_timeout_ms = 30000,
		.distribution_start_timeout_ms = 60000,
		.mount_device_timeout_ms = 5000,
		.early_boot_logging = true,
		.default_vhd_bytes = DEFAULT_VHD_SIZE,
		.max_crash_dump_count = 10,
		.nested_virtualization = true,
		.hardware_performance_counters = true,
		.gui_applications = true,
		.gpu_support = true,
		.virtio = true,
		.host_file_system_access = true,
		.isolate_distro_cgroup = true,
		.networking_mode = NETWORKING_NAT,
		.localhost_forwarding = true,
		.dhcp = true,
		.dns_proxy = true,
		.dns_tunneling = true,
		.firewall = true,
		.auto_proxy = true,
		.dhcp_timeout_ms = 5000,
		.initial_auto_proxy_timeout_ms = 1000,
		.dns_tunneling_address = htonl(DNS_TUNNEL_ADDRESS),
		.ignored_ports = str_dup(""),
		.instance_idle_timeout_ms = 15000,
		.auto_memory_reclaim = RECLAIM_DROP_CACHE,
		.virtiofs_aggregate_shares = true,
	};
}

static void finish_memory(struct raw *raw)
{
	uint64_t host = raw->host->memory_bytes;
	uint64_t memory = raw->memory;

	if (memory == UNSET_SIZE)
		memory = MIN(host / 2, (uint64_t)DEFAULT_MEMORY_MAX);
	memory = MAX(memory, (uint64_t)MINIMUM_MEMORY);
	raw->s.memory_bytes = MIN(memory, host);
	raw->s.swap_bytes = raw->swap;
	if (raw->swap == UNSET_SIZE)
		raw->s.swap_bytes = (raw->s.memory_bytes / 4 + GIB - 1) / GIB * GIB;
}

static void finish_processors(struct raw *raw)
{
	unsigned host = raw->host->processors;

	raw->s.processors = host;
	if (raw->processors > host)
		warn_of(raw,
			"wsl2.processors cannot exceed the number of logical processors on the "
			"system "
			"(%" PRId64 " > %u)",
			raw->processors, host);
	else if (raw->processors > 0)
		raw->s.processors = (unsigned)raw->processors;
}

/* An empty value means: not set. */
static void resolve(const struct raw *raw, char **path)
{
	auto_free char *given = take_ptr(*path);
	const char *home = raw->home ? raw->home : "";

	if (!given || !given[0])
		return;
	if (given[0] == '/')
		*path = take_ptr(given);
	else if (streq(given, "~"))
		*path = str_dup(home);
	else
		*path = str_printf("%s/%s", home, str_after(given, "~/") ? given + 2 : given);
}

static void finish_paths(struct raw *raw)
{
	struct settings *s = &raw->s;
	char **paths[] = { &s->kernel,
			   &s->kernel_modules,
			   &s->swap_file,
			   &s->debug_console_log_file,
			   &s->system_distro,
			   &s->crash_dump_folder,
			   &s->distribution_install_path };
	char **unset_when_empty[] = { &s->vm_switch, &s->swiotlb, &s->distribution_list_url,
				      &s->distribution_list_url_append };
	auto_free char *data = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		resolve(raw, paths[i]);
	for (size_t i = 0; i < ARRAY_SIZE(unset_when_empty); i++) {
		char **at = unset_when_empty[i];

		if (*at && !**at) {
			free(*at);
			*at = NULL;
		}
	}
	if (s->distribution_install_path)
		return;
	data = path_dir(PATH_DATA, NULL);
	if (data)
		s->distribution_install_path = str_printf("%s/distros", data);
}

static void apply_safe_mode(struct raw *raw)
{
	struct settings *s = &raw->s;

	if (!s->safe_mode)
		return;
	warn_of(raw, "SAFE MODE ENABLED - many features will be disabled");
	s->host_file_system_access = s->nested_virtualization = s->hardware_performance_counters =
		false;
	s->gpu_support = s->virtio = s->virtiofs = s->gui_applications = false;
	s->dns_tunneling = s->auto_proxy = s->localhost_forwarding = false;
	s->networking_mode = NETWORKING_NONE;
	s->swap_bytes = 0;
	free(s->kernel);
	free(s->kernel_modules);
	s->kernel = s->kernel_modules = NULL;
}

static void finish(struct raw *raw)
{
	struct settings *s = &raw->s;

	if ((int)s->networking_mode == NETWORKING_VIRTIO_PROXY)
		s->networking_mode = NETWORKING_CONSOMME;
	finish_memory(raw);
	finish_processors(raw);
	finish_paths(raw);
	if (s->virtio9p)
		warn_of(raw, "wsl2.virtio9p is disabled, falling back to 9p with vsock transport.");
	s->virtio9p = false;
	if (!s->debug_console && !s->debug_console_log_file)
		s->early_boot_logging = false;
	apply_safe_mode(raw);
}

void settings_parse(struct settings *s, const struct settings_host *host, const char *home,
		    const char *file, const char *text, size_t len, ini_warn_fn warn, void *arg)
{
	struct raw raw;

	start(&raw, host, home, file, warn, arg);
	ini_parse(&schema, file, text, len, &raw, on_problem, &raw);
	finish(&raw);
	*s = raw.s;
}

void settings_load(struct settings *s, ini_warn_fn warn, void *arg)
{
	auto_free char *home = path_home();
	auto_free char *file = home ? str_printf("%s/.wslconfig", home) : NULL;
	struct settings_host host;
	struct raw raw;

	settings_host_probe(&host);
	start(&raw, &host, home, file, warn, arg);
	if (file)
		ini_parse_file(&schema, AT_FDCWD, file, file, &raw, on_problem, &raw);
	finish(&raw);
	*s = raw.s;
}

void settings_done(struct settings *s)
{
	free(s->file);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		/* every string of the table lies in s, at its offset less that of s (0) */
		if (keys[i].type == INI_STRING)
			free(*(char **)((char *)s + keys[i].offset));
	}
	free(s->fatal);
	*s = (struct settings) { 0 };
}

int settings_check_vm(const struct settings *s, struct err *err)
{
	if (s->fatal)
		return err_id(err, ERR_E_INVALIDARG, "%s", s->fatal);
	if (s->kernel && access(s->kernel, F_OK) < 0)
		return err_id(err, ERR_WSL_E_CUSTOM_KERNEL_NOT_FOUND,
			      "The custom kernel specified in %s was not found: '%s'.", s->file,
			      s->kernel);
	if (s->kernel_modules && !s->kernel)
		return err_id(err, ERR_WSL_E_CUSTOM_KERNEL_NOT_FOUND,
			      "wsl2.kernelModules in %s needs wsl2.kernel: set both or none.",
			      s->file);
	if (s->kernel_modules && access(s->kernel_modules, F_OK) < 0)
		return err_id(err, ERR_WSL_E_CUSTOM_KERNEL_NOT_FOUND,
			      "The custom kernel modules specified in %s were not found: '%s'.",
			      s->file, s->kernel_modules);
	return 0;
}

/* --- the host -------------------------------------------------------------------------------- */

/* Lowers *bytes to the limit of one control group; "max" and unreadable files do not count. */
static void apply_cgroup(const char *group, uint64_t *bytes)
{
	auto_free char *path = str_printf(CGROUP_ROOT "%s/memory.max", group);
	auto_free char *text = NULL;
	uint64_t limit;

	if (read_file_at(AT_FDCWD, path, 64, &text, NULL) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (parse_u64(text, &limit) == 0 && limit < *bytes)
		*bytes = limit;
}

/* The memory limit of our control group and of all above it (version 2 only). */
static void apply_cgroups(uint64_t *bytes)
{
	auto_free char *text = NULL;
	char *group;

	if (read_file_at(AT_FDCWD, "/proc/self/cgroup", 1 << 16, &text, NULL) < 0)
		return;
	group = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
	if (!group)
		return;
	group = strchr(group, '/');
	group[strcspn(group, "\n")] = '\0';
	for (char *slash = group + strlen(group); slash; slash = strrchr(group, '/')) {
		*slash = '\0';
		apply_cgroup(group, bytes);
	}
}

void settings_host_probe(struct settings_host *ret)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	cpu_set_t cpus;

	ret->memory_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : GIB;
	apply_cgroups(&ret->memory_bytes);
	ret->processors = 1;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		ret->processors = (unsigned)CPU_COUNT(&cpus);
	else if (sysconf(_SC_NPROCESSORS_ONLN) > 0) /* more CPUs than cpu_set_t holds */
		ret->processors = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
}
