#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `tutti bench` promises. usage: bench.sh TUTTI
set -u
tutti=$1
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
unset "${!TUTTI_@}"
export TUTTI_PROFILE=assumed

usage_error() {
	local pattern=$1 text
	shift
	text=$("$tutti" bench "$@" 2>&1 >/dev/null)
	expect 2 $? && expect_match "$pattern.*--help" "$text" && expect 1 "$(wc -l <<<"$text")"
}
check "no collective is a usage error" usage_error 'which collective'
check "an unknown collective is a usage error" usage_error "no collective 'all_produce'" all_produce
check "an unknown type is a usage error" usage_error "no data type 'complex'" all_reduce -d complex
check "an operator that the type does not know is a usage error" usage_error 'band is not defined for -d float' \
	all_reduce -o band
check "a bad size is a usage error" usage_error '-b 8Q is not a size' all_reduce -b 8Q
check "sizes the wrong way round are a usage error" usage_error '-b is larger than -e' all_reduce -b 2K -e 1K
check "a factor of one would never end and is a usage error" usage_error '-f 1 is not' all_reduce -f 1
check "a plot that is no SVG is a usage error" usage_error 'must end in .svg' all_reduce --plot x.png
check "an unknown option is a usage error" usage_error 'unknown option --frob' all_reduce --frob
check "--help explains on stdout" expect_match 'busbw' "$("$tutti" bench --help)"

# rows FILE: the lines of results
rows() {
	grep -v '^#' "$1"
}
launches_itself() {
	"$tutti" bench all_reduce -g 3 -b 8 -e 64K -f 16 -n 5 >"$work/out" 2>"$work/err" || return 1
	expect "" "$(cat "$work/err")" && expect 4 "$(rows "$work/out" | wc -l)" &&
		expect_match '^# ranks +3' "$(cat "$work/out")" &&
		expect_match '^# Out of bounds values : 0 OK' "$(cat "$work/out")"
}
check "started alone it launches its ranks" launches_itself
uses_launcher() {
	"$tutti" run -n 2 --no-prefix "$tutti" bench broadcast -b 1K -e 1K -n 5 >"$work/out" || return 1
	expect 1 "$(rows "$work/out" | wc -l)" && expect_match '^# ranks +2' "$(cat "$work/out")"
}
check "under a launcher it uses the launcher's ranks" uses_launcher
check "-g that contradicts the launcher is refused" expect 2 \
	"$("$tutti" run -n 2 "$tutti" bench all_reduce -g 3 >/dev/null 2>&1; echo $?)"
one_rank() {
	"$tutti" bench all_reduce -g 1 -e 64 -n 3 >"$work/out" && expect_match '^# ranks +1' "$(cat "$work/out")"
}
check "one rank is a job too" one_rank
every_collective() {
	"$tutti" bench all -g 3 -b 3000 -e 3000 -n 3 --check >"$work/out" || return 1
	expect "all_gather all_reduce all_to_all barrier broadcast gather reduce reduce_scatter scatter " \
		"$(sed -n 's/^# \([a-z]*\(_[a-z]*\)*\)$/\1/p' "$work/out" | sort | tr '\n' ' ')" &&
		expect_match '^# Out of bounds values : 0 OK' "$(cat "$work/out")"
}
check "all measures every collective, and every result is right" every_collective
every_type() {
	"$tutti" bench all_reduce reduce_scatter -g 3 -b 4000 -e 4000 -d all -o all -n 3 --check >"$work/out" || return 1
	# 6 floats without 3 bitwise operators, bool without avg
	expect $((2 * (15 * 8 - 6 * 3 - 1))) "$(rows "$work/out" | wc -l)" &&
		expect_match '^# Out of bounds values : 0 OK' "$(cat "$work/out")"
}
check "every type with every operator that it knows is right" every_type
every_root() {
	"$tutti" bench broadcast reduce scatter gather -g 3 -b 3000 -e 3000 -r all -n 3 --check >"$work/out" || return 1
	expect 12 "$(rows "$work/out" | wc -l)"
}
check "-r all goes through every root" every_root
cold() {
	"$tutti" bench all_reduce all_gather -g 2 -b 256K -e 1M -f 4 -n 6 --cold --check >"$work/out" &&
		expect_match '^# buffers +cold' "$(cat "$work/out")" && expect 4 "$(rows "$work/out" | wc -l)"
}
check "--cold rotates buffers and the results are right" cold
files() {
	"$tutti" bench all_reduce barrier -g 2 -b 1K -e 4K -n 5 --json "$work/a.json" --plot "$work/a.svg" >/dev/null &&
		python3 - "$work/a.json" "$work/a.svg" <<-'END'
			import json, sys, xml.dom.minidom
			results = json.load(open(sys.argv[1]))
			assert results["ranks"] == 2
			rows = [r for r in results["results"] if r["collective"] == "all_reduce"]
			assert [r["size"] for r in rows] == [1024, 2048, 4096]
			assert all(r["out_of_place"]["wrong"] == 0 and r["in_place"]["eta"] > 0 for r in rows)
			xml.dom.minidom.parse(sys.argv[2])
		END
}
check "--json and --plot write files that parse" files
sweep() {
	"$tutti" bench all_reduce barrier --sweep-ranks -g 5 -b 4K -e 4K -n 3 --json "$work/s.json" >"$work/out" || return 1
	# 2 to 5 ranks, and what 3 and 5 should cost
	expect 8 "$(rows "$work/out" | wc -l)" && python3 - "$work/s.json" <<-'END'
		import json, sys
		rows = json.load(open(sys.argv[1]))["sweep"]
		assert [r["ranks"] for r in rows] == 2 * [2, 3, 4, 5]
		# 3 lies between two points; 5 beyond them, where a line that falls says nothing
		assert all("ratio" in r for r in rows if r["ranks"] == 3)
		assert all(r["ranks"] in (3, 5) for r in rows if "ratio" in r)
		assert all(r["time_us"] > 0 for r in rows)
	END
}
check "--sweep-ranks measures every number of ranks and compares 2^k + 1" sweep
check "--sweep-ranks with --plot is a usage error" usage_error 'neither --plot' all_reduce --sweep-ranks --plot x.svg
unwritable() {
	"$tutti" bench all_reduce -g 2 -b 8 -e 8 -n 3 --json "$work/no/such/folder" >/dev/null 2>"$work/err"
	expect 1 $? && expect_match 'cannot write' "$(cat "$work/err")"
}
check "a file that cannot be written is an error" unwritable
told_once() {
	"$tutti" bench broadcast -r 9 -g 3 -e 8 2>"$work/err" >/dev/null
	expect 1 $? && expect 1 "$(wc -l <"$work/err")" || return 1
	"$tutti" bench all_reduce -a halving -g 3 -e 8 2>"$work/err" >/dev/null
	expect 1 $? && expect 1 "$(wc -l <"$work/err")"
}
check "what is wrong for all ranks is told once" told_once
bad_algorithm() {
	"$tutti" bench all_reduce -g 2 -b 8 -e 8 -a frobnicate >/dev/null 2>"$work/err"
	expect 1 $? && expect_match 'frobnicate' "$(cat "$work/err")"
}
check "an unknown algorithm is an error that names it" bad_algorithm
check "what cannot fit into memory is refused" expect 1 \
	"$("$tutti" bench all_reduce -g 2 -e 1000T >/dev/null 2>&1; echo $?)"
finish
