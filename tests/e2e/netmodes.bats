# Modes of networking, what wslinfo tells of them, and the proxy variables of sessions
load ../lib/wsl

setup_file() {
	wsl_sandbox
	netprobe_build
	wsl_box
	netprobe_install
}
teardown_file() { wsl_sandbox_end; }
setup() { unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY no_proxy NO_PROXY; }
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs; }

restart_with() {
	wslconf "$@"
	wsl --shutdown
}
status_has() { # PYTHON EXPRESSION over s
	wsl --status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); assert eval(sys.argv[1]), s' "$1"
}

@test "wslinfo: mode, VM, version; errors as scripts know them" {
	run -0 wsl -e wslinfo --networking-mode
	[ "$output" = nat ]
	run -0 guest 'wslinfo -n --networking-mode; echo .'
	[ "$output" = nat. ]
	run -0 wsl -e wslinfo --vm-id
	[[ $output =~ ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$ ]]
	run -0 wsl -e wslinfo --version
	[[ $output =~ ^[0-9]+\.[0-9]+ ]]
	run -0 wsl -e wslinfo --wsl-version
	run -1 --separate-stderr wsl -e wslinfo
	[[ -z $output && $stderr == *"--networking-mode"* ]]
	run -1 --separate-stderr wsl -e wslinfo --help
	[[ -z $output && -n $stderr ]]
	run -1 --separate-stderr wsl -e wslinfo --nonsense
	[[ -z $output && $stderr == *"Invalid command line argument: --nonsense"* ]]
}

@test "the user's kernel command line does not change what wslinfo tells" {
	restart_with '[wsl2]' 'kernelCommandLine=lxss.network=spoofed'
	run -0 wsl -e wslinfo --networking-mode
	[ "$output" = nat ]
	rm "$HOME/.wslconfig"
	wsl --shutdown
}

@test "the host is reached at the gateway" {
	local port=$((30000 + RANDOM % 1000))
	"$SANDBOX/netprobe" serve 127.0.0.1 $port >"$SANDBOX/host" 3>&- &
	local host=$!
	eventually 5 grep -qx ready "$SANDBOX/host"
	run -0 guest "netprobe echo \$(ip route | awk '/^default/ { print \$3 }') $port hello"
	[ "$output" = hello ]
	kill $host
}

@test "proxy variables of the caller: both cases, http, https, exceptions" {
	export http_proxy=http://proxy.test:3128 NO_PROXY=internal.test
	run -0 guest 'env | grep -i _proxy | sort'
	[ "${lines[*]}" = "HTTP_PROXY=http://proxy.test:3128 NO_PROXY=internal.test http_proxy=http://proxy.test:3128 no_proxy=internal.test" ]
	export HTTPS_PROXY=http://other.test:1
	run -0 guest 'echo $https_proxy'
	[ "$output" = http://other.test:1 ]
	unset http_proxy HTTPS_PROXY
	run -1 guest 'env | grep -i http_proxy'
}

@test "WSLENV wins over autoProxy" {
	export https_proxy=http://proxy.test:3128 WSLENV=https_proxy/u
	run -0 guest 'echo $https_proxy'
	[ "$output" = http://proxy.test:3128 ]
	export WSLENV=HTTPS_PROXY/u HTTPS_PROXY=http://mine.test
	run -0 guest 'echo $HTTPS_PROXY $https_proxy'
	[ "$output" = "http://mine.test http://proxy.test:3128" ]
}

@test "a proxy on the host's loopback is used by way of the gateway" {
	local host
	mkdir -p "$SANDBOX/files"
	echo from the proxy >"$SANDBOX/files/page"
	python3 "$LIB/httpd.py" "$SANDBOX/files" "$SANDBOX/proxy.port" 3>&- &
	host=$!
	eventually 10 test -s "$SANDBOX/proxy.port"
	export http_proxy=http://localhost:$(cat "$SANDBOX/proxy.port") no_proxy=a.test
	run -0 --separate-stderr guest 'echo $http_proxy $NO_PROXY; printf "GET /page HTTP/1.0\r\n\r\n" | nc $(echo $http_proxy | sed "s,http://,,;s,:, ,") | tail -n 1'
	[ "${lines[0]}" = "http://$(gateway):$(cat "$SANDBOX/proxy.port") a.test" ]
	[ "${lines[1]}" = "from the proxy" ]
	[ -z "$stderr" ]
	kill $host
}

@test "a proxy that cannot be reached is left out, with one warning that names it" {
	export http_proxy=http://127.7.7.7:3128 no_proxy=a.test
	run -0 --separate-stderr guest 'env | grep -ci _proxy || true'
	[ "$output" = 0 ]
	[[ $stderr == *"http://127.7.7.7:3128"* ]]
	run -0 --separate-stderr wsl true
	[ -z "$stderr" ]
}

@test "autoProxy=false passes nothing" {
	export http_proxy=http://proxy.test:3128
	restart_with '[wsl2]' autoProxy=false
	run -1 guest 'env | grep -i _proxy'
	rm "$HOME/.wslconfig"
	wsl --shutdown
}

@test "networkingMode=none: loopback only, and it says so" {
	restart_with '[wsl2]' networkingMode=none
	run -0 wsl -e wslinfo --networking-mode
	[ "$output" = none ]
	run -0 guest 'ls /sys/class/net; ping -c 1 -q 127.0.0.1 >/dev/null'
	[[ $output != *eth0* ]]
	status_has 's["networkingMode"] == "none" and s["guestAddress"] == "" and s["forwardedPorts"] == []'
}

@test "networkingMode=bridged without a switch: warnings, no network, the command runs" {
	restart_with '[wsl2]' networkingMode=bridged
	run -0 --separate-stderr wsl echo fine
	[ "$output" = fine ]
	[[ $stderr == *"wsl2.vmSwitch"* ]]
	[[ $stderr == *"falling back to networkingMode None"* ]]
	run -0 wsl -e wslinfo --networking-mode
	[ "$output" = none ]
}

mirrored() { # LINES... of [experimental]
	restart_with '[wsl2]' networkingMode=mirrored '[experimental]' "$@"
}
host_serves() { # COMMAND ADDRESS PORT
	"$SANDBOX/netprobe" "$@" >"$SANDBOX/host" 3>&- &
	HOST_SERVER=$!
	eventually 5 grep -qx ready "$SANDBOX/host"
}
host_ends() {
	kill $HOST_SERVER
	wait $HOST_SERVER || true
}
gateway() { wsl -e sh -c "ip route | awk '/^default/ { print \$3 }'"; }

@test "mirrored: the guest has the host's address, and says so" {
	local address
	mirrored
	run -0 --separate-stderr wsl -e wslinfo --networking-mode
	[ "$output" = mirrored ]
	[ -z "$stderr" ]
	address=$(ip -4 route get 198.18.0.1 2>/dev/null | grep -o 'src [0-9.]*' | cut -d' ' -f2) || skip "this machine has no route"
	run -0 wsl -e ip -4 addr show eth0
	[[ $output == *"inet $address/32"* ]]
	status_has 's["networkingMode"] == "mirrored" and s["guestAddress"] == "'"$address"'"'
}

@test "mirrored: packets pass, TCP and UDP" {
	local port=$((32000 + RANDOM % 100))
	mirrored
	host_serves serve 127.0.0.1 $port
	run -0 wsl -e netprobe echo "$(gateway)" $port hello
	[ "$output" = hello ]
	host_ends
	host_serves udp-serve 127.0.0.1 $port
	run -0 wsl -e netprobe udp "$(gateway)" $port hello
	[ "$output" = hello ]
	host_ends
}

@test "mirrored: a port of the host is on the guest's loopback while it is open" {
	local port=$((32100 + RANDOM % 100))
	mirrored
	wsl true
	host_serves serve 127.0.0.1 $port
	run -0 wsl -e netprobe wait 127.0.0.1 $port open 3000
	run -0 wsl -e netprobe echo 127.0.0.1 $port hello
	[ "$output" = hello ]
	run -0 wsl -e netprobe both 127.0.0.1 $port 50000000
	[[ $output == ok* ]]
	run -1 --separate-stderr wsl -e netprobe serve 0.0.0.0 $port
	[[ $stderr == *"in use"* ]]
	host_ends
	run -0 wsl -e netprobe wait 127.0.0.1 $port closed 3000
}

@test "mirrored: a port of the guest is on the host's loopback, also again and again" {
	local port=$((32200 + RANDOM % 100)) server i
	mirrored
	for i in 1 2 3; do
		"$WSL" -e netprobe serve 0.0.0.0 $port >"$SANDBOX/serve" 2>&1 3>&- &
		server=$!
		eventually 10 grep -qx ready "$SANDBOX/serve"
		run -0 "$SANDBOX/netprobe" wait 127.0.0.1 $port open 3000
		[ "$("$SANDBOX/netprobe" echo 127.0.0.1 $port hello)" = hello ]
		sleep 0.6 # the host is looked at meanwhile: its socket is ours
		wsl -e killall netprobe
		wait $server || true
	done
}

@test "mirrored: ignoredPorts are the guest's own; hostAddressLoopback shares the addresses, too" {
	local port=$((32300 + RANDOM % 100)) address
	mirrored "ignoredPorts=$port" hostAddressLoopback=true
	host_serves serve 127.0.0.1 $port
	sleep 0.8
	run -1 wsl -e netprobe wait 127.0.0.1 $port open 300
	host_ends
	port=$((port + 200))
	address=$(ip -4 route get 198.18.0.1 2>/dev/null | grep -o 'src [0-9.]*' | cut -d' ' -f2) || skip "this machine has no route"
	host_serves serve 0.0.0.0 $port
	run -0 wsl -e netprobe wait "$address" $port open 3000
	host_ends
}

@test "mirrored: a proxy on loopback is passed on" {
	export http_proxy=http://127.0.0.1:3128
	mirrored
	run -0 --separate-stderr guest 'echo $http_proxy'
	[ "$output" = http://127.0.0.1:3128 ]
	[ -z "$stderr" ]
}

@test "nat: firewall=false exposes nothing either" {
	local port=$((31000 + RANDOM % 1000)) address
	restart_with '[wsl2]' firewall=false
	"$WSL" -e netprobe serve 0.0.0.0 $port >"$SANDBOX/serve" 3>&- &
	local server=$!
	eventually 10 grep -qx ready "$SANDBOX/serve"
	run -0 "$SANDBOX/netprobe" wait 127.0.0.1 $port open 3000
	for address in $(hostname -I); do
		[[ $address == fe80* ]] || run ! "$SANDBOX/netprobe" wait "$address" $port open 300
	done
	kill $server
	wait $server || true
	rm "$HOME/.wslconfig"
	wsl --shutdown
}
