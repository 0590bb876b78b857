#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The backend with another PyTorch than the system's own: built and tested there. What it fetches is kept under
# ROOT/build and used again. usage: elsewhere.sh ROOT pypi|debian13
#
#	pypi       the newest PyTorch that pip finds, in a virtual environment (several GB)
#	debian13   Debian 13's, in a folder made by mmdebstrap (1.6 GB; needs root)
set -u
root=$(cd "$1" && pwd) kind=$2
# shellcheck source=tests/cli/tap.sh
. "$root/tests/cli/tap.sh"
home=$root/build/elsewhere-$kind
packages=python3-torch,libtorch-dev,pybind11-dev,python3-dev,python3-numpy,python3-setuptools,python3-expecttest
packages+=,g++,gcc,meson,ninja-build,pkg-config,libsodium-dev,libhwloc-dev

give_up() {
	echo "1..0 # SKIP $1"
	exit 0
}

# there COMMAND...: where that PyTorch is; $base is ROOT as it is seen there.
case $kind in
pypi)
	base=$root
	there() { env PATH="$home/bin:$PATH" "$@"; }
	[ -e "$home/complete" ] || {
		python3 -m venv "$home" && "$home/bin/pip" install --quiet torch numpy setuptools expecttest &&
			touch "$home/complete"
	} >"$work/fetch" 2>&1 || give_up "no PyTorch from pip: $(tail -n 1 "$work/fetch")"
	python=$home/bin/python
	;;
debian13)
	base=/tutti
	[ "$(id -u)" = 0 ] || give_up "not root"
	command -v mmdebstrap >/dev/null || give_up "mmdebstrap is not installed"
	# A mount namespace of its own: nothing stays mounted.
	there() {
		# shellcheck disable=SC2016
		unshare --mount bash -c 'mount --bind "$1" "$2/tutti" && mount --rbind /dev "$2/dev" &&
			mount -t proc proc "$2/proc" && shift && exec chroot "$@"' - "$root" "$home" "$@"
	}
	[ -e "$home/complete" ] || {
		rm -rf "$home" && mmdebstrap --variant=minbase --include="$packages" trixie "$home" &&
			mkdir "$home/tutti" && touch "$home/complete"
	} >"$work/fetch" 2>&1 || give_up "no Debian 13: $(tail -n 1 "$work/fetch")"
	python=/usr/bin/python3
	;;
*)
	echo "elsewhere.sh: there is no kind '$kind'" >&2
	exit 2
	;;
esac

built=$base/build/$kind
builds() {
	rm -rf "$root/build/$kind"
	there meson setup "$built" "$base" --buildtype=release -Dtests=false -Dtorch=enabled -Dpython="$python" &&
		there ninja -C "$built"
}
check "builds" builds
with_backend() { there env PYTHONPATH="$built/src/bindings/torch" USE_LIBUV=0 "$python" "$@"; }
tests=$base/tests/torch
check "operations" with_backend "$tests/operations.py"
check "training" with_backend "$tests/train.py" "$base/docs/examples/digits.txt" "$base/LICENSE"
check "features of PyTorch 2" with_backend "$tests/features.py"
check "the tests of PyTorch" with_backend "$tests/suite.py" --known "$tests/known-2.txt"
finish
