#!/bin/bash
# bench/vsock-bench.sh - latency and throughput of streams between host and guest
#
# usage: vsock-bench.sh LINUX [--json]
# Connect and 1-byte round trip as seen by a host program; bulk transfer both ways, 2 GiB each, three
# runs. Environment as for tests/guest/vsock-test.sh.
set -euo pipefail
exec "$(dirname "$0")/../tests/guest/vsock-test.sh" "${1:?usage: vsock-bench.sh LINUX [--json]}" \
	-- --bench "${@:2}"
