#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# neon.sh SOURCE_ROOT - builds the NEON kernels for aarch64 and runs their self-test, under an emulator if need be.
# Exit status 77 means skipped: it takes a (cross) compiler, and a processor or an emulator that runs its programs.
set -u

root=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

skip()
{
	echo "1..0 # SKIP $1"
	exit 77
}

if [ "$(uname -m)" = aarch64 ]; then
	compiler=${CC:-cc}
	emulator=
else
	compiler=aarch64-linux-gnu-gcc
	emulator='qemu-aarch64 -L /usr/aarch64-linux-gnu'
	command -v "$compiler" >/dev/null || skip "$compiler is not installed"
	command -v qemu-aarch64 >/dev/null || skip "qemu-aarch64 is not installed"
fi

kernels=$root/src/kernels
# shellcheck disable=SC2086 # the emulator is a command with arguments, or nothing
"$compiler" -std=gnu11 -O2 -Wall -Wextra -ffp-contract=off -I"$root/include" -I"$root/src" -I"$root/tests/kernels" \
	"$root/tests/kernels/neon_selftest.c" "$kernels/neon.c" "$kernels/reference.c" "$kernels/convert.c" \
	"$kernels/divide.c" "$kernels/dtypes.c" -lm -o "$work/neon_selftest" &&
	$emulator "$work/neon_selftest"
