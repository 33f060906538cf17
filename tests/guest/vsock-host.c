/* tests/guest/vsock-host.c - boots a kernel with vsock-guest as /init and exercises wslrelay
 *
 * usage: vsock-host LINUX WSLRELAY INITRD [--bench [--json]] [-- relay options]
 *
 * Plays wslservice: makes the sockets, starts relay and kernel, echoes what the guest opens to port
 * 50000. Prints one line per test and "N passed, N failed" as its last line.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "io/socket.h"
#include "vsock-test.h"

static struct {
	char dir[32];
	int control; /* our end of the relay's control socket */
	pid_t relay, kernel;
	pthread_t echo;
	int up[2]; /* a byte per stream the guest opened that said 'U' */
	pthread_mutex_t stats_lock;
	struct msg_relay_stats stats;
	int stats_ready[2];
} vm;

static unsigned passed, failed;

static void die(const char *what)
{
	fprintf(stderr, "vsock-host: %s: %s\n", what, strerror(errno));
	if (vm.kernel)
		kill(vm.kernel, SIGKILL);
	if (vm.relay)
		kill(vm.relay, SIGKILL);
	exit(2);
}

/* --- the service's part --- */

static void handle_control(int ep)
{
	static struct message_buffer mb;
	struct message_header h;
	const uint8_t *payload;
	struct msg_relay_stats stats;
	struct epoll_event ev = { .events = EPOLLIN };

	if (message_recv(vm.control, &mb, &h, &payload, now_ms() + 5000) < 0) {
		epoll_ctl(ep, EPOLL_CTL_DEL, vm.control, NULL);
		return;
	}
	if (h.type == MSG_RELAY_ACCEPT && mb.n_fds == 1) {
		ev.data.fd = take_fd(&mb.fds[0]);
		epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
	} else if (h.type == MSG_RELAY_STATS_REPLY &&
		   message_decode(h.type, payload, h.length - MESSAGE_HEADER, &stats) == 0) {
		vm.stats = stats;
		write_all(vm.stats_ready[1], "", 1);
	}
}

static void *echo_thread(void *arg)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = vm.control }, evs[64];
	char b[4096];

	(void)arg;
	epoll_ctl(ep, EPOLL_CTL_ADD, vm.control, &ev);
	for (;;) {
		int n = epoll_wait(ep, evs, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = evs[i].data.fd;
			ssize_t got;

			if (fd == vm.control) {
				handle_control(ep);
				continue;
			}
			got = read(fd, b, sizeof(b));
			if (got == 1 && b[0] == 'U')
				write_all(vm.up[1], b, 1);
			else if (got <= 0 || write_all(fd, b, (size_t)got) < 0)
				close(fd);
		}
	}
	return NULL;
}

static uint64_t streams(void)
{
	char b;

	if (message_send(vm.control, MSG_RELAY_STATS, 1, &(struct msg_none) { 0 }, NULL, 0,
			 now_ms() + 5000) < 0 ||
	    fd_wait(vm.stats_ready[0], POLLIN, now_ms() + 5000) < 0 ||
	    read(vm.stats_ready[0], &b, 1) != 1)
		return UINT64_MAX;
	return vm.stats.connections;
}

/* --- starting and stopping --- */

static pid_t spawn(char *const *argv, const int *keep, unsigned n, const char *log)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (unsigned i = 0; i < n; i++)
		fcntl(keep[i], F_SETFD, 0);
	if (log) {
		int fd = open(log, O_CREAT | O_WRONLY | O_TRUNC, 0600);

		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(fd, 1);
		dup2(fd, 2);
	}
	execv(argv[0], argv);
	_exit(127);
}

static void start_relay(const char *program, char **extra, const int *fds)
{
	char a[3][16], *argv[24] = { (char *)(uintptr_t)program,
				     "--vhost-fd",
				     a[0],
				     "--connect-fd",
				     a[1],
				     "--control-fd",
				     a[2] };
	unsigned n = 7;

	for (unsigned i = 0; i < 3; i++)
		snprintf(a[i], sizeof(a[i]), "%d", fds[i]);
	while (*extra && n < 23)
		argv[n++] = *extra++;
	vm.relay = spawn(argv, fds, 3, NULL);
}

static void start_kernel(const char *program, const char *initrd)
{
	auto_free char *device = str_printf("virtio_uml.device=%s/vhost:19", vm.dir);
	auto_free char *rd = str_printf("initrd=%s", initrd);
	auto_free char *tmp = str_printf("%s/console", vm.dir);
	char *argv[] = { (char *)(uintptr_t)program, "mem=1G",   "ncpus=2",  "seccomp=on", rd,
			 "con0=fd:0,fd:1",           "con=null", "panic=-1", device,       NULL };

	vm.kernel = spawn(argv, NULL, 0, tmp);
}

static void show_console(void)
{
	auto_free char *command = str_printf("tail -n 40 %s/console >&2", vm.dir);

	if (system(command) != 0)
		perror("tail");
}

/* A kernel or a relay that ends early is told apart from a guest that does not come up. */
static void wait_for_guest(uint64_t deadline_ms)
{
	while (fd_wait(vm.up[0], POLLIN, MIN(now_ms() + 100, deadline_ms)) < 0) {
		const char *what = NULL;
		int status = 0;

		if (waitpid(vm.kernel, &status, WNOHANG) == vm.kernel) {
			what = "the kernel ended";
			vm.kernel = 0;
		} else if (waitpid(vm.relay, &status, WNOHANG) == vm.relay) {
			what = "the relay ended";
			vm.relay = 0;
		} else if (now_ms() >= deadline_ms) {
			what = "the guest did not come up";
		}
		if (!what)
			continue;
		show_console();
		fprintf(stderr, "vsock-host: %s, wait status 0x%x\n", what, status);
		errno = ETIMEDOUT;
		die("waiting for the guest");
	}
}

static void boot(const char *kernel, const char *relay, const char *initrd, char **extra)
{
	int sp[2], dirfd, fds[3];
	char b;

	strcpy(vm.dir, "/tmp/vsock-test.XXXXXX");
	if (!mkdtemp(vm.dir) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp) < 0 ||
	    pipe2(vm.up, O_CLOEXEC) < 0 || pipe2(vm.stats_ready, O_CLOEXEC) < 0)
		die("set-up");
	dirfd = open(vm.dir, O_PATH | O_CLOEXEC);
	fds[0] = unix_listen_at(dirfd, "vhost", 0600);
	fds[1] = unix_listen_at(dirfd, "connect", 0600);
	fds[2] = sp[1];
	vm.control = sp[0];
	start_relay(relay, extra, fds);
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
	close(dirfd);
	pthread_create(&vm.echo, NULL, echo_thread, NULL);
	start_kernel(kernel, initrd);
	wait_for_guest(now_ms() + 30000);
	if (read(vm.up[0], &b, 1) != 1)
		die("reading the guest's greeting");
}

static int wait_exit(pid_t pid, unsigned timeout_ms)
{
	uint64_t end = now_ms() + timeout_ms;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > end)
			return -1;
		usleep(5000);
	}
	return status;
}

static void clean_up(void)
{
	auto_free char *command = str_printf("rm -rf %s", vm.dir);

	if (system(command) != 0)
		perror("rm");
}

/* --- streams --- */

/* A stream to the guest, or -errno as the relay told it. */
static int guest_connect(uint32_t port)
{
	auto_free char *path = str_printf("%s/connect", vm.dir);
	auto_close int fd = unix_connect_at(AT_FDCWD, path);
	struct relay_connect rc = { RELAY_CONNECT_MAGIC, port };
	struct timeval tv = { 30, 0 };
	uint32_t answer;

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (write_all(fd, &rc, sizeof(rc)) < 0 || read_all(fd, &answer, sizeof(answer)) < 0)
		return -EPIPE;
	return answer ? -(int)answer : take_fd(&fd);
}

static uint32_t command(uint32_t op, uint32_t n, uint32_t port)
{
	auto_close int fd = guest_connect(PORT_COMMAND);
	struct command c = { op, n, port };
	uint32_t answer;

	if (fd < 0 || write_all(fd, &c, sizeof(c)) < 0)
		return UINT32_MAX;
	if (op == COMMAND_POWER_OFF)
		return 0;
	return read_all(fd, &answer, sizeof(answer)) < 0 ? UINT32_MAX : answer;
}

/* A stream of bytes that both ends of a check can make: xorshift64 */
static void pattern(uint64_t *state, void *data, size_t len)
{
	uint64_t x = *state;

	for (size_t i = 0; i < len / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy((char *)data + 8 * i, &x, 8);
	}
	*state = x;
}

struct flow {
	int fd;
	uint64_t seed, bytes;
	bool ok;
};

static void *flow_writer(void *arg)
{
	struct flow *f = arg;
	uint64_t state = f->seed;
	auto_free char *b = malloc(MIB);

	for (uint64_t left = f->bytes; left;) {
		size_t part = (size_t)MIN(left, MIB);

		pattern(&state, b, part);
		if (write_all(f->fd, b, part) < 0)
			return NULL;
		left -= part;
	}
	shutdown(f->fd, SHUT_WR);
	return NULL;
}

/* Sends a pattern through the guest's echo and checks what comes back, to the end. */
static void *flow_run(void *arg)
{
	struct flow *f = arg;
	uint64_t state = f->seed, got = 0;
	auto_free char *a = malloc(MIB), *b = malloc(MIB);
	pthread_t writer;

	f->fd = guest_connect(PORT_BULK_ECHO);
	if (f->fd < 0)
		return NULL;
	pthread_create(&writer, NULL, flow_writer, f);
	while (got < f->bytes) {
		size_t part = (size_t)MIN(f->bytes - got, MIB);

		if (read_all(f->fd, a, part) < 0)
			break;
		pattern(&state, b, part);
		if (memcmp(a, b, part) != 0)
			break;
		got += part;
	}
	f->ok = got == f->bytes && read(f->fd, a, 1) == 0;
	if (!f->ok)
		fprintf(stderr, "flow ended at %llu\n", (unsigned long long)got);
	shutdown(f->fd, SHUT_RDWR);
	pthread_join(writer, NULL);
	close(f->fd);
	return NULL;
}

/* --- tests --- */

static bool echo_byte(void)
{
	auto_close int fd = guest_connect(PORT_ECHO);
	char b = 'q';

	return fd >= 0 && write_all(fd, &b, 1) == 0 && read_all(fd, &b, 1) == 0 && b == 'q';
}

static bool refused_port(void)
{
	return guest_connect(PORT_NOBODY) == -ECONNREFUSED;
}

static bool closed_at_once(void)
{
	auto_close int fd = guest_connect(PORT_CLOSE);
	char b;

	return fd >= 0 && read(fd, &b, 1) == 0;
}

static bool sink_bytes(uint32_t port, uint64_t bytes)
{
	auto_close int fd = guest_connect(port);
	auto_free char *b = calloc(1, MIB);
	uint64_t count = 0;
	char end;

	for (uint64_t left = bytes; fd >= 0 && left; left -= MIN(left, MIB))
		if (write_all(fd, b, (size_t)MIN(left, MIB)) < 0)
			return false;
	shutdown(fd, SHUT_WR);
	return fd >= 0 && read_all(fd, &count, sizeof(count)) == 0 && count == bytes &&
	       read(fd, &end, 1) == 0;
}

static bool half_close_host_first(void)
{
	return sink_bytes(PORT_SINK, 64 * MIB) && sink_bytes(PORT_SINK, 0) &&
	       sink_bytes(PORT_SINK, 1);
}

static bool reader_stalls(void)
{
	return sink_bytes(PORT_STALL, 32 * MIB);
}

static bool half_close_guest_first(void)
{
	auto_close int fd = guest_connect(PORT_HALF);
	auto_free char *b = calloc(1, MIB);
	char bye[4] = "";

	/* Its end of output must not end ours. */
	if (fd < 0 || read_all(fd, bye, 3) < 0 || !streq(bye, "bye") || read(fd, bye, 1) != 0)
		return false;
	for (unsigned i = 0; i < 8; i++)
		if (write_all(fd, b, MIB) < 0)
			return false;
	shutdown(fd, SHUT_WR);
	return true;
}

static int64_t source_bytes(uint64_t bytes, unsigned pause_ms)
{
	auto_close int fd = guest_connect(PORT_SOURCE);
	auto_free char *b = malloc(MIB);
	uint64_t got = 0;
	ssize_t n;

	if (fd < 0 || write_all(fd, &bytes, sizeof(bytes)) < 0)
		return -1;
	usleep(pause_ms * 1000);
	while ((n = read(fd, b, MIB)) > 0)
		got += (uint64_t)n;
	return n < 0 ? -1 : (int64_t)got;
}

static bool guest_sends(void)
{
	return source_bytes(64 * MIB, 0) == 64 * MIB && source_bytes(8 * MIB, 300) == 8 * MIB;
}

static bool client_vanishes(void)
{
	for (unsigned i = 0; i < 20; i++) {
		auto_close int fd = guest_connect(PORT_SOURCE);
		uint64_t bytes = 64 * MIB;
		char b[65536];

		if (fd < 0 || write_all(fd, &bytes, sizeof(bytes)) < 0 ||
		    read(fd, b, sizeof(b)) <= 0)
			return false;
	}
	return echo_byte();
}

static bool bulk_echo(void)
{
	struct flow f = { .seed = 88172645463325252ull, .bytes = 2 * GIB };

	flow_run(&f);
	return f.ok;
}

static bool parallel_flows(void)
{
	struct flow f[16];
	pthread_t t[16];
	bool ok = true;

	for (unsigned i = 0; i < 16; i++) {
		f[i] = (struct flow) { .seed = 1000003 * (i + 1), .bytes = (i + 1) * 4 * MIB };
		pthread_create(&t[i], NULL, flow_run, &f[i]);
	}
	for (unsigned i = 0; i < 16; i++) {
		pthread_join(t[i], NULL);
		ok = ok && f[i].ok;
	}
	return ok;
}

static bool many_streams(void)
{
	enum { N = 4000 };
	static int fds[N];
	bool ok = true;

	for (unsigned i = 0; i < N; i++) {
		fds[i] = ok ? guest_connect(PORT_ECHO) : -1;
		if (fds[i] < 0 && ok) {
			fprintf(stderr, "stream %u: %s\n", i, strerror(-fds[i]));
			ok = false;
		}
	}
	for (unsigned round = 0; round < 3 && ok; round++) {
		for (uint32_t i = 0; i < N; i++)
			ok = ok && write_all(fds[i], &i, sizeof(i)) == 0;
		for (uint32_t i = 0; i < N; i++) {
			uint32_t back = ~i;

			ok = ok && read_all(fds[i], &back, sizeof(back)) == 0 && back == i;
		}
	}
	for (unsigned i = 0; i < N; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return ok;
}

static void *storm_thread(void *arg)
{
	unsigned *seed = arg;
	char b[64] = "storm";

	for (unsigned i = 0; i < 1500; i++) {
		unsigned dice = (unsigned)rand_r(seed) % 6;
		uint32_t port = dice == 0 ? PORT_NOBODY : dice == 1 ? PORT_CLOSE : PORT_ECHO;
		auto_close int fd = guest_connect(port);

		if (fd < 0) {
			if (port != PORT_NOBODY || fd != -ECONNREFUSED)
				return arg;
			continue;
		}
		if (dice == 2)
			continue; /* close at once */
		if (dice == 3)
			shutdown(fd, SHUT_WR);
		else if (write_all(fd, b, sizeof(b)) < 0 && port == PORT_ECHO)
			return arg;
		if (dice == 4 && read_all(fd, b, sizeof(b)) < 0)
			return arg;
	}
	return NULL;
}

static bool storm(void)
{
	unsigned seeds[4] = { 1, 2, 3, 4 };
	pthread_t t[4];
	bool ok = true;

	for (unsigned i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, storm_thread, &seeds[i]);
	for (unsigned i = 0; i < 4; i++) {
		void *bad;

		pthread_join(t[i], &bad);
		ok = ok && !bad;
	}
	return ok && echo_byte();
}

static bool guest_opens(void)
{
	return command(COMMAND_OPEN, 500, PORT_HOST) == 500 &&
	       command(COMMAND_OPEN_PARALLEL, 1000, PORT_HOST) == 1000;
}

static bool guest_refused(void)
{
	return command(COMMAND_REFUSED, VSOCK_CID_HOST, 50001) == ECONNRESET &&
	       command(COMMAND_REFUSED, 77, PORT_HOST) == ECONNRESET;
}

/* One stays: the one that said the guest is up. */
static bool nothing_leaks(void)
{
	for (unsigned i = 0; i < 100; i++) {
		if (streams() == 1)
			return true;
		usleep(100000);
	}
	fprintf(stderr, "%llu streams are left\n", (unsigned long long)streams());
	return false;
}

/* What the guest sent before it powered off arrives, though nobody read it until then. */
static bool power_off(void)
{
	auto_close int fd = guest_connect(PORT_SOURCE);
	uint64_t bytes = 200 * KIB, got = 0;
	char b[65536];
	ssize_t n;

	if (fd < 0 || write_all(fd, &bytes, sizeof(bytes)) < 0)
		return false;
	usleep(200000);
	if (command(COMMAND_POWER_OFF, 0, 0) != 0)
		return false;
	if (wait_exit(vm.kernel, 10000) == -1)
		return false;
	vm.kernel = 0;
	while ((n = read(fd, b, sizeof(b))) > 0)
		got += (uint64_t)n;
	if (n < 0 || got != bytes || wait_exit(vm.relay, 3000) != 0)
		return false;
	vm.relay = 0;
	return true;
}

static const struct {
	const char *name;
	bool (*run)(void);
} tests[] = {
	{ "one byte there and back", echo_byte },
	{ "a port without a listener is refused", refused_port },
	{ "a guest that closes at once", closed_at_once },
	{ "half-close by the host", half_close_host_first },
	{ "half-close by the guest", half_close_guest_first },
	{ "a guest that does not read for a second", reader_stalls },
	{ "the guest sends, the host reads late", guest_sends },
	{ "host programs that vanish while the guest sends", client_vanishes },
	{ "2 GiB echoed, compared, half-closed", bulk_echo },
	{ "16 streams of different lengths at once", parallel_flows },
	{ "4000 streams at once", many_streams },
	{ "6000 random connects and closes from 4 threads", storm },
	{ "the guest opens 1500 streams", guest_opens },
	{ "refused guest streams", guest_refused },
	{ "no stream is left over", nothing_leaks },
	{ "output survives power-off, the relay exits 0", power_off },
};

static void run_tests(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		uint64_t start = now_ms();
		bool ok = tests[i].run();

		*(ok ? &passed : &failed) += 1;
		printf("%s %zu - %s (%llu ms)\n", ok ? "ok" : "not ok", i + 1, tests[i].name,
		       (unsigned long long)(now_ms() - start));
		fflush(stdout);
		if (!ok && waitpid(vm.relay, NULL, WNOHANG) == vm.relay) {
			fprintf(stderr, "the relay is gone\n");
			vm.relay = 0;
			break;
		}
	}
}

/* --- figures --- */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool json;

static void report(const char *name, double value, const char *unit)
{
	if (json)
		printf("{\"bench\": \"vsock\", \"name\": \"%s\", \"value\": %.1f, \"unit\": "
		       "\"%s\"}\n",
		       name, value, unit);
	else
		printf("%-28s %10.1f %s\n", name, value, unit);
	fflush(stdout);
}

static void report_times(const char *name, uint64_t *us, size_t n)
{
	char label[64];

	qsort(us, n, sizeof(*us), compare_u64);
	snprintf(label, sizeof(label), "%s median", name);
	report(label, (double)us[n / 2], "us");
	snprintf(label, sizeof(label), "%s p99", name);
	report(label, (double)us[n * 99 / 100], "us");
}

static void bench_connect(void)
{
	uint64_t us[1000];

	for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
		uint64_t start = now_us();
		int fd = guest_connect(PORT_ECHO);

		us[i] = now_us() - start;
		close(fd);
		usleep(500);
	}
	report_times("connect", us, ARRAY_SIZE(us));
}

static void bench_echo(void)
{
	static uint64_t us[5000];
	auto_close int fd = guest_connect(PORT_ECHO);
	char b = 'x';

	for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
		uint64_t start = now_us();

		write_all(fd, &b, 1);
		read_all(fd, &b, 1);
		us[i] = now_us() - start;
	}
	report_times("1-byte round trip", us, ARRAY_SIZE(us));
}

static void bench_throughput(void)
{
	uint64_t bytes = 2 * GIB;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t start = now_us();
		bool ok = source_bytes(bytes, 0) == (int64_t)bytes;

		report("guest to host", ok ? (double)bytes / (double)(now_us() - start) : 0,
		       "MB/s");
	}
	for (unsigned i = 0; i < 3; i++) {
		uint64_t start = now_us();
		bool ok = sink_bytes(PORT_SINK, bytes);

		report("host to guest", ok ? (double)bytes / (double)(now_us() - start) : 0,
		       "MB/s");
	}
}

static double cpu_seconds(pid_t pid)
{
	auto_free char *path = str_printf("/proc/%d/stat", (int)pid);
	auto_free char *text = NULL;
	unsigned long u = 0, s = 0;

	if (read_file_at(AT_FDCWD, path, 4096, &text, NULL) < 0 ||
	    sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		   &u, &s) != 2)
		return 0;
	return (double)(u + s) / (double)sysconf(_SC_CLK_TCK);
}

static void run_bench(void)
{
	bench_connect();
	bench_echo();
	bench_throughput();
	report("relay processor time", cpu_seconds(vm.relay), "s");
	command(COMMAND_POWER_OFF, 0, 0);
	if (wait_exit(vm.kernel, 10000) != -1)
		vm.kernel = 0;
	if (wait_exit(vm.relay, 3000) != -1)
		vm.relay = 0;
}

int main(int argc, char **argv)
{
	struct rlimit lim;
	bool bench = false;
	int extra = argc;

	if (argc < 4) {
		fprintf(stderr,
			"usage: vsock-host LINUX WSLRELAY INITRD [--bench [--json]] [-- ...]\n");
		return 2;
	}
	for (int i = 4; i < argc && extra == argc; i++) {
		bench = bench || streq(argv[i], "--bench");
		json = json || streq(argv[i], "--json");
		if (streq(argv[i], "--"))
			extra = i + 1;
	}
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	boot(argv[1], argv[2], argv[3], argv + extra);
	if (bench)
		run_bench();
	else
		run_tests();
	if (failed)
		show_console();
	if (vm.kernel)
		kill(vm.kernel, SIGKILL);
	if (vm.relay)
		kill(vm.relay, SIGKILL);
	clean_up();
	if (!bench)
		printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
