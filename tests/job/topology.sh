#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A job on machines that are not here: TUTTI_TOPOLOGY. usage: topology.sh EXACT LAUNCHED TUTTI
set -u
exact=$1
launched=$2
tutti=$3
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/../cli/tap.sh"
unset "${!TUTTI_@}"
export TUTTI_PROFILE=assumed

machine='pack:2 [numa] l3:2 core:2 pu:2; net:eth0@0=100'
if ! "$tutti" topo --xml "$machine" >/dev/null 2>&1; then
	echo "1..0 # SKIP without hwloc"
	exit 0
fi

# places RANKS [VARIABLE=VALUE...]: what the ranks say of their places, by rank
places() {
	local ranks=$1
	shift
	env TUTTI_LOG=debug "$@" timeout 60 "$tutti" run -n "$ranks" "$launched" 2>&1 | grep "this rank's place"
}

each_its_core() {
	places 4 "TUTTI_TOPOLOGY=$machine" >"$work/places"
	expect 4 "$(sed -n "s/.*core \\([0-9]*\\) (.*/\\1/p" "$work/places" | sort -u | wc -l)" &&
		expect 2 "$(sed -n "s/.*place: package \\([0-9]*\\),.*/\\1/p" "$work/places" | sort -u | wc -l)"
}
check "ranks sit on cores of the machine that is described" each_its_core

parents_differ() {
	places 8 "TUTTI_TOPOLOGY=pack:1 core:8 pu:1" | sed -n "s/.*map's parent is rank //p" | sort -n >"$work/flat"
	places 8 "TUTTI_TOPOLOGY=pack:2 [numa] core:4 pu:1" | sed -n "s/.*map's parent is rank //p" | sort -n >"$work/deep"
	expect 8 "$(wc -l <"$work/flat")" && expect 8 "$(wc -l <"$work/deep")" && ! cmp -s "$work/flat" "$work/deep"
}
check "the tree follows the machine that is described" parents_differ

an_xml_file() {
	places 2 "TUTTI_TOPOLOGY=$(dirname "$0")/../topology/machines/two-nics.xml" >"$work/places"
	expect 2 "$(wc -l <"$work/places")"
}
check "a file that hwloc wrote is taken, too" an_xml_file

# Unlike nodes: ranks may be told different things, and all know what each was told.
unlike() {
	# shellcheck disable=SC2016
	timeout 60 "$tutti" run -n 3 --no-prefix bash -c '
		[ "$TUTTI_RANK" = 1 ] || export TUTTI_TOPOLOGY="pack:$((TUTTI_RANK + 1)) core:4 pu:1"
		exec "$0"' "$launched" >"$work/out" 2>&1 || {
		cat "$work/out"
		return 1
	}
}
check "ranks that are told different machines agree all the same" unlike

for over in shm tcp; do
	check "results are right there, over $over" env "TUTTI_TOPOLOGY=$machine" timeout 200 "$exact" -n 4 --transports $over \
		--sample 120
done

# Profiles that no machine would have, and another one for each rank: that of a node's first rank counts there, and the worst
# of all nodes everywhere.
mkdir -p "$work/cache"
env -u TUTTI_PROFILE XDG_CACHE_HOME="$work/cache" "$tutti" explain barrier -n 2 >/dev/null
strange() {
	local file=$work/strange.$1
	cat "$work"/cache/tutti/*.profile >"$file"
	shift
	printf '%s tuned\n' "$@" >>"$file"
}
strange 0 "stage_chunk 4096 B" "stage_slots 2 chunks" "stage_block 256 B" "stage_step 256 B" "one_meeting 64 B" \
	"rows_from 64 B" "stage_apart 64 B" "single_from 8192 B" "stream_from 65536 B" "cache 65536 B"
strange 1 "stage_chunk 1048576 B" "stage_slots 64 chunks" "crowded_slots 64 chunks" "stage_block 1e9 B" "stage_step 1e9 B" \
	"one_meeting 1e12 B" "rows_from 1e12 B" "stage_apart 1e12 B" "stream_from 1e12 B" "single_from 1e12 B"
strange 2 "stage_chunk 12345 B" "stage_slots 5 chunks" "stage_block 777 B" "stage_step 999 B" "one_meeting 100000 B"
strange 3 "stage_chunk 65536 B" "crowded_slots 2 chunks" "remote_call 1e8 ns" "remote_byte 0.01 ps/B"
with_strange() {
	# shellcheck disable=SC2016
	timeout 200 "$tutti" run -n 4 --no-prefix bash -c '
		export TUTTI_PROFILE=$1.$(((TUTTI_RANK + $2) % 4)) TUTTI_TRANSPORTS=$3
		exec "$0" --env --random 150' "$exact" "$work/strange" "$1" "$2" >"$work/out" 2>&1 || {
		tail -n 20 "$work/out"
		return 1
	}
}
for first in 0 1 2 3; do
	check "results are right by strange profile $first" with_strange "$first" shm
done
check "and if each rank is a node with a profile of its own" with_strange 0 tcp

# Many ranks of a node meet by groups there, ...
large='pack:2 [numa] l3:4 core:6 pu:1'
by_groups() {
	TUTTI_LOG=debug TUTTI_TOPOLOGY=$1 timeout 100 "$tutti" run -n "$2" "$launched" >"$work/out" 2>&1 || echo "failed: $?"
	sed -n 's/.*ranks meet by groups of one //p' "$work/out" | sort | uniq -c
}
levels() {
	expect_match '20 L3 cache' "$(by_groups "$large" 20)" && expect_match '20 NUMA node' "$(by_groups "numa:4 core:8 pu:1" 20)" &&
		expect_match '20 node' "$(by_groups "pack:1 core:32 pu:1" 20)" && expect "" "$(by_groups "$large" 16)"
}
check "more than sixteen ranks meet by groups that follow the machine" levels

# ... with the same results.
for ranks in 20 32 48; do
	check "results are right among $ranks ranks in groups" env "TUTTI_TOPOLOGY=$large" timeout 200 "$exact" -n $ranks --threads \
		--transports shm --random 150 --most 3000
done
check "and when calls are in flight together" env "TUTTI_TOPOLOGY=$large" timeout 200 "$exact" -n 20 --threads \
	--transports shm --campaign --cases 60

bad() {
	timeout 60 env TUTTI_TOPOLOGY="pack:2 frog:1" "$tutti" run -n 2 "$launched" >"$work/out" 2>&1 && return 1
	expect_match 'frog' "$(cat "$work/out")"
}
check "a description that makes no sense is an error that shows it" bad
nowhere() {
	# shellcheck disable=SC2016
	timeout 60 "$tutti" run -n 2 bash -c '
		[ "$TUTTI_RANK" = 0 ] || export TUTTI_TOPOLOGY=/nowhere.xml
		exec "$0"' "$launched" >"$work/out" 2>&1 && return 1
	expect_match '/nowhere.xml' "$(cat "$work/out")"
}
check "a file that is not there is named, whichever rank was told of it" nowhere
finish
