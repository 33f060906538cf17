# A day's work in a real distribution: packages from the mirror, git over https, Docker with a published port
#
# The mirror is the one this machine's own packages come from. Everything else listens on loopback.
# long
load ../lib/wsl

setup_file() {
	[ -n "${DEBIAN_TAR:-}" ] || return 0
	wsl_sandbox
	wsl_box Debian "$DEBIAN_TAR"
}
teardown_file() {
	[ -d "${SANDBOX:-}" ] || return 0
	[ ! -s "$SANDBOX/servers" ] || kill $(cat "$SANDBOX/servers") 2>/dev/null || true
	wsl_sandbox_end
}
setup() { [ -n "${DEBIAN_TAR:-}" ] || skip "no Debian archive: mmdebstrap failed or this is no Debian machine"; }
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs; }

gateway() { guest 'ip route show default' | awk '{ print $3; exit }'; }
serve() { # PORT-FILE PROGRAM...
	"${@:2}" >"$1.log" 2>&1 3>&- &
	echo $! >>"$SANDBOX/servers"
	eventually 10 test -s "$1"
}
installed() { guest "command -v $1 >/dev/null" || skip "$1 was not installed"; }
start_docker() {
	guest -u root 'setsid dockerd >/tmp/dockerd.log 2>&1 </dev/null & i=0
		until docker info >/tmp/info 2>/dev/null; do i=$((i + 1)); [ $i -lt 300 ] || { tail /tmp/dockerd.log; exit 1; }; sleep 0.1; done'
}
docker() { wsl -u root -e docker "$@"; }

@test "apt-get update and install" {
	WSL_DEADLINE=150 run -0 guest -u root 'export DEBIAN_FRONTEND=noninteractive
		apt-get -qq update && apt-get -qq install -y --no-install-recommends git ca-certificates docker.io iptables >/tmp/apt.log 2>&1 || { tail /tmp/apt.log; exit 1; }'
	run -0 guest 'git --version && docker --version && dpkg --audit'
	[[ $output == git*Docker* ]]
}

@test "git clone over https, fetch and push" {
	local port url at
	installed git
	mkdir "$SANDBOX/git"
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=git.test -addext "subjectAltName=IP:$(gateway)" \
		-keyout "$SANDBOX/key" -out "$SANDBOX/certificate" 2>/dev/null
	cat "$SANDBOX/key" "$SANDBOX/certificate" >"$SANDBOX/both"
	git init -q --bare "$SANDBOX/git/project"
	git -C "$SANDBOX/git/project" config http.receivepack true
	python3 - >"$SANDBOX/history" <<-'END'
		import random
		random.seed(1)
		for n in range(1, 401):
		    print(f"blob\nmark :{n}\ndata {20000}")
		    print("".join(random.choices("abcdefgh \n", k=20000)))
		print("commit refs/heads/main\ncommitter A <a@example.org> 1700000000 +0000\ndata 5\nfirst")
		for n in range(1, 401):
		    print(f"M 100644 :{n} d{n % 20}/file{n}")
	END
	git -C "$SANDBOX/git/project" fast-import --quiet <"$SANDBOX/history"
	git -C "$SANDBOX/git/project" symbolic-ref HEAD refs/heads/main
	serve "$SANDBOX/git.port" python3 "$LIB/git-server.py" "$SANDBOX/git" "$SANDBOX/git.port" "$SANDBOX/both"
	url=https://$(gateway):$(cat "$SANDBOX/git.port")/project
	run -128 guest "git clone -q $url /tmp/refused" # nobody trusts that certificate yet
	[[ $output == *certificate* ]]
	wsl -u root -e sh -c 'cat >/usr/local/share/ca-certificates/git.crt && update-ca-certificates >/dev/null 2>&1' <"$SANDBOX/certificate"
	WSL_DEADLINE=120 guest "git clone -q $url /tmp/project"
	[ "$(guest 'git -C /tmp/project rev-parse HEAD')" = "$(git -C "$SANDBOX/git/project" rev-parse main)" ]
	guest 'cd /tmp/project && git fsck --no-progress && [ $(ls d*/* | wc -l) = 400 ] && [ -z "$(git status --porcelain)" ]'
	guest 'cd /tmp/project && echo new >new && git add new && git -c user.name=B -c user.email=b@example.org commit -qm second && git push -q'
	[ "$(git -C "$SANDBOX/git/project" show main:new)" = new ]
}

@test "Docker: the engine starts with overlay2 and cgroup version 2" {
	installed dockerd
	wsl -u root -e sh -c 'cat >/bin/busybox && chmod 755 /bin/busybox' </bin/busybox
	start_docker
	run -0 guest -u root 'cat /tmp/info'
	[[ $output == *"Storage Driver: overlay2"* && $output == *"Cgroup Version: 2"* ]]
	guest -u root 'mkdir -p /tmp/i/bin /tmp/i/www && cp /bin/busybox /tmp/i/bin && ln -sf busybox /tmp/i/bin/sh && ln -sf busybox /tmp/i/bin/wget &&
		echo from the container >/tmp/i/www/index.html && tar -C /tmp/i -c . | docker import - bb >/dev/null'
}

@test "Docker: a published port of a bridged container is reached on the host" {
	local port=$((19000 + RANDOM % 900))
	installed dockerd
	docker run -d --name web -p "$port:80" bb /bin/busybox httpd -f -p 80 -h /www
	reached() { [ "$(curl -fsS --max-time 5 "http://127.0.0.1:$port/" 2>&1)" = "from the container" ]; }
	eventually 15 reached
	[ "$(guest "/bin/busybox wget -q -O - http://127.0.0.1:$port/")" = "from the container" ]
	docker rm -f web
	gone() { ! curl -fsS --max-time 5 "http://127.0.0.1:$port/" 2>/dev/null; }
	eventually 10 gone
}

@test "Docker: containers reach the host, names and each other" {
	local url
	installed dockerd
	mkdir -p "$SANDBOX/files"
	head -c 100000000 /dev/urandom >"$SANDBOX/files/big"
	serve "$SANDBOX/http.port" python3 "$LIB/httpd.py" "$SANDBOX/files" "$SANDBOX/http.port"
	url=http://$(gateway):$(cat "$SANDBOX/http.port")/big
	run -0 docker run --rm -m 64m --cpus 1 bb /bin/busybox sh -c "wget -q -O - $url | /bin/busybox sha256sum"
	[ "${output%% *}" = "$(sha256sum <"$SANDBOX/files/big" | cut -d' ' -f1)" ]
	run -0 docker run --rm bb /bin/busybox nslookup localhost
	[[ $output == *127.0.0.1* ]]
	docker network create net
	docker run -d --name web --network net bb /bin/busybox httpd -f -p 80 -h /www
	answers() { [ "$(docker run --rm --network net bb wget -q -O - http://web/)" = "from the container" ]; }
	eventually 20 answers
}

@test "Docker: --terminate ends it all, and it starts again" {
	installed dockerd
	wsl --terminate Debian
	wsl true
	run ! guest 'pgrep dockerd'
	start_docker
	docker start web
	run -0 docker exec web /bin/busybox cat /www/index.html
	[ "$output" = "from the container" ]
}
