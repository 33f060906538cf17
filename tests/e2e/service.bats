# The service: on demand, alone, and what it makes of leftovers and damage
load ../lib/wsl
setup() { wsl_sandbox; }
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs
	wsl_sandbox_end
}

service_is_gone() { eventually 10 eval '[ -z "$(service_pid)" ]'; }

@test "the first command starts it, the next ones use it" {
	wsl_box
	local first
	first=$(service_pid)
	[ -n "$first" ]
	wsl true
	[ "$(service_pid)" = "$first" ]
}

@test "directories and sockets belong to the user alone" {
	umask 022
	wsl_box
	wsl true
	run -0 stat -c %a "$XDG_RUNTIME_DIR/lxss"
	[ "$output" = 700 ]
	[ -z "$(find "$XDG_RUNTIME_DIR/lxss" -perm /077 ! -type l)" ]
	[ -z "$(find "$SANDBOX/box" -name '*.img' -perm /077)" ]
	[ -z "$(find "$XDG_DATA_HOME/lxss" -type f -perm /077)" ]
}

@test "a runtime directory of another user is refused" {
	need_root
	mkdir "$XDG_RUNTIME_DIR/lxss"
	chown nobody "$XDG_RUNTIME_DIR/lxss"
	run -255 --separate-stderr wsl --list
	[[ $stderr == *"belongs to another user"* ]]
	rmdir "$XDG_RUNTIME_DIR/lxss"
}

@test "without XDG_RUNTIME_DIR a private directory below /tmp serves" {
	local uid dir
	uid=$(id -u)
	dir=/tmp/lxss-$uid
	[ ! -e "$dir/service.sock" ] || skip "somebody uses $dir"
	run -0 env -u XDG_RUNTIME_DIR timeout 60 "$WSL" --status
	[ "$(stat -c '%a %u' "$dir")" = "700 $uid" ]
	env -u XDG_RUNTIME_DIR timeout 60 "$WSL" --shutdown
	eventually 10 eval '"$LIB/leftovers" --pid-of wslservice "$SANDBOX" | xargs -r kill; [ ! -e '"$dir"'/service.sock ]'
}

@test "a stale socket and lock are no obstacle" {
	mkdir -p "$XDG_RUNTIME_DIR/lxss/vm"
	python3 - <<-'PY'
		import os, socket
		for name in ("service.sock", "vm/vsock.sock"):
		    s = socket.socket(socket.AF_UNIX)
		    s.bind(os.environ["XDG_RUNTIME_DIR"] + "/lxss/" + name)
	PY
	: >"$XDG_RUNTIME_DIR/lxss/service.lock"
	: >"$XDG_RUNTIME_DIR/lxss/vm/lock"
	wsl_box
	run -0 wsl echo fine
	[ "$output" = fine ]
}

@test "a killed service: running commands end with a message, the next command works" {
	wsl_box
	"$WSL" sleep 100 </dev/null >"$SANDBOX/out" 2>&1 &
	local pid=$! status=0
	eventually 20 eval 'wsl -e pidof sleep >/dev/null'
	kill -KILL "$(service_pid)"
	timeout 20 tail --pid=$pid -f /dev/null
	wait $pid || status=$?
	[ $status != 0 ]
	cat "$SANDBOX/out"
	run -0 wsl echo again
	[ "$output" = again ]
}

@test "a killed service takes its machine with it" {
	wsl_box
	wsl true
	local kernel
	kernel=$(kernel_pid)
	kill -KILL "$(service_pid)"
	eventually 25 eval '[ ! -d "/proc/'"$kernel"'" ]'
}

@test "a killed kernel: the command that ran exits 1 with WSL_E_VM_CRASHED, the next works" {
	wsl_box
	"$WSL" sleep 100 </dev/null >"$SANDBOX/out" 2>"$SANDBOX/err" &
	local pid=$! status=0
	eventually 20 eval 'wsl -e pidof sleep >/dev/null'
	kill -KILL "$(kernel_pid)"
	wait $pid || status=$?
	[ $status = 1 ]
	grep -q WSL_E_VM_CRASHED "$SANDBOX/err"
	run -0 wsl echo again
	[ "$output" = again ]
}

@test "a killed relay ends the machine; the next command works" {
	wsl_box
	wsl true
	kill -KILL "$(relay_pid)"
	eventually 20 eval '[ -z "$(kernel_pid)" ]'
	run -0 wsl echo again
	[ "$output" = again ]
}

@test "a panic in the guest is told" {
	wsl_box
	run guest 'echo c >/proc/sysrq-trigger; sleep 30'
	[ "$status" != 0 ]
	[ "$status" != 124 ]
	run -0 wsl echo again
	[ "$output" = again ]
}

@test "a damaged registry: an error with a name and a way out, nothing overwritten" {
	wsl_box
	wsl --shutdown
	kill "$(service_pid)"
	service_is_gone
	head -c 20000 /dev/urandom >"$XDG_DATA_HOME/lxss/registry.db"
	rm -f "$XDG_DATA_HOME"/lxss/registry.db-*
	local before
	before=$(md5sum <"$XDG_DATA_HOME/lxss/registry.db")
	run -255 --separate-stderr wsl --list
	[[ $stderr == *WSL_E_REGISTRY_CORRUPTED* ]]
	[[ $stderr == *registry.db* ]]
	[ "$(md5sum <"$XDG_DATA_HOME/lxss/registry.db")" = "$before" ]
	[ -e "$(echo "$SANDBOX"/box/*.img)" ]
	service_is_gone
	rm "$XDG_DATA_HOME"/lxss/registry.db* # as the message advises; then all is well again
	run -0 wsl --list --quiet
}

@test "a registry of a newer version is left alone" {
	wsl_box
	wsl --shutdown
	kill "$(service_pid)"
	service_is_gone
	python3 - <<-'PY'
		import os, sqlite3
		db = sqlite3.connect(os.environ["XDG_DATA_HOME"] + "/lxss/registry.db")
		db.execute("pragma user_version = 9999")
		db.commit()
	PY
	run -255 --separate-stderr wsl --list
	[[ $stderr == *WSL_E_REGISTRY_TOO_NEW* ]]
	service_is_gone
	rm "$XDG_DATA_HOME"/lxss/registry.db*
}

@test "a data directory that cannot be written" {
	[ "$(id -u)" != 0 ] || skip "the superuser can write everywhere"
	chmod 500 "$XDG_DATA_HOME"
	run -255 --separate-stderr wsl --import box "$SANDBOX/box" "$ROOTFS_TAR"
	[[ $stderr == *"$XDG_DATA_HOME"* ]]
	chmod 700 "$XDG_DATA_HOME"
	service_is_gone
}

@test "missing programs: the error names the file" {
	mkdir "$SANDBOX/libexec"
	cp "$LXSS_LIBEXEC"/* "$SANDBOX/libexec/"
	export LXSS_LIBEXEC=$SANDBOX/libexec
	rm "$SANDBOX/libexec/wslservice"
	run -255 --separate-stderr wsl --list
	[[ $stderr == *"$SANDBOX/libexec/wslservice"* ]]
	[[ $stderr == *WSL_E_SERVICE_UNAVAILABLE* ]]
}

@test "a missing kernel: the error says which file" {
	mkdir "$SANDBOX/libexec"
	cp "$LXSS_LIBEXEC"/* "$SANDBOX/libexec/"
	export LXSS_LIBEXEC=$SANDBOX/libexec
	rm "$SANDBOX/libexec/linux"
	wsl_box
	run -255 --separate-stderr wsl true
	[[ $stderr == *KERNEL_NOT_FOUND* ]]
	run -0 wsl --list --quiet
	[ "$output" = box ]
}

@test "a service that does not answer: the client gives up by itself" {
	wsl_box
	kill -STOP "$(service_pid)"
	WSL_DEADLINE=50 run --separate-stderr wsl --list
	[ "$status" = 255 ]
	[[ $stderr == *WSL_E_SERVICE_UNAVAILABLE* || $stderr == *ERROR_TIMEOUT* ]]
	[[ $stderr == *"--shutdown --force"* ]]
	kill -CONT "$(service_pid)"
}

@test "an import the service died in leaves nothing after the next start" {
	mkfifo "$SANDBOX/slow"
	(head -c 1500000 "$ROOTFS_TAR"; exec sleep 20) >"$SANDBOX/slow" 2>/dev/null &
	local writer=$!
	"$WSL" --import demo "$SANDBOX/demo" - <"$SANDBOX/slow" >/dev/null 2>&1 &
	local pid=$!
	eventually 10 eval '[ -n "$(find "$SANDBOX/demo" -type f 2>/dev/null)" ]'
	kill -KILL "$(service_pid)"
	wait $pid || true
	kill $writer 2>/dev/null || true
	run -0 wsl --list --all --quiet
	[ -z "$output" ]
	eventually 10 eval '[ -z "$(find "$SANDBOX/demo" -type f 2>/dev/null)" ]'
	run -0 wsl --import demo "$SANDBOX/demo" "$ROOTFS_TAR"
}

@test "descriptors and environment of the caller do not leak into the service" {
	wsl_box box
	kill "$(service_pid)"
	service_is_gone
	exec 9<"$ROOTFS_TAR"
	wsl --status
	exec 9<&-
	run ls -l "/proc/$(service_pid)/fd"
	[[ $output != *small.tar* ]]
	[ "$(readlink "/proc/$(service_pid)/cwd")" = / ]
}
