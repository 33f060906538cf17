#!/bin/bash
# kernel/build.sh - fetch, verify, patch, configure and build the user-mode guest kernel
#
# Prints the path of the finished binary on stdout; progress goes to stderr. The first call downloads the
# kernel's source package from the Debian mirror this machine is configured for and compiles it; every later
# call finds the result in the cache and answers at once, without touching apt or the network.
#
#   $XDG_CACHE_HOME/lxss/apt/                  private apt state; the system's sources are only read
#   $XDG_CACHE_HOME/lxss/kernel/source/        the verified upstream tarballs
#   $XDG_CACHE_HOME/lxss/kernel/resolved       which source version which patches and configuration go with
#   $XDG_CACHE_HOME/lxss/kernel/HASH/linux     a result; HASH covers everything it was made from
#   $XDG_CACHE_HOME/lxss/kernel/HASH/info      what that was, for people and for `wsl --version`
#
#   $XDG_CACHE_HOME/lxss/kernel/HASH.tree/     a build that was interrupted; the next one goes on from there
#
# A result appears by renaming a finished directory, so a killed build leaves nothing that looks like one. A
# lock makes a second build wait for the first and then use what it made.
set -euo pipefail
shopt -s nullglob
export LC_ALL=C
umask 022
unset CDPATH MAKEFLAGS MAKELEVEL KCONFIG_CONFIG KBUILD_OUTPUT ARCH SUBARCH CROSS_COMPILE

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lxss
store=$cache/kernel
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
default_mirror=http://deb.debian.org/debian

jobs=$(nproc)
mode=build
source_wanted=
refresh=

say() { printf 'kernel: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

usage() {
	cat <<-'EOF'
	usage: kernel/build.sh [OPTION...]
	  --print-path       build if necessary and print the binary's path (the default)
	  --cached           print the path if the result is cached, else fail at once
	  --source-only      print the path of a patched and configured source tree, do not compile
	  --jobs N           compile N files at a time (default: number of CPUs)
	  --refresh          look for a newer source package, even if the recorded one still fits
	  --source PACKAGE   use this source package, e.g. linux-source-7.3
	  --help             this text
	EOF
}

while [ $# -gt 0 ]; do
	case $1 in
	--print-path) mode=build ;;
	--cached) mode=cached ;;
	--source-only) mode=source ;;
	--jobs) [ $# -gt 1 ] || die "--jobs needs a number"; jobs=$2; shift ;;
	--jobs=*) jobs=${1#*=} ;;
	-j[0-9]*) jobs=${1#-j} ;;
	--refresh) refresh=1 ;;
	--source) [ $# -gt 1 ] || die "--source needs the name of a package"; source_wanted=$2; shift ;;
	--source=*) source_wanted=${1#*=} ;;
	--help | -h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
[[ $jobs =~ ^[1-9][0-9]*$ ]] || die "--jobs needs a number, not '$jobs'"

# ---- the recipe: everything from here to its end goes into the hash ------------------------------------------

CC=${CC:-gcc}

# The series and the fragments that belong to a package: newer kernels share one series; the long-term kernel of
# the stable release has no multiprocessor user-mode port, hence little to patch and fewer options.
series_of() {
	case $1 in
	linux-source-6.*) echo "$here/patches/series-6" ;;
	*) echo "$here/patches/series" ;;
	esac
}

fragments_of() {
	echo "$here/config/common.config $here/config/uml.config"
	case $1 in linux-source-6.*) echo "$here/config/uml-6.config" ;; esac
}

# A fragment without its comments; a later line for the same symbol wins
options_of() {
	# shellcheck disable=SC2046 # paths in the repository; word splitting is how the list is made
	sed -E 's/[[:space:]]+#.*$//; /^[[:space:]]*(#|$)/d' $(fragments_of "$1") |
		awk -F= '{ if (!($1 in v)) order[++n] = $1; v[$1] = $0 }
			 END { for (i = 1; i <= n; i++) if (v[order[i]] !~ /=absent$/) print v[order[i]] }'
}

patches_of() {
	local series
	series=$(series_of "$1")
	sed -E 's/[[:space:]]*#.*$//; /^[[:space:]]*$/d' "$series" | sed "s|^|$here/patches/|"
}

# Names of wanted options that a .config does not have as wanted
missing_options() {	# PACKAGE CONFIG
	options_of "$1" | awk -v config="$2" '
		BEGIN {
			while ((getline line < config) > 0)
				if (match(line, /^CONFIG_[A-Za-z0-9_]+=/))
					have[substr(line, 1, RLENGTH - 1)] = substr(line, RLENGTH + 1)
		}
		{
			eq = index($0, "="); name = substr($0, 1, eq - 1); want = substr($0, eq + 1)
			is = (name in have) ? have[name] : "n"
			if (is != want)
				printf "%s is %s, not %s\n", name, is, want
		}'
}

# The same input gives the same bytes: no time, no user, no host, no path
kernel_make() {	# TREE ARGUMENT...
	local tree=$1 stamp
	shift
	stamp=$(date -u -d "@$(stat -c %Y "$tree/COPYING")" '+%Y-%m-%d %H:%M:%S UTC')
	env -u CFLAGS -u CPPFLAGS -u LDFLAGS make -C "$tree" ARCH=um CC="$CC" HOSTCC="$CC" LOCALVERSION= \
		KBUILD_BUILD_TIMESTAMP="$stamp" KBUILD_BUILD_USER=lxss KBUILD_BUILD_HOST=lxss \
		KBUILD_BUILD_VERSION=1 "$@"
}

# What no user-mode kernel is made of: half of the unpacking time and three quarters of the space
unneeded=(
	'*/Documentation/*.rst' '*/Documentation/*.txt' '*/Documentation/*.yaml' '*/Documentation/*.svg'
	'*.dts' '*.dtsi' '*/tools/testing/*' '*/tools/perf/*' '*/sound/*.[ch]' '*/drivers/gpu/*.[ch]'
	'*/drivers/media/*.[ch]' '*/drivers/staging/*.[ch]' '*/drivers/infiniband/*.[ch]'
	'*/drivers/net/ethernet/*.[ch]' '*/drivers/net/wireless/*.[ch]' '*/drivers/scsi/*.[ch]'
	'*/drivers/iio/*.[ch]' '*/drivers/usb/*.[ch]' '*/drivers/clk/*.[ch]' '*/drivers/pinctrl/*.[ch]'
	'*/arch/arm/*.[chS]' '*/arch/arm64/*.[chS]' '*/arch/mips/*.[chS]' '*/arch/powerpc/*.[chS]'
	'*/arch/s390/*.[chS]' '*/arch/sparc/*.[chS]' '*/arch/riscv/*.[chS]' '*/arch/sh/*.[chS]'
	'*/arch/m68k/*.[chS]' '*/arch/parisc/*.[chS]' '*/arch/alpha/*.[chS]' '*/arch/loongarch/*.[chS]'
)

unpack_tree() {	# TARBALL DIRECTORY
	tar -xf "$1" -C "$2" --strip-components=1 --no-same-owner --wildcards "${unneeded[@]/#/--exclude=}"
}

patch_tree() {	# PACKAGE TREE; says which patch does not apply
	local p
	for p in $(patches_of "$1"); do
		patch -d "$2" -p1 -s -f -F1 --no-backup-if-mismatch <"$p" >"$2/patch.log" 2>&1 || {
			say "$1: ${p##*/} does not apply"
			return 1
		}
	done
	rm -f "$2/patch.log"
}

configure_tree() {	# PACKAGE TREE
	local missing
	options_of "$1" >"$2/lxss.config"
	kernel_make "$2" -s KCONFIG_ALLCONFIG=lxss.config allnoconfig >"$2/config.log" 2>&1 || {
		say "$1: the configuration failed:"
		tail -n 20 "$2/config.log" >&2
		return 1
	}
	missing=$(missing_options "$1" "$2/.config")
	[ -z "$missing" ] || {
		say "$1: options did not survive the kernel's own dependencies:"
		printf '%s\n' "$missing" >&2
		return 1
	}
}

# ---- end of the recipe ---------------------------------------------------------------------------------------

# Without their heads: saying something better about a patch does not change what it does
patch_bodies() {
	local p
	for p; do
		sed '1,/^---$/d' "$p"
	done
}

recipe_text() { sed -n '/^# ---- the recipe/,/^# ---- end of the recipe/p' "$here/build.sh"; }

# What the choice of a source version depends on
inputs_hash() {
	{
		recipe_text
		cat "$here"/config/*.config "$here"/patches/series*
		patch_bodies "$here"/patches/*.patch
	} | sha256sum | cut -c1-16
}

result_hash() {	# PACKAGE VERSION
	{
		printf '%s %s\n' "$1" "$2"
		recipe_text
		options_of "$1"
		# shellcheck disable=SC2046 # as above
		patch_bodies $(patches_of "$1")
		"$CC" --version | head -n 1
		"$CC" -dumpmachine
		ld --version | head -n 1
	} | sha256sum | cut -c1-16
}

need_tools() {
	local tool package missing=() packages=()
	while read -r tool package; do
		command -v "$tool" >/dev/null || { missing+=("$tool"); packages+=("$package"); }
	done <<-EOF
		$CC gcc
		ld binutils
		make make
		flex flex
		bison bison
		bc bc
		perl perl-base
		patch patch
		xz xz-utils
		gzip gzip
		tar tar
		awk mawk
		flock util-linux
		sha256sum coreutils
		apt-get apt
		dpkg-deb dpkg
	EOF
	printf '#include <stdio.h>\n#include <linux/filter.h>\n' | "$CC" -E -x c - >/dev/null 2>&1 || {
		missing+=("C library headers")
		packages+=(libc6-dev)
	}
	[ ${#missing[@]} -eq 0 ] || {
		say "missing: ${missing[*]}"
		die "install with: apt-get install $(printf '%s\n' "${packages[@]}" | sort -u | tr '\n' ' ')"
	}
}

# The mirror this machine uses for Debian itself: the first repository whose path ends in /debian
configured_mirror() {
	{
		for f in /etc/apt/sources.list.d/*.sources; do
			awk 'tolower($1) == "enabled:" && tolower($2) == "no" { off = 1 }
			     tolower($1) == "uris:" { for (i = 2; i <= NF; i++) uri[++n] = $i }
			     NF == 0 { flush() }
			     END { flush() }
			     function flush(i) { if (!off) for (i = 1; i <= n; i++) print uri[i]; n = off = 0 }' "$f"
		done
		for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
			[ -r "$f" ] && sed -nE 's/^[[:space:]]*deb(-src)?[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\3/p' "$f"
		done
	} | sed -nE 's,^([a-z+]+:.*/debian)/?$,\1,p' | awk -v d="$default_mirror" 'NR == 1 { print; found = 1 } END { if (!found) print d }'
}

apt_options=()
apt_setup() {
	local dir=$cache/apt mirror
	[ -r "$keyring" ] || die "$keyring is missing: apt-get install debian-archive-keyring"
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/state"
	mirror=$(configured_mirror)
	printf '%s\n' 'Types: deb' "URIs: $mirror" 'Suites: trixie-backports bookworm-backports' \
		'Components: main' "Signed-By: $keyring" >"$dir/lxss.sources"
	# Hooks of the system's configuration are for the system's lists
	printf '%s\n' '#clear APT::Update::Pre-Invoke;' '#clear APT::Update::Post-Invoke;' \
		'#clear APT::Update::Post-Invoke-Success;' '#clear DPkg::Post-Invoke;' '#clear DPkg::Pre-Install-Pkgs;' \
		>"$dir/apt.conf"
	apt_options=(
		-c "$dir/apt.conf"
		-o "Dir::State=$dir/state" -o "Dir::State::Lists=$dir/lists" -o "Dir::State::status=/dev/null"
		-o "Dir::Cache=$dir/cache" -o "Dir::Etc::SourceList=$dir/lxss.sources" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
		-o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=3 -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false
		-o APT::Get::AllowUnauthenticated=false -o Acquire::AllowInsecureRepositories=false
	)
	say "asking $mirror for kernel sources"
	apt-get "${apt_options[@]}" -q update >"$dir/update.log" 2>&1 || {
		tail -n 5 "$dir/update.log" >&2
		return 1
	}
}

# "PACKAGE VERSION" lines, the best first
candidates() {
	local p
	if [ -n "$source_wanted" ]; then
		apt-cache "${apt_options[@]}" madison "$source_wanted"
	else
		for p in $(apt-cache "${apt_options[@]}" pkgnames linux-source- | grep -E '^linux-source-(7\.[0-9]+|6\.12)$' | sort -Vr); do
			apt-cache "${apt_options[@]}" madison "$p"
		done
	fi | awk -F' *[|] *' '{ sub(/^ */, "", $1); if (!seen[$1, $2]++) print $1, $2 }'
}

# The verified tarball of a source package, downloaded if it is not there yet
fetch_tarball() {	# PACKAGE VERSION -> path
	local out=$store/source/${1}_${2//[:\/]/_}.tar.xz tmp deb
	if [ ! -f "$out" ]; then
		mkdir -p "$store/source"
		tmp=$(mktemp -d "$store/work.XXXXXX")
		say "downloading $1 $2"
		(cd "$tmp" && apt-get "${apt_options[@]}" -q download "$1=$2" >apt.log 2>&1) || {
			tail -n 5 "$tmp/apt.log" >&2
			return 1
		}
		deb=$(echo "$tmp"/*.deb)
		dpkg-deb --fsys-tarfile "$deb" | tar -xf - -C "$tmp" --wildcards "./usr/src/$1.tar.xz"
		mv "$tmp/usr/src/$1.tar.xz" "$out"
		rm -rf "$tmp"
	fi
	printf '%s\n' "$out"
}

# Unpacks, patches and configures into a new directory; fails if this version does not suit us
prepare_tree() {	# PACKAGE VERSION DIRECTORY
	local tarball
	[ -r "$(series_of "$1")" ] || { say "$1: no patch series for it"; return 1; }
	tarball=$(fetch_tarball "$1" "$2") || return 1
	say "unpacking and patching $1 $2"
	rm -rf "$3"
	mkdir -p "$3"
	unpack_tree "$tarball" "$3"
	patch_tree "$1" "$3" && configure_tree "$1" "$3"
}

read_resolved() {	# sets package, version if the record is there and still fits
	local inputs
	package='' version=''
	[ -r "$store/resolved" ] && [ -z "$refresh" ] || return 1
	inputs=$(inputs_hash)
	# Several checkouts may share the cache; of each the last word counts
	read -r package version < <(awk -v i="$inputs" '$1 == i { l = $2 " " $3 } END { print l }' "$store/resolved") || return 1
	[ -n "$version" ] && [ "${source_wanted:-$package}" = "$package" ]
}

found() {	# prints the result if the cache has it
	local dir
	dir=$store/$(result_hash "$package" "$version")
	[ -x "$dir/linux" ] && [ -r "$dir/info" ] || return 1
	touch -c "$dir" 2>/dev/null || true
	printf '%s\n' "$dir/linux"
}

# ---- the warm path -------------------------------------------------------------------------------------------

command -v "$CC" >/dev/null && command -v ld >/dev/null || need_tools
if [ "$mode" != source ] && read_resolved && found; then
	exit 0
fi
[ "$mode" != cached ] || die "not built yet; run kernel/build.sh"

# ---- the cold path -------------------------------------------------------------------------------------------

need_tools
mkdir -p "$store"
exec 9>"$store/lock"
flock -n 9 || { say "another build is running; waiting for it"; flock 9; }
# Nobody else builds now, so these are leftovers of killed builds
rm -rf "$store"/work.*
work=$store/work.$$
trap 'rm -rf "$store"/work.*' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir "$work"

prepared= tree=$work/tree
if read_resolved; then
	[ "$mode" = source ] || ! found || exit 0
	# What kbuild had finished when it was interrupted is good; it notices what was not
	if [ "$mode" = build ] && [ -f "$store/$(result_hash "$package" "$version").tree/lxss.config" ]; then
		tree=$store/$(result_hash "$package" "$version").tree
		prepared=1
		say "going on with an interrupted build of $package $version"
	fi
fi
if [ -z "$prepared" ] && read_resolved; then
	# The record names what to take; only its tarball may have to be fetched again
	if [ ! -f "$store/source/${package}_${version//[:\/]/_}.tar.xz" ]; then
		apt_setup || die "cannot reach the Debian mirror"
	fi
	! prepare_tree "$package" "$version" "$work/tree" || prepared=1
fi
if [ -z "$prepared" ]; then
	if apt_setup; then
		list=$(candidates)
	else
		say "no answer; using what was downloaded before"
		list=$(for f in "$store"/source/*.tar.xz; do f=${f##*/}; f=${f%.tar.xz}; echo "${f%%_*} ${f#*_}"; done | sort -Vr)
	fi
	[ -n "$list" ] || die "no suitable kernel source package found${source_wanted:+ under the name $source_wanted}"
	while read -r package version; do
		if prepare_tree "$package" "$version" "$work/tree"; then
			prepared=1
			break
		fi
		say "$package $version does not suit; trying an older one"
	done <<<"$list"
	[ -n "$prepared" ] || die "no source package suits the patches and the configuration"
	{
		tail -n 50 "$store/resolved" 2>/dev/null || true
		printf '%s %s %s\n' "$(inputs_hash)" "$package" "$version"
	} >"$work/resolved"
	mv "$work/resolved" "$store/resolved"
fi

if [ "$mode" = source ]; then
	out=$store/source/$package-$version
	rm -rf "$out"
	mv "$tree" "$out"
	printf '%s\n' "$out"
	exit 0
fi
! found || exit 0

hash=$(result_hash "$package" "$version")
if [ "$tree" = "$work/tree" ]; then
	rm -rf "$store"/*.tree
	tree=$store/$hash.tree
	mv "$work/tree" "$tree"
fi
log=$store/build.log
say "compiling $package $version with $jobs jobs; log in $log"
started=$SECONDS
kernel_make "$tree" -j"$jobs" linux >"$log" 2>&1 9>&- || {
	grep -E -m 5 -A 3 '(error|Error|undefined reference)' "$log" >&2 || tail -n 20 "$log" >&2
	die "compiling $package $version failed; the whole log is in $log"
}
elapsed=$((SECONDS - started))

mkdir "$work/new"
strip -o "$work/new/linux" "$tree/linux"
chmod 755 "$work/new/linux"
cp "$tree/.config" "$work/new/config"
{
	printf 'package: %s\n' "$package"
	printf 'version: %s\n' "$version"
	printf 'release: %s\n' "$(cat "$tree/include/config/kernel.release")"
	printf 'hash: %s\n' "$hash"
	printf 'compiler: %s\n' "$("$CC" --version | head -n 1)"
	printf 'built: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
	printf 'build-seconds: %s\n' "$elapsed"
	printf 'sha256: %s\n' "$(sha256sum <"$work/new/linux" | cut -d' ' -f1)"
	printf 'patches:%s\n' "$(for p in $(patches_of "$package"); do printf ' %s' "${p##*/}"; done)"
	printf 'config: %s\n' "$store/$hash/config"
} >"$work/new/info"
sync -f "$work/new" 2>/dev/null || true
rm -rf "${store:?}/$hash"
mv -T "$work/new" "$store/$hash"
rm -rf "$tree"
# Results nobody asked for in a month
find "$store" -mindepth 1 -maxdepth 1 -type d -name '????????????????' -mtime +30 -exec rm -rf {} + 2>/dev/null || true
say "done in $elapsed s: $(grep ^release: "$store/$hash/info")"
printf '%s\n' "$store/$hash/linux"
