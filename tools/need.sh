# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Finds out what is missing on this machine and installs it with the system's package manager, apt-get or dnf. Source
# it, say what is needed, then call need_install:
#
#	need_tool NAME PACKAGE [DNF-PACKAGE]      a program
#	need_library NAME PACKAGE [DNF-PACKAGE]   a library that pkg-config knows
#	want_tool, want_library                   the same, but it goes without (with a note)
#	want_python MODULE PACKAGE [DNF-PACKAGE]  a module of the system's own Python
#	want_file PATH PACKAGE [DNF-PACKAGE]      a file, without which it goes too
#	need_install
#
# When nothing is missing, nothing is called and no network is touched.

need_apt=()
need_dnf=()
want_apt=()
want_dnf=()

need_has_library() {
	command -v pkg-config >/dev/null 2>&1 && pkg-config --exists "$1"
}

need_tool() {
	command -v "$1" >/dev/null 2>&1 || {
		need_apt+=("$2")
		need_dnf+=("${3:-$2}")
	}
}

need_library() {
	need_has_library "$1" || {
		need_apt+=("$2")
		need_dnf+=("${3:-$2}")
	}
}

want_tool() {
	command -v "$1" >/dev/null 2>&1 || {
		want_apt+=("$2")
		want_dnf+=("${3:-$2}")
	}
}

want_library() {
	need_has_library "$1" || {
		want_apt+=("$2")
		want_dnf+=("${3:-$2}")
	}
}

want_file() {
	[ -e "$1" ] || {
		want_apt+=("$2")
		want_dnf+=("${3:-$2}")
	}
}

# want_python MODULE PACKAGE [DNF-PACKAGE]: a module of the system's own Python.
want_python() {
	/usr/bin/python3 -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)" 2>/dev/null || {
		want_apt+=("$2")
		want_dnf+=("${3:-$2}")
	}
}

# need_as_root COMMAND...: as root or with a sudo that does not ask; fails if neither is possible.
need_as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		return 1
	fi
}

# With the package lists there are, then with new ones.
need_apt_get() {
	echo "Installing with apt-get: $*" >&2
	need_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2 ||
		{
			need_as_root apt-get update >&2 &&
				need_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
					--no-install-recommends "$@" >&2
		}
}

need_dnf_get() {
	echo "Installing with dnf: $*" >&2
	need_as_root dnf install -y "$@" >&2
}

need_all() {
	if command -v apt-get >/dev/null 2>&1; then
		need_apt_get "${need_apt[@]}"
	elif command -v dnf >/dev/null 2>&1; then
		need_dnf_get "${need_dnf[@]}"
	else
		return 1
	fi
}

# want_one NUMBER: the package of that place in the lists.
want_one() {
	if command -v apt-get >/dev/null 2>&1; then
		need_apt_get "${want_apt[$1]}"
	elif command -v dnf >/dev/null 2>&1; then
		need_dnf_get "${want_dnf[$1]}"
	else
		return 1
	fi
}

need_install() {
	local i
	if [ ${#need_apt[@]} -gt 0 ] && ! need_all; then
		cat >&2 <<-END
			Packages that are needed are missing, and they cannot be installed from here. Please install them:
			  Debian, Ubuntu:  apt-get install ${need_apt[*]}
			  Fedora, RHEL:    dnf install ${need_dnf[*]}
		END
		return 1
	fi
	# One by one: a package that a distribution lacks must not keep the others away.
	for i in "${!want_apt[@]}"; do
		want_one "$i" || echo "Going on without ${want_apt[$i]}, which is optional." >&2
	done
}

# What every build of Tutti needs.
need_build_tools() {
	need_tool meson meson
	need_tool ninja ninja-build
	need_tool pkg-config pkg-config pkgconf-pkg-config
	need_tool "${CC:-gcc}" "${CC:-gcc}"
	need_library libsodium libsodium-dev libsodium-devel
	want_library hwloc libhwloc-dev hwloc-devel
	want_library libfabric libfabric-dev libfabric-devel
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
