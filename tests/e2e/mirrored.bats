# Mirrored mode on a host whose network is the test's own: addresses, routes, loopback, other machines
#
# The service lives in a network namespace with one card; the card's cable ends in a second one, which
# is the world: 192.0.2.1, 2001:db8::1. An ordinary user has both in a user namespace.
load ../lib/wsl

enter() { # host|world COMMAND...
	local user=()
	[ "$(id -u)" = 0 ] || user=(-U --preserve-credentials)
	nsenter -t "$(cat "$SANDBOX/$1")" "${user[@]}" -n -- "${@:2}"
}
inside() { enter host "$@"; }
outside() { enter world "$@"; }
wsl() { inside timeout --foreground -k 5 "${WSL_DEADLINE:-60}" "$WSL" "$@"; }

make_namespaces() {
	local how=(unshare -n)
	[ "$(id -u)" = 0 ] || how=(unshare -Urn)
	"${how[@]}" true 2>/dev/null || return 1
	env -i PATH="$PATH" "${how[@]}" sh -c 'unshare -n sleep 100000 & echo $! >"$1/world"; exec sleep 100000' \
		sh "$SANDBOX" 3>&- &
	echo $! >"$SANDBOX/host"
	eventually 5 test -s "$SANDBOX/world"
	eventually 5 eval '[ "$(readlink /proc/$(cat "$SANDBOX/world")/ns/net)" != "$(readlink /proc/$(cat "$SANDBOX/host")/ns/net)" ]'
}

make_network() {
	inside sh -ec '
		ip link set lo up
		ip link add card type veth peer name cable netns '"$(cat "$SANDBOX/world")"'
		ip link set card up
		ip addr add 192.0.2.2/24 dev card
		ip addr add 192.0.2.3/24 dev card
		ip addr add 2001:db8::2/64 nodad dev card
		ip route add default via 192.0.2.1 src 192.0.2.3
		ip link add docker0 type bridge
		ip link set docker0 up
		ip addr add 172.17.0.1/16 dev docker0'
	outside sh -ec '
		ip link set lo up
		ip link set cable up
		ip addr add 192.0.2.1/24 dev cable
		ip addr add 2001:db8::1/64 nodad dev cable'
}

restart_with() { # LINES of ~/.wslconfig
	wslconf '[wsl2]' "$@"
	wsl --shutdown
}

setup_file() {
	wsl_sandbox
	netprobe_build
	make_namespaces || return 0
	make_network
	wslconf '[wsl2]' networkingMode=mirrored
	wsl_box
	netprobe_install
}
teardown_file() {
	local pids
	pids=$(cat "$SANDBOX/host" "$SANDBOX/world" 2>/dev/null) || true
	[ -z "$pids" ] || kill $pids
	inside() { "$@"; } # the service keeps its namespaces; its socket is reached from everywhere
	wsl_sandbox_end
}
setup() {
	SERVERS=()
	[ -s "$SANDBOX/world" ] || skip "no network namespace can be made"
}
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs
	unserve
}

serve() { # WHERE(inside|outside|guest) COMMAND ADDRESS PORT
	local out=$SANDBOX/serve-$RANDOM$RANDOM program=("$SANDBOX/netprobe") where=$1
	if [ "$where" = guest ]; then
		where=inside
		program=("$WSL" -e netprobe)
	fi
	"$where" "${program[@]}" "${@:2}" >"$out" 2>&1 3>&- &
	SERVERS+=($!)
	eventually 10 grep -qx ready "$out" || { cat "$out"; return 1; }
}
unserve() {
	local pid
	for pid in "${SERVERS[@]}"; do
		pkill -P "$pid" || true # what nsenter became is the child of our subshell
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	SERVERS=()
}

addresses() { wsl -e ip addr show dev eth0 | awk '/scope global/ { print $2 }' | xargs; }
has() { [[ " $(addresses) " == *" $1 "* ]]; }
is() { [ "$(addresses)" = "$*" ]; }
default6() { wsl -e ip -6 route | grep -q '^default'; }
reaches() { # ADDRESS PORT; from the world
	outside "$SANDBOX/netprobe" wait "$1" "$2" open 3000 &&
		[ "$(outside "$SANDBOX/netprobe" echo "$1" "$2" hello)" = hello ]
}
refused() { ! outside "$SANDBOX/netprobe" wait "$1" "$2" open 400; }
OWN6=fd6c:7873:73d5:1::f/64

@test "all addresses of the host's cards, the one packets leave from first; none of bridges" {
	run -0 wsl -e wslinfo --networking-mode
	[ "$output" = mirrored ]
	run -0 addresses
	[ "$output" = "192.0.2.3/32 192.0.2.2/32 2001:db8::2/128 $OWN6" ]
	run -0 wsl -e ip addr show dev eth0
	[[ $output == *"$OWN6 scope global deprecated"* ]]
	run -0 wsl -e ip route get 203.0.113.1
	[[ $output == *"src 192.0.2.3"* ]]
	wsl --status --json | python3 -c 'import json,sys; s=json.load(sys.stdin)
assert s["guestAddress"] == "192.0.2.3" and s["guestAddress6"] == "2001:db8::2", s'
}

@test "addresses come and go with the host's; the first one changes" {
	inside ip addr add 198.51.100.7/24 dev card
	inside ip addr add 2001:db8:7::7/64 nodad dev card
	eventually 5 has 198.51.100.7/32
	eventually 5 has 2001:db8:7::7/128
	inside ip addr del 198.51.100.7/24 dev card
	inside ip addr del 2001:db8:7::7/64 dev card
	eventually 5 is 192.0.2.3/32 192.0.2.2/32 2001:db8::2/128 "$OWN6"
	inside ip route replace default via 192.0.2.1 src 192.0.2.2
	eventually 5 is 192.0.2.2/32 192.0.2.3/32 2001:db8::2/128 "$OWN6"
	run -0 wsl -e ip route get 203.0.113.1
	[[ $output == *"src 192.0.2.2"* ]]
	inside ip route replace default via 192.0.2.1 src 192.0.2.3
	eventually 5 is 192.0.2.3/32 192.0.2.2/32 2001:db8::2/128 "$OWN6"
}

@test "the world is reached from the host's address, IPv4 and IPv6, TCP and UDP" {
	serve outside serve 192.0.2.1 7001
	serve outside udp-serve 192.0.2.1 7001
	serve outside serve 2001:db8::1 7001
	serve outside udp-serve 2001:db8::1 7001
	run -0 wsl -e netprobe echo 192.0.2.1 7001 four
	[ "$output" = four ]
	run -0 wsl -e netprobe udp 192.0.2.1 7001 four
	[ "$output" = four ]
	inside ip -6 route add default via 2001:db8::1
	eventually 5 default6
	run -0 wsl -e netprobe echo 2001:db8::1 7001 six
	[ "$output" = six ]
	run -0 wsl -e netprobe udp 2001:db8::1 7001 six
	[ "$output" = six ]
	inside ip -6 route del default
	eventually 5 eval '! default6'
}

@test "UDP ports of the host are on the guest's 127.0.0.1, unless the guest has them" {
	serve inside udp-serve 127.0.0.1 7002
	eventually 5 eval '[ "$(wsl -e netprobe udp 127.0.0.1 7002 hello)" = hello ]'
	[ "$(wsl -e netprobe udp 127.0.0.1 7002 again)" = again ]
	run -1 --separate-stderr wsl -e netprobe udp-serve 0.0.0.0 7002
	[[ $stderr == *"in use"* ]]
	unserve
	eventually 5 eval '! wsl -e netstat -lun | grep -q :7002'
	serve guest udp-serve 127.0.0.1 7002
	eventually 5 eval 'inside "$SANDBOX/netprobe" udp 127.0.0.1 7002 hello | grep -q hello'
}

@test "firewall=true: nothing of the guest is open to the world" {
	serve guest serve 0.0.0.0 7003
	serve guest serve 192.0.2.2 7004
	run -0 inside "$SANDBOX/netprobe" wait 127.0.0.1 7003 open 3000
	refused 192.0.2.2 7003
	refused 192.0.2.2 7004
}

@test "nat: IPv6 follows the host" {
	restart_with
	run -0 addresses
	[[ $output == *"$OWN6" && $output != *192.0.2* && $output != *2001:* ]]
	run ! default6
	inside ip -6 route add default via 2001:db8::1
	eventually 5 default6
	inside ip -6 route del default
	eventually 5 eval '! default6'
	inside sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
	eventually 5 eval '! has "$OWN6"'
	inside sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
	inside ip addr add 2001:db8::2/64 nodad dev card
	eventually 5 has "$OWN6"
}

@test "nat: firewall=false lets nobody in" {
	restart_with firewall=false
	serve guest serve 0.0.0.0 7005
	run -0 inside "$SANDBOX/netprobe" wait 127.0.0.1 7005 open 3000
	refused 192.0.2.2 7005
}

@test "firewall=false: the world reaches what the guest's programs have bound, and no more" {
	restart_with networkingMode=mirrored firewall=false
	serve guest serve 0.0.0.0 7006
	serve guest serve :: 7007
	serve guest serve 192.0.2.3 7008
	serve guest serve 127.0.0.1 7009
	serve guest udp-serve 0.0.0.0 7006
	reaches 192.0.2.2 7006
	reaches 192.0.2.3 7006
	reaches 192.0.2.2 7007
	reaches 2001:db8::2 7007
	reaches 192.0.2.3 7008
	refused 2001:db8::2 7006
	refused 192.0.2.2 7008
	refused 192.0.2.2 7009
	run -0 inside "$SANDBOX/netprobe" wait 127.0.0.1 7009 open 3000
	run -0 inside "$SANDBOX/netprobe" wait 127.0.0.1 7006 open 3000
	run -0 outside "$SANDBOX/netprobe" udp 192.0.2.2 7006 one # each address answers for itself
	run -0 outside "$SANDBOX/netprobe" udp 192.0.2.3 7006 two
	run -0 wsl --status
	[[ $output == *"0.0.0.0:7006"* && $output == *"[::]:7007"* && $output == *"192.0.2.3:7008"* ]]
	[[ $output == *"127.0.0.1:7009"* && $output == *"0.0.0.0:7006/udp"* ]]
	wsl -e killall netprobe
	eventually 5 refused 192.0.2.2 7006
}

@test "firewall=false: a port the host has is a conflict, and stays the host's" {
	serve inside serve 192.0.2.2 7010
	serve guest serve 0.0.0.0 7010
	eventually 5 eval 'wsl --status | grep -q "0.0.0.0:7010 is not forwarded: in use"'
	unserve
	eventually 5 eval '! wsl --status | grep -q 7010'
}

@test "hostAddressLoopback: UDP ports of the host at the shared addresses, too" {
	restart_with networkingMode=mirrored '[experimental]' hostAddressLoopback=true
	serve inside udp-serve 0.0.0.0 7011
	eventually 5 eval '[ "$(wsl -e netprobe udp 192.0.2.2 7011 hello)" = hello ]'
	[ "$(wsl -e netprobe udp 127.0.0.1 7011 hello)" = hello ]
}

@test "a host that loses all of its addresses leaves the guest its own" {
	restart_with networkingMode=mirrored
	inside ip addr flush dev card
	inside ip addr flush dev docker0
	eventually 5 is 10.213.77.15/24 "$OWN6"
	run -0 wsl true
	inside ip addr add 192.0.2.2/24 dev card
	eventually 5 is 192.0.2.2/32 "$OWN6"
}
