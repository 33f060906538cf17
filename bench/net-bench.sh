#!/bin/bash
# bench/net-bench.sh [--rounds N] [--seconds S] [--json FILE] - the guest's network beside its peers
#
# One run measures everything alternately: the guest, a network namespace behind slirp4netns, one
# behind passt (both only as root, and if installed; MTU 65520 each), and the host's loopback. All of
# them talk to one server on the host's loopback. Prints the best of N rounds: Mbit/s for bulk, share
# lost in brackets; microseconds for latencies. Load that comes from elsewhere hits all alike.
#
# forward-*: the host connects to a port that a program of the guest listens on; loopback is the same
# without a guest. dns-*: one server on the host's loopback, asked through the tunnel, at the network's
# name server, and directly (only as root: the host's resolv.conf has to name it).
# What must hold: dns at most 1000 us over loopback's, forward at least 2000 Mbit/s.
#
# Needs wsl in PATH (make install) and gcc; works in a sandbox of its own.
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."

# Mounts of our own: another resolv.conf
if [ "$(id -u)" = 0 ] && [ -z "${NET_BENCH_INSIDE:-}" ]; then
	NET_BENCH_INSIDE=1 exec unshare -m "bench/$(basename -- "$0")" "$@"
fi

rounds=3 seconds=2 json=
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=$2; shift ;;
	--seconds) seconds=$2; shift ;;
	--json) json=$2; shift ;;
	*) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
	shift
done

named=
work=$(mktemp -d /tmp/lx.XXXXXX)
port=$((20000 + RANDOM % 10000))
forwarded=$((port + 1))
pids=()
clean_up() {
	wsl --shutdown >/dev/null 2>&1 || true
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
	[ -z "$named" ] || ip netns del "$named" || true
	tests/lib/leftovers --kill "$work" >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap clean_up EXIT

export HOME=$work/home XDG_RUNTIME_DIR=$work/run XDG_DATA_HOME=$work/data XDG_CACHE_HOME=$work/cache \
	XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config
mkdir -m 700 "$HOME" "$XDG_RUNTIME_DIR" "$work/rootfs"
gcc -O2 -D_GNU_SOURCE -static -pthread -o "$work/net-load" bench/net-load.c
gcc -O1 -static -o "$work/probe" tests/lib/probe.c
python3 tests/lib/small.py "$work/rootfs" "$work/probe"

"$work/net-load" serve "$port" >"$work/ready" 2>&1 &
pids+=($!)
resolver=
if [ "$(id -u)" = 0 ] && [ -e /etc/resolv.conf ]; then
	resolver=127.$((RANDOM % 250 + 1)).$((RANDOM % 250 + 1)).9
	python3 tests/lib/dns-server.py "$resolver" >"$work/dns" 2>&1 &
	pids+=($!)
	echo "nameserver $resolver" >"$work/resolv.conf"
	mount --bind "$work/resolv.conf" /etc/resolv.conf
fi

# --- where from ---
declare -A address
peers=(guest)
wsl --import box "$work/box" "$work/rootfs/small.tar" >/dev/null
wsl -d box -e sh -c 'cat >/bin/net-load && chmod 755 /bin/net-load' <"$work/net-load"
address[guest]=$(wsl -d box -e ip route show default | awk '{ print $3; exit }')
from_guest() { wsl -d box -e net-load "$@"; }
declare -A forward dns nameserver
if [ -n "$resolver" ]; then
	dns=([guest]=10.255.255.254 [loopback]=$resolver)
	nameserver=([guest]=${address[guest]%.*}.2 [loopback]=$resolver)
fi
wsl -d box -e net-load serve "$forwarded" >"$work/ready-guest" 2>&1 &
pids+=($!)
forward=([guest]=$forwarded [loopback]=$port)

if [ "$(id -u)" = 0 ] && command -v slirp4netns >/dev/null; then
	unshare -n sleep 10000 &
	slirp_ns=$!
	pids+=("$slirp_ns")
	sleep 0.5
	slirp4netns --configure --mtu=65520 "$slirp_ns" tap0 >/dev/null 2>&1 &
	pids+=($!)
	address[slirp4netns]=10.0.2.2
	dns[slirp4netns]=${resolver:+10.0.2.3}
	peers+=(slirp4netns)
fi
from_slirp4netns() { nsenter -t "$slirp_ns" -n "$work/net-load" "$@"; }

if [ "$(id -u)" = 0 ] && command -v pasta >/dev/null; then
	named=lxss-bench-$$
	ip netns add "$named"
	pasta -q -f --config-net --runas 0 --mtu 65520 -t none -u none -T none -U none \
		--netns-only --netns "$named" >"$work/pasta.log" 2>&1 &
	pids+=($!)
	sleep 1
	address[passt]=$(ip netns exec "$named" ip route show default | awk '{ print $3; exit }')
	[ -z "${address[passt]}" ] || peers+=(passt)
fi
from_passt() { ip netns exec "$named" "$work/net-load" "$@"; }

address[loopback]=127.0.0.1
peers+=(loopback)
from_loopback() { "$work/net-load" "$@"; }
sleep 1

# --- what ---
# name, better (high, low), command; the server is @, for names + or %, by way of a forwarded port ^
measurements=(
	"tcp-guest-to-host-1|high|up @ $port $seconds 1"
	"tcp-host-to-guest-1|high|down @ $port $seconds 1"
	"tcp-guest-to-host-8|high|up @ $port $seconds 8"
	"tcp-host-to-guest-8|high|down @ $port $seconds 8"
	"udp-guest-to-host-1400|high|udp @ $port 1 1400"
	"udp-guest-to-host-32000|high|udp @ $port 1 32000"
	"round-trip-us|low|rr @ $port 2000"
	"connect-us|low|connect @ $port 500"
	"forward-host-to-guest-1|high|up 127.0.0.1 ^ $seconds 1"
	"forward-guest-to-host-1|high|down 127.0.0.1 ^ $seconds 1"
	"forward-host-to-guest-8|high|up 127.0.0.1 ^ $seconds 8"
	"forward-guest-to-host-8|high|down 127.0.0.1 ^ $seconds 8"
	"dns-tunnel-us|low|dns + a.example.test 1000"
	"dns-network-us|low|dns % a.example.test 1000"
)
# Empty where a peer cannot take part
measure() { # PEER COMMAND
	local where=$1 command=$2 server
	case $command in
	*^*) server=${forward[$1]:-} where=loopback ;;
	*+*) server=${dns[$1]:-} ;;
	*%*) server=${nameserver[$1]:-} ;;
	*) server=${address[$1]} ;;
	esac
	[ -n "$server" ] || return 0
	# shellcheck disable=SC2086 # words of the command
	"from_$where" ${command/[@+%^]/$server} 2>>"$work/errors" || true
}
declare -A best
for ((round = 0; round < rounds; round++)); do
	for m in "${measurements[@]}"; do
		IFS='|' read -r name better command <<<"$m"
		for peer in "${peers[@]}"; do
			value=$(measure "$peer" "$command")
			[ -n "$value" ] || continue
			old=${best[$name/$peer]:-}
			if [ -z "$old" ] || { [ "$better" = high ] && [ "${value%% *}" -gt "${old%% *}" ]; } ||
				{ [ "$better" = low ] && [ "${value%% *}" -lt "${old%% *}" ]; }; then
				best[$name/$peer]=$value
			fi
		done
	done
done

# --- the table ---
sort "$work/errors" | uniq -c | sort -rn | head -n 5 >&2
printf '%-26s' ''
printf '%16s' "${peers[@]}"
printf '   guest/peer\n'
for m in "${measurements[@]}"; do
	IFS='|' read -r name better command <<<"$m"
	printf '%-26s' "$name"
	for peer in "${peers[@]}"; do
		printf '%16s' "${best[$name/$peer]:--}"
	done
	for peer in "${peers[@]:1}"; do
		awk -v a="${best[$name/guest]:-0}" -v b="${best[$name/$peer]:-0}" \
			'BEGIN { split(a, x, " "); split(b, y, " "); printf "%8.2f", y[1] ? x[1] / y[1] : 0 }'
	done
	printf '\n'
done
if [ -n "$json" ]; then
	{
		printf '{\n'
		for key in "${!best[@]}"; do
			printf '\t"%s": %s,\n' "$key" "${best[$key]%% *}"
		done
		printf '\t"rounds": %s\n}\n' "$rounds"
	} >"$json"
fi
