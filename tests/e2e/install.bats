# Installing from lists and files, first launch
load ../lib/wsl
setup() {
	wsl_sandbox
	SITE=$SANDBOX/site
	mkdir "$SITE"
}
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs
	[ -z "${HTTPD:-}" ] || kill "$HTTPD" 2>/dev/null || true
	wsl_sandbox_end
}

serve() { # [OPTION...]: sets URL
	python3 "$LIB/httpd.py" "$SITE" "$SANDBOX/port" "$@" 3>&- &
	HTTPD=$!
	eventually 10 test -s "$SANDBOX/port"
	URL=http://127.0.0.1:$(cat "$SANDBOX/port")
}

manifest() { # URL SHA256
	cat >"$SITE/list.json" <<-END
		{ "Default": "Small-1.0",
		  "ModernDistributions": { "Small": [
		    { "Name": "Small-1.0", "FriendlyName": "Small Linux 1.0", "Default": true,
		      "Amd64Url": { "Url": "$1", "Sha256": "$2" }, "Arm64Url": { "Url": "$1", "Sha256": "$2" } },
		    { "Name": "Small-0.9", "FriendlyName": "Small Linux 0.9",
		      "Amd64Url": { "Url": "$1.old", "Sha256": "$2" }, "Arm64Url": { "Url": "$1.old", "Sha256": "$2" } } ] },
		  "Distributions": [ { "Name": "Ancient", "FriendlyName": "Ancient", "StoreAppId": "1", "Amd64": true, "Arm64": true } ] }
	END
	export LXSS_DISTRIBUTION_LIST_URL=file://$SITE/list.json
}

sum() { sha256sum "$1" | cut -d' ' -f1; }

@test "install from a list over http, with the right hash" {
	gzip -c "$ROOTFS_TAR" >"$SITE/small.wsl"
	serve
	manifest "$URL/small.wsl" "$(sum "$SITE/small.wsl")"
	run -0 wsl --install Small --no-launch
	[[ $output == *"Downloading: Small Linux 1.0"* ]]
	[[ $output == *"Installing: Small Linux 1.0"* ]]
	[[ $output == *"Distribution successfully installed. It can be launched via 'wsl -d Small-1.0'"* ]]
	run -0 wsl -d small-1.0 echo fine
	[ "$output" = fine ]
	[ -z "$(find "$SANDBOX" -name '*.wsl*' -size +100k -not -path '*/site/*')" ]
}

@test "the list itself over http; the default distribution without a name" {
	cp "$ROOTFS_TAR" "$SITE/small.wsl"
	serve
	manifest "$URL/small.wsl" "0x$(sum "$SITE/small.wsl" | tr a-f A-F)"
	LXSS_DISTRIBUTION_LIST_URL=$URL/list.json run -0 wsl --install --no-launch
	run -0 wsl --list --quiet
	[ "$output" = Small-1.0 ]
}

@test "a file:// archive is used where it is and stays" {
	cp "$ROOTFS_TAR" "$SITE/small.wsl"
	manifest "file://$SITE/small.wsl" "$(sum "$SITE/small.wsl")"
	run -0 wsl --install Small-1.0 --no-launch
	[[ $output != *Downloading* ]]
	[ -e "$SITE/small.wsl" ]
}

@test "a wrong hash: both are told, nothing is left" {
	cp "$ROOTFS_TAR" "$SITE/small.wsl"
	serve
	local wrong=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
	manifest "$URL/small.wsl" $wrong
	run -255 --separate-stderr wsl --install Small --no-launch
	[[ $stderr == *"The distribution hash doesn't match."* ]]
	[[ $stderr == *"0x$wrong"* && $stderr == *"0x$(sum "$SITE/small.wsl")"* ]]
	[[ $stderr == *VerifyChecksum/TRUST_E_BAD_DIGEST* ]]
	[ -z "$(wsl --list --all --quiet)" ]
	[ -z "$(find "$SANDBOX" -type f -size +100k -not -path '*/site/*')" ]
}

@test "a hash that is not hex" {
	cp "$ROOTFS_TAR" "$SITE/small.wsl"
	manifest "file://$SITE/small.wsl" "nonsense"
	run -255 --separate-stderr wsl --install Small --no-launch
	[[ $stderr == *"Invalid hex string"* ]]
	[[ $stderr == *E_INVALIDARG* ]]
}

@test "a download that breaks off is resumed" {
	cp "$ROOTFS_TAR" "$SITE/small.wsl"
	serve --cut 1000000
	manifest "$URL/small.wsl" "$(sum "$SITE/small.wsl")"
	run wsl --install Small --no-launch
	[ "$status" = 0 ] || run -0 wsl --install Small --no-launch
	grep -qE '^GET /small.wsl bytes=[1-9][0-9]*-' "$SITE/requests"
	run -0 wsl -d Small-1.0 echo fine
}

@test "a killed download is resumed by the next install" {
	{ cat "$ROOTFS_TAR"; head -c 6000000 /dev/zero; } >"$SITE/small.wsl"
	serve --slow
	manifest "$URL/small.wsl" "$(sum "$SITE/small.wsl")"
	timeout -s KILL 2 "$WSL" --install Small --no-launch || true
	[ -z "$(wsl --list --all --quiet)" ]
	run -0 wsl --install Small --no-launch
	grep -qE '^GET /small.wsl bytes=[1-9][0-9]*-' "$SITE/requests"
	run -0 wsl -d Small-1.0 echo fine
}

@test "a server that does not answer, a file that is not there" {
	manifest "http://127.0.0.1:1/small.wsl" "$(sum "$ROOTFS_TAR")"
	run -255 --separate-stderr wsl --install Small --no-launch
	[[ $stderr == *"127.0.0.1"* ]]
	serve
	manifest "$URL/gone.wsl" "$(sum "$ROOTFS_TAR")"
	run -255 --separate-stderr wsl --install Small --no-launch
	[[ $stderr == *404* ]]
	[ -z "$(wsl --list --all --quiet)" ]
}

@test "names: unknown, taken, not allowed; the flavour's default, case" {
	cp "$ROOTFS_TAR" "$SITE/small.wsl"
	manifest "file://$SITE/small.wsl" "$(sum "$SITE/small.wsl")"
	run -255 --separate-stderr wsl --install Nonesuch --no-launch
	[[ $stderr == *"Invalid distribution name: 'Nonesuch'."* ]]
	[[ $stderr == *WSL_E_DISTRO_NOT_FOUND* ]]
	run -0 wsl --install SMALL --no-launch
	run -255 --separate-stderr wsl --install Small --no-launch
	[[ $stderr == *ERROR_ALREADY_EXISTS* && $stderr == *"--name"* ]]
	run -0 wsl --install Small --name second --no-launch
	run -255 wsl --install Small --name 'not allowed' --no-launch
	[[ $output == *E_INVALIDARG* ]]
	run -0 wsl --list --quiet
	[ "$output" = $'Small-1.0\nsecond' ]
}

@test "two installs of one name at once: one wins, one is refused, one distribution" {
	cp "$ROOTFS_TAR" "$SITE/small.wsl"
	serve --slow
	manifest "$URL/small.wsl" "$(sum "$SITE/small.wsl")"
	"$WSL" --install Small --no-launch >"$SANDBOX/one" 2>&1 &
	local one=$! a=0 b=0
	"$WSL" --install Small --no-launch >"$SANDBOX/two" 2>&1 || b=$?
	wait $one || a=$?
	cat "$SANDBOX/one" "$SANDBOX/two"
	[ "$((a + b))" = 255 ]
	run -0 wsl --list --all --quiet
	[ "$output" = Small-1.0 ]
	run -0 wsl echo fine
}

@test "--list --online shows the list" {
	manifest "file://$SITE/small.wsl" 00
	run -0 wsl --list --online
	[[ ${lines[0]} == "The following is a list of valid distributions that can be installed." ]]
	[[ $output == *"NAME "*"FRIENDLY NAME"* ]]
	[[ $output == *"Small-1.0"*"Small Linux 1.0"* ]]
	[[ $output == *Small-0.9* ]]
	[[ $output == *Debian* ]]
}

@test "a list that is no JSON" {
	manifest x 00
	echo '{ "ModernDistributions": [' >"$SITE/list.json"
	run -255 --separate-stderr wsl --install Small --no-launch
	[[ $stderr == *"Invalid JSON document. Parse error"* || $stderr == *WSL_E_INVALID_JSON* ]]
}

@test "a list that cannot be fetched is told with its address" {
	LXSS_DISTRIBUTION_LIST_URL=http://127.0.0.1:1/list.json run wsl --install Small --no-launch
	[ "$status" = 255 ]
	[[ $output == *"Failed to fetch the distribution list from 'http://127.0.0.1:1/list.json'."* ]]
}

@test "an override list wins and is announced" {
	cp "$ROOTFS_TAR" "$SITE/small.wsl"
	manifest "file://$SITE/wrong.wsl" 00
	mv "$SITE/list.json" "$SITE/main.json"
	manifest "file://$SITE/small.wsl" "$(sum "$SITE/small.wsl")"
	LXSS_DISTRIBUTION_LIST_URL=file://$SITE/main.json \
		LXSS_DISTRIBUTION_LIST_URL_APPEND=file://$SITE/list.json run -0 wsl --install Small --no-launch
	[[ $output == *'is provided by an override manifest.'* ]]
}

@test "legacy entries are refused by name" {
	manifest x 00
	run -255 --separate-stderr wsl --install Ancient --no-launch
	[[ $stderr == *WSL_E_DISTRO_ONLY_AVAILABLE_FROM_STORE* ]]
}

@test "contradictory options" {
	run -255 wsl --install --no-distribution Debian
	[[ $output == *E_INVALIDARG* ]]
	run -255 wsl --install --from-file x Debian
	[[ $output == *E_INVALIDARG* ]]
	run -255 wsl --install Debian --fixed-vhd
	[[ $output == *"--fixed-vhd"*"--vhd-size"* ]]
	run -255 wsl --install Debian --vhd-size lots
	[[ $output == *"Invalid size"* ]]
	run -0 wsl --install --no-distribution
}

@test "--from-file: the archive's own name, --name, stdin, a relative --location, --vhd-size" {
	run -0 wsl --install --from-file "$ROOTFS_DIR/oobe.tar" --no-launch
	[[ $output == *"wsl -d Oobe"* ]]
	run -255 wsl --install --from-file "$ROOTFS_DIR/oobe.tar" --no-launch
	[[ $output == *ERROR_ALREADY_EXISTS* ]]
	run -255 wsl --install --from-file "$ROOTFS_TAR" --no-launch
	[[ $output == *WSL_E_DISTRIBUTION_NAME_NEEDED* ]]
	cd "$SANDBOX"
	run -0 wsl --install --from-file - --name piped --location here --vhd-size 4GB --no-launch <"$ROOTFS_TAR"
	[ "$(stat -c %s "$SANDBOX"/here/*.img)" = $((4 << 30)) ]
	cd "$HOME"
	run -0 wsl -d piped echo fine
	[ "$output" = fine ]
	run -0 wsl --list --quiet
	[ "$output" = $'Oobe\npiped' ]
}

@test "first launch: not for commands, once for a shell, then as the default user" {
	wsl --install --from-file "$ROOTFS_DIR/oobe.tar" --no-launch
	run -0 wsl -d Oobe id -u
	[ "$output" = 0 ]
	run ! wsl -d Oobe test -e /etc/oobe-ran
	term <<-'PY'
		t = Term(WSL, "-d", "Oobe")
		t.expect("setting up as 0")
		t.expect(r"\$ |# ")
		t.send("id -u\r"); t.expect("1000")
		t.send("exit\r"); t.wait()
		t = Term(WSL, "-d", "Oobe")
		t.expect(r"\$ |# ")
		t.send("id -u\r"); t.expect("1000")
		t.send("exit\r"); t.wait()
		check(b"setting up" not in t.output)
	PY
	run -0 wsl -d Oobe -u root cat /etc/oobe-ran
	[ "$output" = done ]
	run -0 wsl -d Oobe id -u
	[ "$output" = 1000 ]
}

@test "a first launch that fails is told and tried again" {
	wsl --install --from-file "$ROOTFS_DIR/oobe.tar" --no-launch
	wsl -d Oobe touch /etc/oobe-fails
	term <<-'PY'
		t = Term(WSL, "-d", "Oobe")
		t.expect("setting up as 0")
		t.expect('OOBE command "/etc/oobe.sh" failed, exiting')
		check(t.wait() == 1)
	PY
	wsl -d Oobe rm /etc/oobe-fails
	term <<-'PY'
		t = Term(WSL, "-d", "Oobe")
		t.expect("setting up as 0")
		t.expect(r"\$ |# ")
		t.send("exit\r"); t.wait()
	PY
}

@test "--install ends with a shell whose exit code it returns" {
	term <<-'PY'
		t = Term(WSL, "--install", "--from-file", os.environ["ROOTFS_DIR"] + "/oobe.tar")
		t.expect("Launching Oobe...")
		t.expect("setting up as 0")
		t.expect(r"\$ |# ")
		t.send("exit 9\r")
		check(t.wait() == 9)
	PY
}

@test "an imported distribution has no first launch" {
	wsl_box Oobe "$ROOTFS_DIR/oobe.tar"
	term <<-'PY'
		t = Term(WSL, "-d", "Oobe")
		t.expect(r"\$ |# ")
		t.send("id -u\r"); t.expect(r"\b0\r")
		t.send("exit\r"); t.wait()
		check(b"setting up" not in t.output)
	PY
}
