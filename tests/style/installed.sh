#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Does what `meson install` puts down work for a program that knows only pkg-config? C11 and C++17.
# usage: installed.sh BUILD-FOLDER
set -eu
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

meson install -C "$build" --no-rebuild --quiet --destdir "$work/root"
pc=$(find "$work/root" -name tutti.pc)
prefix=${pc%/lib*}
libraries=$(dirname "$(dirname "$pc")")
cat >"$work/program.c" <<'END'
#include <stdio.h>
#include <tutti/tutti.h>

int
main(void)
{
	tutti_comm *comm = NULL;
	float in[2] = {1.5f, 2.5f}, out[2] = {0, 0};

	if (tutti_comm_create(1, 0, NULL, NULL, &comm) != TUTTI_OK)
		return 1;
	if (tutti_all_reduce(comm, in, out, 2, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL) != TUTTI_OK)
		return 2;
	tutti_comm_destroy(comm);
	printf("%g %g\n", (double)out[0], (double)out[1]);
	return out[0] == 1.5f && out[1] == 2.5f ? 0 : 3;
}
END
export PKG_CONFIG_PATH=${pc%/*}
flags() {
	pkg-config --define-variable=prefix="$prefix" "$@" tutti
}
# shellcheck disable=SC2046
${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror $(flags --cflags) "$work/program.c" -o "$work/c" $(flags --libs)
# shellcheck disable=SC2046
${CXX:-c++} -std=c++17 -Wall -Wextra -Wpedantic -Werror -x c++ $(flags --cflags) "$work/program.c" -o "$work/cxx" \
	$(flags --libs)
for program in "$work/c" "$work/cxx" "$prefix/bin/tutti --version" "$prefix/bin/tutti run -n 2 $work/c"; do
	echo "$program"
	LD_LIBRARY_PATH=$libraries $program
done
for page in tutti tutti-run tutti-bench tutti-env tutti-explain; do
	[ -n "$(find "$prefix/share/man" -name "$page.1*")" ] || {
		echo "there is no man page $page(1)"
		exit 1
	}
done
