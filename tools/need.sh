# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Finds out what is missing on this machine and installs it with the system's package manager. Source it, say what is
# needed, then call need_install:
#
#	need_tool NAME PACKAGE [DNF-PACKAGE]      a program
#	need_library NAME PACKAGE [DNF-PACKAGE]   a library that pkg-config knows
#	want_tool, want_library                   the same, but it goes without (with a note)
#	need_install
#
# When nothing is missing, nothing is called and no network is touched.

need_apt=()
need_dnf=()
want_apt=()

need_tool() {
	command -v "$1" >/dev/null 2>&1 || {
		need_apt+=("$2")
		need_dnf+=("${3:-$2}")
	}
}

need_library() {
	if ! command -v pkg-config >/dev/null 2>&1 || ! pkg-config --exists "$1"; then
		need_apt+=("$2")
		need_dnf+=("${3:-$2}")
	fi
}

want_tool() {
	command -v "$1" >/dev/null 2>&1 || want_apt+=("$2")
}

want_library() {
	if ! command -v pkg-config >/dev/null 2>&1 || ! pkg-config --exists "$1"; then
		want_apt+=("$2")
	fi
}

# Prints how to become root ("" or "sudo -n"); fails if that is not possible.
need_root() {
	if [ "$(id -u)" = 0 ]; then
		echo ""
	elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		echo "sudo -n"
	else
		return 1
	fi
}

# need_apt_get PACKAGE...: tries with the lists there are, then with new ones.
need_apt_get() {
	local root
	root=$(need_root) || return 1
	echo "Installing with apt-get: $*" >&2
	# shellcheck disable=SC2086
	{
		$root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
			{
				$root apt-get update &&
					$root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
			}
	} >&2
}

need_message() {
	cat >&2 <<-END
		Some packages that are needed are missing, and they cannot be installed from here. Please install them:
		  Debian, Ubuntu:  apt-get install ${need_apt[*]}
		  Fedora, RHEL:    dnf install ${need_dnf[*]}
	END
}

need_install() {
	local package
	if [ ${#need_apt[@]} -gt 0 ]; then
		if ! command -v apt-get >/dev/null 2>&1 || ! need_apt_get "${need_apt[@]}"; then
			need_message
			exit 1
		fi
	fi
	# One by one: a package that a distribution lacks must not keep the others away.
	for package in "${want_apt[@]}"; do
		if ! command -v apt-get >/dev/null 2>&1 || ! need_apt_get "$package"; then
			echo "Going on without $package." >&2
		fi
	done
}

# What every build of Tutti needs.
need_build_tools() {
	need_tool meson meson
	need_tool ninja ninja-build
	need_tool pkg-config pkg-config pkgconf-pkg-config
	need_tool "${CC:-gcc}" gcc
	need_library libsodium libsodium-dev libsodium-devel
	want_library hwloc libhwloc-dev
	want_library libfabric libfabric-dev
}

# need_setup FOLDER MESON-OPTION...: configures a build folder, again only if the options changed.
need_setup() {
	local folder=$1
	shift
	if [ -f "$folder/build.ninja" ] && [ "$(cat "$folder/.options" 2>/dev/null)" = "$*" ]; then
		return 0
	fi
	rm -rf "$folder"
	mkdir -p "$folder"
	meson setup "$folder" "$@" >"$folder.log" 2>&1 || {
		cat "$folder.log" >&2
		echo "meson setup $folder failed" >&2
		return 1
	}
	mv "$folder.log" "$folder/setup.log"
	echo "$*" >"$folder/.options"
}
