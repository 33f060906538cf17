#!/bin/bash
# tests/run.sh [--only LIST] [--files PATTERN] [--keep] - every test, one total
#
#   --only LIST      of unit,fuzz,lint,kernel,guest,e2e (comma separated)
#   --files PATTERN  e2e: only files whose name contains it
#   --keep           keep the installed tree of the e2e tests, and say where it is
#
# Stages append lines "pass|fail|skip<TAB>suite<TAB>test<TAB>reason" to one file; the total is counted
# there. A skip is an error when CI=true or WSL_TESTS_MUST_RUN=1, unless tests/allowed-skips lists it.
set -uo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."

only=unit,fuzz,lint,kernel,guest,e2e
e2e_args=()
while [ $# -gt 0 ]; do
	case $1 in
	--only) only=$2; shift ;;
	--files) e2e_args+=(--files "$2"); shift ;;
	--keep) e2e_args+=(--keep) ;;
	*) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
	shift
done

logs=build-dev/test-logs
mkdir -p "$logs"
results=$PWD/$logs/results
: >"$results"
export LXSS_TEST_RESULTS=$results
export PREFIX=${PREFIX:-/usr/local}

wanted() { [[ ,$only, == *,$1,* ]]; }
say() { printf '== %s (%s s)\n' "$*" "$SECONDS"; }
record() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" >>"$results"; }

# A build that fails is a failed test, and what depends on it is not run
built() {	# DIRECTORY
	local options=()
	[ "$1" != build ] || options=(--prefix="$PREFIX")
	say "building $1"
	if tools/configure "$1" "${options[@]}" && ninja -C "$1" --quiet >"$logs/$1.log" 2>&1; then
		return 0
	fi
	grep -E -A 5 'FAILED|error:' "$logs/$1.log" | head -n 40
	record fail build "$1"
	return 1
}

meson_tests() {	# DIRECTORY SUITE
	say "$2 tests"
	rm -f "$1/meson-logs/testlog.json"
	if ! meson test -C "$1" --no-rebuild --suite "$2" --print-errorlogs --quiet >"$logs/$2.log" 2>&1; then
		tail -n 100 "$logs/$2.log"
		case $2 in guest | vm) ;; *) false ;; esac && {	# real processes with real deadlines
			say "$2 tests, once more"
			meson test -C "$1" --no-rebuild --suite "$2" --print-errorlogs --quiet >"$logs/$2.log" 2>&1 ||
				tail -n 100 "$logs/$2.log"
		}
	fi
	[ -f "$1/meson-logs/testlog.json" ] || return 0
	python3 tests/lib/meson-results "$2" "$1/meson-logs/testlog.json" >>"$results"
}

# Programs that are tests by themselves: exit code 77 is a skip whose reason is the last line
scripts() {	# SUITE SCRIPT...
	local suite=$1 script log status counted i
	shift
	for script in "$@"; do
		log=$logs/$suite-${script##*/}.log
		timeout -k 10 600 "$script" ${LXSS_KERNEL:+"$LXSS_KERNEL"} >"$log" 2>&1 </dev/null
		status=$?
		counted=$(grep -oE "^[0-9]+ passed, [0-9]+ failed" "$log" | tail -n 1)
		counted=${counted%% *}
		case $status in
		0)
			record pass "$suite" "${script##*/}"
			for ((i = 1; i < ${counted:-1}; i++)); do
				record pass "$suite" "${script##*/}: case $i"
			done
			;;
		77) record skip "$suite" "${script##*/}" "$(tail -n 1 "$log")" ;;
		*)
			record fail "$suite" "${script##*/}" "exit code $status"
			echo "$script failed ($status):"
			tail -n 40 "$log"
			;;
		esac
	done
}

if wanted lint; then
	say "layers"
	scripts lint tools/check-layers
fi
if wanted unit && built build-dev; then
	meson_tests build-dev unit
	meson_tests build-dev docs
fi
if wanted fuzz && built build-fuzz; then
	meson_tests build-fuzz fuzz
fi
kernel=
if wanted kernel || wanted guest || wanted e2e; then
	say "kernel"
	# LXSS_KERNEL: one that is already there
	kernel=${LXSS_KERNEL:-$(kernel/build.sh)}; [ -x "$kernel" ] || record fail build kernel
fi
if wanted kernel && [ -x "$kernel" ]; then
	say "kernel tests"
	export LXSS_KERNEL=$kernel
	scripts kernel kernel/test/run.sh
fi
if { wanted guest || wanted e2e; } && [ -x "$kernel" ]; then
	built build || kernel=
fi
if wanted guest && [ -x "$kernel" ] && built build-dev; then
	LXSS_ROOTFS=$(tests/lib/make-rootfs --debian)
	[ -n "$LXSS_ROOTFS" ] && export LXSS_ROOTFS
	export LXSS_KERNEL=$kernel
	meson_tests build-dev guest
	meson_tests build-dev vm
	scripts guest tests/guest/vsock-test.sh
fi
if wanted e2e && [ -x "$kernel" ]; then
	say "end-to-end tests"
	tests/run-e2e.sh "${e2e_args[@]}" || record fail e2e "set-up"
fi

say "done"
must_run=
if [ "${CI:-}" = true ] || [ "${WSL_TESTS_MUST_RUN:-}" = 1 ]; then
	must_run=--must-run
fi
python3 tests/lib/total $must_run tests/allowed-skips "$results"
