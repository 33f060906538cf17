# SIGKILL anything at any moment: the next command works, nothing flushed is lost, nothing is left over
# long
load ../lib/wsl
setup() { wsl_sandbox; wslconf '[wsl2]' 'memory=512MB'; wsl_box; }
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs
	wsl_sandbox_end
}

# One writer appends flushed records and tells their numbers; a victim dies meanwhile
one_round() { # VICTIM
	local victim=$1 pid writer last kept image
	"$WSL" -e probe records /root/log 0 </dev/null >"$SANDBOX/told" 2>"$SANDBOX/err" &
	writer=$!
	eventually 30 test -s "$SANDBOX/told" || { cat "$SANDBOX/err"; return 1; }
	sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
	case $victim in
	wsl) kill -KILL $writer ;;
	service) kill -KILL "$(service_pid)" ;;
	relay) kill -KILL "$(relay_pid)" ;;
	kernel) kill -KILL "$(kernel_pid)" ;;
	everything)
		"$LIB/leftovers" --kill "$SANDBOX" >/dev/null
		;;
	init) "$WSL" -e kill -KILL 1 >/dev/null 2>&1 </dev/null || "$WSL" -e reboot -f >/dev/null 2>&1 </dev/null || true ;;
	import)
		"$WSL" --import extra "$SANDBOX/extra" "$ROOTFS_TAR" </dev/null >/dev/null 2>&1 &
		pid=$!
		sleep "0.0$((RANDOM % 10))"
		kill -KILL "$(service_pid)"
		wait $pid || true
		;;
	esac
	if [ "$victim" = init ]; then
		sleep 0.2
		kill -KILL $writer 2>/dev/null || true
	fi
	timeout 40 tail --pid=$writer -f /dev/null || { echo "wsl hangs after the death of $victim"; return 1; }
	wait $writer || true
	# Only whole lines were told
	last=$(head -c "$(($(wc -c <"$SANDBOX/told")))" "$SANDBOX/told" | grep -c '')
	[ "$(tail -c 1 "$SANDBOX/told" | wc -l)" = 1 ] || last=$((last - 1))
	last=$(sed -n "${last}p" "$SANDBOX/told")

	run wsl -e probe check /root/log
	[ "$status" = 0 ] || { echo "after the death of $victim: $output"; return 1; }
	kept=$output
	((kept >= last)) || { echo "$victim: told $last, kept $kept"; return 1; }

	if [ "$victim" = import ]; then
		wsl --list --all --quiet | grep -qx extra && wsl --unregister extra
		[ ! -e "$SANDBOX/extra" ] || [ -z "$(ls -A "$SANDBOX/extra")" ] || { ls -l "$SANDBOX/extra"; return 1; }
		rm -rf "$SANDBOX/extra"
	fi
	[ -z "$(find "$SANDBOX" -name '*.partial')" ] || { echo "a half-made image is left"; return 1; }
}

check_image() {
	local image
	image=$(echo "$SANDBOX"/box/*.img)
	cp --sparse=always "$image" "$SANDBOX/copy.img"
	e2fsck -fy -E journal_only "$SANDBOX/copy.img" >"$SANDBOX/fsck" 2>&1 || true
	e2fsck -fn "$SANDBOX/copy.img" >>"$SANDBOX/fsck" 2>&1 || { cat "$SANDBOX/fsck"; return 1; }
	rm "$SANDBOX/copy.img"
}

rounds() { # VICTIM
	local n
	for ((n = 0; n < ${KILL_ROUNDS:-5}; n++)); do
		one_round "$1" || { echo "in round $n"; return 1; }
	done
	# The image as a crash leaves it, before anything repairs it
	"$WSL" -e probe records /root/log 0 </dev/null >/dev/null 2>&1 &
	local writer=$!
	sleep 1
	"$LIB/leftovers" --kill "$SANDBOX" >/dev/null
	wait $writer || true
	eventually 10 eval '[ -z "$(kernel_pid)" ]'
	check_image
}

# bats gives a test so long; fifty rounds take longer
BATS_TEST_TIMEOUT=$((120 + ${KILL_ROUNDS:-5} * 30))

@test "wsl" { rounds wsl; }
@test "wslservice" { rounds service; }
@test "wslrelay" { rounds relay; }
@test "the kernel" { rounds kernel; }
@test "a distribution's init" { rounds init; }
@test "all of them at once" { rounds everything; }
@test "wslservice during an import" { rounds import; }
