# Commands and shells: quoting, users, directories, long command lines
load ../lib/wsl
setup_file() { wsl_sandbox; wsl_box; }
teardown_file() { wsl_sandbox_end; }
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs; }

@test "a command runs and its output arrives" {
	run -0 wsl echo hello
	[ "$output" = hello ]
}

@test "the guest's shell expands variables" {
	run -0 wsl -u user -- echo -n '$USER'
	[ "$output" = user ]
}

@test "single quotes reach the guest's shell" {
	run -0 wsl -u user -- echo -n "'\$USER'"
	[ "$output" = '$USER' ]
}

@test "an argument with blanks is one argument, an empty one stays" {
	run -0 wsl probe args "a b" "" c
	[ "$output" = $'3[a b]\n0[]\n1[c]' ]
}

@test "double quotes in an argument survive" {
	run -0 wsl probe args 'say "hi" now'
	[ "$output" = '12[say "hi" now]' ]
}

@test "pipes, && and globs are the guest shell's" {
	run -0 wsl echo one '&&' echo two '|' tr a-z A-Z
	[ "$output" = $'one\nTWO' ]
	run -0 wsl echo '/etc/os-rel*'
	[ "$output" = /etc/os-release ]
}

@test "--exec expands nothing" {
	run -0 wsl --exec echo -n '$USER' '*'
	[ "$output" = '$USER *' ]
	run -0 wsl -e probe args "a  b" "" 'c"d' "e'f" 'g\h' $'new\nline'
	[ "$output" = $'4[a  b]\n0[]\n3[c"d]\n3[e\'f]\n3[g\\h]\n8[new\nline]' ]
}

@test "--exec echo of an empty argument prints one blank line" {
	wsl --exec echo "" >"$BATS_TEST_TMPDIR/out"
	[ "$(od -An -tx1 "$BATS_TEST_TMPDIR/out" | tr -d ' ')" = 0a ]
}

@test "--exec searches PATH, and a missing program is 127" {
	run -0 wsl -e uname
	[ "$output" = Linux ]
	run wsl -e no-such-program
	[ "$status" = 127 ]
	[[ $output == *no-such-program* ]]
}

@test "--exec of something that is not executable is 126" {
	run wsl -e /etc/passwd
	[ "$status" = 126 ]
}

@test "--exec with nothing after it is an error" {
	run -255 --separate-stderr wsl --exec
	[[ $stderr == *E_INVALIDARG* ]]
	[ -z "$output" ]
}

@test "bytes of any value survive as arguments" {
	local all
	all=$(python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(1, 10)) + bytes(range(11, 256)))'; echo x)
	all=${all%x}
	wsl -e printf %s "$all" >"$BATS_TEST_TMPDIR/out"
	printf %s "$all" | cmp - "$BATS_TEST_TMPDIR/out"
}

@test "a command line of 4 KiB works, and one of 100 KiB" {
	local long
	long=$(printf 'word%04d ' $(seq 512))
	run -0 wsl echo "$long"
	[ "$output" = "$long" ]
	long=$(head -c 100000 /dev/zero | tr '\0' x)
	run -0 wsl -e probe args "$long"
	[ "$output" = "100000[$long]" ]
}

@test "2000 arguments arrive in order" {
	run -0 wsl -e sh -c 'echo $# $1 ${2000}' sh $(seq 2000)
	[ "$output" = "2000 1 2000" ]
}

@test "-u runs as that user, with home, shell and groups" {
	run -0 wsl -u root whoami
	[ "$output" = root ]
	run -0 guest -u user 'whoami; echo $HOME $USER $LOGNAME $SHELL; id -u; id -g'
	[ "$output" = $'user\n/home/user user user /bin/sh\n1000\n1000' ]
}

@test "a user's forty supplementary groups are all there" {
	run -0 wsl -u user id -G
	[ "$(wc -w <<<"$output")" = 41 ]
}

@test "an unknown user is an error with a name" {
	run -255 --separate-stderr wsl -u nobody-knows true
	[[ $stderr == *WSL_E_USER_NOT_FOUND* ]]
	[ -z "$output" ]
}

@test "--cd with a Linux path, ~ and ~/x" {
	run -0 wsl --cd /usr/bin pwd
	[ "$output" = /usr/bin ]
	run -0 wsl --cd '~' --user root pwd
	[ "$output" = /root ]
	run -0 wsl -u user --cd '~' pwd
	[ "$output" = /home/user ]
	wsl -u user mkdir -p '~/deep/er'
	run -0 wsl -u user --cd '~/deep/er' pwd
	[ "$output" = /home/user/deep/er ]
}

@test "--cd to a directory that does not exist still runs the command" {
	run -0 wsl --cd /no/such/place echo ran
	[[ $output == *ran* ]]
}

@test "a relative --cd is refused" {
	run -255 wsl --cd here true
	[[ $output == *E_INVALIDARG* ]]
}

@test "-- ends the options; ~ alone starts in the home" {
	run -0 wsl -- echo -n -d
	[ "$output" = -d ]
	run -0 wsl '~' pwd
	[ "$output" = /root ]
}

@test "--shell-type: login reads the profile, standard does not, none has no shell" {
	run -0 wsl --shell-type login -- echo '$PROFILE_READ'
	[ "$output" = yes ]
	run -0 wsl --shell-type standard -- echo '[$PROFILE_READ]'
	[ "$output" = '[]' ]
	run -0 wsl --shell-type none -- echo '$HOME'
	[ "$output" = '$HOME' ]
	run -255 wsl --shell-type odd -- true
	[[ $output == *E_INVALIDARG* ]]
}

@test "a shell without a terminal reads commands from stdin" {
	run -0 wsl <<<'echo from-$((40+2)); exit 0'
	[[ $output == *from-42* ]]
}

@test "-d picks by name in any case; twice is an error" {
	run -0 wsl -d BOX echo here
	[ "$output" = here ]
	run -255 wsl -d box -d box true
	[[ $output == *"already been set"* ]]
}

@test "--distribution-id with and without braces, upper case" {
	local id
	id=$(wsl --list --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')
	run -0 wsl --distribution-id "$id" echo a
	[ "$output" = a ]
	id=${id#\{}
	id=${id%\}}
	run -0 wsl --distribution-id "$id" echo b
	[ "$output" = b ]
	run -0 wsl --distribution-id "${id^^}" echo c
	[ "$output" = c ]
	run -0 wsl "{$id}" '~' pwd
	[ "$output" = /root ]
}

@test "a bad and an unknown distribution id" {
	run -255 wsl --distribution-id 12345 true
	[[ $output == *E_INVALIDARG* ]]
	run -255 wsl --distribution-id 00000000-1111-2222-3333-444444444444 true
	[[ $output == *WSL_E_DISTRO_NOT_FOUND* ]]
}

@test "WSLENV hands variables over" {
	WSLENV=GREETING/u:EMPTY/u GREETING="good day" EMPTY='' run -0 wsl -e sh -c 'echo "$GREETING${EMPTY-unset}"'
	[ "$output" = "good day" ]
	GREETING=x run -0 wsl -e sh -c 'echo "[$GREETING]"'
	[ "$output" = "[]" ]
}

@test "WSL_DISTRO_NAME and PATH are set" {
	run -0 wsl -e sh -c 'echo $WSL_DISTRO_NAME; echo $PATH'
	[ "${lines[0]}" = box ]
	[[ ${lines[1]} == */usr/bin* ]]
}

@test "an unknown distribution is an error with a hint" {
	run -255 --separate-stderr wsl -d bax true
	[[ $stderr == *"There is no distribution with the supplied name."* ]]
	[[ $stderr == *WSL_E_DISTRO_NOT_FOUND* ]]
	[ -z "$output" ]
}

@test "one argument with blanks is one word of the guest's command line" {
	# As with the original; a script in one argument wants `wsl -e sh -c`
	run -127 wsl 'echo two words'
}
