# Runs on the host after all packages are installed, in every mmdebstrap mode: "$1" is the image's
# root. The builder puts these before it: functions put_<file> that print the recipe's files,
# put_sources for the apt sources, and put_keys, which copies signing keys that no package brings.
set -eu
root=$1

install_file() { # MODE PATH, content from stdin
	mkdir -p "$root${2%/*}"
	rm -f "$root$2"
	cat >"$root$2"
	chmod "$1" "$root$2"
}

# apt: the mirror this image came from; no traces of how it was made
rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* \
	"$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap
put_sources | install_file 644 /etc/apt/sources.list.d/debian.sources
put_keys

# first start
put_wsl_distribution_conf | install_file 644 /etc/wsl-distribution.conf
put_wsl_conf | install_file 644 /etc/wsl.conf
put_oobe | install_file 755 /usr/lib/wsl/oobe.sh

# nothing of this host; the guest's init writes its own
rm -f "$root/etc/hostname" "$root/etc/resolv.conf" "$root/etc/hosts"
printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n' | install_file 644 /etc/hosts
: | install_file 444 /etc/machine-id
rm -f "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"

# UTF-8 without generating locales; dpkg-reconfigure locales makes others
echo 'LANG=C.UTF-8' | install_file 644 /etc/default/locale

# Empty logs. Caches, lists and /tmp are mmdebstrap's to clean: its own apt.conf lies in the image's
# /tmp, and without it the apt-get that follows would work on the host.
find "$root/var/log" -type f -exec truncate -s 0 {} +
rm -f "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old
