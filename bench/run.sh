#!/bin/bash
# bench/run.sh [--quick] - measures what a user waits for; a table, and build/bench.json
#
# Installs build/ and the kernel into a stage, works in a sandbox with Debian and a small distribution, and
# measures each thing beside what this machine does without lxss, alternately, so that ratios come from
# one run. --quick: fewer repetitions, no kernel table.
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."

quick=
[ "${1:-}" != --quick ] || quick=1
stage=$(mktemp -d /tmp/lxss-bench.XXXXXX)
SANDBOX=
clean_up() {
	if [ -n "$SANDBOX" ]; then
		"$stage/usr/local/bin/wsl" --shutdown >/dev/null 2>&1 || true
		tests/lib/leftovers --kill "$SANDBOX" >/dev/null 2>&1 || true
		rm -rf "$SANDBOX"
	fi
	rm -rf "$stage"
}
trap clean_up EXIT

export PREFIX=/usr/local
tools/configure build --prefix="$PREFIX"
ninja -C build --quiet >build/bench-build.log 2>&1 || { tail -n 30 build/bench-build.log; exit 1; }
DESTDIR=$stage tools/install-tree build
mkdir "$stage/rootfs"
tests/lib/make-rootfs "$stage/rootfs"

export PATH=$stage/usr/local/bin:$PATH LXSS_LIBEXEC=$stage/usr/local/libexec/lxss
SANDBOX=$(mktemp -d /tmp/lx.XXXXXX)
export SANDBOX HOME=$SANDBOX/home XDG_RUNTIME_DIR=$SANDBOX/run XDG_DATA_HOME=$SANDBOX/data \
	XDG_CACHE_HOME=$SANDBOX/cache XDG_STATE_HOME=$SANDBOX/state XDG_CONFIG_HOME=$SANDBOX/config
mkdir -m 700 "$HOME" "$XDG_RUNTIME_DIR"
WSL=$(command -v wsl) python3 bench/wsl-bench.py ${quick:+--quick} --rootfs "$stage/rootfs" --out build/bench.json
