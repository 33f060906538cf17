# Ports that programs of the guest listen on, on the host's loopback
load ../lib/wsl

setup_file() {
	wsl_sandbox
	netprobe_build
	wsl_box
	netprobe_install
	export BASE=$((20000 + RANDOM % 5000 * 2))
}
teardown_file() { wsl_sandbox_end; }

setup() { SERVERS=(); }
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs
	unserve
}

probe() { timeout -k 5 "${WSL_DEADLINE:-60}" "$SANDBOX/netprobe" "$@"; }
port() { echo $((BASE + $1)); }

serve() { # COMMAND ADDRESS PORT [v6only]; a program of the guest
	local out=$SANDBOX/serve-$RANDOM$RANDOM
	"$WSL" -e netprobe "$@" >"$out" 2>&1 3>&- &
	SERVERS+=($!)
	eventually 10 grep -qx ready "$out" || { cat "$out"; return 1; }
}
unserve() {
	local pid
	for pid in "${SERVERS[@]}"; do
		kill $pid 2>/dev/null || true
		wait $pid 2>/dev/null || true
	done
	SERVERS=()
}

reaches() { # ADDRESS PORT
	probe wait "$1" "$2" open 3000 && [ "$(probe echo "$1" "$2" hello)" = hello ]
}
refused() { ! probe wait "$1" "$2" open 500; }

@test "every way of binding appears on the matching loopback of the host" {
	serve serve 127.0.0.1 "$(port 1)"
	serve serve 0.0.0.0 "$(port 2)"
	serve serve ::1 "$(port 3)"
	serve serve :: "$(port 4)" v6only
	serve serve :: "$(port 5)"
	reaches 127.0.0.1 "$(port 1)"
	reaches 127.0.0.1 "$(port 2)"
	reaches ::1 "$(port 3)"
	reaches ::1 "$(port 4)"
	reaches ::1 "$(port 5)"
	reaches 127.0.0.1 "$(port 5)"
	refused ::1 "$(port 1)"
	refused 127.0.0.1 "$(port 3)"
	refused 127.0.0.1 "$(port 4)"
}

@test "other addresses of the guest are not forwarded, and nothing is open to the outside" {
	local address
	serve serve 127.0.0.2 "$(port 6)"
	serve serve 0.0.0.0 "$(port 7)"
	reaches 127.0.0.1 "$(port 7)"
	refused 127.0.0.1 "$(port 6)"
	for address in $(hostname -I); do
		[[ $address == fe80* ]] || refused "$address" "$(port 7)"
	done
}

@test "a port appears within 300 ms, and is gone 300 ms after its program" {
	local p
	p=$(port 10)
	serve serve 0.0.0.0 "$p"
	run -0 probe wait 127.0.0.1 "$p" open 2000
	echo "# appeared after $output ms" >&3
	((output < 300))
	wsl -e killall netprobe
	run -0 probe wait 127.0.0.1 "$p" closed 2000
	echo "# vanished after $output ms" >&3
	((output < 300))
}

@test "a connection the guest ends, and one the host ends: half-closes pass" {
	local p
	p=$(port 11)
	serve serve 0.0.0.0 "$p"
	reaches 127.0.0.1 "$p"
	run -0 probe send 127.0.0.1 "$p" 10000000
	[[ $output == ok* ]]
	run -0 probe get 127.0.0.1 "$p" 10000000
	[[ $output == ok* ]]
}

@test "200 connections at a time" {
	local p
	p=$(port 12)
	serve serve 0.0.0.0 "$p"
	reaches 127.0.0.1 "$p"
	run -0 probe many 127.0.0.1 "$p" 200
	[ "$output" = "200 of 200" ]
}

@test "thousands of connections at a time, and afterwards one more" {
	local p
	p=$(port 23)
	serve serve 0.0.0.0 "$p"
	reaches 127.0.0.1 "$p"
	WSL_DEADLINE=150 run -0 probe many 127.0.0.1 "$p" "${NET_CONNECTIONS:-3000}"
	echo "# $output" >&3
	eventually 20 eval '[ "$(probe echo 127.0.0.1 "$p" hello)" = hello ]'
}

@test "gigabytes each way and both ways at once, checked" {
	local p bytes=$((${NET_GIBS:-1} << 30))
	p=$(port 13)
	serve serve 0.0.0.0 "$p"
	reaches 127.0.0.1 "$p"
	for how in send get both; do
		WSL_DEADLINE=150 run -0 probe $how 127.0.0.1 "$p" $bytes
		echo "# $how: $output" >&3
		[[ $output == ok* ]]
	done
}

@test "1,000 times listening and closing leave it working" {
	local p
	p=$(port 14)
	run -0 wsl -e netprobe cycle 0.0.0.0 "$p" 1000
	run -0 probe wait 127.0.0.1 "$p" closed 2000
	serve serve 0.0.0.0 "$p"
	reaches 127.0.0.1 "$p"
}

@test "two sockets on one port keep it until the last is gone" {
	local p
	p=$(port 15)
	serve serve 127.0.0.1 "$p"
	serve serve ::1 "$p"
	reaches 127.0.0.1 "$p"
	reaches ::1 "$p"
	kill "${SERVERS[0]}"
	run -0 probe wait 127.0.0.1 "$p" closed 2000
	reaches ::1 "$p"
}

@test "a port the host uses: reported with its owner, the guest is not disturbed" {
	local p
	p=$(port 16)
	"$SANDBOX/netprobe" serve 127.0.0.1 "$p" >"$SANDBOX/host" 3>&- &
	local host=$!
	eventually 5 grep -qx ready "$SANDBOX/host"
	serve serve 0.0.0.0 "$p"
	[ "$(wsl -e netprobe echo 127.0.0.1 "$p" inside)" = inside ]
	eventually 3 eval 'wsl --status | grep "$p" | grep -q netprobe'
	wsl --status --json | python3 -c 'import json,sys; s=json.load(sys.stdin)
c=[c for c in s["portConflicts"] if str(sys.argv[1]) in c]
assert len(c) == 1 and "netprobe" in c[0], s' "$p"
	[ "$(grep -c "port $p " "$XDG_STATE_HOME/lxss/wslservice.log")" = 1 ]
	kill $host
}

@test "--status lists forwarded ports, addresses and the mode" {
	local p
	p=$(port 17)
	serve serve 0.0.0.0 "$p"
	reaches 127.0.0.1 "$p"
	run -0 wsl --status
	[[ $output == *"127.0.0.1:$p"* ]]
	[[ $output == *"Networking Mode: nat"* ]]
	wsl --status --json | python3 -c 'import json,sys; s=json.load(sys.stdin)
assert s["networkingMode"] == "nat" and "127.0.0.1:"+sys.argv[1] in s["forwardedPorts"], s
assert s["guestAddress"].count(".") == 3 and s["gateway"].count(".") == 3, s' "$p"
}

@test "ports of several distributions are forwarded" {
	local p
	p=$(port 18)
	wsl_box other
	netprobe_install -d other
	"$WSL" -d other -e netprobe serve 0.0.0.0 "$p" >"$SANDBOX/other-out" 3>&- &
	SERVERS+=($!)
	eventually 10 grep -qx ready "$SANDBOX/other-out"
	reaches 127.0.0.1 "$p"
	unserve
	wsl --unregister other
}

@test "UDP: datagrams pass both ways, each peer has its answers" {
	local p
	p=$(port 19)
	serve udp-serve 0.0.0.0 "$p"
	eventually 3 eval '[ "$(probe udp 127.0.0.1 "$p" hello)" = hello ]'
	[ "$(probe udp 127.0.0.1 "$p" one)" = one ]
	[ "$(probe udp 127.0.0.1 "$p" two)" = two ]
	unserve
	eventually 3 eval '! probe udp 127.0.0.1 "$p" gone 2>/dev/null'
}

@test "ignoredPorts are left alone; a bad item is a warning, those before it count" {
	local p
	p=$(port 20)
	wslconf '[experimental]' "ignoredPorts=$p, 9, NotANumber, 10"
	wsl --shutdown
	run -0 --separate-stderr wsl true
	[[ $stderr == *NotANumber* ]]
	serve serve 0.0.0.0 "$p"
	serve serve 0.0.0.0 "$(port 21)"
	reaches 127.0.0.1 "$(port 21)"
	refused 127.0.0.1 "$p"
}

@test "localhostForwarding=false forwards nothing" {
	local p
	p=$(port 22)
	wslconf '[wsl2]' localhostForwarding=false
	wsl --shutdown
	serve serve 0.0.0.0 "$p"
	refused 127.0.0.1 "$p"
	rm "$HOME/.wslconfig"
	wsl --shutdown
}
