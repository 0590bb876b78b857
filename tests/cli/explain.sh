#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `tutti explain` promises. usage: explain.sh TUTTI
set -u
tutti=$1
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
unset "${!TUTTI_@}"
export TUTTI_PROFILE=assumed

usage_error() {
	local pattern=$1 text
	shift
	text=$("$tutti" explain "$@" 2>&1 >/dev/null)
	expect 2 $? && expect_match "$pattern.*--help" "$text" && expect 1 "$(wc -l <<<"$text")"
}
check "no size is a usage error" usage_error 'how many bytes' all_reduce
check "a bad size is a usage error" usage_error 'big is not a size' all_reduce big
check "a bad number of ranks is a usage error" usage_error '-n none' all_reduce 1M -n none
check "an unknown option is a usage error" usage_error 'unknown option' all_reduce 1M --frob
check "--help explains on stdout" expect_match 'Usage: tutti explain' "$("$tutti" explain --help)"

as_text() {
	"$tutti" explain all_reduce 64K -n 3 >"$work/out" || return 1
	expect_match '3 ranks' "$(head -n 1 "$work/out")" && expect_match 'chosen' "$(cat "$work/out")"
}
check "it names the choice for that many ranks" as_text
as_json() {
	"$tutti" explain broadcast 1M -n 2 --json | python3 -c '
import json, sys
report = json.load(sys.stdin)
assert report["collective"] == "broadcast" and report["bytes"] == 1 << 20 and report["ranks"] == 2
chosen = [c for c in report["candidates"] if c["algorithm"] == report["chosen"]]
assert len(chosen) == 1 and chosen[0]["eligible"]
'
}
check "--json is JSON with the chosen among the eligible" as_json
check "it obeys TUTTI_ALGORITHM" expect_match '"chosen": "ring"' \
	"$(TUTTI_ALGORITHM=all_reduce:0-=ring "$tutti" explain all_reduce 1K -n 2 --json)"
under_launcher() {
	expect 1 "$("$tutti" run -n 3 --no-prefix "$tutti" explain all_reduce 1M | grep -c '3 ranks')"
}
check "under a launcher it is about that job, told once" under_launcher
unknown() {
	local text
	text=$("$tutti" explain all_produce 1M -n 2 2>&1 >/dev/null)
	expect 1 $? && expect_match 'all_produce' "$text" && expect 1 "$(wc -l <<<"$text")"
}
check "an unknown collective is one line of error that names it" unknown
unknown_measured() {
	local text
	text=$("$tutti" explain all_produce 1M -n 3 --measure 2>&1 >/dev/null)
	expect 1 $? && expect_match 'all_produce' "$text" && expect 1 "$(wc -l <<<"$text")"
}
check "so it is with --measure" unknown_measured
bad_rule() {
	local rule text
	for rule in all_reduce=bruck all_reduce:8K-4K=ring all_reduce:1Q-=ring all_reduce=halving; do
		text=$(TUTTI_ALGORITHM=$rule "$tutti" explain all_reduce 1M -n 3 2>&1 >/dev/null)
		expect 1 $? && expect_match 'TUTTI_ALGORITHM' "$text" && expect 1 "$(wc -l <<<"$text")" || return 1
	done
}
check "a rule that makes no sense, or cannot be obeyed, is one line of error, however many ranks see it" bad_rule
one_wrong_rank() {
	"$tutti" run -n 2 sh -c '[ "$TUTTI_RANK" != 1 ] || export TUTTI_CONNECTIONS=x; exec "$0" explain all_reduce 1M' \
		"$tutti" >/dev/null 2>"$work/err" && return 1
	expect_match 'TUTTI_CONNECTIONS' "$(cat "$work/err")"
}
check "what is wrong for one rank alone, before it has met the others, is told" one_wrong_rank
check "a barrier needs no size" expect_match '^barrier, 2 ranks on 1 node$' "$("$tutti" explain barrier -n 2)"
finish
