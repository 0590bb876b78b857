#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `tutti sim` promises. usage: sim.sh TUTTI
set -u
tutti=$1
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
unset "${!TUTTI_@}"
export TUTTI_PROFILE=assumed

usage_error() {
	local pattern=$1 text
	shift
	text=$("$tutti" sim "$@" 2>&1 >/dev/null)
	expect 2 $? && expect_match "$pattern.*--help" "$text" && expect 1 "$(wc -l <<<"$text")"
}
check "no number of ranks is a usage error" usage_error 'how many ranks' all_reduce
check "an unknown collective is a usage error" usage_error 'all_produce' all_produce -n 4
check "an unknown constant is a usage error" usage_error 'no constant warp' all_reduce -n 4 --set warp=9
check "a value that no machine has is a usage error" usage_error 'no value for handoff' all_reduce -n 4 --set handoff=-1
check "--help explains on stdout" expect_match 'Usage: tutti sim' "$("$tutti" sim --help)"
here() {
	"$tutti" sim all_reduce 1M -n 2 >"$work/out" && expect_match '^all_reduce, 2 ranks on 1 node' "$(cat "$work/out")"
}
check "it prices this machine" here
check "a barrier has one price, whatever size" expect 1 "$("$tutti" sim barrier -n 8 | grep -c '^ *[0-9]')"
unknown_algorithm() {
	local text
	text=$("$tutti" sim all_reduce 1M -n 2 --algorithm rign 2>&1 >/dev/null)
	expect 1 $? && expect_match 'rign' "$text"
}
check "an unknown algorithm is named" unknown_algorithm

"$tutti" topo --xml 'pack:1 core:1 pu:1' >/dev/null 2>"$work/why"
if grep -q 'no hwloc' "$work/why"; then
	finish
fi
machine='pack:2 l3:1(size=32MiB) core:8 pu:2; net:ib0@0=200'
judge() {
	"$tutti" sim "$1" -n "$2" --nodes "$3" --topology "$machine" --json -b 8 -e "$4" | python3 -c "
import json, sys
sim = json.load(sys.stdin)
$5"
}
check "every price is positive, the best is the least" judge all_gather 24 3 1M '
for size in sim["sizes"]:
    prices = {name: a["us"] for name, a in size["algorithms"].items()}
    assert min(prices.values()) > 0 and prices[size["best"]] == min(prices.values())
'
check "more bytes never cost less in the least" judge all_reduce 32 4 16M '
best = [size["algorithms"][size["best"]]["us"] for size in sim["sizes"]]
assert all(b >= a * 0.9 for a, b in zip(best, best[1:])), best
'
check "small and large messages want different algorithms" judge all_reduce 48 48 64M '
assert sim["sizes"][0]["best"] != sim["sizes"][-1]["best"]
'
faster_links() {
	local slow fast
	slow=$("$tutti" sim broadcast 64M -n 8 --nodes 8 --topology "$machine" --algorithm binomial --json --set net_byte=800 --set net_one_way=800)
	fast=$("$tutti" sim broadcast 64M -n 8 --nodes 8 --topology "$machine" --algorithm binomial --json --set net_byte=80 --set net_one_way=80)
	python3 -c '
import json, sys
slow, fast = (json.loads(a)["sizes"][0]["algorithms"]["binomial"]["us"] for a in sys.argv[1:])
assert slow > 5 * fast, (slow, fast)
' "$slow" "$fast"
}
check "--set changes what a link costs" faster_links
many() {
	"$tutti" sim all_reduce 1M -n 16384 --nodes 256 --topology "$machine" --algorithm circulant --json | grep -q '"simulated": true'
}
check "16384 ranks are run in virtual time" many
as_svg() {
	"$tutti" sim all_reduce -n 64 --nodes 8 --topology "$machine" --svg "$work/plot.svg" >"$work/out" &&
		python3 -c '
import sys
import xml.etree.ElementTree as ET
texts = [e.text for e in ET.parse(sys.argv[1]).getroot().iter("{http://www.w3.org/2000/svg}text")]
assert "hierarchical" in texts and "ring" in texts and "all_reduce, 64 ranks on 8 nodes" in texts
' "$work/plot.svg" && expect_match '^best:' "$(cat "$work/out")"
}
check "--svg plots all algorithms, and the text says where the best one changes" as_svg
finish
