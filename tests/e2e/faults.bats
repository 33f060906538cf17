# The network while things fail: uplinks, names, MTU, address families, the relay, a guest's root
#
# The service lives on a host of the test's own with two neighbours, each of which is a way into the
# world and answers there in its own name.
load ../lib/wsl
load ../lib/hosts

WORLD=198.51.100.7 WORLD6=2001:db8::7

setup_file() {
	wsl_sandbox
	may_make_hosts || return 0
	netprobe_build
	host_make 'nameserver 10.1.0.1' 'search one.test'
	local n
	for n in 1 2; do
		peer_make $n
		serve peer$n python3 "$LIB/dns-server.py" 10.$n.0.1 uplink-$n
		serve peer$n python3 "$LIB/dns-server.py" $WORLD world-$n
		serve peer$n "$SANDBOX/netprobe" serve $WORLD 7000
	done
	serve peer1 "$SANDBOX/netprobe" udp-serve $WORLD 7001
	serve host "$SANDBOX/netprobe" serve 127.0.0.1 7000
	if with_ipv6; then
		serve peer1 "$SANDBOX/netprobe" serve $WORLD6 7000
		serve peer1 "$SANDBOX/netprobe" udp-serve $WORLD6 7001
	fi
	uplink 1
	wsl_box
	netprobe_install
}
teardown_file() { hosts_end; }

setup() { may_make_hosts || skip "this user may not make network namespaces"; }
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs; }

probe() { wsl -e netprobe "$@"; }
net() { guest 'ip -4 addr show eth0' | sed -n 's/.*inet \([0-9.]*\)\.[0-9]*\/24.*/\1/p'; }
# Fails with a word of what went wrong, and long before a timeout of TCP
fails_soon() { # WORDS COMMAND...
	WSL_DEADLINE=15 run -1 probe "${@:2}"
	[[ $output =~ $1 ]]
}
who_answers() { # ADDRESS WORD [tcp]
	run -0 probe dns "$1" who.example.test TXT "${@:3}"
	[[ $output == *"$2"* ]]
}

@test "another uplink: new connections follow, an old one ends with its next bytes" {
	who_answers $WORLD world-1 tcp
	who_answers $WORLD world-1
	talk wsl -e sh -c "nc $WORLD 7000; echo ended"
	printf 'E\none\n' >&7
	eventually 10 heard one
	uplink 2
	who_answers $WORLD world-2 tcp
	who_answers $WORLD world-2
	echo two >&7
	eventually 30 heard ended
	wait $TALKER
	uplink 1
	who_answers $WORLD world-1 tcp
}

@test "another uplink and its name server: names follow" {
	who_answers 10.255.255.254 uplink-1
	uplink 2
	inside ip link set up1 down
	resolv_conf 'nameserver 10.2.0.1' 'search two.test'
	who_answers 10.255.255.254 uplink-2
	eventually 5 eval 'wsl -e grep -q "^search two.test$" /etc/resolv.conf'
	inside ip link set up1 up
	! with_ipv6 || inside ip addr add fd00:1::2/64 dev up1 nodad
	uplink 1
	resolv_conf 'nameserver 10.1.0.1' 'search one.test'
	who_answers 10.255.255.254 uplink-1
}

@test "an uplink with an MTU of 1280: TCP both ways, datagrams of every size" {
	local size text address
	inside ip link set up1 mtu 1280
	at peer1 ip link set eth0 mtu 1280
	for address in $WORLD $(with_ipv6 && echo $WORLD6); do
		probe send $address 7000 5000000
		probe get $address 7000 5000000
		probe both $address 7000 5000000
		for size in 1200 1400 8000 60000; do
			text=$(head -c $size /dev/zero | tr '\0' x)
			run -0 probe udp $address 7001 "$text"
			[ "$output" = "$text" ]
		done
	done
	inside ip link set up1 mtu 1500
	at peer1 ip link set eth0 mtu 1500
}

@test "connections that cannot be are refused or unreachable, and soon" {
	fails_soon refused echo $WORLD 7099 x
	fails_soon refused echo "$(net).1" 7099 x
	fails_soon refused udp $WORLD 7099 x
	inside ip route add unreachable 203.0.113.0/24
	fails_soon "No route to host" echo 203.0.113.5 7000 x
	# found out later: the host asks for the neighbour three times
	fails_soon "No route to host" echo 10.1.0.77 7000 x
	! with_ipv6 || fails_soon "No route to host" echo fd00:1::77 7000 x
}

@test "10000 connections at a time" {
	[ "$(ulimit -Hn)" -ge 16384 ] || skip "the host allows too few descriptors"
	run -0 probe many "$(net).1" 7000 10000
	[ "$output" = "10000 of 10000" ]
}

relay_kib() { awk '/^RssAnon/ { print $2 }' "/proc/$(relay_pid)/status"; }

@test "300000 frames that make no sense: the relay lives, stays small, and serves" {
	local relay before after gateway6
	wsl --shutdown
	gateway6=$(guest 'ip -6 addr show eth0' | sed -n 's/.*inet6 \(fd.*::\)f\/64.*/\11/p')
	relay=$(relay_pid)
	before=$(relay_kib)
	run -0 probe garbage eth0 "$(net).1" "${gateway6:-fd00::1}" 300000
	[ "$output" -ge 290000 ]
	after=$(relay_kib)
	[ "$(relay_pid)" = "$relay" ]
	((after - before < 65536)) || { echo "before $before KiB, after $after KiB"; return 1; }
	probe both $WORLD 7000 5000000
	who_answers 10.255.255.254 uplink-1
}

serves_a_port() { # PORT
	wsl -e netprobe serve 127.0.0.1 "$1" >/dev/null 2>&1 3>&- &
	inside "$SANDBOX/netprobe" wait 127.0.0.1 "$1" open 10000
}

@test "the relay killed: sessions say so, the next command works, ports come back" {
	local session status=0
	serves_a_port 7100
	"$WSL" -e sleep 100 </dev/null >"$SANDBOX/out" 2>"$SANDBOX/err" 3>&- &
	session=$!
	eventually 10 eval 'wsl -e pidof sleep >/dev/null'
	kill -KILL "$(relay_pid)"
	timeout 20 tail --pid=$session -f /dev/null
	wait $session || status=$?
	[ $status != 0 ]
	[ ! -s "$SANDBOX/out" ]
	grep -q "wslrelay" "$SANDBOX/err"
	grep -q "WSL_E_VM_CRASHED" "$SANDBOX/err"
	run -0 wsl echo again
	[ "$output" = again ]
	run -0 inside "$SANDBOX/netprobe" wait 127.0.0.1 7100 closed 5000
	serves_a_port 7100
	wsl -e killall netprobe
}

@test "the guest's root takes eth0 down, empties it, chooses addresses: it works again" {
	local net
	net=$(net)
	guest 'ip link set eth0 down; ip link set eth0 up'
	resolv_conf 'nameserver 10.1.0.1' 'search after.down.test'
	eventually 5 eval 'probe echo '$WORLD' 7000 x >/dev/null'
	guest 'ip addr flush dev eth0'
	resolv_conf 'nameserver 10.1.0.1' 'search after.flush.test'
	eventually 5 eval 'probe echo '$WORLD' 7000 x >/dev/null'
	run -0 guest "ip addr flush dev eth0; ip addr add $net.77/24 dev eth0; ip route add default via $net.1
		netprobe echo $WORLD 7000 static"
	[ "$output" = static ]
	who_answers 10.255.255.254 uplink-1
	guest 'ip addr flush dev eth0
		printf "%s\n" "#!/bin/sh" "[ \$1 = bound ] || exit 0" "ip addr add \$ip/\$mask dev eth0" \
			"ip route add default via \$router" >/tmp/lease
		chmod 755 /tmp/lease; udhcpc -i eth0 -n -q -f -t 3 -s /tmp/lease'
	run -0 probe echo $WORLD 7000 dhcp
	[ "$output" = dhcp ]
	# What the host says takes the place of the lease, which is in the same network
	resolv_conf 'nameserver 10.1.0.1' 'search after.lease.test'
	eventually 5 eval 'guest "ip -4 addr show eth0" | grep -q "inet '$net'.15/24"'
	run -0 probe echo $WORLD 7000 again
	[ "$output" = again ]
	guest 'ip link set eth0 mtu 1280'
	probe both $WORLD 7000 5000000
}

@test "a host without IPv6: the guest has none, names with IPv6 addresses are no delay" {
	inside sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 || skip "the host has no IPv6"
	wsl --shutdown
	run -0 guest 'ip -6 addr show dev eth0 scope global; ip -6 route show default'
	[ -z "$output" ]
	run -0 probe dns 10.255.255.254 six.example.test AAAA
	[[ $output == *"28 2001:db8::1"* ]]
	fails_soon unreachable echo 2001:db8::1 7000 x
	run -0 probe echo $WORLD 7000 hello
	[ "$output" = hello ]
}

@test "no network but loopback: the VM starts, ports are forwarded, the world is unreachable" {
	inside ip link del up1
	inside ip link del up2
	fails_soon unreachable echo $WORLD 7000 x
	wsl --shutdown
	fails_soon unreachable echo $WORLD 7000 x
	fails_soon unreachable echo $WORLD6 7000 x
	WSL_DEADLINE=15 run -0 probe dns 10.255.255.254 who.example.test TXT
	[[ $output == "rcode=2 "* ]]
	serves_a_port 7200
	run -0 inside "$SANDBOX/netprobe" echo 127.0.0.1 7200 hello
	[ "$output" = hello ]
	wsl -e killall netprobe
}

@test "not even loopback: the VM starts, commands work" {
	inside ip link set lo down
	wsl --shutdown
	run -0 wsl echo fine
	[ "$output" = fine ]
	fails_soon unreachable echo $WORLD 7000 x
}
