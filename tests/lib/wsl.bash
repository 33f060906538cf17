# tests/lib/wsl.bash - what end-to-end tests share: `load ../lib/wsl`
#
#   setup_file()    { wsl_sandbox; wsl_box; }		one service, VM and distribution "box" for a file, or
#   setup()         { wsl_sandbox; }			fresh ones for each test
#   teardown*()     { wsl_sandbox_end; }		nothing may be left over
#
# In a sandbox every XDG directory is private, and so is the wslservice. `wsl` is the program with a
# deadline: no command may hang; 124 is its exit code then. $WSL is the program itself.

bats_require_minimum_version 1.5.0

LIB=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
WSL=$(command -v wsl || true)
export LIB WSL

wsl() { timeout --foreground -k 5 "${WSL_DEADLINE:-60}" "$WSL" "$@"; }
# A shell script in the guest: guest [OPTION...] SCRIPT
guest() { wsl "${@:1:$#-1}" -e sh -c "${@: -1}"; }
wslconfig() { timeout --foreground -k 5 60 "$(dirname "$WSL")/wslconfig" "$@"; }

wsl_sandbox() {
	SANDBOX=$(mktemp -d /tmp/lx.XXXXXX)
	export SANDBOX
	export HOME=$SANDBOX/home XDG_RUNTIME_DIR=$SANDBOX/run XDG_DATA_HOME=$SANDBOX/data \
		XDG_CACHE_HOME=$SANDBOX/cache XDG_STATE_HOME=$SANDBOX/state XDG_CONFIG_HOME=$SANDBOX/config
	mkdir -m 700 "$HOME" "$XDG_RUNTIME_DIR" "$XDG_DATA_HOME" "$XDG_CACHE_HOME" "$XDG_STATE_HOME" \
		"$XDG_CONFIG_HOME"
	unset WSLENV WSL_TIMING WSL_DISABLE_WARNINGS WSL_UTF8
	cd "$HOME" || return
}

# Imports the small root file system, or another archive, as "box" or another name
wsl_box() { # [NAME [ARCHIVE [OPTION...]]]
	local name=${1:-box} archive=${2:-$ROOTFS_TAR}
	shift $(($# > 2 ? 2 : $#))
	wsl --import "$name" "$SANDBOX/$name" "$archive" "$@" >"$SANDBOX/import.log" 2>&1 || {
		cat "$SANDBOX/import.log"
		return 1
	}
}

# netprobe.c, which talks to the network: $SANDBOX/netprobe on the host, `netprobe` in a distribution
netprobe_build() { gcc -O1 -static -pthread -o "$SANDBOX/netprobe" "$LIB/netprobe.c"; }
netprobe_install() { # [-d NAME]
	wsl "$@" -e sh -c 'cat >/bin/netprobe && chmod 755 /bin/netprobe && sync' <"$SANDBOX/netprobe"
}

wslconf() { # lines of ~/.wslconfig
	printf '%s\n' "$@" >"$HOME/.wslconfig"
}

service_pid() { "$LIB/leftovers" --pid-of wslservice "$SANDBOX"; }
kernel_pid() { "$LIB/leftovers" --pid-of linux "$SANDBOX"; }
# The relay lets nobody look into it, not even its own user: the service's note tells
relay_pid() { awk 'NR == 2 { print $1 }' "$XDG_RUNTIME_DIR/lxss/vm/pids"; }

# Repeats a command until it succeeds; fails after SECONDS
eventually() { # SECONDS COMMAND...
	local until=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		((${EPOCHREALTIME/./} < until)) || { echo "not within the time: $*"; return 1; }
		sleep 0.05
	done
}

# A program to talk to: `talk COMMAND...` starts it as $TALKER, `echo words >&7` tells it something,
# `eventually 10 heard words` waits for a line of its output
talk() {
	rm -f "$SANDBOX/talk"
	mkfifo "$SANDBOX/talk"
	"$@" <"$SANDBOX/talk" >"$SANDBOX/heard" 2>&1 3>&- &
	TALKER=$!
	exec 7>"$SANDBOX/talk"
}
heard() { grep -qxF "$*" "$SANDBOX/heard"; }

is_stopped() { wsl --list --verbose | grep -qE "^[* ] $1 +Stopped"; }
is_running() { wsl --list --verbose | grep -qE "^[* ] $1 +Running"; }

# Ends the service in an orderly way and checks that nothing of the sandbox is left
wsl_sandbox_end() {
	local pid status=0
	[ -d "${SANDBOX:-}" ] || return 0
	cd /
	# A test may have killed the service: the next one clears up after it
	wsl --list --quiet >/dev/null 2>&1 || true
	wsl --shutdown || { echo "wsl --shutdown failed"; status=1; }
	if pid=$(service_pid) && [ -n "$pid" ]; then
		kill -TERM $pid
	fi
	if ! "$LIB/leftovers" --wait 10 "$SANDBOX"; then
		"$LIB/leftovers" --kill "$SANDBOX" >/dev/null || true
		status=1
	fi
	if [ $status != 0 ]; then
		echo "--- logs"
		tail -n 30 "$XDG_STATE_HOME"/lxss/*.log 2>/dev/null || true
	fi
	rm -rf "$SANDBOX"
	return $status
}

# For a test that failed in a shared sandbox: what the service had to say
wsl_logs() {
	echo "--- wslservice.log"
	tail -n 12 "$XDG_STATE_HOME/lxss/wslservice.log" 2>/dev/null || true
	echo "--- console.log"
	tail -n 6 "$XDG_STATE_HOME/lxss/console.log" 2>/dev/null || true
}

# Python with a terminal to type into; see terminal.py
term() { timeout --foreground -k 5 "${WSL_DEADLINE:-60}" python3 "$LIB/terminal.py" "$@"; }

need_root() { [ "$(id -u)" = 0 ] || skip "needs the superuser"; }
