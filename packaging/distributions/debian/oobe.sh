#!/bin/bash
# First start of a new distribution: creates the user who will work in it. Runs as root on the user's
# terminal. Ending with an error makes the next start ask again.
set -u

readonly uid=1000
readonly wanted_groups="adm cdrom sudo dip plugdev users"

# Not an error: set-up was done before and only its result was lost.
if name=$(getent passwd "$uid" | cut -d: -f1) && [ -n "$name" ]; then
	echo "The user '$name' exists already; nothing to set up."
	exit 0
fi

if [ ! -t 0 ]; then
	echo "Creating the first user needs a terminal. Start this distribution from one, or as root: wsl -u root" >&2
	exit 1
fi

created=
give_up() {
	trap '' INT TERM HUP
	[ -z "$created" ] || userdel --force --remove "$created" >/dev/null 2>&1
	echo >&2
	echo "No user was created. The next start will ask again; 'wsl -u root' starts without one." >&2
	exit 1
}
trap give_up INT TERM HUP

name_problem() {
	if ! [[ $1 =~ ^[a-z_][a-z0-9_-]*$ ]]; then
		echo "Use lower-case letters, digits, '-' and '_', starting with a letter."
	elif [ ${#1} -gt 32 ]; then
		echo "The name is too long (32 characters at most)."
	elif getent passwd "$1" >/dev/null || getent group "$1" >/dev/null; then
		echo "The name '$1' is taken by the system."
	fi
}

ask_name() {
	local problem
	while true; do
		read -r -p "Enter new UNIX username: " name || give_up
		[ -n "$name" ] || continue
		problem=$(name_problem "$name")
		[ -n "$problem" ] || return 0
		echo "$problem"
	done
}

# Three tries per round, as passwd(1) itself decides; Ctrl-D or Ctrl-C gives up.
ask_password() {
	local tries
	for tries in 1 2 3; do
		passwd --quiet "$name" && return 0
	done
	return 1
}

create_user() {
	local group
	created=$name
	adduser --quiet --gecos '' --disabled-password --uid "$uid" "$name" || return 1
	for group in $wanted_groups; do
		getent group "$group" >/dev/null && adduser --quiet "$name" "$group"
	done
	return 0
}

echo "Please create a default UNIX user account. The username does not need to match your username on the host."
ask_name
create_user || give_up
ask_password || give_up
echo "Installation successful!"
