# Listing, status, version, help, and how wrong command lines are refused
load ../lib/wsl
setup_file() { wsl_sandbox; wsl_box alpha; wsl_box beta-longer; wsl --set-default beta-longer; }
teardown_file() { wsl_sandbox_end; }

json() { python3 -c "import json, sys; d = json.load(sys.stdin); $1"; }

@test "--list marks the default, which comes first" {
	run -0 wsl --list
	[ "$output" = $'Windows Subsystem for Linux Distributions:\nbeta-longer (Default)\nalpha' ]
	run -0 wsl -l
	[ "${lines[1]}" = "beta-longer (Default)" ]
}

@test "--list --quiet" {
	run -0 wsl --list --quiet
	[ "$output" = $'beta-longer\nalpha' ]
	run -0 wsl -l -q
	[ "$output" = $'beta-longer\nalpha' ]
}

@test "--list --verbose has its columns" {
	wsl --shutdown
	run -0 wsl --list --verbose
	[ "${lines[0]}" = "  NAME           STATE           VERSION" ]
	[ "${lines[1]}" = "* beta-longer    Stopped         2" ]
	[ "${lines[2]}" = "  alpha          Stopped         2" ]
	wsl -d alpha true
	run -0 wsl -l -v
	[ "${lines[2]}" = "  alpha          Running         2" ]
}

@test "--list --running: 255 and a sentence when nothing runs, names otherwise" {
	wsl --shutdown
	run -255 wsl --list --running
	[ "$output" = "There are no running distributions." ]
	run -0 wsl --list --running --quiet
	[ -z "$output" ]
	wsl -d alpha true
	run -0 wsl --list --running --quiet
	[ "$output" = alpha ]
}

@test "contradictory list options are refused" {
	local o
	for o in "--quiet --verbose" "--all --running" "--online --all" "--online --verbose"; do
		# shellcheck disable=SC2086 # two words
		run -255 --separate-stderr wsl --list $o
		[ -z "$output" ]
		[[ $stderr == *"--list"* ]]
	done
}

@test "--list --json is JSON with everything in it" {
	wsl --list --json | json '
assert [x["name"] for x in d] == ["beta-longer", "alpha"], d
assert d[0]["default"] is True and d[1]["default"] is False
assert d[0]["state"] in ("Stopped", "Running")
assert d[0]["version"] == 2
assert d[0]["flavor"] == "small" and d[0]["osVersion"] == "1.0"
assert d[0]["imageBytes"] > 1000000
import re
assert re.fullmatch(r"\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}", d[0]["id"])'
}

@test "--status and --status --json" {
	wsl -d alpha true
	run -0 wsl --status
	[[ ${lines[0]} == "Default Distribution: beta-longer" ]]
	[[ ${lines[1]} == "Default Version: 2" ]]
	wsl --status --json | json 'assert d["defaultDistribution"] == "beta-longer" or d["defaultDistro"] == "beta-longer", d
assert d["processors"] >= 1'
}

@test "--version has seven lines in their order" {
	run -0 wsl --version
	[ "${#lines[@]}" = 7 ]
	local n=0 key
	for key in WSL Kernel WSLg MSRDC Direct3D DXCore Windows; do
		[[ ${lines[n]} == "$key version: "?* ]]
		n=$((n + 1))
	done
	[[ ${lines[1]} =~ [0-9]+\.[0-9]+ ]]
	run -0 wsl -v
	# The kernel's version is known before it ever ran
	wsl --shutdown
	kill "$(service_pid)"
	eventually 10 eval '[ -z "$(service_pid)" ]'
	run -0 wsl --version
	[[ ${lines[1]} =~ [0-9]+\.[0-9]+ ]]
}

@test "--help: exit code 0, on stdout, all verbs" {
	run -0 --separate-stderr wsl --help
	[ -z "$stderr" ]
	local verb
	for verb in --install --import --export --list --shutdown --terminate --unregister --set-default --status \
		--distribution --user --cd --exec; do
		[[ $output == *"$verb"* ]] || { echo "no $verb"; false; }
	done
}

@test "a mistyped option gets a proposal" {
	run -255 --separate-stderr wsl --shutdow
	[[ $stderr == *"Did you mean '--shutdown'?"* ]]
	run -255 --separate-stderr wsl --list --verbos
	[[ $stderr == *"--verbose"* ]]
}

@test "a mistyped distribution gets a proposal" {
	run -255 --separate-stderr wsl -d alpah true
	[[ $stderr == *"'alpha'"* ]]
}

@test "options without their value" {
	local o
	for o in -d --distribution -u --user --cd --distribution-id --shell-type; do
		run -255 --separate-stderr wsl "$o"
		[[ $stderr == *"is missing a required parameter."* ]] || { echo "$o: $stderr"; false; }
	done
	run -255 --separate-stderr wsl --install --name
	[[ $stderr == *"requires a value."* ]]
}

@test "--set-default-version takes 2, refuses 1 and 3" {
	run -0 wsl --set-default-version 2
	run -255 wsl --set-default-version 1
	[[ $output == *WSL_E_WSL1_NOT_SUPPORTED* ]]
	run -255 wsl --set-default-version 3
	[[ $output == *ERROR_VERSION_PARSE_ERROR* ]]
}

@test "--uninstall takes no arguments" {
	run -255 --separate-stderr wsl --uninstall alpha
	[[ $stderr == *"--uninstall does not take any arguments."* ]]
	run -0 wsl --list --quiet
	[[ $output == *alpha* ]]
}

@test "--system without graphics is refused by name" {
	run -255 --separate-stderr wsl --system true
	[[ $stderr == *WSL_E_GUI_APPLICATIONS_DISABLED* ]]
}

@test "wslconfig: list, set default, terminate, unregister, in any case" {
	run -0 wslconfig /l
	[[ $output == *"beta-longer (Default)"* ]]
	run -0 wslconfig /SETDEFAULT alpha
	run -0 wslconfig /list
	[[ $output == *"alpha (Default)"* ]]
	run -0 wslconfig /t alpha
	run -255 --separate-stderr wslconfig /u foo
	[[ $stderr == *WslConfig*WSL_E_DISTRO_NOT_FOUND* ]]
	run -255 wslconfig /odd
	wsl --set-default beta-longer
}

@test "output to a full device is an error, not silence" {
	run wsl --list --verbose
	run bash -c '"$WSL" --list --verbose >/dev/full'
	[ "$status" != 0 ]
}

@test "the manual pages are installed" {
	[ -e "$LXSS_STAGE"/usr/local/share/man/man1/wsl.1* ] || [ -e "$LXSS_STAGE$HOME/.local/share/man/man1/wsl.1" ]
}
