#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs Spin on a model in all states that it can reach. usage: check.sh holds|fails MODEL [-DNAME...]
# `fails` is for a protocol with a step left out: a model that cannot fail proves nothing.
set -u
expected=$1 model=$2
shift 2
command -v spin >/dev/null 2>&1 || {
	echo "spin is not installed (Debian: apt-get install spin)"
	exit 77
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
spin -a "$@" "$model" >spin.log 2>&1 && [ -f pan.c ] || {
	cat spin.log
	exit 1
}
${CC:-cc} -O1 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -DMEMLIM=1500 -o pan pan.c || exit 1
timeout 100 ./pan -m200000 >pan.log 2>&1
grep -E "errors:|states, stored|assertion violated|invalid end state|error:|unreached|max search depth" pan.log | grep -v "^unreached"
grep -q "errors: [0-9]" pan.log || {
	cat pan.log
	exit 1
}
if grep -qE "search depth too small|out of memory|Search not completed" pan.log && [ "$expected" = holds ]; then
	echo "not all states were seen"
	exit 1
fi
found=fails
grep -q "errors: 0" pan.log && found=holds
echo "the model $found"
[ "$found" = "$expected" ]
