/* host/config/settings.h - the typed values of ~/.wslconfig
 *
 * Keys, defaults and clamping: spec config.md section 2. Every documented key is known, also those
 * without an effect yet, so that none of them is reported as unknown.
 *
 * Reading   settings_load() each time a VM is created or an image is made; the struct is a
 * snapshot. Errors    a bad file never fails: problems become warnings ("Unknown key 'x.y' in F:L")
 * and the default stays. What only forbids starting a VM is told by settings_check_vm(). Ownership
 * strings belong to the struct; settings_done() frees them. Units     memory in bytes, times in
 * milliseconds. A negative time means "never". Paths     "~" and "~/x" mean the home directory,
 * relative ones start there (where .wslconfig is).
 */
#ifndef HOST_CONFIG_SETTINGS_H
#define HOST_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ini.h"
#include "common/util.h"

struct err;

/* The default of wsl2.memory is half of the host's memory, but no more than this. */
#define DEFAULT_MEMORY_MAX (2 * GIB)
#define MINIMUM_MEMORY     (256 * MIB)
#define DEFAULT_VHD_SIZE   (1 * TIB)

enum networking_mode {
	NETWORKING_NONE,
	NETWORKING_NAT,
	NETWORKING_BRIDGED,
	NETWORKING_MIRRORED,
	NETWORKING_CONSOMME
};

enum memory_reclaim { RECLAIM_DISABLED, RECLAIM_GRADUAL, RECLAIM_DROP_CACHE };

struct settings {
	char *file; /* full path of .wslconfig, whether it exists or not; NULL: no home directory */

	/* [wsl2], the machine */
	char *kernel;              /* absolute path, NULL: bundled */
	char *kernel_modules;      /* absolute path, NULL: bundled */
	char *kernel_command_line; /* never NULL */
	char *load_kernel_modules; /* comma list, never NULL */
	bool load_default_kernel_modules;
	uint64_t memory_bytes; /* clamped to MINIMUM_MEMORY..host */
	unsigned processors;   /* 1..host */
	uint64_t swap_bytes;   /* 0: no swap */
	char *swap_file;       /* absolute path, NULL: a temporary one */
	int64_t vm_idle_timeout_ms;
	int64_t kernel_boot_timeout_ms, distribution_start_timeout_ms, mount_device_timeout_ms;
	bool debug_console,
		early_boot_logging;   /* early_boot_logging: false without debug_console */
	char *debug_console_log_file; /* absolute path, NULL: none */
	uint64_t default_vhd_bytes;   /* virtual size of new images */
	char *system_distro, *crash_dump_folder; /* absolute paths or NULL */
	int64_t max_crash_dump_count, kernel_debug_port;
	bool nested_virtualization, hardware_performance_counters, gui_applications, gpu_support;
	bool virtio, virtiofs, virtio9p, host_file_system_access, isolate_distro_cgroup;
	bool telemetry, safe_mode;

	/* [wsl2], network */
	enum networking_mode networking_mode;
	bool localhost_forwarding, dhcp, ipv6, dns_proxy, dns_tunneling, firewall, auto_proxy;
	int64_t dhcp_timeout_ms, initial_auto_proxy_timeout_ms;
	char *vm_switch;                /* NULL: not set */
	uint8_t mac_address[6];         /* all zero: random */
	uint32_t dns_tunneling_address; /* network byte order */
	char *ignored_ports;            /* comma list as written, never NULL */
	bool host_address_loopback, best_effort_dns_parsing;

	/* [general] */
	char *distribution_install_path; /* parent of the {GUID} directories; NULL: no home
					    directory */
	int64_t instance_idle_timeout_ms;
	char *distribution_list_url, *distribution_list_url_append; /* NULL: not set */

	/* [experimental] */
	enum memory_reclaim auto_memory_reclaim;
	bool sparse_vhd, virtiofs_aggregate_shares, set_version_debug;
	char *swiotlb; /* NULL: automatic */

	char *fatal; /* why no VM may be started with this file (bad macAddress), or NULL */
};

/* What values are clamped to. */
struct settings_host {
	uint64_t memory_bytes; /* RAM, or the smaller memory limit of our control groups */
	unsigned processors;   /* CPUs this process may run on */
};

/* Reads ~/.wslconfig of this user. Always leaves a complete struct; @warn may be NULL. */
void settings_load(struct settings *s, ini_warn_fn warn, void *arg);
void settings_done(struct settings *s);

/* 0, or the error that keeps a VM from being started with these settings:
 * ERR_WSL_E_CUSTOM_KERNEL_NOT_FOUND for a missing kernel or kernelModules, ERR_E_INVALIDARG for a
 * bad macAddress. */
int settings_check_vm(const struct settings *s, struct err *err);

/* The pieces of settings_load(), for tests: @home is what relative paths start from. */
void settings_parse(struct settings *s, const struct settings_host *host, const char *home,
		    const char *file, const char *text, size_t len, ini_warn_fn warn, void *arg);
void settings_host_probe(struct settings_host *ret);

#endif
