#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `tutti topo` promises. usage: topo.sh TUTTI
set -u
tutti=$1
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
unset "${!TUTTI_@}"
export TUTTI_PROFILE=assumed

usage_error() {
	local pattern=$1 text
	shift
	text=$("$tutti" topo "$@" 2>&1 >/dev/null)
	expect 2 $? && expect_match "$pattern.*--help" "$text" && expect 1 "$(wc -l <<<"$text")"
}
check "--xml without a machine is a usage error" usage_error 'needs a file' --xml
check "a machine without --xml is a usage error" usage_error 'need --xml' pack:2
check "only what can be drawn is drawn" usage_error 'ring and tree' --algorithm star
check "machines that are not here are not measured" usage_error 'cannot be measured' --xml --measure pack:2
check "--help explains on stdout" expect_match 'Usage: tutti topo' "$("$tutti" topo --help)"
check "it knows this machine" expect_match 'package 0' "$("$tutti" topo)"

# Without hwloc other machines are not known.
"$tutti" topo --xml 'pack:1 core:1 pu:1' >/dev/null 2>"$work/why"
if grep -q 'no hwloc' "$work/why"; then
	finish
fi

machine='pack:2 [numa(memory=64GiB)] l3:2(size=32MiB) core:4 pu:2; net:eth0@0=100; gpu:gpu0@1'
as_text() {
	"$tutti" topo --xml -n 8 "$machine" >"$work/out" || return 1
	expect_match '16 cores \(32 threads\)' "$(cat "$work/out")" && expect_match 'eth0 \(100 Gb/s\)' "$(cat "$work/out")" &&
		expect_match 'ring: 0 1 2 3 4 5 6 7' "$(cat "$work/out")" &&
		expect_match 'tree: 0 is the root; 0 over 1-2,4; 2 over 3; 4 over 5-6; 6 over 7' "$(cat "$work/out")"
}
check "a description is shown with its ranks" as_text
bad_machine() {
	local text
	text=$("$tutti" topo --xml 'pack:none' 2>&1 >/dev/null)
	expect 1 $? && expect_match 'pack:none' "$text" && expect 1 "$(wc -l <<<"$text")"
}
check "a bad description is one line of error" bad_machine
bad_device() {
	local device
	for device in net:eth0 net:eth0@9=1 net:eth0@0=nan gpu:x@0=5 disk:sda@0 'net:@0=1' net:eth0@0=-1; do
		"$tutti" topo --xml "pack:1 core:2 pu:1; $device" >/dev/null 2>&1
		expect 1 $? || return 1
	done
}
check "a bad device is refused" bad_device
too_many() {
	local text
	text=$("$tutti" topo --xml 'pack:64 [numa] l3:8(size=32MiB) core:64 pu:2' 2>&1 >/dev/null)
	expect 1 $? && expect_match '65536 hardware threads' "$text"
}
check "a machine with more threads than there can be is refused at once" too_many
as_json() {
	"$tutti" topo --xml -n 8 --nodes 2 --json "$machine" | python3 -c '
import json, sys
shown = json.load(sys.stdin)
assert shown["machine"]["cores"] == 16 and len(shown["machine"]["cores_at"]) == 16
assert [c["name"] for c in shown["machine"]["network_cards"]] == ["eth0"]
assert len(shown["ranks"]) == 8 and shown["nodes"] == 2
assert sorted(shown["ring"]) == list(range(8)) and shown["parents"].count(-1) == 1
'
}
check "--json is JSON" as_json
as_svg() {
	local path
	for path in ring tree; do
		"$tutti" topo --xml -n 64 --nodes 4 --svg "$work/picture.svg" --algorithm "$path" "$machine" || return 1
		python3 - "$work/picture.svg" <<-'END' || return 1
			import sys
			import xml.etree.ElementTree as ET
			root = ET.parse(sys.argv[1]).getroot()
			width, height = float(root.get("width")), float(root.get("height"))
			texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
			assert all(str(r) in texts for r in range(64)), "every rank is in the picture"
			for e in root.iter("{http://www.w3.org/2000/svg}rect"):
			    if e.get("x") is None:
			        continue
			    assert 0 <= float(e.get("x")) and float(e.get("x")) + float(e.get("width")) <= width
			    assert 0 <= float(e.get("y")) and float(e.get("y")) + float(e.get("height")) <= height
		END
	done
}
check "--svg is a picture of all ranks, inside its edges" as_svg
real_job() {
	"$tutti" topo -n 3 --json | python3 -c '
import json, sys
shown = json.load(sys.stdin)
assert len(shown["ranks"]) == 3 and shown["nodes"] == 1 and sorted(shown["ring"]) == [0, 1, 2]
'
}
check "-n starts ranks and shows them" real_job
under_launcher() {
	expect 1 "$("$tutti" run -n 2 --no-prefix "$tutti" topo | grep -c '^2 ranks on 1 node')"
}
check "under a launcher it shows that job, once" under_launcher
by_tcp() {
	TUTTI_TRANSPORTS=tcp "$tutti" topo -n 2 --json | python3 -c '
import json, sys
shown = json.load(sys.stdin)
assert shown["nodes"] == 2 and shown["hosts"] == 1
'
}
check "ranks that share no memory are nodes of one host" by_tcp
measured() {
	"$tutti" topo -n 2 --measure --json --svg "$work/picture.svg" | python3 -c '
import json, sys
shown = json.load(sys.stdin)
assert shown["latency_us"][0][1] > 0 and shown["latency_us"][0][0] == 0 and shown["bandwidth_gbytes_per_s"][1][0] > 0
' && grep -q 'latency of 8 bytes' "$work/picture.svg"
}
check "--measure gives the matrices" measured
findings() {
	local text
	text=$("$tutti" topo -n 2 --check)
	case $? in
	0) expect_match 'nothing found' "$text" ;;
	1) expect "$(grep -vc '^    ' <<<"$text")" "$(grep -c '^    remedy: ' <<<"$text")" ;;
	*) return 1 ;;
	esac
}
check "--check says what to do about each thing it finds" findings

# Even ranks on the later core, odd ranks on the first: the ring goes 1 3 0 2.
# shellcheck disable=SC2016 # TUTTI_RANK is each rank's own
placed() {
	"$tutti" run -n 4 --no-prefix bash -c 'exec taskset -c "$((TUTTI_RANK % 2 ? $0 : $1))" "${@:2}"' "${cpus[@]}" "$tutti" "$@"
}
placed_ring() {
	placed topo --json | python3 -c '
import json, sys
shown = json.load(sys.stdin)
assert shown["ring"] == [1, 3, 0, 2], shown["ring"]
'
}
rings_are_right() {
	placed bench all_reduce reduce_scatter all_gather -a ring --check -b 8 -e 8K -f 32 -n 2 -w 1 >"$work/out" &&
		placed bench broadcast reduce -a chain -r 2 --check -b 8 -e 8K -f 32 -n 2 -w 1 >>"$work/out"
}
# The first CPUs of two cores.
mapfile -t cpus < <(python3 -c '
import os
cores = {}
for cpu in sorted(os.sched_getaffinity(0)):
    try:
        with open("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list" % cpu) as file:
            cores.setdefault(file.read(), cpu)
    except OSError:
        pass
print(*sorted(cores.values())[:2], sep="\n")')
if [ ${#cpus[@]} = 2 ] && command -v taskset >/dev/null; then
	check "the ring follows the cores that ranks are bound to" placed_ring
	check "ranks that are bound to one core are found out" expect_match '^(2 ranks share 1 core:|.*quota)' \
		"$(taskset -c "${cpus[0]}" "$tutti" topo -n 2 --check)"
	check "rings and chains in that order give right results" rings_are_right
fi
finish
