# tests/lib/hosts.bash - a host of the test's own: `load ../lib/hosts`, after wsl.bash
#
# host_make makes network and mount namespaces - for an ordinary user below a user namespace, in which
# they count as root - with their own /etc/resolv.conf; `wsl`, and with it the service, run in there.
# peer_make makes a neighbour in a network namespace of its own, and a link to it.

if [ "$(id -u)" = 0 ]; then
	HOST_UNSHARE=(unshare -m -n) HOST_ENTER=(nsenter -m -n)
else
	HOST_UNSHARE=(unshare -U -r -m -n) HOST_ENTER=(nsenter -U --preserve-credentials -m -n)
fi

may_make_hosts() { "${HOST_UNSHARE[@]}" ip link add type veth 2>/dev/null; }

at() { # HOST COMMAND...
	"${HOST_ENTER[@]}" -t "$(cat "$SANDBOX/at-$1")" -- "${@:2}"
}
inside() { if [ -e "$SANDBOX/at-host" ]; then at host "$@"; else "$@"; fi; }
wsl() { inside timeout --foreground -k 5 "${WSL_DEADLINE:-60}" "$WSL" "$@"; }

holder() { # HOST COMMAND...: the command makes namespaces, a process keeps them
	"${@:2}" sh -c 'echo ready; exec sleep 100000' </dev/null >"$SANDBOX/at-$1.out" 2>&1 3>&- &
	echo $! >"$SANDBOX/at-$1"
	echo $! >>"$SANDBOX/servers"
	eventually 5 grep -qxs ready "$SANDBOX/at-$1.out" || { cat "$SANDBOX/at-$1.out"; return 1; }
}

host_make() { # LINES of resolv.conf
	holder host env -i PATH="$PATH" "${HOST_UNSHARE[@]}"
	inside ip link set lo up
	mkdir "$SANDBOX/etc"
	resolv_conf "$@"
}
# A file below /etc of the host, which must be there in the machine's; changed in place once it is mounted
host_file() { # NAME LINES...
	local mounted=
	[ ! -e "$SANDBOX/etc/$1" ] || mounted=1
	printf '%s\n' "${@:2}" >"$SANDBOX/etc/$1"
	[ -n "$mounted" ] || inside mount --bind "$SANDBOX/etc/$1" "/etc/$1"
}
resolv_conf() { host_file resolv.conf "$@"; }

with_ipv6() { [ -e /proc/net/if_inet6 ]; }

# Neighbour "peerN" at 10.N.0.1 and fd00:N::1, the host being ::2; all of them have 198.51.100.7 and
# 2001:db8::7, too
peer_make() { # N
	holder "peer$1" "${HOST_ENTER[@]}" -t "$(cat "$SANDBOX/at-host")" -- unshare -n
	inside ip link add "up$1" type veth peer name eth0 netns "$(cat "$SANDBOX/at-peer$1")"
	inside ip addr add "10.$1.0.2/24" dev "up$1"
	inside ip link set "up$1" up
	at "peer$1" ip link set lo up
	at "peer$1" ip addr add 198.51.100.7/32 dev lo
	at "peer$1" ip addr add "10.$1.0.1/24" dev eth0
	at "peer$1" ip link set eth0 up
	at "peer$1" ip route add default via "10.$1.0.2"
	with_ipv6 || return 0
	inside ip addr add "fd00:$1::2/64" dev "up$1" nodad
	at "peer$1" ip addr add 2001:db8::7/128 dev lo nodad
	at "peer$1" ip addr add "fd00:$1::1/64" dev eth0 nodad
	at "peer$1" ip -6 route add default via "fd00:$1::2"
}
# The neighbour that is the host's way into the world
uplink() { # N
	inside ip route replace default via "10.$1.0.1"
	! with_ipv6 || inside ip -6 route replace default via "fd00:$1::1"
}

serve() { # HOST COMMAND...: a server that says "ready"
	local out
	out=$(mktemp "$SANDBOX/serve.XXXXXX")
	"${HOST_ENTER[@]}" -t "$(cat "$SANDBOX/at-$1")" -- env -i PATH="$PATH" "${@:2}" >"$out" 2>&1 3>&- &
	echo $! >>"$SANDBOX/servers"
	eventually 10 grep -qxs ready "$out" || { cat "$out"; return 1; }
}

hosts_end() {
	[ ! -e "$SANDBOX/servers" ] || kill $(cat "$SANDBOX/servers") 2>/dev/null || true
	rm -f "$SANDBOX/at-host" # the service keeps its namespaces; its socket is reached from everywhere
	wsl_sandbox_end
}
