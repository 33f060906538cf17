# A real distribution
load ../lib/wsl
setup_file() {
	[ -n "${DEBIAN_TAR:-}" ] || return 0
	wsl_sandbox
	wsl_box Debian "$DEBIAN_TAR"
}
teardown_file() { wsl_sandbox_end; }
setup() { [ -n "${DEBIAN_TAR:-}" ] || skip "no Debian archive: mmdebstrap failed or this is no Debian machine"; }
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs; }

@test "it starts and is what it says" {
	run -0 wsl grep '^ID=' /etc/os-release
	[ "$output" = ID=debian ]
	wsl --list --json | grep -q '"flavor": "debian"'
}

@test "its package manager is whole" {
	run -0 wsl dpkg --audit
	[ -z "$output" ]
	run -0 guest 'dpkg -V base-files bash coreutils'
	run -0 guest 'dpkg-query -W -f "\${Status}\n" | sort -u'
	[ "$output" = "install ok installed" ]
}

@test "packages can be made, installed and removed" {
	run -0 guest 'set -e; mkdir -p /tmp/p/DEBIAN /tmp/p/opt; echo hi >/tmp/p/opt/hello
		printf "Package: hello-lxss\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n" >/tmp/p/DEBIAN/control
		dpkg-deb -b /tmp/p /tmp/p.deb >/dev/null && dpkg -i /tmp/p.deb >/dev/null && cat /opt/hello && dpkg -r hello-lxss >/dev/null && ! test -e /opt/hello'
	[ "$output" = hi ]
}

@test "users can be made, and log in" {
	guest 'id tester 2>/dev/null || useradd -m -s /bin/bash tester'
	run -0 guest -u tester 'whoami; pwd; echo $SHELL'
	[ "$output" = $'tester\n/home/tester\n/bin/bash' ]
}

@test "bash is the shell: arrays, process substitution, job control" {
	run -0 wsl -e bash -c 'a=(1 2 3); echo ${#a[@]}; diff <(seq 3) <(seq 3) && echo same'
	[ "$output" = $'3\nsame' ]
	term <<-'PY'
		t = Term(WSL)
		t.expect(r"# ")
		t.send("sleep 50 &\r"); t.expect(r"\[1\]")
		t.send("kill %1\r"); t.send("wait; echo waited-$?\r"); t.expect("waited-")
		t.send("exit\r"); t.wait()
	PY
}

@test "threads, python, big processes" {
	run -0 wsl -e python3 -c '
import threading, hashlib
done = []
def work(n):
    h = hashlib.sha256()
    for _ in range(200): h.update(bytes([n]) * 10000)
    done.append(h.hexdigest())
ts = [threading.Thread(target=work, args=(n,)) for n in range(16)]
[t.start() for t in ts]; [t.join() for t in ts]
x = bytearray(200 << 20)
print(len(done), len(x) >> 20)'
	[ "$output" = "16 200" ]
}

@test "a file system's worth of work: unpack, find, checksum, remove" {
	run -0 guest 'cd /var/tmp && tar cf t.tar -C / usr/share/doc etc && mkdir x && tar xf t.tar -C x && diff -r --no-dereference /etc x/etc >/dev/null; find x -type f | wc -l; rm -rf x t.tar; sync'
	((output > 500))
}

@test "an export of it can be read by tar and has its programs' modes" {
	wsl --export Debian "$SANDBOX/d.tar"
	run -0 bash -c 'tar tvf "$SANDBOX/d.tar" | grep -E " (\./)?(usr/)?bin/(su|mount)$"'
	[[ $output == *-rwsr-xr-x* ]]
	rm "$SANDBOX/d.tar"
}
