#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# With reproducible = 1 a sum has the same bits for a given number of ranks, whatever the transport, the placement and
# the size of the chunks (and, as the program checks by itself, the algorithm, the buffers and their alignment).
# usage: reproducible.sh REPRODUCIBLE TUTTI
set -u
program=$1
tutti=$2
hosts=$(dirname "$0")/hosts.sh
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/../cli/tap.sh"
unset "${!TUTTI_@}"
export TUTTI_PROFILE=assumed

# on_one RANKS [VARIABLE=VALUE...]: what rank 0 prints
on_one() {
	local ranks=$1
	shift
	env "$@" timeout 120 "$tutti" run -n "$ranks" --no-prefix "$program"
}

# same AS COMMAND...: its output is that of the file AS
same() {
	local as=$1
	shift
	"$@" >"$work/now" || return 1
	diff "$as" "$work/now" | head -6
	cmp -s "$as" "$work/now"
}

reference() {
	on_one "$1" TUTTI_TRANSPORTS=shm >"$work/$1" && [ -s "$work/$1" ]
}

for ranks in 2 3 4 6; do
	check "$ranks ranks: what one job can vary gives the same bits" reference $ranks
	check "$ranks ranks over tcp: the same bits" same "$work/$ranks" on_one $ranks TUTTI_TRANSPORTS=tcp
	check "$ranks ranks with small chunks: the same bits" same "$work/$ranks" \
		on_one $ranks TUTTI_TRANSPORTS=shm TUTTI_STAGING=16K
done
check "9 ranks: what one job can vary gives the same bits" reference 9
check "9 ranks over tcp: the same bits" same "$work/9" on_one 9 TUTTI_TRANSPORTS=tcp
check "4 ranks with large chunks: the same bits" same "$work/4" on_one 4 TUTTI_TRANSPORTS=shm TUTTI_STAGING=16M
check "3 ranks over tcp in small chunks: the same bits" same "$work/3" \
	on_one 3 TUTTI_TRANSPORTS=tcp TUTTI_STAGING=16K
check "4 ranks with the plain-C kernels: the same bits" same "$work/4" on_one 4 TUTTI_KERNELS=reference
check "3 ranks with a progress thread: the same bits" same "$work/3" on_one 3 TUTTI_PROGRESS_THREAD=1

bash "$hosts" -n 2 true 2>/dev/null
if [ $? != 77 ]; then
	for shape in "2 1" "2 2" "4 1" "2 3" "3 2"; do
		read -r n g <<<"$shape"
		check "$n hosts of $g: the same bits" same "$work/$((n * g))" bash "$hosts" -n "$n" -g "$g" -t 120 -- "$program"
	done
fi

# Among the algorithms that may be used then, some sum in another order: the program itself must find that.
tells() {
	"$tutti" run -n 3 --no-prefix "$program" off >"$work/off"
	grep -q '^DIFFERENT ' "$work/off"
}
check "without reproducible the bits differ: the hashes can tell" tells
finish
