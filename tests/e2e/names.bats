# Names: the tunnel to the host's resolver, the network's name server, resolv.conf, live changes
#
# The service lives on a host of the test's own, with a name server on its loopback and its own
# /etc/resolv.conf, hosts and nsswitch.conf. Where that cannot be made, it has what the machine has.
load ../lib/wsl
load ../lib/hosts

dns() { wsl -e netprobe dns "${SERVER:-10.255.255.254}" "$@"; }
name_server() { serve host python3 "$LIB/dns-server.py" "$1" "$2"; } # ADDRESS WORD
need_host() { [ -e "$SANDBOX/at-host" ] || skip "this user may not make network namespaces"; }
# The name server of the virtual network, at its IPv4 or IPv6 address
network_server() { # 4|6
	wsl -e ip "-$1" -o addr show eth0 scope global | awk -v from="$1" '{
		sub(from == 4 ? "[0-9]*/.*" : "[0-9a-f]*/.*", "2", $4); print $4; exit }'
}

make_host() {
	host_make 'nameserver 127.0.0.9' 'search corp.test example.test'
	host_file hosts '127.0.0.1 localhost' '192.0.2.50 printer.lan printer # upstairs' '2001:db8::50 printer.lan'
	host_file nsswitch.conf 'hosts: files dns'
	name_server 127.0.0.9 first
}

setup_file() {
	wsl_sandbox
	netprobe_build
	! may_make_hosts || make_host
	wsl_box
	netprobe_install
}
teardown_file() { hosts_end; }
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs; }

@test "resolv.conf: the tunnel's address, the generated header, no domain line" {
	run -0 wsl -e cat /etc/resolv.conf
	[[ ${lines[0]} == "#"* && ${lines[1]} == "#"*"[network]"*"generateResolvConf"* ]]
	[ "${lines[2]}" = "nameserver 10.255.255.254" ]
	! grep -q '^domain' <<<"$output"
}

@test "localhost resolves through the tunnel" {
	run -0 dns localhost A
	[[ $output == *"1 127.0.0.1"* ]]
}

@test "what is in the host's hosts file resolves, and is not copied" {
	need_host
	run -0 dns printer.lan A
	[[ $output == *"1 192.0.2.50"* ]]
	run -0 dns PRINTER A
	[[ $output == *"1 192.0.2.50"* ]]
	run -0 dns printer.lan AAAA
	[[ $output == *"28 2001:db8::50"* ]]
	run -0 dns 50.2.0.192.in-addr.arpa PTR
	[[ $output == *printer.lan* ]]
	run -1 wsl -e grep printer /etc/hosts
}

every_type() {
	local how
	for how in udp tcp; do
		run -0 dns a.example.test A $how
		[[ $output == "rcode=0 tc=0 answers=1 "*"1 192.0.2.1"* ]]
		run -0 dns six.example.test AAAA $how
		[[ $output == *"28 2001:db8::1"* ]]
		run -0 dns mail.example.test MX $how
		[[ $output == *"15 "*example* ]]
		run -0 dns text.example.test TXT $how
		[[ $output == *hello.world* ]]
		run -0 dns _http._tcp.example.test SRV $how
		[[ $output == *"33 "*srv.example* ]]
		run -0 dns 1.2.0.192.in-addr.arpa PTR $how
		[[ $output == *pointer.example* ]]
		run -0 dns alias.example.test CNAME $how
		[[ $output == *"5 "*a.example* ]]
		run -0 dns example.test NS $how
		[[ $output == *"2 "*ns.example* ]]
		run -0 dns example.test SOA $how
		[[ $output == *"6 "*root.example* ]]
		run -0 dns example.test ANY $how
		[[ $output == "rcode=0 tc=0 answers=2 "* ]]
		run -0 dns odd.example.test 65280 $how
		[[ $output == *"65280 private"* ]]
		run -0 dns nowhere.example.test A $how
		[[ $output == "rcode=3 "*"answers=0 "* ]]
	done
}

@test "every type of record passes, over UDP and TCP" {
	need_host
	every_type
}

@test "so it does at the network's name server" {
	need_host
	SERVER=$(network_server 4) every_type
}

large_answers() {
	run -0 dns wide.example.test TXT udp
	[[ $output == "rcode=0 tc=1 answers=0 "* ]]
	run -0 dns wide.example.test TXT udp 4096
	[[ $output == "rcode=0 tc=0 answers=9 "* ]]
	run -0 dns big.example.test TXT udp 4096
	[[ $output == "rcode=0 tc=1 "* ]]
	run -0 dns big.example.test TXT tcp
	[[ $output == "rcode=0 tc=0 answers=100 "* ]]
}

@test "large answers: cut over UDP, whole over TCP, whole over UDP with EDNS" {
	need_host
	large_answers
	SERVER=$(network_server 4) large_answers
}

@test "the network's name server: every user, both families" {
	local server
	for server in $(network_server 4) $(network_server 6); do
		SERVER=$server run -0 dns localhost A udp
		[[ $output == *"1 127.0.0.1"* ]]
		SERVER=$server run -0 dns localhost A tcp
		[[ $output == *"1 127.0.0.1"* ]]
		run -0 wsl -e nslookup localhost "$server"
		[[ $output == *127.0.0.1* ]]
	done
}

@test "the network's name server answers a network namespace of the guest" {
	run -0 guest '
		unshare -n sleep 1000 &
		trap "kill $!; echo 0 >/proc/sys/net/ipv4/ip_forward" EXIT
		in="nsenter -t $! -n"
		until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
		ip link add type veth
		ip link set veth1 netns $!
		ip addr add 10.99.0.1/24 dev veth0
		ip link set veth0 up
		$in ip addr add 10.99.0.2/24 dev veth1
		$in ip link set veth1 up
		$in ip route add default via 10.99.0.1
		echo 1 >/proc/sys/net/ipv4/ip_forward
		$in netprobe dns '"$(network_server 4)"' localhost A udp
		$in netprobe dns '"$(network_server 4)"' localhost A tcp'
	[ "$(grep -c '^1 127.0.0.1$' <<<"$output")" = 2 ]
}

@test "the C library of the guest finds names, short ones by the search list" {
	need_host
	run -0 wsl -e nslookup short.corp.test
	[[ $output == *192.0.2.99* ]]
	run -0 wsl -e ping -c 1 -W 1 -q localhost
	run wsl -e ping -c 1 -W 1 -q short
	[[ $output == *192.0.2.99* ]]
}

@test "a change of the host's hosts file shows at once" {
	need_host
	run -0 dns new.lan A
	[[ $output == "rcode=3"* ]]
	host_file hosts '127.0.0.1 localhost' '192.0.2.50 printer.lan printer' '192.0.2.51 new.lan'
	run -0 dns new.lan A
	[[ $output == *"1 192.0.2.51"* ]]
}

@test "a change of the host's resolv.conf: the other server is asked, the search list follows" {
	need_host
	name_server 127.0.0.10 second
	run -0 dns who.example.test TXT
	[[ $output == *first* ]]
	host_file resolv.conf 'nameserver 127.0.0.10' 'search other.test'
	run -0 dns who.example.test TXT
	[[ $output == *second* ]]
	eventually 3 eval 'wsl -e grep -q "^search other.test$" /etc/resolv.conf'
	host_file resolv.conf 'nameserver 127.0.0.9' 'search corp.test example.test'
	eventually 3 eval 'wsl -e grep -q "^search corp.test example.test$" /etc/resolv.conf'
}

@test "no server answers: an error in bounded time; it works again when one does" {
	need_host
	host_file resolv.conf 'nameserver 127.0.0.77' 'options timeout:1 attempts:1'
	run -0 dns a.example.test A
	[[ $output == "rcode=2 "* ]]
	host_file resolv.conf 'nameserver 127.0.0.9' 'search corp.test example.test'
	run -0 dns a.example.test A
	[[ $output == *"1 192.0.2.1"* ]]
}

@test "the resolver killed: the next query starts it anew" {
	need_host
	local pid
	run -0 dns a.example.test A
	pid=$("$LIB/leftovers" --pid-of wslresolver "$SANDBOX")
	kill -9 $pid
	eventually 5 eval 'dns a.example.test A | grep -q 192.0.2.1'
	SERVER=$(network_server 4) eventually 5 eval 'dns a.example.test A | grep -q 192.0.2.1'
}

@test "many questions at a time are all answered" {
	need_host
	run -0 guest 'for i in $(seq 60); do netprobe dns 10.255.255.254 a.example.test A >/tmp/q$i & done; wait
		cat /tmp/q* | grep -c "^1 192.0.2.1$"'
	[ "$output" = 60 ]
	run -0 guest 'for i in $(seq 60); do netprobe dns '"$(network_server 4)"' a.example.test A >/tmp/q$i & done; wait
		cat /tmp/q* | grep -c "^1 192.0.2.1$"'
	[ "$output" = 60 ]
}

@test "generateResolvConf=false leaves the distribution's own file alone" {
	guest 'printf "[network]\ngenerateResolvConf=false\n" >/etc/wsl.conf'
	wsl --terminate box
	guest 'rm -f /etc/resolv.conf; echo "# mine" >/etc/resolv.conf'
	wsl --terminate box
	run -0 wsl -e cat /etc/resolv.conf
	[ "$output" = "# mine" ]
	guest 'rm /etc/wsl.conf'
	wsl --terminate box
	run -0 wsl -e cat /etc/resolv.conf
	[[ $output == *10.255.255.254* ]]
}

@test "dnsTunnelingIpAddress moves the tunnel" {
	wslconf '[experimental]' dnsTunnelingIpAddress=10.1.2.3
	wsl --shutdown
	run -0 wsl -e grep nameserver /etc/resolv.conf
	[ "$output" = "nameserver 10.1.2.3" ]
	SERVER=10.1.2.3 run -0 dns localhost A
	[[ $output == *127.0.0.1* ]]
}

@test "dnsTunneling=false: the network's name server, and the host's hosts file" {
	wslconf '[wsl2]' dnsTunneling=false
	wsl --shutdown
	SERVER=$(network_server 4)
	run -0 wsl -e grep nameserver /etc/resolv.conf
	[ "$output" = "nameserver $SERVER" ]
	run -0 wsl --status
	[[ $output == *"Name Server: $SERVER"* ]]
	run -0 dns localhost A
	[[ $output == *"1 127.0.0.1"* ]]
	[ -e "$SANDBOX/at-host" ] || return 0
	run -0 wsl -e nslookup short.corp.test
	[[ $output == *192.0.2.99* ]]
	run -0 wsl -e grep -c printer.lan /etc/hosts
	host_file resolv.conf 'nameserver 127.0.0.10' 'search other.test'
	run -0 dns who.example.test TXT
	[[ $output == *second* ]]
	eventually 3 eval 'wsl -e grep -q "^search other.test$" /etc/resolv.conf'
	host_file resolv.conf 'nameserver 127.0.0.9' 'search corp.test example.test'
}

@test "dnsTunneling=false, dnsProxy=false: the host's servers and hosts file" {
	need_host
	host_file resolv.conf 'nameserver 127.0.0.1' 'nameserver 192.0.2.53' 'search corp.test'
	host_file hosts '127.0.0.1 localhost' '192.0.2.50 printer.lan printer'
	name_server 127.0.0.1 plain
	wslconf '[wsl2]' dnsTunneling=false dnsProxy=false
	wsl --shutdown
	run -0 wsl -e cat /etc/resolv.conf
	[[ $output == *"nameserver "*.*.*.*$'\n'"nameserver 192.0.2.53"* ]]
	[[ $output != *"nameserver 127."* ]]
	# a server on the host's loopback is reached at the gateway
	SERVER=$(wsl -e awk '/^nameserver/ { print $2; exit }' /etc/resolv.conf)
	run -0 dns who.example.test TXT
	[[ $output == *plain* ]]
	run -0 wsl -e grep printer /etc/hosts
	[[ $output == *"192.0.2.50"*"printer.lan"* ]]
}

@test "networkingMode=none: no name server, no waiting" {
	wslconf '[wsl2]' networkingMode=none
	wsl --shutdown
	run wsl -e cat /etc/resolv.conf
	[[ $output != *nameserver* ]]
	run -0 wsl -e sh -c 'ls /sys/class/net'
	[[ $output != *eth0* ]]
}
