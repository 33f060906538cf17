#!/bin/bash
# tests/guest/vsock-test.sh - wslrelay against a real guest kernel
#
# usage: vsock-test.sh LINUX [-- options for vsock-host]
# environment: WSLRELAY  the program under test (default: build/host/devices/wslrelay)
#              CC, WORKDIR
# Boots LINUX (ARCH=um) with a test program as /init and ends with "N passed, N failed".
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
linux=${1:?usage: vsock-test.sh LINUX [-- options]}
shift
[ "${1:-}" = -- ] && shift
relay=${WSLRELAY:-$top/build/host/devices/wslrelay}
cc=${CC:-cc}
[ -x "$relay" ] || { echo "$relay is missing: build first, or set WSLRELAY" >&2; exit 2; }

work=${WORKDIR:-$(mktemp -d /tmp/vsock-build.XXXXXX)}
[ -n "${WORKDIR:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root"
flags=(-std=gnu17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wno-unused-parameter
	-Wno-missing-field-initializers)
$cc "${flags[@]}" -static -o "$work/root/init" "$top/tests/guest/vsock-guest.c"
$cc "${flags[@]}" -I"$top/shared" -I"$top/tests/guest" -o "$work/vsock-host" \
	"$top/tests/guest/vsock-host.c" "$top"/shared/io/socket.c "$top"/shared/protocol/{message,wire}.c \
	"$top"/shared/common/{err,log,util}.c -lpthread
(cd "$work/root" && echo init | cpio -o -H newc --quiet) >"$work/initrd"
"$work/vsock-host" "$linux" "$relay" "$work/initrd" "$@"
