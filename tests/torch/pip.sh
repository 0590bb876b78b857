#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The package as a user installs it: with pip, against an installed libtutti. usage: pip.sh ROOT PYTHON BUILD
set -u
root=$1 python=$2 build=$3
"$python" -c 'import setuptools, wheel, pip' 2>/dev/null || {
	echo "1..0 # SKIP $python has no pip, setuptools and wheel"
	exit 0
}
# shellcheck source=tests/cli/tap.sh
. "$root/tests/cli/tap.sh"
unset PYTHONPATH

installs() {
	local pc
	meson install -C "$build" --no-rebuild --quiet --destdir "$work/root" && pc=$(find "$work/root" -name tutti.pc) &&
		sed -i "s|^prefix=\(.*\)|prefix=$work/root\1|" "$pc" &&
		cp -r "$root/src/bindings/torch" "$work/source" &&
		PKG_CONFIG_PATH=${pc%/*} "$python" -m pip install --quiet --no-build-isolation --no-deps --no-index \
			--target "$work/site" "$work/source"
}
check "pip install --no-build-isolation" installs
uses() {
	cat >"$work/use.py" <<-END
		import torch, torch.distributed as dist, tutti_torch
		store = dist.FileStore("$work/store", 1)
		dist.init_process_group("tutti", store=store, rank=0, world_size=1)
		tensor = torch.ones(3)
		dist.all_reduce(tensor)
		assert dist.get_backend() == "tutti" and tensor.tolist() == [1, 1, 1] and tutti_torch.version()
	END
	(cd "$work" && PYTHONPATH=$work/site "$python" use.py)
}
check "the installed package works" uses
without_library() {
	(cd "$work/source" && PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR="$work" "$python" setup.py --version 2>"$work/said")
	grep -q 'pkg-config does not find tutti' "$work/said"
}
check "without libtutti the build says what is missing" without_library
finish
