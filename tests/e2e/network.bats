# The link: what the guest reaches, through which addresses, and what happens at its edges
load ../lib/wsl

GATEWAY4=1 GATEWAY6=1 # last part of the gateway's addresses

setup_file() {
	wsl_sandbox
	netprobe_build
	wsl_box
	wsl_box other
	netprobe_install -d box
	wsl -d box -e sh -c 'ip -4 -o addr show eth0' | awk '{ sub("/.*", "", $4); print $4 }' >"$SANDBOX/address"
	# below what the kernel gives to clients: theirs rest in TIME-WAIT and cannot be bound
	export BASE=$((20000 + RANDOM % 5000 * 2))
}
teardown_file() { wsl_sandbox_end; }

setup() { SERVERS=(); }
teardown() {
	local pid
	[ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs
	for pid in "${SERVERS[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}

port() { echo $((BASE + $1)); }
gateway() { sed "s/[0-9]*$/$GATEWAY4/" "$SANDBOX/address"; }
gateway6() {
	wsl -e sh -c 'ip -6 -o addr show eth0 scope global' | awk '{ sub("::.*", "", $4); print $4 }' |
		sed "s/$/::$GATEWAY6/"
}
need_ipv6() { grep -q . /proc/net/if_inet6 || skip "the host has no IPv6"; }

host_serves() { # COMMAND ADDRESS PORT
	local out
	out=$(mktemp "$SANDBOX/host.XXXXXX") # RANDOM is the same in every test
	"$SANDBOX/netprobe" "$@" >"$out" 2>&1 3>&- &
	SERVERS+=($!)
	eventually 10 grep -qx ready "$out" || { cat "$out"; return 1; }
}
the_relay() { pgrep -P "$(service_pid)" -x wslrelay; } # readable by its own user in this way only
guest() { wsl -d box -e netprobe "$@"; }

@test "eth0 has an address, a default route and the MTU of the plan before the first command" {
	run -0 wsl -d box -e ip -4 -o addr show eth0
	[[ $output == *inet* ]]
	run -0 wsl -d box -e ip -4 route show default
	[[ $output == "default via $(gateway) dev eth0"* ]]
	run -0 wsl -d box -e cat /sys/class/net/eth0/mtu
	[ "$output" = 65520 ]
	run -0 wsl -d box -e cat /sys/class/net/lo/operstate
	run -0 wsl -d box -e cat /proc/sys/net/ipv4/ping_group_range
	[[ $output =~ ^0[[:space:]]+2147483647$ ]]
}

@test "the network of the VM is none of the host's" {
	local net
	net=$(sed 's/[0-9]*$/0/' "$SANDBOX/address")
	! awk 'NR > 1 { print $2 }' /proc/net/route |
		grep -qi "$(printf '%02X' $(tr . '\n' <<<"$net" | tac))"
}

@test "gns configured the interface without complaints" {
	run -0 wsl -d box -e cat /proc/net/route
	[[ $output == *eth0* ]]
	run ! grep -q "network is not configured" "$XDG_STATE_HOME/lxss/wslservice.log"
}

@test "the gateway answers pings" {
	wsl -d box -e ping -c 1 -W 2 "$(gateway)"
}

@test "TCP reaches the host's loopback at the gateway's address" {
	host_serves serve 127.0.0.1 "$(port 1)"
	run -0 guest echo "$(gateway)" "$(port 1)" hello
	[ "$output" = hello ]
}

@test "200 MB each way arrive as they were sent, also both at once" {
	host_serves serve 127.0.0.1 "$(port 2)"
	guest send "$(gateway)" "$(port 2)" 200000000
	guest get "$(gateway)" "$(port 2)" 200000000
	guest both "$(gateway)" "$(port 2)" 50000000
}

@test "a refused connection is refused, at once" {
	run ! guest echo "$(gateway)" "$(port 3)" hello
	[[ $output == *refused* ]]
}

@test "UDP reaches the host's loopback, small and large" {
	host_serves udp-serve 127.0.0.1 "$(port 4)"
	run -0 guest udp "$(gateway)" "$(port 4)" ping
	[ "$output" = ping ]
	local size text
	for size in 1473 30000 65507; do # the last one in two fragments
		text=$(head -c $size /dev/zero | tr '\0' x)
		run -0 guest udp "$(gateway)" "$(port 4)" "$text"
		[ "$output" = "$text" ]
	done
}

@test "IPv6 reaches the host's loopback, TCP, UDP and ping" {
	need_ipv6
	host_serves serve ::1 "$(port 5)"
	host_serves udp-serve ::1 "$(port 6)"
	run -0 guest echo "$(gateway6)" "$(port 5)" hello
	[ "$output" = hello ]
	guest both "$(gateway6)" "$(port 5)" 20000000
	run -0 guest udp "$(gateway6)" "$(port 6)" ping
	[ "$output" = ping ]
	wsl -d box -e ping -c 1 -W 2 "$(gateway6)"
}

@test "two distributions share addresses and ports" {
	local out
	addresses() { wsl -d "$1" -e awk '{ print $1, $6 }' /proc/net/if_inet6 | sort; } # flags change with time
	[ "$(addresses box)" = "$(addresses other)" ]
	"$WSL" -d box -e netprobe serve 127.0.0.1 "$(port 7)" >"$SANDBOX/shared" 2>&1 3>&- &
	SERVERS+=($!)
	eventually 10 grep -qx ready "$SANDBOX/shared"
	run -0 wsl -d other -e sh -c "echo E | nc -w 1 127.0.0.1 $(port 7) </dev/null && echo there"
	[[ $output == *there* ]]
}

@test "2000 connections at a time" {
	host_serves serve 127.0.0.1 "$(port 8)"
	WSL_DEADLINE=120 guest many "$(gateway)" "$(port 8)" 2000
}

@test "a command that ends leaves no connection behind" {
	host_serves serve 127.0.0.1 "$(port 9)"
	guest many "$(gateway)" "$(port 9)" 20
	no_connection() { ! grep -q ": 0100007F:$(printf %04X "$(port 9)") [0-9A-F:]* 01 " /proc/net/tcp; }
	eventually 10 no_connection
}

@test "the relay's system calls are filtered and its capabilities gone" {
	wsl -d box true
	run -0 cat "/proc/$(the_relay)/status"
	[[ $output =~ Seccomp:[[:space:]]2 ]]
	[[ $output =~ CapEff:[[:space:]]0000000000000000 ]]
	[[ $output =~ NoNewPrivs:[[:space:]]1 ]]
}

@test "a dhcp client gets an address of the same network, a gateway, and a name server that answers" {
	wsl -d box -e sh -c 'command -v udhcpc' || skip "no DHCP client in the root file system"
	local net
	net=$(gateway | sed 's/[0-9]*$//')
	# with a MAC and a network namespace of its own, as a container's
	run -0 wsl -d box -e sh -c '
		unshare -n sleep 1000 &
		trap "kill $!" EXIT
		until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
		ip link add link eth0 lease0 type macvlan
		ip link set lease0 netns $!
		cat >/tmp/leased <<"END"
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/24" dev "$interface"
ip route add default via "$router"
echo "leased $ip router $router dns $dns"
netprobe dns "$dns" localhost A udp
netprobe dns "$dns" localhost A tcp
END
		chmod 755 /tmp/leased
		nsenter -t $! -n ip link set lease0 up
		nsenter -t $! -n udhcpc -i lease0 -n -q -f -t 3 -s /tmp/leased'
	[[ $output =~ "leased $net"[0-9]+" router $(gateway) dns ${net}2" ]]
	[ "$(grep -c '^1 127.0.0.1$' <<<"$output")" = 2 ]
}

@test "networkingMode none: loopback only, and the VM starts" {
	wsl --shutdown
	wslconf '[wsl2]' networkingMode=none
	run -0 wsl -d box -e sh -c 'cd /sys/class/net && echo *'
	[[ $output != *eth0* ]]
	run -0 wsl -d box -e ping -c 1 -W 2 127.0.0.1
	run ! wsl -d box -e ping -c 1 -W 2 "$(gateway)"
}

@test "modes that are not offered fall back, and say so" {
	wsl --shutdown
	wslconf '[wsl2]' networkingMode=bridged
	run -0 --separate-stderr wsl -d box true
	[[ $stderr == *"Bridged networking requires wsl2.vmSwitch to be set."* ]]
	[[ $stderr == *"(networkingMode Bridged), falling back to networkingMode None."* ]]
	rm -f "$HOME/.wslconfig"
	wsl --shutdown
	wsl -d box -e ping -c 1 -W 2 "$(gateway)"
}

@test "the relay's death is the VM's, and the next command works" {
	wsl -d box true
	kill -9 "$(the_relay)"
	eventually 20 is_stopped box
	wsl -d box -e ping -c 1 -W 2 "$(gateway)"
}
