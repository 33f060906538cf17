#!/bin/bash
# tests/run-e2e.sh [--files PATTERN] [--user root|user] [--keep] - installed programs, a real kernel, bats
#
# Installs build/ and the kernel into a stage below /tmp, makes the root file systems, and runs each
# tests/e2e/*.bats twice: as root, and as the ordinary user lxss-test (created if need be). Run by an
# ordinary user, only that user's half is run. E2E_JOBS files run at the same time (3).
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."

pattern= keep= users=
while [ $# -gt 0 ]; do
	case $1 in
	--files) pattern=$2; shift ;;
	--user) users=$2; shift ;;
	--keep) keep=1 ;;
	*) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
	shift
done
logs=$PWD/build-dev/test-logs
mkdir -p "$logs"
results=${LXSS_TEST_RESULTS:-$logs/results}
: >>"$results"

# /tmp whatever TMPDIR says: socket paths are short
stage=$(mktemp -d /tmp/lxss-e2e.XXXXXX)
clean_up() {
	if [ -n "$keep" ]; then
		echo "kept: $stage (. $stage/env)"
	else
		rm -rf "$stage"
	fi
}
trap clean_up EXIT

export PREFIX=${PREFIX:-/usr/local}
tools/configure build --prefix="$PREFIX"
ninja -C build --quiet >"$logs/build.log" 2>&1 || { tail -n 30 "$logs/build.log"; exit 1; }
DESTDIR=$stage tools/install-tree build
cp -r tests "$stage/tests"
mkdir "$stage/rootfs" "$stage/tap"
tests/lib/make-rootfs "$stage/rootfs"

cat >"$stage/env" <<END
export PATH=$stage$PREFIX/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LXSS_LIBEXEC=$stage$PREFIX/libexec/lxss LXSS_STAGE=$stage
export ROOTFS_DIR=$stage/rootfs ROOTFS_TAR=$stage/rootfs/small.tar
export MANPATH=$stage$PREFIX/share/man LC_ALL=C.UTF-8
END
if [ -f "$stage/rootfs/debian.tar" ]; then
	echo "export DEBIAN_TAR=$stage/rootfs/debian.tar" >>"$stage/env"
fi
chmod -R a+rX "$stage"

as_user=()
if [ "$(id -u)" = 0 ]; then
	: "${users:=root user}"
	if [[ " $users " == *" user "* ]]; then
		id lxss-test >/dev/null 2>&1 || useradd --create-home --shell /bin/bash lxss-test
		as_user=(setpriv --reuid=lxss-test --regid=lxss-test --clear-groups --inh-caps=-all --bounding-set=-all)
	fi
else
	users=user
fi

run_bats() {	# WHO STEM TAP
	local run=()
	[ "$1" = root ] || run=("${as_user[@]}")
	# shellcheck disable=SC2016 # expanded by the inner shell
	timeout -k 20 "${E2E_FILE_TIMEOUT:-900}" "${run[@]}" env -i HOME=/nonexistent TERM=dumb \
		KILL_ROUNDS="${KILL_ROUNDS:-5}" E2E_WHO="$1" BATS_TEST_TIMEOUT="${BATS_TEST_TIMEOUT:-180}" \
		bash -c '. "$1/env"; cd "$1/tests/e2e"; exec bats --print-output-on-failure --formatter tap "$2"' bats "$stage" "$2.bats" \
		>"$3" 2>&1 </dev/null
}

show_failures() {	# WHO STEM TAP STATUS
	echo "--- $1 $2 ($4)"
	sed -n '/^not ok/,/^ok/p' "$3" | grep -v '^ok' | head -n 150 || true
	[ "$4" -lt 124 ] || tail -n 20 "$3"
}

# Some files run at a time, each with a machine of its own: on a small host a deadline may pass in one
# because of the other. A file that fails is shown and run once more; the second run counts.
one_file() {	# WHO FILE
	local who=$1 stem tap status=0
	stem=$(basename "$2" .bats)
	tap=$logs/e2e-$who-$stem.tap
	run_bats "$who" "$stem" "$tap" || status=$?
	if [ "$status" != 0 ]; then
		show_failures "$who" "$stem" "$tap" "$status"
		cp "$tap" "$tap.first"
		echo "--- $who $stem: once more"
		status=0
		run_bats "$who" "$stem" "$tap" || status=$?
		[ "$status" = 0 ] || show_failures "$who" "$stem" "$tap" "$status"
	fi
	mkdir -p "$stage/tap/$who"
	cp "$tap" "$stage/tap/$who/$stem.tap"
	python3 tests/lib/tap-results "e2e-$who" "$stage/tap/$who/$stem.tap" >>"$results"
}
export -f one_file run_bats show_failures
export stage logs results

# Longest first, so that the end of the run is not one file alone: those with a line "# long", then by
# the number of their tests
work=$(
	for who in $users; do
		for file in tests/e2e/*.bats; do
			[[ -z $pattern || ${file##*/} == *$pattern* ]] || continue
			printf '%s %s %s %s\n' "$(grep -cx '# long' "$file")" "$(grep -c '^@test' "$file")" "$who" "$file"
		done
	done | sort -k1,1nr -k2,2nr -k4,4 | cut -d' ' -f3-
)
# Functions go to the children by the environment; arrays do not
declare -p as_user >"$stage/as_user"
# shellcheck disable=SC2016 # expanded by the inner shell
xargs -P "${E2E_JOBS:-3}" -L 1 bash -c '. "$stage/as_user"; one_file "$@"' one_file <<<"$work"

# Whatever a test left to the user lxss-test would run on for ever. Another run has a stage of its own.
if [ ${#as_user[@]} -gt 0 ]; then
	left=$({ ps -u lxss-test -o pid=,stat=,args= || true; } | awk '$2 !~ /^Z/' | while read -r pid rest; do
		! grep -qF "$stage" "/proc/$pid/environ" "/proc/$pid/cmdline" 2>/dev/null || echo "$pid $rest"
	done)
	if [ -n "$left" ]; then
		printf 'fail\te2e-user\tno process is left over\t%s\n' "$(head -n 1 <<<"$left")" >>"$results"
		echo "--- processes left over:"
		echo "$left"
		awk '{ print $1 }' <<<"$left" | xargs -r kill -9 2>/dev/null || true
	else
		printf 'pass\te2e-user\tno process is left over\t\n' >>"$results"
	fi
fi
