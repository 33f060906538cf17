/* tests/unit/settings-test.c - ~/.wslconfig: defaults, clamping, warnings */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "config/settings.h"

struct fixture {
	struct settings s;
	char said[4096];
	unsigned warnings;
};

static const struct settings_host host = { .memory_bytes = 16 * GIB, .processors = 8 };

static void say(const char *text, void *arg)
{
	struct fixture *f = arg;
	size_t n = strlen(f->said);

	snprintf(f->said + n, sizeof(f->said) - n, "%s%s", n ? "\n" : "", text);
	f->warnings++;
}

static void parse_on(struct fixture *f, const struct settings_host *on, const char *text)
{
	settings_done(&f->s);
	f->said[0] = '\0';
	settings_parse(&f->s, on, "/home/u", "/home/u/.wslconfig", text, strlen(text), say, f);
}

static void parse(struct fixture *f, const char *text)
{
	parse_on(f, &host, text);
}

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	settings_done(&((struct fixture *)*state)->s);
	free(*state);
	return 0;
}

static void defaults(void **state)
{
	struct fixture *f = *state;

	parse(f, "");
	assert_string_equal(f->said, "");
	assert_null(f->s.kernel);
	assert_string_equal(f->s.kernel_command_line, "");
	assert_int_equal(f->s.memory_bytes, DEFAULT_MEMORY_MAX);
	assert_int_equal(f->s.processors, 8);
	assert_int_equal(f->s.swap_bytes, 1 * GIB);
	assert_int_equal(f->s.vm_idle_timeout_ms, 60000);
	assert_int_equal(f->s.instance_idle_timeout_ms, 15000);
	assert_int_equal(f->s.kernel_boot_timeout_ms, 30000);
	assert_int_equal(f->s.distribution_start_timeout_ms, 60000);
	assert_int_equal(f->s.mount_device_timeout_ms, 5000);
	assert_int_equal(f->s.default_vhd_bytes, TIB);
	assert_int_equal(f->s.networking_mode, NETWORKING_NAT);
	assert_int_equal(f->s.auto_memory_reclaim, RECLAIM_DROP_CACHE);
	assert_int_equal(f->s.dns_tunneling_address, htonl(0x0afffffe));
	assert_false(f->s.early_boot_logging);
	assert_null(f->s.distribution_list_url);
	assert_int_equal(settings_check_vm(&f->s, NULL), 0);
}

static void every_documented_key_is_known(void **state)
{
	struct fixture *f = *state;

	parse(f,
	      "[wsl2]\nkernel=\nkernelModules=\nkernelCommandLine=a=b c\nloadKernelModules=\n"
	      "loadDefaultKernelModules=1\nmemory=1GB\nprocessors=1\nswap=0GB\nswapFile=\n"
	      "vmIdleTimeout=-1\nkernelBootTimeout=1\ndistributionStartTimeout=1\n"
	      "mountDeviceTimeout=1\nlocalhostForwarding=1\nnetworkingMode=none\nvmSwitch=\n"
	      "macAddress=1a:2b:3c:4d:5e:6f\ndhcp=1\ndhcpTimeout=1\nipv6=1\ndnsProxy=1\n"
	      "dnsTunneling=1\nfirewall=1\nautoProxy=1\nnestedVirtualization=1\n"
	      "guiApplications=1\ngpuSupport=1\nsystemDistro=\nvirtio=1\nvirtiofs=1\nvirtio9p=0\n"
	      "hostFileSystemAccess=1\nhardwarePerformanceCounters=1\ndebugConsole=1\n"
	      "debugConsoleLogFile=\nearlyBootLogging=1\nkernelDebugPort=1\ntelemetry=1\n"
	      "safeMode=0\ndefaultVhdSize=1GB\ncrashDumpFolder=\nmaxCrashDumpCount=1\n"
	      "isolateDistroCgroup=1\n[general]\ndistributionInstallPath=\n"
	      "instanceIdleTimeout=-1\ndistributionListUrl=\ndistributionListUrlAppend=\n"
	      "[experimental]\nautoMemoryReclaim=gradual\nsparseVhd=1\nbestEffortDnsParsing=1\n"
	      "dnsTunnelingIpAddress=1.2.3.4\ninitialAutoProxyTimeout=1\nignoredPorts=1,2\n"
	      "hostAddressLoopback=1\nswiotlb=\nvirtioFsAggregateShares=1\nsetVersionDebug=1\n");
	assert_string_equal(f->said, "");
	assert_int_equal(f->s.memory_bytes, GIB);
	assert_int_equal(f->s.swap_bytes, 0);
	assert_int_equal(f->s.vm_idle_timeout_ms, -1);
	assert_int_equal(f->s.networking_mode, NETWORKING_NONE);
	assert_int_equal(f->s.auto_memory_reclaim, RECLAIM_GRADUAL);
	assert_string_equal(f->s.ignored_ports, "1,2");
	assert_int_equal(f->s.mac_address[5], 0x6f);
	assert_true(f->s.early_boot_logging);
	assert_null(f->s.vm_switch);
	assert_null(f->s.kernel);
}

static void memory_is_clamped(void **state)
{
	static const struct {
		const char *text;
		uint64_t memory, swap;
	} cases[] = {
		{ "[wsl2]\nmemory=1MB", 256 * MIB, GIB },
		{ "[wsl2]\nmemory=0", 256 * MIB, GIB },
		{ "[wsl2]\nmemory=3GB", 3 * GIB, GIB },
		{ "[wsl2]\nmemory=6GB", 6 * GIB, 2 * GIB },
		{ "[wsl2]\nmemory=64GB", 16 * GIB, 4 * GIB },
		{ "[wsl2]\nmemory=64GB\nswap=5MB", 16 * GIB, 5 * MIB },
	};
	static const struct settings_host small = { .memory_bytes = 600 * MIB, .processors = 1 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parse(f, cases[i].text);
		assert_string_equal(f->said, "");
		assert_int_equal(f->s.memory_bytes, cases[i].memory);
		assert_int_equal(f->s.swap_bytes, cases[i].swap);
	}
	parse_on(f, &small, "");
	assert_int_equal(f->s.memory_bytes, 300 * MIB);
}

static void processors_are_clamped(void **state)
{
	struct fixture *f = *state;

	parse(f, "[wsl2]\nprocessors=3");
	assert_int_equal(f->s.processors, 3);
	parse(f, "[wsl2]\nprocessors=0");
	assert_int_equal(f->s.processors, 8);
	parse(f, "[wsl2]\nprocessors=-4");
	assert_int_equal(f->s.processors, 8);
	assert_string_equal(f->said, "");
	parse(f, "[wsl2]\nprocessors=9");
	assert_int_equal(f->s.processors, 8);
	assert_string_equal(f->said, "wsl2.processors cannot exceed the number of logical "
				     "processors on the system (9 > 8)");
}

static void bad_values_name_file_and_line(void **state)
{
	struct fixture *f = *state;

	parse(f, "[wsl2]\nswap=0foo\nmemory=\nfoo=1\nnetworkingMode=x\nprocessors=x\n");
	assert_string_equal(
		f->said,
		"Invalid memory string '0foo' for .wslconfig entry 'wsl2.swap' in "
		"/home/u/.wslconfig:2\n"
		"Invalid memory string '' for .wslconfig entry 'wsl2.memory' in "
		"/home/u/.wslconfig:3\n"
		"Unknown key 'wsl2.foo' in /home/u/.wslconfig:4\n"
		"Invalid value 'x' for config key 'wsl2.networkingMode' in /home/u/.wslconfig:5 "
		"(Valid values: Bridged, Consomme, Mirrored, Nat, None, VirtioProxy)\n"
		"Invalid integer value 'x' for key 'wsl2.processors' in /home/u/.wslconfig:6");
	assert_int_equal(f->s.memory_bytes, DEFAULT_MEMORY_MAX);
	assert_int_equal(f->s.networking_mode, NETWORKING_NAT);
}

static void aliases_conflict(void **state)
{
	struct fixture *f = *state;

	parse(f, "[experimental]\nnetworkingMode=VirtioProxy\n[wsl2]\nnetworkingMode=nat");
	assert_int_equal(f->s.networking_mode, NETWORKING_CONSOMME);
	assert_string_equal(f->said, "Duplicated config key 'wsl2.networkingMode' in "
				     "/home/u/.wslconfig:4 (Conflicting key: "
				     "'experimental.networkingMode' in /home/u/.wslconfig:2)");
}

static void paths_start_at_home(void **state)
{
	struct fixture *f = *state;

	parse(f, "[wsl2]\nkernel=~/k\nswapFile=s/f\ncrashDumpFolder=~\nsystemDistro=/abs\n"
		 "[general]\ndistributionInstallPath=d");
	assert_string_equal(f->s.kernel, "/home/u/k");
	assert_string_equal(f->s.swap_file, "/home/u/s/f");
	assert_string_equal(f->s.crash_dump_folder, "/home/u");
	assert_string_equal(f->s.system_distro, "/abs");
	assert_string_equal(f->s.distribution_install_path, "/home/u/d");
}

static void a_missing_kernel_forbids_the_vm(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;

	parse(f, "[wsl2]\nkernel=/nonexistent/vmlinux");
	assert_string_equal(f->said, "");
	assert_int_equal(settings_check_vm(&f->s, &err), -ENOENT);
	assert_int_equal(err.id, ERR_WSL_E_CUSTOM_KERNEL_NOT_FOUND);
	assert_string_equal(err.text, "The custom kernel specified in /home/u/.wslconfig was not "
				      "found: '/nonexistent/vmlinux'.");
	parse(f, "[wsl2]\nkernel=/dev/null\nkernelModules=/nonexistent");
	assert_int_equal(settings_check_vm(&f->s, &err), -ENOENT);
	parse(f, "[wsl2]\nkernelModules=/dev/null");
	assert_int_equal(settings_check_vm(&f->s, &err), -ENOENT);
	parse(f, "[wsl2]\nkernel=/dev/null\nkernelModules=/dev/null");
	assert_int_equal(settings_check_vm(&f->s, &err), 0);
}

static void a_bad_mac_forbids_the_vm(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;

	parse(f, "[wsl2]\nmacAddress=1:2:3\nprocessors=1");
	assert_string_equal(f->said, "");
	assert_int_equal(f->s.processors, 1);
	assert_int_equal(settings_check_vm(&f->s, &err), -EINVAL);
	assert_int_equal(err.id, ERR_E_INVALIDARG);
	assert_string_equal(err.text, "Invalid mac address '1:2:3' for key 'wsl2.macAddress' in "
				      "/home/u/.wslconfig:2");
}

static void safe_mode_switches_off(void **state)
{
	struct fixture *f = *state;

	parse(f, "[wsl2]\nsafeMode=true\nkernel=/nonexistent\nswap=1GB");
	assert_string_equal(f->said, "SAFE MODE ENABLED - many features will be disabled");
	assert_null(f->s.kernel);
	assert_int_equal(f->s.swap_bytes, 0);
	assert_int_equal(f->s.networking_mode, NETWORKING_NONE);
	assert_false(f->s.host_file_system_access);
	assert_int_equal(settings_check_vm(&f->s, NULL), 0);
}

static void virtio9p_falls_back(void **state)
{
	struct fixture *f = *state;

	parse(f, "[wsl2]\nvirtio9p=true");
	assert_string_equal(f->said,
			    "wsl2.virtio9p is disabled, falling back to 9p with vsock transport.");
	assert_false(f->s.virtio9p);
}

static void loads_from_home(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/settings-test-XXXXXX";
	auto_free char *path = NULL, *said = NULL, *data = NULL;

	assert_non_null(mkdtemp(dir));
	setenv("HOME", dir, 1);
	data = str_printf("%s/data", dir);
	setenv("XDG_DATA_HOME", data, 1);
	path = str_printf("%s/.wslconfig", dir);
	settings_load(&f->s, say, f);
	assert_string_equal(f->said, "");
	assert_string_equal(f->s.file, path);
	assert_true(f->s.processors >= 1);
	assert_true(f->s.memory_bytes > 0);
	assert_non_null(strstr(f->s.distribution_install_path, "/data/lxss/distros"));
	settings_done(&f->s);

	assert_int_equal(mkdir(path, 0700), 0);
	settings_load(&f->s, say, f);
	said = str_printf("Failed to open config file %s, Is a directory", path);
	assert_string_equal(f->said, said);
	settings_done(&f->s);
	assert_int_equal(rmdir(path), 0);

	assert_int_equal(write_file_at(AT_FDCWD, path, "[wsl2]\nmemory=512MB\n", 20, 0600), 0);
	settings_load(&f->s, NULL, NULL);
	assert_int_equal(f->s.memory_bytes, 512 * MIB);
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(defaults),
		TEST(every_documented_key_is_known),
		TEST(memory_is_clamped),
		TEST(processors_are_clamped),
		TEST(bad_values_name_file_and_line),
		TEST(aliases_conflict),
		TEST(paths_start_at_home),
		TEST(a_missing_kernel_forbids_the_vm),
		TEST(a_bad_mac_forbids_the_vm),
		TEST(safe_mode_switches_off),
		TEST(virtio9p_falls_back),
		TEST(loads_from_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
